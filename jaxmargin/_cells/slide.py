"""Descent on all units of a two-layer relu network at once, by L-BFGS.

It moves units across the walls of their cells as it goes, which no convex problem over fixed cells
does, and stops where most of them lie on walls. So it is a good start for `rounds`. Everything
here is float64 NumPy.
"""

from collections.abc import Callable

import numpy as np
import scipy  # its parts load on first use

from jaxmargin._cells.units import Units, units_at

_STEPS = 2000
_SCALES = 10.0 ** np.arange(-24, 25)  # of the first units, of which the best is taken


def slide(
    x: np.ndarray,
    risk: Callable[[np.ndarray], tuple[float, np.ndarray]],
    price: float,
    w: np.ndarray,
    u: np.ndarray,
    *,
    steps: int = _STEPS,
) -> Units:
    """The units after a descent on R + price sum_j (|w_j|^2 + |u_j|^2) / 2.

    Args:
        x: (n, d) samples.
        risk: `risk(outputs) -> (value, slope)` of flat outputs (n k,).
        price: > 0.
        w: (m, k).
        u: (m, d), which is scaled together with w before the descent, to where it begins best.
        steps: the most of L-BFGS.
    """
    (m, k), d = w.shape, u.shape[1]

    def split(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return flat[: m * k].reshape(m, k), flat[m * k :].reshape(m, d)

    def energy(flat: np.ndarray) -> tuple[float, np.ndarray]:
        w, u = split(flat)
        heights = u @ x.T
        hidden = np.maximum(heights, 0)
        value, slope = risk((hidden.T @ w).ravel())
        dual = np.reshape(slope, (-1, k))
        slope_u = ((heights > 0) * (w @ dual.T)) @ x
        slopes = np.concatenate([(hidden @ dual).ravel(), slope_u.ravel()])
        return value + price / 2 * float(flat @ flat), slopes + price * flat

    flat = np.concatenate([w.ravel(), u.ravel()])
    values = np.array([energy(scale * flat)[0] for scale in _SCALES])
    scale = _SCALES[np.nanargmin(values)]
    worth = np.nanmin(values)

    def scaled(at: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = energy(scale * at)
        return value / worth, slope * (scale / worth)

    found = scipy.optimize.minimize(
        scaled, flat, jac=True, method="L-BFGS-B",
        options={"maxiter": steps, "maxfun": 2 * steps, "maxcor": 20, "ftol": 1e-12, "gtol": 1e-9},
    )  # fmt: skip
    return units_at(x, *split(scale * found.x))
