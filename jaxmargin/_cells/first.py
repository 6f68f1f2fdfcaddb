"""Units to begin with.

Everything here is float64 NumPy.
"""

import numpy as np

from jaxmargin._cells.units import Units, together
from jaxmargin._sphere.ascent import climb

_FIRST = 64  # units where R falls fastest, and as many in random directions
_SEED = 20_190_604  # not one that samples are likely to be drawn with: u is not to be along x
_SAME_LINE = 1e-9  # |u . x_i| / |x_i| of unit vectors u across the line of x_i


def first_units(
    x: np.ndarray, dual: np.ndarray, starts: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """W (m, k) and u (m, d) of units that lower R, from its slope (n, k) where all outputs are 0.

    Half of them are where R falls fastest, and half in random directions; further ones are at the
    directions `starts` (p, d).
    """
    random = np.random.default_rng(0).normal(size=(_FIRST, x.shape[1]))
    random /= np.linalg.norm(random, axis=1, keepdims=True)
    given = np.zeros((0, x.shape[1])) if starts is None else starts
    u = np.concatenate([climb(x, dual, random)[1], random, given])
    w = -(np.maximum(u @ x.T, 0) @ dual)
    return w / np.maximum(np.linalg.norm(w, axis=1, keepdims=True), np.finfo(float).tiny), u


def spikes(x: np.ndarray, slope: np.ndarray, length: float, samples: np.ndarray) -> Units:
    """Units of that length that can move the outputs of some samples down the slope (n, k), alone.

    For u across x_i, and a small tilt e along x_i, relu((u + e) . x) + relu((u - e) . x)
    - relu(2 u . x) is 0 at every other sample, as long as e is too small for the tilt to change its
    side. On a line there is no such u; there u is along x_i, on whose side all samples move
    together.

    Args:
        x: (n, d), no row 0.
        slope: (n, k).
        length: > 0.
        samples: indices of those whose outputs the units move.
    """
    axis = x / np.linalg.norm(x, axis=1, keepdims=True)
    u = np.random.default_rng(_SEED).normal(size=x.shape)
    u -= np.sum(u * axis, axis=1, keepdims=True) * axis
    u *= length / np.maximum(np.linalg.norm(u, axis=1, keepdims=True), np.finfo(float).tiny)
    heights = u @ axis.T
    own = np.abs(heights) < _SAME_LINE * length  # the sample and those on its line
    active = np.where(own, axis @ axis.T, heights) > 0
    w = np.where(np.any(slope != 0, axis=1, keepdims=True), -slope, np.eye(1, slope.shape[1]))
    w /= np.linalg.norm(w, axis=1, keepdims=True)
    tilts = (False, True)
    if x.shape[1] == 1:
        u, active, tilts = length * axis, axis @ axis.T > 0, (False,)
    sides = [Units(sign * w, u, active ^ (own & off)) for sign in (1, -1) for off in tilts]
    return together(*(side.where(samples) for side in sides))
