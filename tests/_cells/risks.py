"""Risks of flat outputs, in NumPy."""

import numpy as np

from jaxmargin._cells.fits import Risk


def squared(y: np.ndarray) -> Risk:
    """sum_i (a_i - y_i)^2."""
    return Risk(
        lambda a: float(np.sum((a - y) ** 2)), lambda a: 2 * (a - y), lambda a: np.full(len(y), 2.0)
    )


def logistic(y: np.ndarray) -> Risk:
    """sum_i log(1 + exp(-y_i a_i))."""

    def share(a: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(y * a))

    return Risk(
        lambda a: float(np.sum(np.logaddexp(0, -y * a))),
        lambda a: -y * share(a),
        lambda a: share(a) * (1 - share(a)),
    )
