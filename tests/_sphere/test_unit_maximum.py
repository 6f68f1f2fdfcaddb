"""What is attained, what is proven, and which of both agree."""

import numpy as np
import pytest

from jaxmargin._sphere.unit_maximum import separated, unit_maximum
from tests._sphere.oracle import exact_maximum


def problem(n: int, d: int, k: int | None = None, seed: int = 0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(size=n if k is None else (n, k))


def height(x, dual, u):
    return np.linalg.norm(np.maximum(u @ x.T, 0) @ dual.reshape(len(x), -1), axis=1)


@pytest.mark.parametrize("k", [None, 2])
@pytest.mark.parametrize(("d", "exact"), [(1, True), (3, True), (5, True), (6, False)])
def test_values_are_attained_and_below_the_bound(d: int, exact: bool, k: int | None):
    x, dual = problem(9, d, k)
    found = unit_maximum(x, dual, count=3)
    there = np.isfinite(found.values)
    np.testing.assert_allclose(
        height(x, dual, found.directions)[there], found.values[there], rtol=1e-13
    )
    assert (np.diff(found.values[there]) <= 0).all()
    assert found.exact is exact
    assert found.bound >= found.values[0]
    if exact:
        assert found.bound == pytest.approx(found.values[0], rel=1e-9)
    alone = unit_maximum(x, dual)
    assert alone.values[0] == pytest.approx(found.values[0], rel=1e-10)


def test_it_is_the_maximum_in_any_dimension_of_samples_of_low_rank():
    x, dual = problem(7, 3)
    expected = exact_maximum(x, dual)
    lift = np.linalg.qr(np.random.default_rng(1).normal(size=(20, 20)))[0][:3]
    for samples, scale in ((x, 1.0), (x @ lift, 1.0), (1e-200 * x, 1e-200)):
        found = unit_maximum(samples, dual)
        assert found.exact
        assert found.values[0] == pytest.approx(expected * scale, rel=1e-11)
        assert expected * scale * (1 - 1e-13) <= found.bound <= expected * scale * (1 + 1e-8)


def test_starts_are_climbed_from_and_a_budget_tightens_the_bound():
    x, dual = problem(14, 7, seed=3)
    root = unit_maximum(x, dual)
    given = unit_maximum(x, dual, starts=root.directions)
    assert given.values[0] >= root.values[0] * (1 - 1e-14)
    finished = unit_maximum(x, dual, budget=60.0)
    assert finished.bound <= root.bound
    assert finished.bound == pytest.approx(finished.values[0], rel=1e-6)


def test_nothing_at_all():
    found = unit_maximum(np.zeros((3, 2)), np.ones(3), count=2)
    assert (found.values.tolist(), found.bound, found.exact) == ([0.0, -np.inf], 0.0, True)
    np.testing.assert_allclose(np.linalg.norm(found.directions, axis=1), 1)


def test_points_lie_apart():
    angle = np.array([0.0, 0.05, 1.0, 1.02, 3.0])
    u = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    values, best = separated(np.array([1.0, 5.0, 3.0, 4.0, 2.0]), u, 4, 0.1)
    assert values.tolist() == [5.0, 4.0, 2.0, -np.inf]
    np.testing.assert_array_equal(best[:3], u[[1, 3, 4]])


@pytest.mark.parametrize("d", [3, 8])
def test_a_value_that_is_enough_ends_a_search_without_a_bound(d: int):
    x, dual = problem(30, d)
    best = unit_maximum(x, dual)
    found = unit_maximum(x, dual, enough=0.5 * best.values[0])
    assert found.values[0] > 0.5 * best.values[0]
    assert (found.bound, found.exact) == (np.inf, False)
    beyond = unit_maximum(x, dual, enough=1.01 * best.values[0])
    assert (beyond.bound, beyond.exact) == (best.bound, best.exact)
