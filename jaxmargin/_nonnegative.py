"""The best coefficients c >= 0 of a convex fit, by a primal-dual interior-point method.

The problem is min_{c >= 0} R(sum_j c_j a_j) + price . c for a convex R with two derivatives.
With z the gradient of this objective, c is optimal where c >= 0, z >= 0 and c_j z_j = 0. The
method takes Newton steps towards c_j z_j = mu and lowers mu. So it needs no guess of which
coefficients are 0, and columns a_j that are combinations of others do no harm.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxmargin._arithmetic import step_to_boundary

_NEWTON_STEPS = 100
_COMPLEMENTARITY = 1e-13  # sum_j c_j z_j at which to stop, as a share of the objective
_DROPPED = 1e-8  # a coefficient is 0 where it costs less than this share of the mean cost


class _Point(NamedTuple):
    """The objective at some coefficients, its gradient (m,), and the outputs sum_j c_j a_j."""

    value: float
    slope: np.ndarray
    outputs: np.ndarray


def nonnegative_fit(
    risk: Callable, bend: Callable, columns: np.ndarray, price: np.ndarray
) -> np.ndarray:
    """The coefficients c of min_{c >= 0} R(sum_j c_j a_j) + price . c, in float64.

    Args:
        risk: `risk(outputs) -> (value, gradient)` of R.
        bend: `bend(outputs, columns)`, the Hessian of R at the outputs times each column.
        columns: (M, ...) the a_j, with M >= m; those after the first m are padding, which lets
            `bend` be compiled for few shapes.
        price: (m,) what a unit of each coefficient costs, > 0.

    Returns:
        (m,) coefficients, exactly 0 where they are too small to matter.
    """
    m, shape = len(price), columns.shape[1:]
    flat = columns.reshape(len(columns), -1)

    def evaluate(c: np.ndarray) -> _Point:
        outputs = (c @ flat[:m]).reshape(shape)
        value, gradient = risk(outputs)
        slope = flat[:m] @ np.ravel(gradient) + price
        return _Point(float(value) + float(price @ c), slope, outputs)

    c = evaluate(np.zeros(m)).value / (m * price)
    z = price.copy()
    now = evaluate(c)
    for _ in range(_NEWTON_STEPS):
        total = float(c @ z)
        if total <= _COMPLEMENTARITY * now.value and c @ np.abs(now.slope) <= 10 * total:
            break
        mu = 0.1 * total / m
        bent = np.asarray(bend(now.outputs, columns)).reshape(flat.shape)
        step = _newton_step(flat[:m] @ bent[:m].T + np.diag(z / c), mu / c - now.slope)
        turn = mu / c - z - z / c * step
        length, now = _backtrack(evaluate, now, c, mu, step)
        c = c + length * step
        z = z + _inside(z, turn) * turn
    cost = c * price
    return np.where(cost > _DROPPED * max(np.sum(cost), 1e-4 * now.value) / m, c, 0)


def _newton_step(hessian: np.ndarray, descent: np.ndarray) -> np.ndarray:
    """The solution of hessian step = descent, after scaling the diagonal to 1."""
    size = np.sqrt(np.diag(hessian))
    scaled = hessian / np.outer(size, size) + 1e-14 * np.eye(len(size))
    return np.linalg.solve(scaled, descent / size) / size


def _inside(point: np.ndarray, step: np.ndarray) -> float:
    """The length <= 1 at which point + length * step is still well positive."""
    return float(min(1.0, step_to_boundary(0.99 * point, step, np)))


def _backtrack(
    evaluate: Callable, now: _Point, c: np.ndarray, mu: float, step: np.ndarray
) -> tuple[float, _Point]:
    """The length of a step that lowers the objective - mu sum_j log c_j, and what is there."""

    def barrier(found: _Point, at: np.ndarray) -> float:
        return found.value - mu * np.sum(np.log(at))

    length, before = _inside(c, step), barrier(now, c)
    fall = 1e-4 * float((now.slope - mu / c) @ step)
    for _ in range(30):
        found = evaluate(c + length * step)
        if barrier(found, c + length * step) <= before + length * fall + 1e-13 * abs(before):
            return length, found
        length /= 2
    return 0.0, now
