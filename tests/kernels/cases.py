"""The closed-form kernels as a table of cases, and K1 and K2 in 40 digits."""

from functools import partial
from typing import Any, NamedTuple

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
