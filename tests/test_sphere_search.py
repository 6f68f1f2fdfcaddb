"""Directions that a search of the sphere starts from, and how the best of them are chosen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmargin._sphere_search import (
    SphereMaximum,
    relu_sum,
    separated,
    spread,
    uniform_directions,
    unit_rows,
)


def problem(d: int, k: int | None, n: int = 9) -> tuple[jax.Array, jax.Array]:
    rng = np.random.default_rng(d)
    dual = rng.normal(size=n if k is None else (n, k))
    return jnp.asarray(rng.normal(size=(n, d)), jnp.float32), jnp.asarray(dual, jnp.float32)


@pytest.mark.parametrize("k", [None, 3])
def test_the_sum_over_the_active_samples(k: int | None):
    x, dual = problem(4, k)
    u = problem(4, None, n=6)[0]
    expected = np.maximum(np.asarray(u) @ np.asarray(x).T, 0) @ np.asarray(dual)
    np.testing.assert_allclose(relu_sum(x, dual, u), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(relu_sum(x, dual, u[0]), expected[0], rtol=1e-5, atol=1e-5)


def test_the_best_points_that_lie_apart():
    angle = jnp.array([0.0, 0.05, 1.0, 1.02, 3.0])
    points = SphereMaximum(
        jnp.array([1.0, 5.0, 3.0, 4.0, 2.0]), jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)
    )
    found = separated(points, 4, separation=0.1)
    assert found.value.tolist() == [5.0, 4.0, 2.0, -np.inf]
    np.testing.assert_array_equal(found.direction[:3], points.direction[np.array([1, 3, 4])])


@pytest.mark.parametrize("dim", [2, 3, 7])
def test_spread_out_directions_fill_the_sphere(dim: int):
    """Nearer to the uniform mean and covariance than so many random directions would be."""
    count = 512
    u = np.asarray(unit_rows(spread(count, dim, jnp.float32)))
    error = count**-0.5
    assert np.linalg.norm(u.mean(axis=0)) < error / 2
    assert np.linalg.norm(u.T @ u / count - np.eye(dim) / dim, 2) < error
    np.testing.assert_array_equal(spread(count, dim, jnp.float32), spread(count, dim, jnp.float32))


def test_a_row_of_zeros_becomes_the_first_axis():
    rows = unit_rows(jnp.array([[0.0, 0.0], [3.0, -4.0]]))
    np.testing.assert_allclose(rows, [[1, 0], [0.6, -0.8]], rtol=1e-6)


def test_uniform_directions_take_a_shape_and_a_dtype():
    with jax.enable_x64(True):
        u = uniform_directions(jax.random.key(0), (5, 3), jnp.float64)
        np.testing.assert_allclose(np.linalg.norm(u, axis=1), 1, rtol=1e-14)
        assert u.dtype == np.float64
