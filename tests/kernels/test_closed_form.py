"""Closed-form kernels against their definition and high precision, and at the edges."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import jaxmargin as jm
from jaxmargin.kernels.closed_form import Kernel


class Case(NamedTuple):
    kernel: Kernel
    diagonal: float  # K(x, x) d / |x|^2, or without d for those that do not divide by it
    per_feature: bool = False


CASES = {
    "k1": Case(jm.k1, 1.0),
    "k2": Case(jm.k2, 0.0),
    "two_layer_ntk": Case(partial(jm.two_layer_ntk, r_w=0.5, r_u=2.0), (0.5**2 + 2.0**2) / 2),
    "relu_nngp": Case(partial(jm.relu_nngp, depth=3), 2.0, per_feature=True),
    "relu_ntk": Case(partial(jm.relu_ntk, depth=4), 4 * 2.0, per_feature=True),
}
by_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
by_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
by_precision = pytest.mark.parametrize("precise", [False, True], ids=["plain", "precise"])


def rows(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


def eps(dtype: str) -> float:
    return float(jnp.finfo(dtype).eps)


def oracle(x: np.ndarray, z: np.ndarray) -> dict[str, np.ndarray]:
    """K1 and K2 over |x| |z|, by their formulas in 40 digits; and |x| |z|."""
    k1, k2, size = (np.empty((len(x), len(z))) for _ in range(3))
    with mpmath.workdps(40):
        for i, j in np.ndindex(size.shape):
            a, b = mpmath.matrix(x[i].tolist()), mpmath.matrix(z[j].tolist())
            u, v = a / mpmath.norm(a), b / mpmath.norm(b)
            theta = 2 * mpmath.atan2(mpmath.norm(u - v), mpmath.norm(u + v))
            k1[i, j] = mpmath.cos(theta) * (1 - theta / mpmath.pi)
            k2[i, j] = mpmath.sin(theta) / mpmath.pi
            size[i, j] = mpmath.norm(a) * mpmath.norm(b)
    return {"k1": k1, "k2": k2, "size": size}


def largest_error(x: Any, z: Any, precise: bool) -> float:
    """Of K1 and K2, relative to |x| |z|."""
    expected = oracle(x, z)
    return max(
        np.max(np.abs(np.asarray(kernel(x, z, precise=precise)) / expected["size"] - expected[k]))
        for k, kernel in (("k1", jm.k1), ("k2", jm.k2))
    )


@by_dtype
@by_precision
def test_k1_and_k2_are_their_formulas(dtype: str, precise: bool):
    x, z = rows(5, 3).astype(dtype), rows(6, 3, seed=1).astype(dtype)
    with jax.enable_x64(dtype == "float64"):
        assert largest_error(x, z, precise) < 8 * eps(dtype)


@by_dtype
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_precise_angles_near_collinear_rows(dtype: str, side: float):
    x = rows(6, 20).astype(dtype)
    apart = np.logspace(-9 if dtype == "float32" else -17, -1, 6)[:, None]
    z = (side * (x + apart * rows(6, 20, seed=1))).astype(dtype)
    with jax.enable_x64(dtype == "float64"):
        precise, plain = (largest_error(x, z, precise) for precise in (True, False))
    assert precise < 4 * eps(dtype)
    assert 10 * precise < plain < eps(dtype) ** 0.5  # the angle's error is a root of the cosine's


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
@by_dtype
@by_precision
def test_gram_is_symmetric_with_an_exact_diagonal(case: Case, dtype: str, precise: bool):
    for n, d in ((7, 3), (65, 20), (130, 100)):
        with jax.enable_x64(dtype == "float64"):
            x = jnp.asarray(rows(n, d), dtype).at[0].set(0)
            gram = np.asarray(case.kernel(x, precise=precise))
        squares = np.sum(np.asarray(x, float) ** 2, axis=1)
        diagonal = case.diagonal * squares / (d if case.per_feature else 1)
        np.testing.assert_allclose(np.diag(gram), diagonal, rtol=8 * eps(dtype), atol=0)
        np.testing.assert_array_equal(gram, gram.T)
        np.testing.assert_array_equal(gram[0], 0)  # the zero row


@by_case
@by_precision
def test_lengths_of_rows_only_scale(case: Case, precise: bool):
    x, z = jnp.asarray(rows(4, 3)), jnp.asarray(rows(5, 3, seed=1))
    expected = case.kernel(x, z, precise=precise)
    for exponent in (50, 73, -73):  # 1e15, 1e22: the squares leave the range of float32
        scaled = case.kernel(x * 2.0**exponent, z * 2.0**-exponent, precise=precise)
        np.testing.assert_array_equal(scaled, expected)


@by_case
@by_precision
def test_nan_is_not_silenced(case: Case, precise: bool):
    x = jnp.asarray(rows(3, 2)).at[1, 0].set(jnp.nan)
    gram = np.asarray(case.kernel(x, precise=precise))
    np.testing.assert_array_equal(
        np.isnan(gram), [[False, True, False], [True] * 3, [False, True, False]]
    )


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


@by_case
@by_precision
def test_gradients_are_finite_where_the_kernel_has_none(case: Case, precise: bool):
    scale = jnp.array([0.0, 1.0, -1.0, 2.0, 1e15, 1e-15])
    x = jnp.asarray(rows(6, 3))
    z = x * scale[:, None]

    def total(x, z):
        return jnp.sum(case.kernel(x, z, precise=precise) @ (1 / jnp.where(scale == 0, 1, scale)))

    for gradient in jax.grad(total, argnums=(0, 1))(x, z):
        assert bool(jnp.isfinite(gradient).all())


def test_gradient_of_the_diagonal():
    x = jnp.asarray(rows(5, 3))
    gradient = jax.grad(lambda x: jnp.trace(jm.relu_ntk(x, depth=3)))(x)
    np.testing.assert_allclose(gradient, 2 * 3 * 2 / 3 * x, rtol=1e-5)


def test_a_gram_call_needs_little_more_than_its_output():
    x = jnp.ones((1000, 20))
    deep = partial(jm.relu_ntk, depth=5)
    for kernel in (jm.two_layer_ntk, jm.relu_nngp, deep, partial(deep, precise=True)):
        memory: Any = jax.jit(kernel).lower(x).compile().memory_analysis()
        peak = memory.output_size_in_bytes + memory.temp_size_in_bytes
        assert peak <= 1.3 * memory.output_size_in_bytes


@pytest.mark.parametrize("columns", [(), (2,)], ids=["vector", "matrix"])
@pytest.mark.parametrize("block_size", [None, 1, 3, 7, 8, 100])
def test_matvec_is_the_product(columns: tuple, block_size: int | None):
    x, z = jnp.asarray(rows(8, 3)), jnp.asarray(rows(5, 3, seed=1))
    v = jnp.asarray(np.random.default_rng(2).normal(size=(8, *columns)))
    product = partial(jm.kernel_matvec, jm.k1, block_size=block_size)
    np.testing.assert_allclose(product(x, v), jm.k1(x) @ v, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(product(x, v[:5], z), jm.k1(x, z) @ v[:5], rtol=1e-5, atol=1e-5)


def test_matvec_keeps_the_diagonal_exact():
    def own_blocks(x, z=None):  # of K1, and zero elsewhere
        return jm.k1(x) if z is None else jnp.zeros((len(x), len(z)))

    x = jnp.asarray(rows(5, 7))
    product = jm.kernel_matvec(own_blocks, x, jnp.ones(5), block_size=1)
    np.testing.assert_array_equal(product, jnp.diag(jm.k1(x)))


def test_matvec_takes_any_kernel_and_has_its_derivatives():
    def gaussian(x, z):
        return jnp.exp(-jnp.sum((x[:, None] - z[None]) ** 2, axis=-1))

    x, v = jnp.asarray(rows(7, 3)), jnp.asarray(rows(7, 2, seed=1))

    def total(product, x, v):
        return jnp.sum(jnp.sin(product(x, v)))

    blocked = jax.grad(partial(total, partial(_blocked, gaussian)), argnums=(0, 1))(x, v)
    dense = jax.grad(partial(total, lambda x, v: gaussian(x, x) @ v), argnums=(0, 1))(x, v)
    for actual, expected in zip(blocked, dense, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def _blocked(kernel, x, v):
    return jm.kernel_matvec(kernel, x, v, z=x, block_size=3)


def test_matvec_memory_does_not_grow_with_the_gram_matrix():
    x, v = jnp.ones((2000, 3)), jnp.ones(2000)

    def gradient(x, v):
        return jax.grad(lambda x: jnp.sum(jm.kernel_matvec(jm.k1, x, v, block_size=20)))(x)

    memory: Any = jax.jit(gradient).lower(x, v).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 2000 * 2000 * 4 / 5


X = np.ones((3, 2), np.float32)
NOT_A_KERNEL: Any = 3
HALF: Any = 2.5
BAD = {
    "vector": (jm.k1, (X[0],), ValueError, "x must be"),
    "empty": (jm.k2, (X[:0],), ValueError, "x must be"),
    "no features": (jm.k2, (X[:, :0],), ValueError, "x must be"),
    "integers": (jm.k1, (np.ones((3, 2), int),), TypeError, "x must hold floats"),
    "features": (jm.two_layer_ntk, (X, X[:, :1]), ValueError, "same d"),
    "dtypes": (jm.k1, (X, X.astype("float16")), TypeError, "one dtype"),
    "negative r_w": (partial(jm.two_layer_ntk, r_w=-1.0), (X,), ValueError, "r_w"),
    "negative r_u": (partial(jm.two_layer_ntk, r_u=-1.0), (X,), ValueError, "r_u"),
    "depth 0": (partial(jm.relu_ntk, depth=0), (X,), ValueError, "depth"),
    "depth 2.5": (partial(jm.relu_ntk, depth=HALF), (X,), TypeError, "depth"),
    "variances": (partial(jm.relu_ntk, weight_variance=[1.0]), (X,), ValueError, "one a layer"),
    "variance": (partial(jm.relu_nngp, weight_variance=-1.0), (X,), ValueError, "weight_variance"),
    "v": (partial(jm.kernel_matvec, jm.k1), (X, X[:2, 0]), ValueError, "v must be"),
    "v for z": (partial(jm.kernel_matvec, jm.k1), (X, X[:, 0], X[:2]), ValueError, "row of z"),
    "block 0": (partial(jm.kernel_matvec, jm.k1, block_size=0), (X, X), ValueError, "block_size"),
    "not a kernel": (partial(jm.kernel_matvec, NOT_A_KERNEL), (X, X), TypeError, "kernel must be"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name: str):
    call, args, error, message = BAD[name]
    with pytest.raises(error, match=message):
        call(*args)
