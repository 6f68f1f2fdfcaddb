"""The maximum margin over all widths: the limit of weak regularization (Theorems 4.1 and C.1).

It is half the margin of the l1-SVM over the features relu(u . x), one for each unit vector u
(Proposition B.11).
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from jaxmargin._cells.fits import Margins
from jaxmargin._cells.limits import Limits, limits_from_now
from jaxmargin._cells.units import Units
from jaxmargin._checks import require_callable
from jaxmargin._devices import one_blas_thread
from jaxmargin.errors import ConvergenceError
from jaxmargin.margins._inputs import (
    check_samples,
    check_starts,
    differences_of,
    rounding_of,
)
from jaxmargin.margins._solvers.finite_game import solve_program
from jaxmargin.margins._solvers.rounds_to_bound import (
    Reached,
    finished,
    first_network,
    rounds_to_bound,
)
from jaxmargin.margins._solvers.separability import require_separable
from jaxmargin.networks.models import TwoLayer

_NEAR = 0.5  # a margin at which the first network will do
_TINY = np.finfo(float).tiny


class MaxMarginHistory(NamedTuple):
    """What `max_margin` reached in each of its s rounds; one record has scalars instead.

    Attributes:
        step: (s,) the round, from 1.
        margin: (s,) the largest normalised margin of a network so far; it never falls.
        estimate: (s,) an upper bound of every margin, if the highest units that were found are the
            highest of all. A later round may correct it upwards.
    """

    step: Int[np.ndarray, " s"]
    margin: Float[np.ndarray, " s"]
    estimate: Float[np.ndarray, " s"]


class MaxMargin(NamedTuple):
    """A two-layer network of the largest normalised margin over all widths, with a bound.

    Attributes:
        margin: what `params` attains, min_i y_i f(x_i) / ||Theta||^2, or with k classes
            min_i (f(x_i)_{y_i} - max_{j != y_i} f(x_i)_j) / ||Theta||^2.
        params: `TwoLayer` with |w_j| = |u_j| and ||Theta|| = 1; w (m,), or (m, k) for k classes.
        upper_bound: proven: no network of any width has a larger margin. It is inf where a call
            ended before its search was done.
        state: "exact" if the unit behind the bound was enumerated, so that the bound is tight.
            "proven" if it comes from a relaxation, which may be loose.
        estimate: the bound if the highest unit that was found is the highest of all; no proof,
            unless the state is "exact".
        dual: probabilities p of the samples behind the bounds, (n,), or (n, k) for k classes, where
            p_ij belongs to the margin of class y_i over class j.
        history: `MaxMarginHistory` of the rounds, (s,) each.
    """

    margin: float
    params: TwoLayer
    upper_bound: float
    state: str
    estimate: float
    dual: Float[np.ndarray, "n *k"]
    history: MaxMarginHistory

    def __repr__(self) -> str:
        return (
            f"MaxMargin(margin={self.margin:.9g}, upper_bound={self.upper_bound:.9g} "
            f"({self.state}), estimate={self.estimate:.9g}, units={len(self.params.u)}, "
            f"rounds={len(self.history.step)})"
        )


def max_margin(
    x: Float[Array | np.ndarray, "n d"],
    y: Float[Array | np.ndarray, " n"] | Int[Array | np.ndarray, " n"],
    *,
    tol: float = 1e-6,
    max_rounds: int = 200,
    time_limit: float | None = None,
    starts: Float[Array | np.ndarray, "m d"] | None = None,
    budget: float = 0.0,
    on_record: Callable[[int, MaxMarginHistory], object] | None = None,
) -> MaxMargin:
    """The largest normalised margin of two-layer ReLU networks of any width, and one that has it.

    gamma* = max_Theta min_i y_i f(x_i; Theta) / ||Theta||^2. All probabilities p of the samples
    bound it: (1/2) max_{|u| = 1} |sum_i p_i y_i relu(u . x_i)| >= gamma*. With classes 0, ..., k-1
    the network has k outputs, and the bound is
    (1/2) max_{|u| = 1} ||sum_{i, j != y_i} p_ij (e_{y_i} - e_j) relu(u . x_i)||_2. Two classes give
    sqrt(2) times the binary margin. For labels that no network separates there is `global_optimum`,
    which trades a loss for the norm; with the squared hinge that is a soft margin.

    The method is that of `global_optimum`, with margins of at least 1 in place of a risk. The
    rounds end when the margin meets the estimated bound and a search from many directions confirms
    it. Where the samples behind the bound span at most three dimensions, or are few in four or
    five, the search is an enumeration and the bound a tight proof. Two calls give the same result.
    The network is in float64 NumPy.

    Many samples or classes, and labels that are nearly random, take long: a minute or more from
    some hundred of such samples on. `on_record` shows how far a call has come, and `time_limit`
    ends it with what it has.

    Args:
        x: (n, d) inputs, no row 0.
        y: (n,) labels -1 and +1, or integer classes 0, ..., k-1. All of them must be present.
        tol: the distance to reach between margin and estimate, relative to the margin; below 1.
        max_rounds: rounds after which to give up.
        time_limit: seconds after which to give up, once the round that is running has ended.
        starts: (m, d) directions to begin with, such as the first layer of a trained network.
        budget: seconds of branch and bound to tighten a bound that is not exact.
        on_record: `on_record(step, record)`, called after each round with its number 1, 2, ... and
            a `MaxMarginHistory` of that round alone (arrays without axes).

    Returns:
        `MaxMargin`, whose estimate is within tol of its margin.

    Raises:
        ValueError: no network separates the labels (the message names two samples on one ray, or
            those on which the sum over samples is 0 for every u). Or there is a row of zeros, one
            class only, a label that is not -1 or +1, a class that is missing, a NaN, a shape that
            does not fit, max_rounds < 1, a negative budget, or a tol or time_limit that is not
            positive.
        TypeError: x that is not of floats, max_rounds not an integer, on_record not a
            function; or called under `jit`.
        ConvergenceError: an estimate that is not within tol after max_rounds or time_limit, or
            after 12 rounds that gained nothing. Its `result` is the `MaxMargin` so far.
        Interrupted: Ctrl-C was pressed, after a first round. Its `step` is the number of rounds,
            its `result` the `MaxMargin` of the last one. (A `KeyboardInterrupt`.)

    Example:
        >>> x, y = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]]), np.array([1.0, 1.0, -1.0])
        >>> found = max_margin(x, y)
        >>> round(found.margin, 6), round(found.upper_bound, 6), found.state
        (0.166667, 0.166667, 'exact')

    Reference:
        Wei, Lee, Liu, Ma (2019), Theorem C.1, appendix B.4. Neyshabur, Tomioka, Srebro (2015); Bach
        (2017), "Breaking the curse of dimensionality with convex neural networks".
    """
    limits = limits_from_now(tol, max_rounds, time_limit, budget)
    if on_record is not None:
        require_callable("on_record", on_record, "on_record(step, record)")
    points, labels = check_samples("max_margin", x, y)
    begin = check_starts(starts, points.shape[1])
    differences = differences_of(labels)
    require_separable(points, labels, differences, rounding_of(x))
    scale = float(np.linalg.norm(points, axis=1).max())
    records: list[MaxMarginHistory] = []

    def on_round(cost: float, lower: float) -> None:
        values = len(records) + 1, _margin_of(cost, scale), _margin_of(lower, scale)
        records.append(MaxMarginHistory(*map(np.asarray, values)))
        if on_record is not None:
            on_record(len(records), records[-1])

    fit = Margins(differences)
    with one_blas_thread():
        found = _solved(points / scale, fit, begin, limits, on_round)
    result = _result(points, fit, found, scale, records)
    return finished("max_margin", f"margin {result.margin:.9g}", result, found, limits)


def _margin_of(cost: float, scale: float) -> float:
    """The normalised margin of a network that has margins of 1 at this cost sum_j |w_j| |u_j|."""
    return scale / (2 * cost) if cost > 0 else math.inf


def _solved(
    x: np.ndarray,
    fit: Margins,
    starts: np.ndarray,
    limits: Limits,
    on_round: Callable[[float, float], None],
) -> Reached:
    """The cheapest network with margins of 1 on samples of length at most 1."""
    k = fit.differences.shape[2]

    def misfit(outputs: np.ndarray) -> tuple[float, np.ndarray]:
        short = np.maximum(1 - fit.margins(outputs), 0)
        return float(np.sum(short**2)), -2 * fit.pull(short)

    def near(outputs: np.ndarray) -> np.ndarray:
        return fit.margins(outputs).min(axis=1) > _NEAR

    def bound(dual: np.ndarray, height: float) -> float:
        return float(_weights(fit, dual).sum()) / max(height, _TINY)

    start = first_network(x, k, misfit, near, starts, scales=True)
    return rounds_to_bound(x, fit, start, bound=bound, limits=limits, on_round=on_round)


def _weights(fit: Margins, dual: np.ndarray) -> np.ndarray:
    """The weights (n, c) of the margins whose pull is minus the dual (n, k)."""
    if fit.differences.shape[2] == 1:
        return -dual * fit.differences[:, 0]
    return np.einsum("nck,nk->nc", np.minimum(fit.differences, 0), -dual)


def _result(
    x: np.ndarray, fit: Margins, found: Reached, scale: float, records: list[MaxMarginHistory]
) -> MaxMargin:
    """The network in its stated form, with the bounds; x before its scaling."""
    u, w = _balanced(_sparse(x / scale, fit, found.units))
    outputs = np.maximum(x @ u.T, 0) @ w
    weights = _weights(fit, found.dual)
    total = max(float(weights.sum()), _TINY)
    binary = w.shape[1] == 1
    dual = weights[:, 0] if binary else -np.minimum(-found.dual, 0)
    return MaxMargin(
        margin=float(fit.margins(outputs.ravel()).min()),
        params=TwoLayer(u, w[:, 0] if binary else w),
        upper_bound=_margin_of(found.lower, scale),
        state="exact" if found.exact else "proven",
        estimate=_margin_of(found.estimate, scale),
        dual=dual / total,
        history=jax.tree.map(lambda *values: np.stack(values), *records),
    )


def _sparse(x: np.ndarray, fit: Margins, units: Units) -> Units:
    """The units with the best lengths for their directions, as few as a vertex has."""
    directions = units.v / units.length[:, None]
    hidden = np.maximum(directions @ x.T, 0)
    columns = (hidden[:, :, None] * units.w[:, None, :]).reshape(len(hidden), -1)
    rows = np.stack([fit.margins(column).ravel() for column in columns])
    least = float(fit.margins(units.outputs(x).ravel()).min()) / float(units.length.sum())
    try:
        found = solve_program(rows, least if least > 0 else 1.0)
    except ConvergenceError:
        return units
    if not found.margin > least:
        return units
    used = np.flatnonzero(found.weights)
    weights = found.weights[used]
    return Units(
        np.sign(weights)[:, None] * units.w[used],
        np.abs(weights)[:, None] * directions[used],
        units.active[used],
    )


def _balanced(units: Units) -> tuple[Any, Any]:
    """U (m, d) and w (m, k) with |w_j| = |u_j| and ||Theta|| = 1."""
    length = units.length[:, None]
    root = np.sqrt(length / (2 * length.sum()))
    return root * units.v / length, root * units.w
