"""Centred models: the limit of a diagonal linear network at every scale, and the kernel limit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy

import jaxmargin as jm


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def diagonal(params, x):
    """x . beta, with beta = p^2 - m^2."""
    p, m = params
    return x @ (p**2 - m**2)


def descend(apply, params, x, y, *, alpha: float, step_size: float, num_steps: int):
    """Plain descent on the sum of squares divided by 2 alpha^2."""

    def loss(params):
        return jnp.sum((apply(params, x) - y) ** 2) / (2 * alpha**2)

    def step(params, _):
        slope = jax.grad(loss)(params)
        return jax.tree.map(lambda leaf, g: leaf - step_size * g, params, slope), None

    return jax.lax.scan(step, params, length=num_steps)[0]


@pytest.mark.parametrize("alpha", [0.03, 1.0, 30.0])
def test_the_limit_of_a_diagonal_linear_network_is_known_at_every_scale(alpha: float):
    """The least sum_i q(beta_i / alpha) of an interpolant, where q' is arcsinh(z / 2).

    Its conditions of optimality are beta = 2 alpha sinh(X' nu) and X beta = y. For small alpha
    that is nearly the interpolant of least l1 norm, for large alpha that of least l2 norm.
    """
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 4)), np.array([1.0, -0.5])
    start = (jnp.ones(4), jnp.ones(4))
    centred = jm.centred(diagonal, start, alpha=alpha)
    p, m = descend(
        centred, start, x, y, alpha=alpha, step_size=0.01 * min(alpha, 1), num_steps=20_000
    )
    found = alpha * (p**2 - m**2)

    dual = scipy.optimize.minimize(  # its gradient is X beta - y
        lambda nu: 2 * alpha * np.sum(np.cosh(x.T @ nu)) - y @ nu,
        np.zeros(2),
        jac=lambda nu: x @ (2 * alpha * np.sinh(x.T @ nu)) - y,
        hess=lambda nu: 2 * alpha * (x * np.cosh(x.T @ nu)) @ x.T,
        method="trust-exact",
        options={"gtol": 1e-10},
    )
    expected = 2 * alpha * np.sinh(x.T @ dual.x)
    np.testing.assert_allclose(x @ expected, y, atol=1e-8)
    np.testing.assert_allclose(found, expected, atol=0.01 * np.abs(expected).max())


def test_at_a_large_scale_training_is_that_of_the_tangent_kernel():
    start = jm.init_two_layer(jax.random.key(0), 3, 30, std=0.3)
    x, z = jax.random.normal(jax.random.key(1), (2, 5, 3))
    y = jnp.array([1.0, -1.0, 0.5, 2.0, -2.0])
    fit = jm.fit_interpolant(jm.empirical_ntk(jm.two_layer, start, x), y)
    kernel = jm.empirical_ntk(jm.two_layer, start, z, x) @ fit.beta
    distances = []
    for alpha in (1e3, 1e5):
        centred = jm.centred(jm.two_layer, start, alpha=alpha)
        params = descend(centred, start, x, y, alpha=alpha, step_size=0.03, num_steps=6_000)
        np.testing.assert_allclose(centred(params, z), kernel, atol=20 / alpha + 1e-3)
        distances.append(jm.distance_from_start(start, params).total)
    np.testing.assert_allclose(distances[0] / distances[1], 100, rtol=0.05)


def test_it_is_zero_at_the_start_and_keeps_the_dtype():
    start = jm.init_mlp(jax.random.key(0), (3, 4, 2))
    x = jax.random.normal(jax.random.key(1), (5, 3))
    narrow = jax.tree.map(lambda leaf: leaf.astype("float32"), (start, x))
    found = jm.centred(jm.mlp, narrow[0], alpha=1e3)(*narrow)
    assert found.shape == (5, 2)
    assert found.dtype == "float32"
    assert not found.any()


def test_the_distance_is_that_of_the_long_vector_and_of_each_layer():
    start = {"a": jnp.array([[3.0, 4.0]]), "b": jnp.array([12.0])}
    moved = {"a": jnp.array([[3.0, 9.0]]), "b": jnp.array([0.0])}
    total, layers = jm.distance_from_start(start, moved)
    np.testing.assert_allclose(total, 1.0)  # 13 of 13
    np.testing.assert_allclose([layers["a"], layers["b"]], [1.0, 1.0])
    huge = jax.tree.map(lambda leaf: 1e200 * leaf, (start, moved))
    np.testing.assert_allclose(jm.distance_from_start(*huge).total, 1.0)
