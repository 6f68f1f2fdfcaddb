"""The game over finitely many units against other solvers: its value, its dual, its centre."""

from types import SimpleNamespace
from typing import Any

import cvxpy as cp
import numpy as np
import pytest
import scipy.optimize

from jaxmargin.errors import ConvergenceError
from jaxmargin.margins._finite_game import analytic_centre, solve_program


def random_rows(seed: int, k: int = 20, n: int = 7) -> np.ndarray:
    """A game with a positive value, as if all rows were features of correctly labelled samples."""
    return np.random.default_rng(seed).normal(size=(k, n)) + 0.2


def value_by_the_dual(rows: np.ndarray) -> float:
    """min_p max_j |p . rows_j|, by an interior point method on a program of its own."""
    k, n = rows.shape
    table = np.block([[rows, -np.ones((k, 1))], [-rows, -np.ones((k, 1))]])
    found = scipy.optimize.linprog(
        np.append(np.zeros(n), 1), A_ub=table, b_ub=np.zeros(2 * k),
        A_eq=np.append(np.ones(n), 0)[None], b_eq=[1], method="highs-ipm",
    )  # fmt: skip
    return found.fun


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", [(20, 7), (3, 9), (1, 1)])
def test_the_program_has_the_value_of_its_dual(seed: int, size: tuple[int, int]):
    rows = np.abs(random_rows(seed, *size)) if size == (1, 1) else random_rows(seed, *size)
    expected = value_by_the_dual(rows)
    found = solve_program(rows, 1.0)
    assert found.margin == pytest.approx(expected, rel=1e-8, abs=1e-9)
    assert found.margin == (found.weights @ rows).min()
    assert found.dual.min() >= 0
    assert found.dual.sum() == pytest.approx(1, rel=1e-12)
    assert np.abs(rows @ found.dual).max() == pytest.approx(expected, rel=1e-8, abs=1e-9)
    assert np.count_nonzero(found.weights) <= size[1]
    if expected > 1e-9:
        assert np.abs(found.weights).sum() == pytest.approx(1, rel=1e-12)


def test_the_scale_lets_the_program_see_a_tiny_value():
    rows = 1e-8 * random_rows(0)
    expected = value_by_the_dual(1e8 * rows)
    assert expected > 0.1
    assert solve_program(rows, 1e-8).margin == pytest.approx(1e-8 * expected, rel=1e-8)


def test_a_tolerance_that_is_missed_is_raised_until_none_is_left(monkeypatch: pytest.MonkeyPatch):
    rows = random_rows(0)
    expected = value_by_the_dual(rows)
    solve, tolerances = scipy.optimize.linprog, []

    def failing(*args, options, **settings):
        tolerances.append(options["primal_feasibility_tolerance"])
        if len(tolerances) == 2:
            return solve(*args, options=options, **settings)
        return SimpleNamespace(success=False, message="no progress")

    monkeypatch.setattr(scipy.optimize, "linprog", failing)
    assert solve_program(rows, 1.0).margin == pytest.approx(expected, rel=1e-6)
    assert tolerances == sorted(tolerances)
    with pytest.raises(ConvergenceError, match="no progress"):
        solve_program(rows, 1.0)
    assert tolerances == [1e-10, 1e-9, 1e-10, 1e-9, 1e-8, 1e-7]


@pytest.mark.parametrize("seed", range(3))
def test_the_centre_is_that_of_a_convex_solver(seed: int):
    rows = random_rows(seed)
    cuts = np.concatenate([rows, -rows])
    program = solve_program(rows, 1.0)
    level = 1.2 * program.margin
    found = analytic_centre(cuts, program.dual, level)
    p = cp.Variable(rows.shape[1])
    barrier = cp.sum(cp.log(level - cuts @ p)) + cp.sum(cp.log(p))
    constraints: list[Any] = [cp.sum(p) == 1]  # of which its stubs make bools
    cp.Problem(cp.Maximize(barrier), constraints).solve(solver=cp.CLARABEL)
    assert p.value is not None
    # Newton's method stops once a step promises less than 0.01 of the barrier.
    best = barrier_at(p.value, cuts, level)
    assert best - 1e-2 <= barrier_at(found, cuts, level) <= best + 1e-6
    np.testing.assert_allclose(found, p.value, atol=0.02)
    assert found.sum() == pytest.approx(1, rel=1e-12)


def barrier_at(p: np.ndarray, cuts: np.ndarray, level: float) -> float:
    assert p.min() > 0
    assert (cuts @ p).max() < level
    return float(np.log(level - cuts @ p).sum() + np.log(p).sum())


def test_the_centre_lies_inside_where_the_vertex_does_not():
    rows = random_rows(1, 4, 9)  # four units leave at least four of nine probabilities 0
    program = solve_program(rows, 1.0)
    cuts = np.concatenate([rows, -rows])
    assert program.dual.min() == 0
    centre = analytic_centre(cuts, program.dual, 1.01 * program.margin)
    assert centre.min() > 0
    assert (cuts @ centre).max() < 1.01 * program.margin


def test_where_no_room_is_left_the_start_comes_back():
    rows = random_rows(2)
    program = solve_program(rows, 1.0)
    cuts = np.concatenate([rows, -rows])
    below = 0.9 * program.margin
    assert analytic_centre(cuts, program.dual, below) is program.dual


def test_without_a_cut_that_matters_the_centre_is_uniform():
    """Of equal cuts far below the level, by symmetry."""
    centre = analytic_centre(np.zeros((3, 5)), np.array([0.6, 0.1, 0.1, 0.1, 0.1]), 1.0)
    np.testing.assert_allclose(centre, 0.2, atol=1e-2)
