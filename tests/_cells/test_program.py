"""The interior point agrees with a cone program of cvxpy."""

from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest

from jaxmargin._cells.fits import Risk
from jaxmargin._cells.program import Program, solve
from tests._cells.risks import logistic, squared

PRICE = 0.3


def draw(m: int = 5, n: int = 7, d: int = 3) -> tuple[Program, np.ndarray, np.ndarray]:
    """A program, vectors inside of its cones, and labels."""
    rng = np.random.default_rng(0)
    x, v = rng.normal(size=(n, d)), rng.normal(size=(m, d))
    signs = np.where(v @ x.T > 0, 1.0, -1.0)
    w = np.where(np.arange(m) % 2, 1.0, -1.0)
    columns = (w[:, None] * (signs > 0))[:, None, :] * x.T
    return Program(columns, x, signs, np.full(m, PRICE)), v, np.sign(rng.normal(size=n))


def by_cvxpy(program: Program, y: np.ndarray, loss: str) -> float:
    m, p, _ = program.columns.shape
    v = cp.Variable((m, p))
    outputs = sum(v[j] @ program.columns[j] for j in range(m))
    inside: list[cp.Constraint] = [
        cp.multiply(program.signs[j], program.x @ v[j, : program.x.shape[1]]) >= 0 for j in range(m)
    ]
    if loss == "squared":
        risk = cp.sum_squares(outputs - y)
    else:
        risk = cp.sum(cp.logistic(-cp.multiply(y, outputs)))
    cost = PRICE * cp.sum(cp.norm(v, 2, axis=1))
    problem = cp.Problem(cp.Minimize(risk + cost), inside)
    problem.solve(solver=cp.CLARABEL)
    return float(np.asarray(problem.value))


@pytest.mark.parametrize(("loss", "risk"), [("squared", squared), ("logistic", logistic)])
def test_it_solves_the_cone_program(loss: str, risk):
    program, v, y = draw()
    found = solve(program, risk(y), v, 1e-10)
    assert found.converged
    assert found.value == pytest.approx(by_cvxpy(program, y, loss), rel=1e-7)
    assert np.all(program.slacks(found.v) >= 0)
    np.testing.assert_allclose(found.outputs, program.outputs(found.v))
    np.testing.assert_allclose(found.dual, risk(y).slope(found.outputs))


def test_the_hessian_may_be_a_diagonal_blocks_or_a_matrix():
    program, v, y = draw(n=6)
    values = [
        solve(program, replace(squared(y), curvature=lambda _, h=h: h), v, 1e-10).value
        for h in (np.full(6, 2.0), np.tile(2 * np.eye(2), (3, 1, 1)), 2 * np.eye(6))
    ]
    np.testing.assert_allclose(values, values[0], rtol=1e-9)


def test_columns_beyond_the_constraints_are_free():
    """A program of one vector (v, z): min (2 v + z - 1)^2 + price |(v, z)|, with v <= 0."""
    program = Program(
        np.array([[[2.0], [1.0]]]), np.array([[1.0]]), np.array([[-1.0]]), np.array([PRICE])
    )
    found = solve(program, squared(np.ones(1)), np.array([[-1.0, 0.0]]), 1e-10)
    np.testing.assert_allclose(found.v, [[0, 1 - PRICE / 2]], atol=1e-4)


def test_a_tolerance_out_of_reach_gives_the_best_point_met():
    program, v, y = draw()
    found = solve(program, squared(y), v, 1e-30)
    assert not found.converged
    assert found.value == pytest.approx(by_cvxpy(program, y, "squared"), rel=1e-7)


def test_the_root_of_a_hessian():
    hessian = np.array([[2.0, 1.0], [1.0, 3.0]])
    risk = Risk(lambda _: 0.0, lambda a: a, lambda _: hessian)
    root = risk.model(np.zeros(2), 0.0)[1]
    np.testing.assert_allclose(root @ root.T, hessian)
