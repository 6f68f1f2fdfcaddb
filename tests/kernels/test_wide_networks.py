"""Kernels with biases and other activations: neural-tangents, random networks, derivatives."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from benchmarks.neural_tangents_shim import stax
from tests.kernels import cases

WEIGHTS, BIASES = (1.5, 0.7, 2.0), (0.3, 0.05, 1.2)
SLOPE = 0.3
THEIRS = {
    "relu": stax.Relu,
    "leaky_relu": partial(stax.LeakyRelu, SLOPE),
    "abs": stax.Abs,
    "erf": stax.Erf,
    "gelu": stax.Gelu,
}
by_activation = pytest.mark.parametrize("activation", THEIRS)
by_class = pytest.mark.parametrize("activation", ["leaky_relu", "erf", "gelu"])
by_kernel = pytest.mark.parametrize("kernel", [jm.ntk, jm.nngp])


def rows(n: int, d: int, seed: int = 0) -> Any:
    return cases.rows(n, d, seed)


def of_three_layers(kernel, x, z=None, **options):
    return kernel(
        x,
        z,
        depth=3,
        weight_variance=jnp.asarray(WEIGHTS),
        bias_variance=jnp.asarray(BIASES),
        negative_slope=SLOPE,
        **options,
    )


@by_activation
def test_neural_tangents(activation: Any):
    x, z = rows(4, 3), 2 * rows(5, 3, seed=1)
    layers = []
    for weight, bias in zip(WEIGHTS, BIASES, strict=True):
        layers += [stax.Dense(1, W_std=weight**0.5, b_std=bias**0.5), THEIRS[activation]()]
    with jax.enable_x64(True):
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            theirs: Any = stax.serial(*layers[:-1])[2](x, z, ("ntk", "nngp"))
        for kernel, expected in ((jm.ntk, theirs.ntk), (jm.nngp, theirs.nngp)):
            for precise in (False, True):
                found = of_three_layers(kernel, x, z, activation=activation, precise=precise)
                np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)


@by_kernel
def test_relu_without_biases_and_with_them(kernel):
    """Two routes to each: the series in the angle, and the kernels for relu with biases."""
    named = {jm.ntk: jm.relu_ntk, jm.nngp: jm.relu_nngp}[kernel]
    x, z = rows(4, 3), rows(5, 3, seed=1)
    with jax.enable_x64(True):
        general = kernel(x, z, activation="relu", depth=3, weight_variance=WEIGHTS)
        plain = named(x, z, depth=3, weight_variance=WEIGHTS)
        np.testing.assert_allclose(general, plain, rtol=1e-12, atol=1e-12)
        # A bias of the first layer is the weight of a constant feature.
        biased = named(x, z, depth=3, weight_variance=WEIGHTS, bias_variance=[0.2, 0.0, 0.0])
        more_x, more_z = (jnp.asarray(np.insert(y, 3, (0.6 / 1.5) ** 0.5, axis=1)) for y in (x, z))
        featured = named(more_x, more_z, depth=3, weight_variance=(2.0, *WEIGHTS[1:]))
        np.testing.assert_allclose(biased, featured, rtol=1e-12, atol=1e-12)


def test_covariance_of_random_networks_with_biases():
    rng, networks = np.random.default_rng(0), 20_000
    x = rows(3, 2)
    u, a = rng.normal(size=(networks, 4, 2)), rng.normal(size=(networks, 4, 1))
    w, b = rng.normal(size=(networks, 1, 4)), rng.normal(size=(networks, 1, 1))
    hidden = jax.nn.gelu((0.75**0.5 * u @ x.T + 0.3**0.5 * a).astype("float32"), approximate=False)
    f = ((0.7 / 4) ** 0.5 * w @ np.asarray(hidden) + 0.05**0.5 * b)[:, 0]
    expected = jm.nngp(
        x.astype("float32"),
        activation="gelu",
        weight_variance=WEIGHTS[:2],
        bias_variance=BIASES[:2],
    )
    products = f[:, :, None] * f[:, None, :]
    error = np.abs(products.mean(axis=0) - expected)
    assert np.all(error < 5 * products.std(axis=0) / networks**0.5)


@by_class
def test_own_matrix_is_symmetric_with_the_right_diagonal(activation: Any):
    kernel = partial(of_three_layers, jm.ntk, activation=activation)
    x = rows(6, 3).astype("float32")
    x[0] = 0
    gram = np.asarray(kernel(x))
    np.testing.assert_array_equal(gram, gram.T)
    diagonal = jm.kernel_diagonal(kernel, x)
    with jax.enable_x64(True):
        wide = kernel(x.astype(float))
    np.testing.assert_allclose(np.diag(gram), np.diag(wide), rtol=2e-6)
    np.testing.assert_allclose(diagonal, np.diag(wide), rtol=2e-6)


@by_class
def test_derivatives_in_the_rows_and_the_variances(activation: Any):
    """Also at a row of zeros, where a network with biases is smooth."""
    x = rows(3, 2)
    x[0] = 0

    def total(x, weights, biases, slope):
        gram = jm.ntk(
            x,
            activation=activation,
            weight_variance=weights,
            bias_variance=biases,
            negative_slope=slope,
        )
        return jnp.sum(jnp.sin(gram))

    with jax.enable_x64(True):
        numbers = (
            jnp.asarray(x),
            jnp.asarray(WEIGHTS[:2]),
            jnp.asarray(BIASES[:2]),
            jnp.asarray(0.3),
        )
        slopes = jax.jit(jax.grad(total, (0, 1, 2, 3)))(*numbers)
        jitted = jax.jit(total)
        for i, (number, slope) in enumerate(zip(numbers, slopes, strict=True)):
            for where in np.ndindex(number.shape):
                step = jnp.zeros_like(number).at[where].set(1e-6)
                up, down = ([*numbers] for _ in range(2))
                up[i], down[i] = number + step, number - step
                numeric = (jitted(*up) - jitted(*down)) / 2e-6
                np.testing.assert_allclose(slope[where], numeric, atol=2e-8)


@pytest.mark.parametrize("activation", ["erf", "gelu"])
def test_a_row_of_zeros_without_biases(activation: Any):
    """The kernels of smooth activations are smooth there."""
    z = rows(2, 3)

    def total(x):
        return jnp.sum(jm.ntk(x, z, activation=activation))

    with jax.enable_x64(True):
        zero, step = jnp.zeros((1, 3)), 1e-4 * jnp.array([[1.0, 2.0, -1.0]])
        numeric = (total(step) - total(-step)) / 2
        assert abs(numeric) > 1e-6
        np.testing.assert_allclose(jnp.sum(jax.grad(total)(zero) * step), numeric, rtol=1e-6)
        np.testing.assert_allclose(jm.ntk(zero, z, activation=activation), 0, atol=1e-30)


@by_class
def test_derivative_in_a_bias_of_zero(activation: Any):
    """From one side."""
    x = rows(2, 3) * np.array([[1.0], [30.0]])

    def total(bias):
        return jnp.sum(jm.nngp(x, activation=activation, depth=3, bias_variance=bias))

    with jax.enable_x64(True):
        numeric = (4 * total(1e-6) - total(2e-6) - 3 * total(0.0)) / 2e-6
        np.testing.assert_allclose(jax.grad(total)(0.0), numeric, rtol=1e-4)


@by_class
def test_second_derivatives_and_both_modes(activation: Any):
    z = jnp.asarray(rows(2, 2, seed=1))

    def total(x):
        return jnp.sum(jnp.sin(jm.nngp(x, z, activation=activation, bias_variance=0.5)))

    with jax.enable_x64(True):
        x, z = jnp.asarray(rows(1, 2)), z.astype(float)
        gradient = jax.jit(jax.grad(total))
        np.testing.assert_allclose(jax.jacfwd(total)(x), gradient(x), atol=1e-12)
        second = jax.jacfwd(gradient)(x)[0, :, 0]
        step = 1e-5 * jnp.eye(2)
        numeric = [(gradient(x + s) - gradient(x - s))[0] / 2e-5 for s in step[:, None]]
        np.testing.assert_allclose(second.T, jnp.stack(numeric), atol=1e-7)


def test_batches_in_the_variances():
    x = jnp.asarray(rows(3, 4))

    def kernel(bias):
        return jm.relu_ntk(x, bias_variance=bias)

    batch = jax.vmap(kernel)(jnp.array([0.0, 0.5, -1.0]))
    np.testing.assert_allclose(batch[0], jm.relu_ntk(x), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(batch[1], kernel(0.5), rtol=1e-6)
    assert bool(jnp.isnan(batch[2]).all())


@pytest.mark.parametrize("activation", ["relu", "erf", "gelu"])
def test_lengths_from_1e_30_to_1e30(activation: Any):
    """In float32, against float64, with derivatives."""
    x = rows(5, 3) * np.array([[1.0], [1e-30], [1e-15], [1e15], [1e30]])
    z = rows(2, 3, seed=1)

    def total(x, z):
        return jnp.sum(jm.ntk(x, z, activation=activation, bias_variance=0.5), axis=1)

    def both(dtype):
        rows, others = jnp.asarray(x, dtype), jnp.asarray(z, dtype)
        values, pull = jax.vjp(total, rows, others)
        slopes = pull(jnp.ones(5, dtype).at[4].set(0))
        return np.asarray(values), [np.asarray(slope) for slope in slopes]

    narrow = both("float32")
    with jax.enable_x64(True):
        wide = both("float64")
    np.testing.assert_allclose(narrow[0], wide[0], rtol=2e-5)
    for actual, expected in zip(narrow[1], wide[1], strict=True):
        size = np.max(np.abs(expected), axis=1, keepdims=True) + 1e-37
        np.testing.assert_allclose(actual / size, expected / size, atol=1e-4)


def test_nearly_equal_numbers_on_a_line_with_biases():
    """Rows of one feature have a kernel only with biases; float32 against float64."""
    x: Any = (1 + np.logspace(-7, -1, 7)[:, None]).astype("float32")
    narrow = jm.relu_ntk(x, x[:1], depth=3, bias_variance=0.1)
    with jax.enable_x64(True):
        wide = jm.relu_ntk(x.astype(float), x[:1].astype(float), depth=3, bias_variance=0.1)
    np.testing.assert_allclose(narrow, wide, rtol=2e-6)


def test_half_precision_is_computed_in_float32():
    x = jnp.asarray(rows(4, 3), "float16")
    narrow = jm.ntk(x, activation="gelu")
    assert narrow.dtype == "float16"
    np.testing.assert_array_equal(
        narrow, jm.ntk(x.astype("float32"), activation="gelu").astype("float16")
    )


def test_many_layers():
    """relu at depth 12 with a bias in the last layer only: the kernel without, plus one."""
    x = jnp.array([[1.0, 0.0], [0.6, 0.8]])
    biases = [0.0] * 11 + [1.0]
    found = jm.relu_ntk(x, depth=12, bias_variance=biases)
    np.testing.assert_allclose(found, jm.relu_ntk(x, depth=12) + 1.0, rtol=1e-4)
