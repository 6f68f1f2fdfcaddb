"""The game over finitely many units against other solvers: its value and its dual."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.optimize

from jaxmargin.errors import ConvergenceError
from jaxmargin.margins._solvers.finite_game import solve_program


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
