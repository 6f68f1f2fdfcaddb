"""The exact optimum of a scalar two-layer problem: a cone program over all activation patterns.

In the cone of one pattern A and one sign s all units are linear, so that they may be merged into
one vector z (the sum of |w| u): min R(sum_{A,s} s D_A X z_{A,s}) + 2 lam sum |z_{A,s}| with z_{A,s}
in its cone (Pilanci and Ergen, 2020). R is the sum over the samples.
"""

import itertools
from typing import Any

import cvxpy as cp
import numpy as np


def patterns(x: np.ndarray) -> np.ndarray:
    """(p, n): the activation patterns 1(u . x_i > 0) of u in R^2 or R^3 off every hyperplane.

    Each cell has a vertex (an edge, in R^2) where d - 1 hyperplanes meet; the points around all of
    them, at distances from 1e-2 to 1e-6, meet every cell. The samples are in general position.
    """
    d = x.shape[1]
    around = []
    for rows in itertools.combinations(range(len(x)), d - 1):
        vertex = np.linalg.svd(x[list(rows)])[2][-1]
        offsets = np.array(list(itertools.product([-1.0, 1.0], repeat=d - 1)))
        # The u next to the vertex whose products with the rows have these signs.
        steps = np.linalg.lstsq(x[list(rows)], offsets.T, rcond=None)[0].T
        steps /= np.linalg.norm(steps, axis=1, keepdims=True)
        for scale in (1e-2, 1e-4, 1e-6):
            around += [sign * vertex + scale * step for sign in (-1, 1) for step in steps]
    heights = np.array(around) @ x.T
    clear = np.abs(heights).min(axis=1) > 1e-12
    return np.unique(heights[clear] > 0, axis=0)


def optimum(x: np.ndarray, y: np.ndarray, *, lam: float, loss: str) -> float:
    """Min over all measures of the energy, for loss "logistic" or "squared"."""
    outputs, norms, cones = _units(x)
    risk = {
        "logistic": lambda: cp.sum(cp.logistic(cp.multiply(-y, outputs))),
        "squared": lambda: cp.sum_squares(outputs - y),
    }[loss]()
    program = cp.Problem(cp.Minimize(risk + 2 * lam * norms), cones)
    return _solve(program)


def max_margin(x: np.ndarray, y: np.ndarray) -> float:
    """Max over all networks of the normalised margin: max min_i y_i f(x_i), 2 sum |z| <= 1."""
    outputs, norms, cones = _units(x)
    margin = cp.min(cp.multiply(y, outputs))
    return _solve(cp.Problem(cp.Maximize(margin), [*cones, 2 * norms <= 1]))


def _units(x: np.ndarray) -> tuple[Any, Any, list[cp.Constraint]]:
    """Outputs, sum of the norms |z|, and constraints of z for all patterns and both signs."""
    active = patterns(x)
    z = [cp.Variable((len(active), x.shape[1])) for _ in range(2)]
    heights = [part @ x.T for part in z]
    outputs = cp.sum(cp.multiply(active, heights[0] - heights[1]), axis=0)
    side = np.where(active, 1.0, -1.0)
    norms = cp.sum([cp.sum(cp.norm(part, 2, axis=1)) for part in z])
    return outputs, norms, [cp.multiply(side, height) >= 0 for height in heights]


def _solve(program: cp.Problem) -> float:
    # Nearly empty cones are badly scaled: more equilibration and less regularization.
    program.solve(solver=cp.CLARABEL, equilibrate_max_iter=50, static_regularization_constant=1e-10)
    if program.status != cp.OPTIMAL:
        raise RuntimeError(f"the cone program ended as {program.status}")
    return float(np.asarray(program.value))
