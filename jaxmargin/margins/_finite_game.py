"""The game behind the maximum margin, over finitely many units: its linear program and its dual.

One player chooses weights c of k units with sum_j |c_j| <= 1, the other one probabilities p of the
n samples. With rows_ji = y_i relu(u_j . x_i), both sides have the same value:

    max_c min_i sum_j c_j rows_ji  =  min_p max_j |sum_i p_i rows_ji|        (eq. B.15 and its dual)

One linear program solves both, and its weights are a network.

Everything here is float64 NumPy.
"""

from typing import NamedTuple

import numpy as np
import scipy  # its parts load on first use

from jaxmargin.errors import ConvergenceError

NOTHING = 1e-12  # a margin or a weight below it counts as 0, for rows of length <= 1

_SWEEPS = 3  # of the scaling of rows and columns
_AGREEMENT = 1e-5  # relative, of a margin with the bound of its dual
_ACCURACIES = (1e-10, 1e-9, 1e-8, 1e-7)  # of the linear program; HiGHS may miss the first


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


class Scaled(NamedTuple):
    """A table rows_ji = feature_j table_ji sample_i, whose rows and columns have entries near 1.

    Whether its value is positive does not depend on the two scales, which are powers of two.
    """

    table: np.ndarray
    feature: np.ndarray
    sample: np.ndarray


def scaled(rows: np.ndarray) -> Scaled:
    """The rows (k, n) as such a table, by turns for its rows and its columns."""
    table, feature, sample = rows, np.ones(len(rows)), np.ones(rows.shape[1])
    for _ in range(_SWEEPS):
        of_features = _power_above(np.abs(table).max(axis=1))
        table = table / of_features[:, None]
        of_samples = _power_above(np.abs(table).max(axis=0))
        table = table / of_samples
        feature, sample = feature * of_features, sample * of_samples
    return Scaled(table, feature, sample)


def _power_above(sizes: np.ndarray) -> np.ndarray:
    return np.exp2(np.ceil(np.log2(np.where(sizes > 0, sizes, 1))))


def solve_scaled(rows: np.ndarray, by: Scaled) -> Program:
    """The program over rows of a positive value, which may be tiny, with features of many sizes.

    It is solved as min |c|_1 where all margins are >= 1, in the units of the table.

    Raises:
        ConvergenceError: the sizes are too different for float64.
    """
    k = len(rows)
    needed, price = 1 / by.sample, 1 / by.feature
    table = np.concatenate([-by.table.T, by.table.T], axis=1)
    cost = np.concatenate([price, price]) / price.max()
    solution, prices = _highs(cost, table, -needed / needed.max())
    weights = (solution[:k] - solution[k:]) * price
    weights = weights / max(np.abs(weights).sum(), np.finfo(float).tiny)
    dual = np.maximum(-prices, 0) * needed
    dual = dual / max(dual.sum(), np.finfo(float).tiny)
    found = Program(weights, dual, float((weights @ rows).min()))
    bound = np.abs(rows @ dual).max()  # no weights have a larger margin
    if not bound * (1 - _AGREEMENT) <= found.margin:
        raise ConvergenceError(
            f"HiGHS found a margin of {found.margin:.3g} and a bound of {bound:.3g}: the features "
            "have too many sizes for float64, scale each of them to a largest entry near 1"
        )
    return found


def solve_soft(rows: np.ndarray, c: float) -> tuple[np.ndarray, np.ndarray]:
    """The w (k,) of least |w|_1 + c sum_i max(0, 1 - (w rows)_i), and its dual (n,) in [0, c].

    What is solved is the dual, max sum_i a_i with |rows a| <= 1 and 0 <= a <= c.

    Raises:
        ConvergenceError: the values of both differ, which they do not but for rounding.
    """
    n = rows.shape[1]
    solution, prices = _highs(
        -np.ones(n), np.concatenate([rows, -rows]), np.ones(2 * len(rows)), most=c
    )
    weights = prices[len(rows) :] - prices[: len(rows)]
    dual = np.clip(solution, 0, c)
    dual = dual / max(np.abs(rows @ dual).max(), 1)
    value = np.abs(weights).sum() + c * np.maximum(1 - weights @ rows, 0).sum()
    if not value * (1 - _AGREEMENT) <= dual.sum():
        raise ConvergenceError(
            f"HiGHS found a value of {value:.3g} and a bound of {dual.sum():.3g}: scale the "
            "features to a largest entry near 1, or lower c"
        )
    return weights, dual


def _highs(
    cost: np.ndarray, table: np.ndarray, limit: np.ndarray, most: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The z in [0, most] of least cost with table z <= limit, and the prices of these inequalities.

    It tries the smallest tolerance first and ends with the first one that HiGHS reaches.
    """
    message = ""
    for accuracy in _ACCURACIES:
        tolerances = {f"{side}_feasibility_tolerance": accuracy for side in ("primal", "dual")}
        found = scipy.optimize.linprog(
            cost, A_ub=table, b_ub=limit, bounds=(0, most), method="highs-ds", options=tolerances
        )
        if found.success:
            return found.x, found.ineqlin.marginals
        message = found.message
    raise ConvergenceError(f"HiGHS did not solve the linear program: {message}")
