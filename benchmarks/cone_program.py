"""The exact optimum of a scalar two-layer problem: a cone program over all activation patterns.

All units u with one activation pattern A lie in one cone, on which their outputs are linear in u.
So those with one sign s of w may be merged into a single vector z_{A,s}, the sum of their |w| u.
The problem becomes min R(sum_{A,s} s D_A X z_{A,s}) + 2 lam sum_{A,s} |z_{A,s}| over vectors
z_{A,s} in their cones, which is convex (Pilanci and Ergen, 2020). R is the sum over the samples.
"""

import itertools
from typing import Any, NamedTuple

import cvxpy as cp
import numpy as np


def patterns(x: np.ndarray) -> np.ndarray:
    """The activation patterns 1(u . x_i > 0) of all u in R^2 or R^3 off the hyperplanes, (p, n).

    Each cell between the hyperplanes u . x_i = 0 has an edge where d - 1 of them meet. Points
    around all of these edges, at distances from 1e-2 to 1e-6, meet every cell. The samples must be
    in general position.
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
    """The least energy of all measures, for the loss "logistic" or "squared"."""
    network = _network(x)
    risk = {
        "logistic": lambda: cp.sum(cp.logistic(cp.multiply(-y, network.outputs))),
        "squared": lambda: cp.sum_squares(network.outputs - y),
    }[loss]()
    return _solve(risk + lam * network.norm, network.cones)


def minimum_norm(x: np.ndarray, y: np.ndarray) -> float:
    """The least ||Theta||_2^2 of a network with f(x_i) = y_i for all i (eq. B.14)."""
    network = _network(x)
    return _solve(network.norm, [*network.cones, network.outputs == y])


def margin_at(x: np.ndarray, y: np.ndarray, *, lam: float) -> tuple[float, float]:
    """Normalised margin and log objective of the minimiser of the mean logistic loss + lam norm.

    The program is in units of lam, with the outputs counted from log(1 / (n lam)), so that none of
    its numbers is small. At lam <= 2^-20 the loss is e^-z, up to a relative error of 1e-5.
    """
    network = _network(x)
    n = len(y)
    signed = cp.multiply(y, network.outputs)
    if lam > 2.0**-20:
        loss = cp.sum(cp.logistic(-signed)) / (n * lam)
    else:
        loss = cp.sum(cp.exp(-signed - np.log(n * lam)))
    value = _solve(loss + network.norm, network.cones)
    margin = np.min(np.asarray(signed.value)) / float(np.asarray(network.norm.value))
    return float(margin), np.log(value) + np.log(lam)


def max_margin(x: np.ndarray, y: np.ndarray) -> float:
    """The largest normalised margin: 1 / the least ||Theta||_2^2 with y_i f(x_i) >= 1."""
    network = _network(x)
    signed = cp.multiply(y, network.outputs)
    return 1 / _solve(network.norm, [*network.cones, signed >= 1])


class _Network(NamedTuple):
    """Outputs (n,) and ||Theta||_2^2 of the units' sums z, and the cones that z must lie in."""

    outputs: Any
    norm: Any
    cones: list[cp.Constraint]


def _network(x: np.ndarray) -> _Network:
    active = patterns(x)
    z = [cp.Variable((len(active), x.shape[1])) for _ in range(2)]
    heights = [part @ x.T for part in z]
    outputs = cp.sum(cp.multiply(active, heights[0] - heights[1]), axis=0)
    side = np.where(active, 1.0, -1.0)
    norm = 2 * cp.sum([cp.sum(cp.norm(part, 2, axis=1)) for part in z])
    return _Network(outputs, norm, [cp.multiply(side, height) >= 0 for height in heights])


def _solve(objective: Any, constraints: list[cp.Constraint]) -> float:
    program = cp.Problem(cp.Minimize(objective), constraints)
    # Nearly empty cones are badly scaled: more equilibration and less regularization.
    program.solve(solver=cp.CLARABEL, equilibrate_max_iter=50, static_regularization_constant=1e-10)
    if program.status != cp.OPTIMAL:
        raise RuntimeError(f"the cone program ended as {program.status}")
    return float(np.asarray(program.value))
