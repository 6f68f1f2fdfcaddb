"""The enumeration against candidates in exact arithmetic, over samples of every awkward kind."""

import numpy as np
import pytest

from jaxmargin._sphere import great_circles
from jaxmargin._sphere.great_circles import Enumerated, enumerable, enumerable_span, enumerated
from jaxmargin._sphere.relu_sum import scaled
from tests._sphere.oracle import exact_maximum


def enumerate_all(x: np.ndarray, dual: np.ndarray) -> Enumerated:
    function = scaled(x, dual)
    span = enumerable_span(function)
    assert span is not None
    return enumerated(function, span, np.eye(x.shape[1])[0])


def check(x: np.ndarray, dual: np.ndarray, expected: float | None = None):
    """Nothing is above the bound, and the direction attains the maximum."""
    expected = exact_maximum(x, dual) if expected is None else expected
    function = scaled(x, dual)
    found = enumerate_all(x, dual)
    bound = float(function.unscaled(found.bound))
    total = float(function.unscaled(np.linalg.norm(function.weights, axis=1).sum()))
    attained = float(function.unscaled(function.heights(found.direction[None])[0]))
    assert np.linalg.norm(found.direction) == pytest.approx(1, abs=1e-14)
    assert bound >= expected * (1 - 1e-13)
    assert bound <= expected + 1e-9 * total
    assert attained <= expected * (1 + 1e-12)
    assert attained >= expected - 1e-9 * total


def gaussian(seed: int, n: int, d: int, k: int | None = None):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(size=n if k is None else (n, k)), rng


@pytest.mark.parametrize(
    ("d", "n", "k"),
    [
        *((2, 7, None), (3, 6, None), (4, 6, None), (5, 6, None)),
        *((2, 7, 2), (3, 6, 2), (4, 5, 2), (2, 6, 3), (3, 5, 3), (3, 5, 4)),
    ],
)
def test_ordinary_samples(d: int, n: int, k: int | None):
    for seed in range(3 if d < 4 else 1):
        x, dual, _ = gaussian(seed, n, d, k)
        check(x, dual)


@pytest.mark.parametrize("angle", [1e-2, 1e-4, 1e-7, 1e-10, 1e-12, 1e-15])
@pytest.mark.parametrize(("d", "n"), [(2, 6), (3, 6), (4, 5)])
def test_samples_that_are_nearly_parallel_or_opposite(d: int, n: int, angle: float):
    for seed in range(4 if d < 4 else 1):
        x, dual, rng = gaussian(seed, n, d)
        x[1] = 2 * x[0] + angle * rng.normal(size=d)
        x[2] = -x[0] + angle * rng.normal(size=d)
        if seed % 2:
            x[3] = x[0] + angle * rng.normal(size=d)
            dual[:4] *= [1, -1, 1, -1]
        check(x, dual)


@pytest.mark.parametrize("d", [3, 4])
def test_samples_near_a_plane_of_fewer_dimensions(d: int):
    for thickness in (0, 1e-13, 1e-9, 1e-5):
        x, dual, rng = gaussian(5, 6, d)
        x[:5, -1] = thickness * rng.normal(size=5)
        check(x, dual)


@pytest.mark.parametrize("d", [2, 3, 4])
def test_whole_numbers(d: int):
    """Duplicates, opposites, zeros and many samples in one plane, all exactly."""
    for seed in range(4 if d < 4 else 2):
        rng = np.random.default_rng(seed)
        x = rng.integers(-1, 2, size=(6, d)).astype(float)
        dual = rng.integers(-2, 3, size=6).astype(float)
        if np.linalg.matrix_rank(x) == d and dual.any():
            check(x, dual)


@pytest.mark.parametrize("power", [-300, -20, 20, 300])
def test_tiny_and_huge_samples(power: int):
    x, dual, _ = gaussian(1, 6, 3)
    expected = exact_maximum(x, dual)
    check(x * 10.0**power, dual, expected * 10.0**power)
    check(x * 10.0**power, dual * 10.0**-power, expected)
    mixed = 10.0 ** (np.arange(6) * power / 5)
    check(x * mixed[:, None], dual / mixed, expected)


def test_the_samples_that_once_fooled_a_threshold():
    """Two samples 1e-4 apart, whose arc of the maximum is narrower than an angle once ignored."""
    x = np.array([[-0.8303479, -0.4043965, -0.38338727], [-2.251914, -1.0967058, -1.0399644]])
    basis = np.linalg.svd(x)[2][:2]
    dual = np.array([1.0, -0.36871997])
    check(x, dual, exact_maximum(x @ basis.T, dual))


@pytest.mark.parametrize("k", [None, 2])
def test_samples_of_low_rank_in_many_dimensions(k: int | None):
    x, dual, rng = gaussian(2, 6, 3, k)
    lift = np.linalg.qr(rng.normal(size=(9, 9)))[0][:3]
    expected = exact_maximum(x, dual)
    check(x @ lift, dual, expected)
    rounded = (x @ lift).astype(np.float32).astype(float)
    bound = scaled(rounded, dual).unscaled(enumerate_all(rounded, dual).bound)
    assert expected * (1 - 1e-6) <= bound <= expected * (1 + 1e-5)


def test_one_dimension():
    check(np.array([[2.0], [-1.0], [3.0]]), np.array([1.0, -4.0, 0.5]), 4.0)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch):
    x, dual, _ = gaussian(0, 8, 4)
    whole = enumerate_all(x, dual).bound
    monkeypatch.setattr(great_circles, "_BLOCK_ENTRIES", 40)
    assert enumerate_all(x, dual).bound == pytest.approx(whole, rel=1e-13)


def test_a_sample_across_the_first_direction_of_the_plane():
    """Its event is at angle 0."""
    x = np.array([[0.0, 1.0], [0.0, -2.0], [1.0, 1e-320], [1.0, 1.0]])
    check(x, np.array([1.0, -2.0, 0.5, 0.3]))


def test_the_start_changes_nothing():
    """The cells that are left out have no higher peak, however high the start is."""
    for seed in range(5):
        x, dual, rng = gaussian(seed, 12, 3)
        function = scaled(x, dual)
        span = enumerable_span(function)
        assert span is not None
        u = rng.normal(size=3)
        low = enumerated(function, span, u / np.linalg.norm(u))
        high = enumerated(function, span, low.direction)
        assert high.bound == pytest.approx(low.bound, rel=1e-13)
        np.testing.assert_allclose(high.direction, low.direction, atol=1e-9)


def test_the_bound_of_a_singular_value():
    rng = np.random.default_rng(0)
    for k, r in ((1, 3), (2, 3), (3, 3), (5, 3), (4, 4)):
        moments = rng.normal(size=(50, k, r))
        highest = np.linalg.norm(moments, 2, axis=(1, 2)) ** 2
        bound = great_circles._squares_at_most(moments)
        assert (bound >= highest * (1 - 1e-12)).all()
        assert (bound <= np.sum(moments**2, axis=(1, 2)) * (1 + 1e-12)).all()
        if min(k, r) < 3:
            np.testing.assert_allclose(bound, highest, rtol=1e-7)


def test_what_is_not_enumerated():
    x, dual, _ = gaussian(0, 7, 6)
    assert enumerable_span(scaled(x, dual)) is None
    assert enumerable(10**6, 3, 1)
    assert enumerable(100, 4, 1)
    assert enumerable(40, 5, 1)
    assert not enumerable(10**4, 4, 1)
    assert not enumerable(100, 4, 10)
    assert not enumerable(7, 6, 1)
