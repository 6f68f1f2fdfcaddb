"""Theorem B.10's limit: ||Theta*||^2 against a cone program and a dual point."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from benchmarks import cone_program
from jaxmargin.data.synthetic import support_of_d
from jaxmargin.experiments.parts import minimum_norm

POINTS = 6
LAMS = [0.1, 0.01]


@pytest.mark.parametrize("d", [3, 6])
def test_four_units_and_a_dual_point_prove_that_the_minimum_norm_on_d_is_8(d: int):
    """Strong duality: 2 nu . y = 8 for a dual nu that no direction violates."""
    x, y = support_of_d(d)
    u = jnp.eye(d)[:2]
    network = jm.TwoLayer(u=jnp.concatenate([u, -u]), w=jnp.array([1.0, -1.0, 1.0, -1.0]))
    np.testing.assert_array_equal(jm.two_layer(network, x), y)
    assert float(jm.norms.l2(network)) ** 2 == pytest.approx(8)

    nu = 4 * y / 2**d
    assert float(2 * nu @ y) == 8
    directions = np.asarray(jm.sample_sphere(jax.random.key(0), 20_000, d), np.float64)
    directions = np.concatenate([directions, np.eye(d), -np.eye(d)])
    values = np.maximum(directions @ np.asarray(x, np.float64).T, 0) @ np.asarray(nu)
    assert np.abs(values).max() == pytest.approx(1, abs=1e-12)


def test_the_optimum_on_d_is_known_at_every_lambda():
    """(1 - 4 lam) of the four units: the misfit is 16 lam^2, and nu is dual optimal at all lam."""
    found = minimum_norm.optimum(*support_of_d(3), LAMS)
    lam = np.array(LAMS)
    np.testing.assert_allclose(found.path.objective, 8 * lam - 16 * lam**2, rtol=1e-6)
    np.testing.assert_allclose(found.path.norm, 8 * (1 - 4 * lam), rtol=1e-3)
    assert found.limit.exact
    assert found.limit.lower <= 8 <= found.limit.upper * (1 + 1e-12)
    assert (found.limit.lower, found.limit.upper) == pytest.approx((8, 8), rel=1e-5)


@pytest.mark.parametrize("data", ["line", "plane"])
def test_the_bounds_enclose_the_norm_of_the_cone_program(data: str):
    """In two dimensions (points on a line, with bias) and in three."""
    if data == "line":
        x, y = minimum_norm.points_on_a_line(jax.random.key(0), POINTS, 4)
    else:
        x = jax.random.normal(jax.random.key(2), (8, 3))
        y = jax.random.normal(jax.random.key(3), (8,))
    exact = cone_program.minimum_norm(np.asarray(x, np.float64), np.asarray(y, np.float64))
    found = minimum_norm.optimum(x, y, LAMS)
    assert found.limit.exact
    assert found.limit.lower <= exact * (1 + 1e-6)  # the accuracy of the cone program
    assert found.limit.upper >= exact * (1 - 1e-6)
    assert found.limit.lower == pytest.approx(exact, rel=1e-3)
    assert found.limit.upper == pytest.approx(exact, rel=1e-3)
    assert np.all(np.diff(found.path.norm) > 0)
    assert np.all(found.path.objective <= np.array(LAMS) * exact)


def test_a_teacher_of_zeros_is_refused():
    """A single unit whose relu never opens on [-1, 1]."""
    keys = (jax.random.key(seed) for seed in range(100))
    off = next(key for key in keys if _is_off(jm.init_two_layer(key, 2, 1).u[0]))
    with pytest.raises(ValueError, match="0 at all points: give it more hidden units"):
        minimum_norm.points_on_a_line(off, 3, 1)


def _is_off(u) -> bool:
    return float(jnp.abs(u[0]) + u[1]) < 0
