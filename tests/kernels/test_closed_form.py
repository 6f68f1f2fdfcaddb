"""Closed-form kernels against their definition, their special cases and their derivatives."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from jaxmargin.kernels.closed_form import Kernel
from tests.kernels.cases import Case, by_case, by_dtype, by_precision, eps, largest_error, rows


@by_dtype
@by_precision
def test_k1_and_k2_are_their_formulas(dtype: str, precise: bool):
    x, z = rows(5, 3).astype(dtype), rows(6, 3, seed=1).astype(dtype)
    with jax.enable_x64(dtype == "float64"):
        assert largest_error(x, z, precise) < 8 * eps(dtype)


def test_two_layer_ntk_is_the_expectation_of_section_2():
    rng, units = np.random.default_rng(0), 200_000
    x, r_w, r_u = rows(4, 3), 0.5, 2.0
    w, u = r_w * rng.normal(size=units), r_u * rng.normal(size=(units, 3))
    h = u @ x.T
    expected = jm.two_layer_ntk(jnp.asarray(x, jnp.float32), r_w=r_w, r_u=r_u)
    for i, j in np.ndindex(4, 4):
        both_active = (h[:, i] >= 0) & (h[:, j] >= 0)
        products = (w**2 * (x[i] @ x[j]) + h[:, i] * h[:, j]) * both_active
        assert abs(products.mean() - expected[i, j]) < 5 * products.std() / units**0.5


def test_nngp_is_the_covariance_of_random_networks():
    x, trials = jnp.asarray(rows(3, 4), jnp.float32), 20_000
    keys = jax.random.split(jax.random.key(0), trials)
    # At depth 2 the covariance is exact at every width.
    f = jax.vmap(lambda key: jm.mlp(jm.init_mlp(key, (4, 8, 1)), x))(keys)
    expected = jm.relu_nngp(x)
    for i, j in np.ndindex(3, 3):
        products = f[:, i] * f[:, j]
        assert abs(products.mean() - expected[i, j]) < 5 * products.std() / trials**0.5


def test_two_layer_ntk_is_the_case_of_depth_two():
    x, z = jnp.asarray(rows(4, 3)), jnp.asarray(rows(5, 3, seed=1))
    deep = jm.relu_ntk(x, z, weight_variance=1.0)
    np.testing.assert_allclose(jm.two_layer_ntk(x, z) / 3, deep, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kernel", [jm.relu_ntk, jm.relu_nngp])
def test_depth_one_is_linear(kernel: Kernel):
    x = jnp.asarray(rows(4, 3))
    linear = kernel(x, depth=1, weight_variance=0.5)
    np.testing.assert_allclose(linear, x @ x.T / 6, rtol=1e-6, atol=1e-6)


@by_case
@by_precision
def test_derivatives_in_both_modes_and_twice(case: Case, precise: bool):
    def total(x):
        return jnp.sum(jnp.sin(case.kernel(x, z, precise=precise)))

    def difference(function, x, step=1e-5):
        steps = step * jnp.eye(x.size, dtype=x.dtype).reshape(x.size, *x.shape)
        return jax.vmap(lambda s: (function(x + s) - function(x - s)) / (2 * step))(steps)

    @jax.jit
    def derivatives(x):
        gradient = jax.grad(total)
        numeric = difference(total, x), difference(gradient, x)
        return gradient(x), jax.jacfwd(total)(x), jax.jacfwd(gradient)(x), numeric

    with jax.enable_x64(True):
        x, z = jnp.asarray(rows(2, 3)), jnp.asarray(rows(2, 3, seed=1))
        reverse, forward, second, numeric = derivatives(x)
        np.testing.assert_allclose(reverse.ravel(), numeric[0], atol=1e-7)
        np.testing.assert_allclose(forward.ravel(), numeric[0], atol=1e-7)
        np.testing.assert_allclose(second.reshape(numeric[1].shape), numeric[1], atol=1e-6)


def test_derivative_in_a_scale():
    x = jnp.asarray(rows(3, 4))
    slope = jax.grad(lambda r: jnp.sum(jm.two_layer_ntk(x, r_w=r)))(2.0)
    np.testing.assert_allclose(slope, 2.0 * jnp.sum(jm.k1(x)), rtol=1e-5)


def test_gradient_of_the_diagonal():
    x = jnp.asarray(rows(5, 3))
    gradient = jax.grad(lambda x: jnp.trace(jm.relu_ntk(x, depth=3)))(x)
    np.testing.assert_allclose(gradient, 2 * 3 * 2 / 3 * x, rtol=1e-5)


@pytest.mark.parametrize("kernel", [jm.relu_nngp, jm.relu_ntk])
def test_derivatives_and_batches_in_the_variances(kernel):
    x = jnp.asarray(rows(3, 4))
    one = kernel(x, depth=3, weight_variance=1.0)
    slope = jax.jacobian(lambda s: kernel(x, depth=3, weight_variance=s))(2.0)
    np.testing.assert_allclose(slope, 3 * 2.0**2 * one, rtol=1e-5)  # K is s^3 times that of 1
    slopes = jax.jacobian(lambda s: kernel(x, depth=3, weight_variance=s))(jnp.array([1.0, 2, 3]))
    np.testing.assert_allclose(
        slopes, np.asarray(one)[..., None] * np.array([6.0, 3, 2]), rtol=1e-5
    )
    batch = jax.vmap(lambda s: kernel(x, depth=3, weight_variance=s))(jnp.array([2.0, -1.0]))
    np.testing.assert_allclose(batch[0], 8 * one, rtol=1e-5)
    assert bool(jnp.isnan(batch[1]).all())


@by_case
@by_precision
def test_gradients_at_lengths_of_1e_30_and_1e30(case: Case, precise: bool):
    """In float32 against float64: right also where the kernel itself leaves the range."""

    def gradients(dtype, scale, other):
        x, z = jnp.asarray(rows(3, 2) * scale, dtype), jnp.asarray(rows(2, 2, 1) * other, dtype)
        found = jax.grad(lambda x, z: jnp.sum(case.kernel(x, z, precise=precise)), (0, 1))(x, z)
        return [np.asarray(slope) for slope in found]

    for scale, other in ((1e30, 1e30), (1e-30, 1e-30), (1e30, 1e-30), (1.0, 1e30)):
        narrow = gradients("float32", scale, other)
        with jax.enable_x64(True):
            wide = gradients("float64", scale, other)
        for actual, expected, size in zip(narrow, wide, (other, scale), strict=True):
            np.testing.assert_allclose(actual / size, expected / size, rtol=1e-4, atol=1e-5)


def test_gradient_at_zero_is_that_of_the_linear_part():
    x, z = jnp.zeros((1, 3)), jnp.asarray(rows(1, 3))
    linear = jax.grad(lambda x: jm.relu_ntk(x, z, depth=1)[0, 0])(x)
    np.testing.assert_allclose(linear, 2 * z / 3, rtol=1e-6)
    for kernel in (jm.k1, lambda x, z: jm.k1(x, z) + jm.k2(x, z)):
        steps = 1e-3 * jnp.array([[1.0, 2, 3], [-1, -2, -3]])
        odd = (kernel(steps, z)[0] - kernel(steps, z)[1]) / 2
        slope = jax.grad(lambda x, kernel=kernel: kernel(x, z)[0, 0])(x)
        np.testing.assert_allclose(odd, steps[0] @ slope[0], rtol=1e-4)


def test_many_layers_with_small_and_large_variances():
    x = jnp.array([[1.0, 0.0]])  # K(x, x) = q s_1 prod (s_j / 2) |x|^2 / d
    for depth in (3, 200):
        variances: Any = np.where(np.arange(depth) % 2, 4.0, 1.0)
        expected = depth * 2 * np.prod(variances / 2) / 2
        found = jm.relu_ntk(x, depth=depth, weight_variance=variances)
        np.testing.assert_allclose(found, [[expected]], rtol=1e-5)
