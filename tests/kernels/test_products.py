"""Products without the Gram matrix, against those with it."""

import re
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import jaxmargin as jm


def rows(n: int, d: int, seed: int = 0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(n, d)), jnp.float32)


@pytest.mark.parametrize("columns", [(), (2,)], ids=["vector", "matrix"])
@pytest.mark.parametrize("block_size", [None, 1, 3, 7, 8, 100])
def test_matvec_is_the_product(columns: tuple, block_size: int | None):
    x, z = rows(8, 3), rows(5, 3, seed=1)
    v = jnp.asarray(np.random.default_rng(2).normal(size=(8, *columns)))
    product = partial(jm.kernel_matvec, jm.k1, block_size=block_size)
    np.testing.assert_allclose(product(x, v), jm.k1(x) @ v, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(product(x, v[:5], z), jm.k1(x, z) @ v[:5], rtol=1e-5, atol=1e-5)


def test_matvec_keeps_the_diagonal_exact():
    def own_blocks(x, z=None):  # of K1, and zero elsewhere
        return jm.k1(x) if z is None else jnp.zeros((len(x), len(z)))

    x = rows(5, 7)
    product = jm.kernel_matvec(own_blocks, x, jnp.ones(5), block_size=1)
    np.testing.assert_array_equal(product, jnp.diag(jm.k1(x)))


def test_matvec_takes_any_kernel_and_has_its_derivatives():
    def gaussian(x, z):
        return jnp.exp(-jnp.sum((x[:, None] - z[None]) ** 2, axis=-1))

    x, v = rows(7, 3), rows(7, 2, seed=1)

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


def test_inputs_of_any_shape_and_integers():
    images: Any = np.random.default_rng(0).integers(0, 9, (5, 2, 3))
    v = jnp.arange(5.0)

    def of_images(x, z=None):
        return jm.k1(x.reshape(len(x), -1), None if z is None else z.reshape(len(z), -1))

    flat = images.reshape(5, 6)
    expected = jm.k1(flat.astype("float32")) @ v
    for kernel, x in ((of_images, images), (jm.k1, flat), (jm.k1, flat.tolist())):
        np.testing.assert_allclose(
            jm.kernel_matvec(kernel, x, v, block_size=2), expected, rtol=1e-5
        )


def test_devices_with_a_share_of_the_rows_exchange_nothing():
    mesh = jax.make_mesh((8,), ("rows",), (AxisType.Auto,))
    shares = jax.shard_map(
        lambda rows, x, v: jm.kernel_matvec(jm.relu_ntk, rows, v, z=x),
        mesh=mesh, in_specs=(P("rows"), P(), P()), out_specs=P("rows"), check_vma=False,
    )  # fmt: skip
    x, v = jax.random.normal(jax.random.key(0), (64, 5)), jnp.ones(64)
    product = jax.jit(shares)
    text = product.lower(x, x, v).compile().as_text()
    assert re.findall(r"all-\w+|collective-permute|reduce-scatter", text or "") == []
    expected = jm.kernel_matvec(jm.relu_ntk, x, v)
    np.testing.assert_allclose(product(x, x, v), expected, rtol=1e-4)


def test_the_diagonal_of_every_kind_of_kernel():
    x = rows(70, 3)  # more than one batch, and a rest
    deep = partial(jm.relu_ntk, depth=3, bias_variance=0.5)
    np.testing.assert_allclose(jm.kernel_diagonal(deep, x), jnp.diag(deep(x)), rtol=1e-6)
    params = jm.init_two_layer(jax.random.key(0), 3, 4, k=2)
    several = partial(jm.empirical_ntk, jm.two_layer, params)
    expected = jnp.moveaxis(jnp.diagonal(several(x[:5])), -1, 0)
    np.testing.assert_allclose(jm.kernel_diagonal(several, x[:5]), expected, rtol=1e-5, atol=1e-6)


def test_the_diagonal_takes_memory_for_no_matrix():
    kernel = partial(jm.kernel_diagonal, jm.relu_ntk)
    memory: Any = jax.jit(kernel).lower(jnp.ones((20_000, 3))).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 20_000 * 3 * 4 * 4
