"""Fits by LAPACK on the host: nothing is compiled, and a free set may have any size.

They serve where the default device is a CPU, and return None for a matrix that is not positive
definite: then the compiled solvers tell rounding from a fault.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import get_lapack_funcs

from jaxmargin._arithmetic import power_of_two

_POWERS = 8  # steps of the power method
_BLOCK = 256  # rows and columns that are compared at once
_potrf, _potrs = get_lapack_funcs(("potrf", "potrs"), dtype=np.float64)


class OnHost(NamedTuple):
    """What a fit of one trial gives, in float64.

    Attributes:
        beta: (n,) or (n, k) coefficients.
        norm: sqrt(beta' K beta) of each column.
        size: largest |beta| of each column.
        quality: what the solver tells of itself.
    """

    beta: np.ndarray
    norm: np.ndarray
    size: np.ndarray
    quality: Any


def is_symmetric(matrix: np.ndarray) -> bool:
    """Whether a matrix (n, n) equals its transpose; block by block, which stay in the cache."""
    blocks = [slice(i, i + _BLOCK) for i in range(0, len(matrix), _BLOCK)]
    pairs = ((a, b) for i, a in enumerate(blocks) for b in blocks[: i + 1])
    return all(np.array_equal(matrix[a, b], matrix[b, a].T) for a, b in pairs)


def symmetric(gram: Any) -> np.ndarray:
    """The matrix in float64; the mean of both halves where they differ."""
    wide = np.asarray(gram).astype(np.float64, copy=False)
    return wide if is_symmetric(wide) else wide / 2 + wide.T / 2


def cholesky(matrix: np.ndarray, *, overwrite: bool = False) -> np.ndarray | None:
    """The factor that `solved` takes; None if a symmetric matrix is not positive definite."""
    # The transpose of a C array is what LAPACK takes without a copy.
    factor, fault = _potrf(matrix.T, lower=1, clean=0, overwrite_a=overwrite)
    return None if fault else factor


def solved(factor: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The solution of M beta = y for the factor of M."""
    return _potrs(factor, y, lower=1)[0]


def ridge_on_host(gram: Any, y: Any, ridge: float) -> OnHost | None:
    """As the compiled solver: one step of refinement, and the condition number."""
    gram = symmetric(gram)
    matrix = gram + ridge * np.eye(len(gram)) if ridge else gram
    factor = cholesky(matrix)
    if factor is None:
        return None
    y = np.asarray(y).astype(np.float64, copy=False)
    size = power_of_two(np.max(np.abs(y), axis=0), np)
    beta = solved(factor, y / size)
    beta += solved(factor, y / size - matrix @ beta)
    square = np.sum(beta * (gram @ beta), axis=0)
    norm = np.sqrt(np.maximum(square, 0)) * size
    beta = beta * size
    return OnHost(beta, norm, np.max(np.abs(beta), axis=0), condition(matrix, factor))


def condition(matrix: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """|M|_1 |M^-1|_2, the second by the power method."""
    v = np.random.default_rng(0).normal(size=len(matrix))
    for _ in range(_POWERS):
        v = solved(factor, v)
        v /= np.sqrt(v @ v)
    v = solved(factor, v)
    return np.asarray(np.max(np.sum(np.abs(matrix), axis=0)) * np.sqrt(v @ v))
