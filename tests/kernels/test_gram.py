"""Lengths and angles of rows: exact diagonals, extreme scales, nearly collinear rows, memory."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from tests.kernels.cases import Case, by_case, by_dtype, by_precision, eps, largest_error, rows


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
def test_gradients_are_finite_where_the_kernel_has_none(case: Case, precise: bool):
    scale = jnp.array([0.0, 1.0, -1.0, 2.0, 1e15, 1e-15])
    x = jnp.asarray(rows(6, 3))
    z = x * scale[:, None]

    def total(x, z):
        return jnp.sum(case.kernel(x, z, precise=precise) @ (1 / jnp.where(scale == 0, 1, scale)))

    for gradient in jax.grad(total, argnums=(0, 1))(x, z):
        assert bool(jnp.isfinite(gradient).all())


def test_a_gram_call_needs_little_more_than_its_output():
    x = jnp.ones((1000, 20))
    deep = partial(jm.relu_ntk, depth=5)
    for kernel in (jm.two_layer_ntk, jm.relu_nngp, deep, partial(deep, precise=True)):
        memory: Any = jax.jit(kernel).lower(x).compile().memory_analysis()
        peak = memory.output_size_in_bytes + memory.temp_size_in_bytes
        assert peak <= 1.3 * memory.output_size_in_bytes
