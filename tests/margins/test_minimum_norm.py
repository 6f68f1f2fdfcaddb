"""The minimum-norm interpolant, against exact optima and known cases."""

import contextlib
import io
import re
from pathlib import Path
from typing import Any, cast

import cvxpy as cp
import jax
import numpy as np
import pytest

import jaxmargin as jm
from benchmarks import cone_program
from tests.examples.pages import blocks, check_output
from tests.interrupts import pressed
from tests.margins.samples import circle, labelled, support
from tests.mean_field import cone_oracle


def check_result(found: jm.margins.MinNorm, x: np.ndarray, y: np.ndarray) -> None:
    """The network fits, in the stated form, and the dual gives the bound."""
    u, w = np.asarray(found.params.u), np.asarray(found.params.w)
    np.testing.assert_allclose(np.linalg.norm(u, axis=1), np.abs(w), rtol=1e-9)
    assert np.sum(u**2) + np.sum(w**2) == pytest.approx(found.norm_squared, rel=1e-12)
    missed = np.abs(np.maximum(x @ u.T, 0) @ w - y).max()
    assert missed == pytest.approx(found.residual, abs=1e-15)
    assert missed <= 1e-7 * np.abs(y).max()
    assert 2 * found.dual @ y == pytest.approx(found.lower_bound, rel=1e-12)
    assert found.lower_bound <= found.estimate * (1 + 1e-12)
    assert found.norm_squared * (1 - 1e-6) <= found.estimate <= found.norm_squared * (1 + 1e-7)


def targets(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=n)


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_the_norm_is_that_of_the_cone_program(d: int, seed: int):
    x, y = labelled(d, seed)[0], targets(seed, 8)
    found = jm.min_norm_interpolant(x, y)
    check_result(found, x, y)
    assert found.state == "exact"
    assert found.lower_bound == pytest.approx(found.norm_squared, rel=1e-6)
    assert found.norm_squared == pytest.approx(cone_program.minimum_norm(x, y), rel=2e-6)
    assert len(found.params.w) <= len(x)


def test_no_unit_violates_the_dual():
    x, y = labelled(2, 0)[0], targets(0, 8)
    found = jm.min_norm_interpolant(x, y)
    heights = np.abs(np.maximum(circle(20_000) @ x.T, 0) @ found.dual)
    assert 1 - 1e-4 <= heights.max() <= 1 + 1e-9


@pytest.mark.parametrize("d", [4, 6])
def test_on_the_support_of_d_the_norm_is_8(d: int):
    x, y = support(d)
    found = jm.min_norm_interpolant(x, y)
    check_result(found, x, y)
    assert found.norm_squared == pytest.approx(8, rel=1e-6)
    assert found.state == ("exact" if d == 4 else "proven")
    assert 6 <= found.lower_bound <= 8
    assert f"({found.state})" in repr(found)


@pytest.mark.parametrize("seed", range(2))
def test_labels_are_fitted_at_no_less_than_the_inverse_of_the_margin(seed: int):
    """An interpolant of labels has margin 1, and is one of the networks that gamma* bounds."""
    x, y = labelled(2, seed)
    margin = jm.max_margin(x, y).margin
    assert jm.min_norm_interpolant(x, y).norm_squared >= 1 / margin * (1 - 1e-6)


def test_one_sample_is_solved_by_hand():
    """w relu(u . x) = y at the least |w|^2 + |u|^2 has |w| |u| = |y| / |x|."""
    x, y = np.array([[3.0, 4.0]]), np.array([-2.0])
    found = jm.min_norm_interpolant(x, y)
    check_result(found, x, y)
    assert found.norm_squared == pytest.approx(2 * 2 / 5, rel=1e-6)
    np.testing.assert_allclose(found.dual, [-1 / 5], rtol=1e-5)


def test_it_scales_with_x_and_y_and_takes_rows_and_targets_of_zeros():
    x, y = labelled(3, 0)[0], targets(1, 8)
    norm = jm.min_norm_interpolant(x, y).norm_squared
    for factor in (1e-9, 1e9):
        assert jm.min_norm_interpolant(factor * x, y).norm_squared == pytest.approx(
            norm / factor, rel=2e-6
        )
        assert jm.min_norm_interpolant(x, factor * y).norm_squared == pytest.approx(
            norm * factor, rel=2e-6
        )
    more = jm.min_norm_interpolant(np.append(x, np.zeros((1, 3)), axis=0), np.append(y, 0.0))
    assert more.norm_squared == pytest.approx(norm, rel=2e-6)
    assert more.dual[-1] == 0
    nothing = jm.min_norm_interpolant(x, np.zeros(8))
    assert (nothing.norm_squared, nothing.lower_bound, nothing.residual) == (0, 0, 0)
    assert nothing.history.step.shape == (0,)


def test_the_history_has_a_row_for_each_round_and_travels_in_an_error():
    x, y = labelled(3, 0)[0], targets(0, 8)
    seen = []
    found = jm.min_norm_interpolant(x, y, on_record=lambda *record: seen.append(record))
    assert found.history.step.tolist() == [step for step, _ in seen]
    for step, record in seen:
        assert record == jax.tree.map(lambda leaf, i=step - 1: leaf[i], found.history)
    assert np.all(np.diff(found.history.norm_squared) <= 0)
    assert found.history.norm_squared[-1] == pytest.approx(found.norm_squared, rel=1e-6)
    with pytest.raises(jm.ConvergenceError, match="raise max_rounds, time_limit or tol") as caught:
        jm.min_norm_interpolant(x, y, time_limit=1e-9, tol=1e-14)
    stopped = caught.value.result
    assert stopped.history.step.tolist() == [1]
    assert stopped.lower_bound <= found.norm_squared * (1 + 1e-9)
    assert stopped.norm_squared >= found.lower_bound * (1 - 1e-9)
    with pytest.raises(jm.Interrupted, match="interrupted with norm_squared") as pressing:
        jm.min_norm_interpolant(x, y, tol=1e-14, on_record=pressed)
    stopped = pressing.value.result
    assert stopped.history.step.tolist() == [pressing.value.step] == [1]
    assert stopped.lower_bound <= found.norm_squared * (1 + 1e-9)
    assert stopped.norm_squared >= found.lower_bound * (1 - 1e-9)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.0], 2.0),
        ([1.0, -2.0], [1.0, 2.0], 4.0),
        ([1.0, -1e-3], [1.0, -1.0], 2e3 + 2),
    ],
)
def test_samples_on_a_line_by_hand(x: list, y: list, expected: float):
    """One unit, or one for each side: a slope s costs 2 |s|."""
    found = jm.min_norm_interpolant(np.array(x)[:, None], np.array(y))
    assert found.norm_squared == pytest.approx(expected, rel=1e-6)
    assert found.lower_bound == pytest.approx(expected, rel=1e-6)


def regularized(x: np.ndarray, y: np.ndarray, lam: float) -> tuple[float, float]:
    """The least L_lam of all networks, and ||Theta_lam||^2, by the cone program over all cells."""
    outputs: Any = 0
    cost: Any = 0
    walls: list[Any] = []
    for active in cone_oracle.patterns(x):
        for sign in (1, -1):
            v = cp.Variable(x.shape[1])
            outputs += sign * cp.multiply(active, x @ v)
            cost += 2 * cp.norm(v)
            walls.append(cp.multiply(2 * active - 1, x @ v) >= 0)
    program = cp.Problem(cp.Minimize(cp.sum_squares(outputs - y) / len(y) + lam * cost), walls)
    program.solve(solver=cp.CLARABEL)
    return float(cast(float, program.value)), float(cost.value)


def test_the_path_of_theorem_b10_tends_to_the_least_norm():
    """The block of the page, each lambda of it by another program, and the theorem's chain."""
    page = (Path(__file__).parents[2] / "docs" / "theory" / "certified_optima.md").read_text()
    [(code, promised)] = [of for of in blocks(page) if "min_norm_interpolant" in of[0]]
    names: dict[str, Any] = {"__name__": "__main__"}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "certified_optima.md", "exec"), names)
    check_output(printed.getvalue(), promised)
    x, y = names["x"], names["y"]
    least = cone_program.minimum_norm(x, y)
    assert names["limit"].norm_squared == pytest.approx(least, rel=1e-6)
    before = 0.0
    for line in printed.getvalue().splitlines()[:-1]:
        lam, norm, scaled = (float(found) for found in re.findall(r"\d[\d.e-]*", line))
        value, size = regularized(x, y, lam)
        assert scaled == pytest.approx(value / lam, rel=1e-4)
        assert norm == pytest.approx(size, rel=1e-3, abs=1e-3)
        assert before < norm <= scaled <= least
        before = norm
    assert before > 0.9999 * least
