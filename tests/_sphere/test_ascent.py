"""An ascent on the sphere never goes down, meets kinks exactly, and finds known maxima."""

import numpy as np
import pytest

from jaxmargin._sphere import ascent
from jaxmargin._sphere.ascent import around, climb, highest_rows, search
from jaxmargin._sphere.relu_sum import scaled, unit_rows


def height(x, dual, u):
    """|sum_i r_i relu(u . x_i)| by the definition, for u (p, d)."""
    total = np.maximum(u @ x.T, 0) @ dual.reshape(len(x), -1)
    return np.linalg.norm(total, axis=1)


def problem(d: int, k: int | None, n: int = 12, seed: int = 0):
    rng = np.random.default_rng(seed)
    x, dual = rng.normal(size=(n, d)), rng.normal(size=n if k is None else (n, k))
    return x, dual, rng.normal(size=(40, d))


@pytest.mark.parametrize("k", [None, 1, 3])
@pytest.mark.parametrize("d", [1, 2, 5, 20])
def test_values_are_attained_and_never_below_the_start(d: int, k: int | None):
    x, dual, starts = problem(d, k)
    values, u = climb(x, dual, starts)
    np.testing.assert_allclose(np.linalg.norm(u, axis=1), 1, rtol=1e-14)
    np.testing.assert_allclose(values, height(x, dual, u), rtol=1e-13)
    unit = starts / np.linalg.norm(starts, axis=1, keepdims=True)
    assert (values >= height(x, dual, unit) * (1 - 1e-14)).all()
    found, where = search(x, dual)
    np.testing.assert_allclose(found, height(x, dual, where), rtol=1e-13)
    assert (np.diff(found) <= 0).all()
    assert found[0] >= values.max() * (1 - 1e-12)


@pytest.mark.parametrize("d", [2, 6, 30])
def test_a_maximum_on_many_kinks_is_met_exactly(d: int):
    """u_1+ - (3/4) sum_j |u_j| falls from e_1, which lies across the d - 1 pairs +-e_j."""
    others = np.eye(d)[1:]
    x = np.concatenate([np.eye(d)[:1], others, -others])
    dual = np.r_[1, np.full(2 * d - 2, -0.75)]
    x, dual = np.concatenate([x, others]), np.r_[dual, np.zeros(d - 1)]
    start = np.eye(d)[:1] + 0.1 * np.random.default_rng(0).normal(size=(5, d)) / d**0.5
    dual[1:] /= d  # so that -e_j, where the sum is -3/4, is not higher
    values, u = climb(x, dual * d, start)
    np.testing.assert_allclose(values, d, rtol=1e-13)
    np.testing.assert_allclose(u, np.tile(np.eye(d)[0], (5, 1)), atol=1e-13)


@pytest.mark.parametrize("power", [-300, 0, 300])
def test_the_size_of_the_data_changes_nothing(power: int):
    x, dual, starts = problem(4, 2)
    values, u = climb(x, dual, starts)
    small = climb(x * 10.0**power, dual, starts * 10.0**-power)
    np.testing.assert_allclose(small[0], values * 10.0**power, rtol=1e-9)
    np.testing.assert_allclose(small[1], u, atol=1e-6)


def test_where_there_is_nothing_to_climb():
    values, u = climb(np.zeros((2, 3)), np.ones(2), np.zeros((2, 3)))
    assert values.tolist() == [0, 0]
    np.testing.assert_array_equal(u, np.eye(3)[[0, 0]])
    values, u = search(np.ones((2, 3)), np.zeros(2))
    assert (values == 0).all()


def test_from_no_start_there_is_no_ascent():
    x, dual, _ = problem(3, None)
    values, u = climb(x, dual, np.zeros((0, 3)))
    assert (values.shape, u.shape) == ((0,), (0, 3))


def test_blocks_are_climbed_each_by_itself(monkeypatch: pytest.MonkeyPatch):
    """In blocks of five starts: a start may end elsewhere by rounding, but the top is met."""
    x, dual, starts = problem(4, None)
    together = climb(x, dual, starts)[0]
    monkeypatch.setattr(ascent, "_CACHED_ENTRIES", 5 * len(x))
    values, u = climb(x, dual, starts)
    np.testing.assert_allclose(values, height(x, dual, u), rtol=1e-12)
    assert np.all(values >= height(x, dual, unit_rows(starts)) * (1 - 1e-12))
    assert values.max() == pytest.approx(together.max(), rel=1e-9)


def test_points_around_a_top_leave_one_of_its_kinks_at_a_time():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(6, 4))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    top = np.linalg.svd(rows[:2])[2][-1]  # on the kinks of two rows
    points = around(rows, np.stack([top, rng.normal(size=4)]), rng)
    assert points.shape == (4, 4)
    heights = points @ rows[:2].T
    on = np.abs(heights) < 1e-12
    np.testing.assert_array_equal(on.sum(axis=1), 1)
    np.testing.assert_allclose(heights.sum(axis=0), 0, atol=1e-12)  # on both sides
    np.testing.assert_allclose(points @ top, 1, rtol=1e-12)


def test_of_very_many_samples_some_are_starts(monkeypatch: pytest.MonkeyPatch):
    x, dual, _ = problem(3, None, n=40)
    function = scaled(x, dual)
    every = highest_rows(function, 5)
    heights = function.heights(np.concatenate([function.rows, -function.rows]))
    np.testing.assert_allclose(function.heights(every), np.sort(heights)[::-1][:5], rtol=1e-14)
    monkeypatch.setattr(ascent, "_MOST_HEIGHTS", 400)
    some = highest_rows(function, 5)
    of_some = function.heights(np.concatenate([function.rows[::4], -function.rows[::4]]))
    np.testing.assert_allclose(function.heights(some), np.sort(of_some)[::-1][:5], rtol=1e-14)
