"""The kernels against neural-tangents: live on this JAX, and values of an unmodified one."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import jaxmargin as jm
from benchmarks.neural_tangents_shim import stax

GOLDEN = np.load(Path(__file__).parent / "golden" / "neural_tangents.npz")
TOLERANCE = {"float32": 5e-6, "float64": 1e-12}
DEPTHS = range(2, 7)
VARIANCES = (1.5, 0.7, 2.0, 1.0, 3.0, 0.4)  # as golden/make_neural_tangents.py has them

by_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
by_dimension = pytest.mark.parametrize("d", [2, 3, 20, 784])


def relative_error(actual, expected, x, z, factor: float) -> float:
    """Largest error over factor |x| |z|."""
    size = np.linalg.norm(x, axis=1)[:, None] * np.linalg.norm(z, axis=1)[None, :]
    return float(np.max(np.abs(np.asarray(actual) - expected) / (factor * size)))


@jax.jit  # compiled once for both tests
def deep_kernels(x, z):
    """(kernel, depth) to Gram matrix, with the first `depth` of the variances."""
    return {
        (kernel.__name__, depth): kernel(x, z, depth=depth, weight_variance=VARIANCES[:depth])
        for kernel in (jm.relu_ntk, jm.relu_nngp)
        for depth in DEPTHS
    }


def assert_deep_kernels(expected, x, z) -> None:
    for (name, depth), gram in deep_kernels(x, z).items():
        factor = float(np.prod(VARIANCES[:depth])) / 2 ** (depth - 1) / x.shape[1]
        error = relative_error(gram, expected[name, depth], x, z, factor)
        assert error < TOLERANCE[x.dtype.name], (name, depth, error)


@by_dtype
@by_dimension
def test_values_of_an_unmodified_one(dtype: str, d: int):
    both = GOLDEN[f"rows d={d}"].astype(dtype)
    x, z = both[:4], both[4:]
    with jax.enable_x64(dtype == "float64"):
        names = [(name, depth) for name in ("relu_ntk", "relu_nngp") for depth in DEPTHS]
        assert_deep_kernels({(k, q): GOLDEN[f"{k} d={d} depth={q}"] for k, q in names}, x, z)
        two_layer = jm.two_layer_ntk(x, z, r_w=0.5, r_u=2.0)
        error = relative_error(two_layer, GOLDEN[f"two_layer_ntk d={d}"], x, z, 1.0)
        assert error < TOLERANCE[dtype]


@by_dtype
@by_dimension
def test_live(dtype: str, d: int):
    both = GOLDEN[f"rows d={d}"].astype(dtype)
    x, z = both[:4], both[4:]  # disjoint: its own diagonal is only good to 1e-8
    layers, expected = [stax.Dense(1, W_std=VARIANCES[0] ** 0.5)], {}
    with jax.enable_x64(dtype == "float64"):
        for depth in DEPTHS:
            layers += [stax.Relu(), stax.Dense(1, W_std=VARIANCES[depth - 1] ** 0.5)]
            with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
                theirs: Any = stax.serial(*layers)[2](x, z, ("ntk", "nngp"))
            expected["relu_ntk", depth], expected["relu_nngp", depth] = theirs.ntk, theirs.nngp
        assert_deep_kernels(expected, x, z)


@by_dimension
def test_float32_where_some_pairs_are_nearly_collinear(d: int):
    """1,200 pairs, against float64, which the tests above hold to neural-tangents."""
    rng = np.random.default_rng(0)
    x, z = (rng.normal(size=(n, d)).astype("float32") for n in (30, 40))
    with jax.enable_x64(True):
        expected = deep_kernels(x.astype("float64"), z.astype("float64"))
    assert_deep_kernels({k: np.asarray(gram) for k, gram in expected.items()}, x, z)
