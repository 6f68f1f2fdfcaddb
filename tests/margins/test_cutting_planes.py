"""Each round is a network with its margin and a bound that holds; together they close in."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import cone_program
from jaxmargin import sphere
from jaxmargin.margins._cutting_planes import cutting_planes
from jaxmargin.margins._units import feature_rows
from tests.margins.samples import hexagon, in_the_ball, on_a_line, support

NO_STARTS = np.empty((0, 2))


def scaled_line(seed: int) -> tuple[np.ndarray, np.ndarray]:
    x, y = on_a_line(seed)
    return x / np.linalg.norm(x, axis=1).max(), y


@pytest.mark.parametrize("samples", [lambda: in_the_ball(2, 0), lambda: scaled_line(0)])
def test_margins_rise_and_bounds_fall_to_the_optimum(samples):
    x, y = samples()
    rounds = list(cutting_planes(x, y, 1e-8, NO_STARTS))
    margins = np.array([found.margin for found in rounds])
    bounds = np.array([found.upper_bound for found in rounds])
    assert np.all(np.diff(margins) >= -1e-9)
    assert np.all(np.diff(bounds) <= 1e-9)
    assert [found.converged for found in rounds] == [False] * (len(rounds) - 1) + [True]
    best = 2 * cone_program.max_margin(x, y)
    assert margins[-1] == pytest.approx(best, rel=1e-6)
    assert np.all(margins <= best * (1 + 1e-6))
    assert np.all(bounds >= best * (1 - 1e-6))
    assert bounds[-1] <= margins[-1] * (1 + 1e-8)


def test_every_round_attains_its_margin_and_proves_its_bound():
    x, y = in_the_ball(2, 1)
    maximum = jax.jit(sphere.maximum)
    for found in cutting_planes(x, y, 1e-6, NO_STARTS):
        np.testing.assert_allclose(np.linalg.norm(found.units, axis=1), 1)
        assert np.all(found.weights != 0)
        if found.margin > 0:
            assert np.abs(found.weights).sum() == pytest.approx(1, rel=1e-9)
        attained = (found.weights @ feature_rows(x, y, found.units)).min()
        assert attained == pytest.approx(found.margin, rel=1e-9, abs=1e-15)
        assert found.dual.min() >= 0
        assert found.dual.sum() == pytest.approx(1, rel=1e-12)
        with jax.enable_x64(True):
            highest = maximum(jnp.asarray(x), jnp.asarray(found.dual * y))
        assert found.upper_bound == pytest.approx(float(highest.value), rel=1e-9)


def test_good_starts_shorten_it():
    x, y = in_the_ball(2, 2)
    plain = list(cutting_planes(x, y, 1e-6, NO_STARTS))
    again = list(cutting_planes(x, y, 1e-6, 5 * plain[-1].units))
    assert len(again) <= len(plain)
    assert again[0].margin == pytest.approx(plain[-1].margin, rel=1e-6)


def test_beyond_three_dimensions_the_bound_must_hold_in_five_searches():
    x, y = support(4)
    length = np.sqrt(3)
    rounds = list(cutting_planes(x / length, y, 1e-6, np.empty((0, 4))))
    close = [found.upper_bound - found.margin <= 1e-6 * found.margin for found in rounds]
    assert rounds[-1].converged
    assert all(close[-5:])
    assert rounds[-1].margin == pytest.approx(0.25 / length, rel=1e-6)


def test_no_margin_ends_it():
    """On the hexagon the sum over all samples is 0 for every u, and so is the first bound."""
    x, y = hexagon()
    (only,) = cutting_planes(x, y, 1e-6, NO_STARTS)
    assert abs(only.margin) <= 1e-12
    assert only.upper_bound <= 1e-12
    assert not only.converged
