"""Margins and targets in the interior point agree with cone programs of cvxpy."""

from typing import Any

import cvxpy as cp
import numpy as np
import pytest

from jaxmargin._cells.fits import Margins, Risk, Targets
from jaxmargin._cells.program import Program, solve


def draw(seed: int, m: int = 20, n: int = 6, d: int = 3) -> tuple[Program, np.ndarray, np.ndarray]:
    """A program of many cells, vectors inside of them, and labels."""
    rng = np.random.default_rng(seed)
    x, v = rng.normal(size=(n, d)), rng.normal(size=(m, d))
    signs = np.where(v @ x.T > 0, 1.0, -1.0)
    w = np.where(np.arange(m) % 2, 1.0, -1.0)
    columns = (w[:, None] * (signs > 0))[:, None, :] * x.T
    return Program(columns, x, signs, np.ones(m)), v, np.where(np.arange(n) % 2, 1.0, -1.0)


def by_cvxpy(program: Program, y: np.ndarray, *, equal: bool) -> float:
    m, p, _ = program.columns.shape
    v = cp.Variable((m, p))
    outputs = sum(v[j] @ program.columns[j] for j in range(m))
    constraints: list[Any] = [
        cp.multiply(program.signs[j], program.x @ v[j]) >= 0 for j in range(m)
    ]
    constraints.append(outputs == y if equal else cp.multiply(y, outputs) >= 1)
    problem = cp.Problem(cp.Minimize(cp.sum(cp.norm(v, 2, axis=1))), constraints)
    problem.solve(solver=cp.CLARABEL)
    return float(np.asarray(problem.value))


@pytest.mark.parametrize("seed", range(3))
def test_margins_of_one_are_reached_at_the_least_length(seed: int):
    program, v, y = draw(seed)
    fit = Margins(y[:, None, None])
    found = solve(program, fit, 0.1 * v, 1e-9)
    assert found.converged
    assert found.value == pytest.approx(by_cvxpy(program, y, equal=False), rel=1e-6)
    assert fit.margins(found.outputs).min() == pytest.approx(1, rel=1e-6)
    assert fit.weight.min() >= 0
    assert fit.weight.sum() == pytest.approx(found.value, rel=1e-6)  # strong duality
    np.testing.assert_allclose(found.dual, -(y[:, None] * fit.weight)[:, 0])


@pytest.mark.parametrize("seed", range(3))
def test_targets_are_reached_at_the_least_length(seed: int):
    program, v, y = draw(seed)
    fit = Targets(y)
    found = solve(program, fit, 0.1 * v, 1e-9)
    assert found.converged
    np.testing.assert_allclose(found.outputs, y, atol=1e-8)
    assert found.value == pytest.approx(by_cvxpy(program, y, equal=True), rel=1e-6)
    assert -found.dual @ y == pytest.approx(found.value, rel=1e-6)  # strong duality


@pytest.mark.parametrize("give", [0.5, 1e-12])
def test_squares_have_one_optimum_as_a_risk_and_as_targets_that_give(give: float):
    """As a risk their slope is (a - y) / give, which has no digits left where give is tiny."""
    program, v, y = draw(0)
    fit = Targets(y, give, rest=3.0)
    found = solve(program, fit, 0.1 * v, 1e-9)
    assert found.converged
    if give == 0.5:
        risk = Risk(
            lambda a: 3 + float((a - y) @ (a - y)), lambda a: 2 * (a - y), lambda a: 2 + 0 * a
        )
        plain = solve(program, risk, 0.1 * v, 1e-9)
        assert found.value == pytest.approx(plain.value, rel=1e-8)
        np.testing.assert_allclose(found.dual, plain.dual, atol=1e-4)
        np.testing.assert_allclose(found.dual, (found.outputs - y) / give, atol=1e-6)
    else:
        assert found.value - 3 == pytest.approx(by_cvxpy(program, y, equal=True), rel=1e-6)
        assert -found.dual @ y == pytest.approx(found.value - 3, rel=1e-6)


def test_margins_of_classes_are_differences_of_outputs():
    axes = np.eye(3)
    fit = Margins(np.stack([axes[0] - axes[1:], axes[2] - axes[:2]]))
    outputs = np.array([[3.0, 1.0, 2.0], [5.0, 1.0, 4.0]])
    np.testing.assert_array_equal(fit.margins(outputs.ravel()), [[2, 1], [-1, 3]])
    pull = fit.pull(np.array([[1.0, 2.0], [3.0, 4.0]])).reshape(2, 3)
    np.testing.assert_array_equal(pull, [[3, -1, -2], [-3, -4, 7]])
    slope, root = (fit.start(outputs.ravel(), 1.0, 0.1), fit.model(outputs.ravel(), 0.1))[1]
    assert slope.shape == (6,)
    assert np.all(np.linalg.eigvalsh(root @ root.transpose(0, 2, 1)) >= -1e-12)


def test_what_a_network_is_worth():
    """Its cost at margins of 1, or with R; infinite where it misfits."""
    margins = Margins(np.array([[[1.0]], [[-1.0]]]))
    assert margins.total(np.array([2.0, -4.0]), 6.0) == 3.0
    assert margins.total(np.array([2.0, 1.0]), 6.0) == np.inf
    targets = Targets(np.array([1.0, -2.0]))
    assert targets.total(np.array([1.0, -2.0]), 6.0) == 6.0
    assert targets.total(np.array([1.0, -2.1]), 6.0) == np.inf
    assert Targets(np.array([1.0]), give=0.5, rest=2.0).total(np.array([3.0]), 6.0) == 12.0
    risk = Risk(lambda a: float(a @ a), lambda a: 2 * a, lambda a: np.full(len(a), 2.0))
    assert risk.total(np.array([1.0, 2.0]), 6.0) == 11.0


def test_the_model_of_margins_is_exact_where_slacks_and_weights_agree():
    """Its slope at a point of the central path is the gradient of -mu sum log(margin - 1)."""
    fit = Margins(np.array([[[1.0]], [[-1.0]]]))
    outputs, mu = np.array([3.0, -1.5]), 0.3
    fit.start(outputs, 1.0, mu)
    slope, root = fit.model(outputs, mu)
    np.testing.assert_allclose(slope, [-mu / 2, mu / 0.5], rtol=1e-7)
    np.testing.assert_allclose(root**2, [mu / 4, mu / 0.25], rtol=1e-6)
