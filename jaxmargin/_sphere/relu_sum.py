"""The function |sum_i r_i relu(u . x_i)| of unit vectors u, scaled so that nothing overflows.

Everything about it is homogeneous: a sample may be divided by its length if r_i is multiplied by
it. So the samples become unit rows, and the weights r_i |x_i| are divided by a power of two.
Entries from 1e-300 to 1e300 are then no trouble. All in float64 NumPy.
"""

from typing import NamedTuple

import numpy as np

_BLOCK_ENTRIES = 2**22  # of an array (points x samples)


class ReluSum(NamedTuple):
    """The function u -> |sum_i r_i relu(u . x_i)|, divided by 2**exponent.

    Attributes:
        rows: (n, d) unit vectors x_i / |x_i|. Samples without effect have been left out.
        weights: (n, k) r_i |x_i| / 2**exponent; the largest entry lies between 1/4 and sqrt(d).
        exponent: the power of two.
    """

    rows: np.ndarray
    weights: np.ndarray
    exponent: int

    def totals(self, u: np.ndarray) -> np.ndarray:
        """sum_i r_i relu(u . x_i) / 2**exponent at each of (p, d) unit vectors: (p, k)."""
        size = max(1, _BLOCK_ENTRIES // max(1, len(self.rows)))
        parts = [
            np.maximum(u[start : start + size] @ self.rows.T, 0) @ self.weights
            for start in range(0, len(u), size)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, self.weights.shape[1]))

    def heights(self, u: np.ndarray) -> np.ndarray:
        """The function at each of (p, d) unit vectors: (p,)."""
        totals = self.totals(u)
        if totals.shape[1] == 1:
            return np.abs(totals[:, 0])
        return np.linalg.norm(totals, axis=1)

    def unscaled(self, values):
        """Values of the function itself, from values that are divided by 2**exponent."""
        return np.ldexp(values, self.exponent)


def scaled(x: np.ndarray, dual: np.ndarray) -> ReluSum:
    """The function of samples x (n, d) and a dual vector r, (n,) or (n, k)."""
    x = np.asarray(x, float)
    r = np.asarray(dual, float).reshape(len(x), -1)
    x_largest, r_largest = np.abs(x).max(axis=1), np.abs(r).max(axis=1)
    used = (x_largest > 0) & (r_largest > 0)
    x, r = x[used], r[used]
    if not len(x):
        return ReluSum(x, r, 0)  # the function 0
    x_power, r_power = np.frexp(x_largest[used])[1], np.frexp(r_largest[used])[1]
    rows, weights = np.ldexp(x, -x_power[:, None]), np.ldexp(r, -r_power[:, None])
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    power = x_power + r_power
    weights = np.ldexp(weights * length, (power - power.max())[:, None])
    return ReluSum(rows / length, weights, int(power.max()))


def unit_rows(v: np.ndarray) -> np.ndarray:
    """Rows of length 1; a row of zeros becomes the first axis."""
    largest = np.abs(v).max(axis=-1, keepdims=True, initial=0)
    v = v / np.where(largest > 0, largest, 1)
    length = np.linalg.norm(v, axis=-1, keepdims=True)
    axis = np.zeros_like(v)
    axis[..., 0] = 1
    return np.where(length > 0, v / np.where(length > 0, length, 1), axis)
