"""Arithmetic at the edges, against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmargin._arithmetic import (
    as_float64,
    held_octaves,
    held_range,
    own_and_others,
    power_of_two,
    safe_power,
    scaled,
    scaled_power_sum,
    step_to_boundary,
)


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0, 3.5])
def test_powers_and_their_slopes(exponent: float):
    for base in (1e-3, 1.0, 20.0):
        value, slope = jax.value_and_grad(safe_power)(jnp.array(base), exponent)
        np.testing.assert_allclose(value, base**exponent, rtol=1e-6)
        np.testing.assert_allclose(slope, exponent * base ** (exponent - 1), rtol=1e-5)
    assert jax.value_and_grad(safe_power)(jnp.array(0.0), exponent) == (0, 0)
    assert jnp.isnan(safe_power(jnp.array(jnp.nan), exponent))


def test_a_scaled_sum_of_powers_does_not_overflow():
    x = np.array([3e30, -1e30], np.float32)
    total = scaled_power_sum(jnp.asarray(x), jnp.array(3e30), 3.0)
    np.testing.assert_allclose(total, 1 + 1 / 27, rtol=1e-6)


def test_the_own_score_and_the_others():
    scores = jnp.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    own, others = own_and_others(scores, jnp.array([2, 0]))
    np.testing.assert_array_equal(own, [[3.0], [4.0]])
    np.testing.assert_array_equal(others, [[True, True, False], [False, True, True]])


def test_casts_to_float64():
    with jax.enable_x64(True):
        assert as_float64(np.float32(1)).dtype == jnp.float64
        assert as_float64(jnp.array([True])).dtype == bool
        assert as_float64(jnp.arange(2, dtype="int32")).dtype == jnp.int32


@pytest.mark.parametrize("xp", [jnp, np])
def test_the_step_to_the_boundary(xp):
    value = xp.array([1.0, 2.0, 3.0])
    assert step_to_boundary(value, xp.array([1.0, -4.0, -3.0]), xp) == 0.5
    assert step_to_boundary(value, xp.array([0.0, 1.0, 0.0]), xp) == np.inf
    assert step_to_boundary(xp.zeros(0), xp.zeros(0), xp) == np.inf


@pytest.mark.parametrize("xp", [np, jnp])
def test_powers_of_two_divide_exactly_and_leave_a_number_near_one(xp):
    values = np.array([3e-38, -0.7, 1.0, 5.0, -3e38, 0.0], np.float32)
    scale = power_of_two(values, xp)
    assert (np.log2(scale) % 1 == 0).all()
    assert scale[-1] == 1
    ratio = np.abs(values / scale)[:-1]
    assert ((ratio >= 1) & (ratio < 2)).all()


@pytest.mark.parametrize("power", [2, 40, 300])
@pytest.mark.parametrize("theta", [2.0**-30, 2.0**-9, 1.5, 2.0**9, 2.0**30])
def test_the_power_is_held_at_the_scale_found(power: int, theta: float):
    def outputs(octaves):
        return scaled(jnp.array([theta, theta / 4]), octaves) ** power

    least = 2.0 ** -held_range("float32")
    octaves = held_octaves(outputs, jnp.float32, least=least)
    peak = power * (np.log2(theta) + float(octaves))
    assert abs(peak) <= held_range("float32") + 1e-3
    compiled = jax.jit(lambda: held_octaves(outputs, jnp.float32, least=least))()
    assert compiled == octaves


def test_the_scale_stays_where_outputs_are_held_and_where_none_holds_them():
    for outputs in (lambda octaves: jnp.exp2(octaves)[None], lambda octaves: 0 * octaves[None]):
        octaves = held_octaves(outputs, jnp.float32, least=1e-9)
        assert octaves == 0 or outputs(octaves) == 0
