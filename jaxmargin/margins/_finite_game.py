"""The game behind the maximum margin, over finitely many units: its linear program and its dual.

One player chooses weights c of k units with sum_j |c_j| <= 1, the other one probabilities p of the
n samples. With rows_ji = y_i relu(u_j . x_i), both sides have the same value:

    max_c min_i sum_j c_j rows_ji  =  min_p max_j |sum_i p_i rows_ji|        (eq. B.15 and its dual)

One linear program solves both, and its weights are a network. Its probabilities are less useful:
they are a vertex of a large set of solutions, and over all units of the sphere, of which the
program knows only k, a vertex gives a poor bound. The analytic centre of the set gives a good one.

Everything here is float64 NumPy.
"""

from typing import NamedTuple

import numpy as np
import scipy  # its parts load on first use

from jaxmargin._arithmetic import step_to_boundary
from jaxmargin.errors import ConvergenceError

NOTHING = 1e-12  # a margin or a weight below it counts as 0, for rows of length <= 1

_ACCURACIES = (1e-10, 1e-9, 1e-8, 1e-7)  # of the linear program; HiGHS may miss the first
_NEWTON_STEPS = 60
_HALVINGS = 30  # of one Newton step


class Program(NamedTuple):
    """Solution of max_{|c|_1 <= 1} min_i sum_j c_j rows_ji.

    Attributes:
        weights: c, (k,), at most n of them not 0.
        dual: p, (n,) probabilities of the samples.
        margin: the minimum over i that the weights attain.
    """

    weights: np.ndarray
    dual: np.ndarray
    margin: float


def solve_program(rows: np.ndarray, scale: float) -> Program:
    """Solve the linear program over k rows (k, n) by the dual simplex method of HiGHS.

    The tolerances of HiGHS are absolute, so that `scale` should be near the margin.
    """
    k, n = rows.shape
    table = np.ones((n + 1, 2 * k + 1))
    table[:n, :k], table[:n, k:-1] = -rows.T / scale, rows.T / scale
    table[n, -1] = 0
    solution, prices = _highs(np.r_[np.zeros(2 * k), -1], table, np.r_[np.zeros(n), 1])
    weights = solution[:k] - solution[k:-1]
    total = np.abs(weights).sum()
    weights = weights / total if total > 0 else weights
    dual = np.maximum(-prices[:n], 0)
    return Program(weights, dual / dual.sum(), float((weights @ rows).min()))


def _highs(cost: np.ndarray, table: np.ndarray, limit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The z >= 0 of least cost with table z <= limit, and the prices of these inequalities.

    It tries the smallest tolerance first and ends with the first one that HiGHS reaches.
    """
    message = ""
    for accuracy in _ACCURACIES:
        tolerances = {f"{side}_feasibility_tolerance": accuracy for side in ("primal", "dual")}
        found = scipy.optimize.linprog(
            cost, A_ub=table, b_ub=limit, method="highs-ds", options=tolerances
        )
        if found.success:
            return found.x, found.ineqlin.marginals
        message = found.message
    raise ConvergenceError(f"HiGHS did not solve the linear program: {message}")


def analytic_centre(cuts: np.ndarray, start: np.ndarray, level: float) -> np.ndarray:
    """The analytic centre of all probabilities p for which every cut has cut . p < level.

    It maximises sum_j log(level - cuts_j . p) + sum_i log p_i by Newton's method.

    Args:
        cuts: (c, n) a row for each cut.
        start: (n,) probabilities that satisfy the cuts. The method begins a little inside of them.
        level: what the cuts must stay below. If `start` does not stay below it, `start` comes back.

    Returns:
        (n,) probabilities.
    """
    n = len(start)
    uniform = np.full(n, 1 / n)
    low, high = (cuts @ start).max(), (cuts @ uniform).max()
    share = 0.5 * min(1, (level - low) / max(high - low, NOTHING))
    if share <= 0:
        return start
    p = (1 - share) * start + share * uniform
    for _ in range(_NEWTON_STEPS):
        room = level - cuts @ p
        lean = cuts / room[:, None]
        slope = lean.sum(axis=0) - 1 / p
        try:
            step = _newton_step(lean, slope, p)
        except scipy.linalg.LinAlgError:
            return p
        fall = -float(slope @ step)
        length = _barrier_length(room, -cuts @ step, p, step, fall)
        p = p + length * step
        p = p / p.sum()
        if fall < 0.01 or length == 0:
            break
    return p


def _newton_step(lean: np.ndarray, slope: np.ndarray, p: np.ndarray) -> np.ndarray:
    """The Newton step of the barrier whose entries sum to 0, so that p keeps its sum."""
    # In units of p, so that probabilities that vanish do no harm.
    curvature = (lean.T @ lean) * np.outer(p, p) + np.eye(len(p))
    factor = scipy.linalg.cho_factor(curvature)
    solved = scipy.linalg.cho_solve(factor, np.stack([p * slope, p], axis=1)) * p[:, None]
    return solved[:, 1] * (solved[:, 0].sum() / solved[:, 1].sum()) - solved[:, 0]


def _barrier_length(
    room: np.ndarray, growth: np.ndarray, p: np.ndarray, step: np.ndarray, fall: float
) -> float:
    """A length at which -sum log(room) - sum log(p) falls enough; 0 if rounding leaves none."""
    slack, change = np.concatenate([room, p]), np.concatenate([growth, step])
    length = min(1.0, 0.99 * float(step_to_boundary(slack, change, xp=np)))
    before = np.log(slack).sum()
    for _ in range(_HALVINGS):
        after = slack + length * change
        if np.all(after > 0) and np.log(after).sum() >= before + 1e-4 * length * fall:
            return length
        length /= 2
    return 0.0
