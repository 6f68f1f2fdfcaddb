"""Bounds over the whole sphere: never below a value, and exact after enough branching."""

import numpy as np
import pytest

from jaxmargin._sphere.ascent import search
from jaxmargin._sphere.bounds import upper_bound
from jaxmargin._sphere.relu_sum import scaled
from jaxmargin.data.synthetic import support_of_d
from tests._sphere.oracle import exact_maximum, maximum_by_patterns


def bounds(x: np.ndarray, dual: np.ndarray, budget: float) -> tuple[float, float]:
    """The highest value found, and the bound."""
    function = scaled(x, dual)
    values, _ = search(x, dual)
    attained = np.ldexp(values[0], -function.exponent)
    return float(values[0]), float(function.unscaled(upper_bound(function, attained, budget)))


@pytest.mark.parametrize("k", [None, 3])
@pytest.mark.parametrize("d", [2, 4, 7, 12])
def test_no_value_is_above_the_bound(d: int, k: int | None):
    rng = np.random.default_rng(d)
    for n in (3, 20):
        x, dual = rng.normal(size=(n, d)), rng.normal(size=n if k is None else (n, k))
        value, bound = bounds(x, dual, 0.0)
        assert value <= bound
        assert bound <= 2 * value
        power = 2.0**500
        assert bounds(x * power, dual / power, 0.0) == pytest.approx((value, bound), rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_branching_reaches_the_maximum_in_six_dimensions(seed: int):
    rng = np.random.default_rng(seed)
    x, dual = rng.normal(size=(8, 6)), rng.normal(size=8)
    expected = maximum_by_patterns(x, dual)
    value, bound = bounds(x, dual, 60.0)
    assert value == pytest.approx(expected, rel=1e-9)
    assert expected * (1 - 1e-12) <= bound <= expected * (1 + 1e-8)


def test_branching_reaches_the_maximum_of_two_outputs():
    rng = np.random.default_rng(0)
    x, dual = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
    expected = exact_maximum(x, dual)
    _, bound = bounds(x, dual, 60.0)
    assert expected * (1 - 1e-12) <= bound <= expected * (1 + 1e-2)


@pytest.mark.parametrize("d", [4, 6, 10])
def test_on_the_support_of_d_half_the_bound_is_an_eighth(d: int):
    x, y = (np.asarray(part, float) for part in support_of_d(d))
    value, bound = bounds(x, y / len(y), 0.0)
    assert value / 2 == pytest.approx(1 / 8, rel=1e-9)
    assert bound / 2 == pytest.approx(1 / 8, rel=1e-8)


def test_duals_of_one_sign_and_none():
    """With r <= 0 the sum is largest in length where -r is; the other sign adds nothing."""
    x = np.eye(3)
    value, bound = bounds(x, np.array([-3.0, 0.0, -4.0]), 10.0)
    assert value == pytest.approx(5)
    assert bound == pytest.approx(5, rel=1e-8)
    assert upper_bound(scaled(x, np.zeros(3)), 0.0, 0.0) == 0
