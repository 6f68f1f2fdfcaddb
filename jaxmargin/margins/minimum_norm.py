"""The minimum-norm interpolant of two-layer networks of any width (eq. B.14)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import scipy  # its parts load on first use
from jaxtyping import Array, Float, Int

from jaxmargin._cells.fits import Targets
from jaxmargin._cells.limits import Limits, limits_from_now
from jaxmargin._cells.units import Units
from jaxmargin._checks import require_callable
from jaxmargin._devices import one_blas_thread
from jaxmargin.margins._inputs import check_rows, check_starts, rounding_of
from jaxmargin.margins._solvers.rounds_to_bound import (
    Reached,
    finished,
    first_network,
    rounds_to_bound,
)
from jaxmargin.margins._solvers.separability import require_interpolable
from jaxmargin.networks.models import TwoLayer

_NEAR = 0.1  # relative distance to the targets at which the first network will do
_CORRECTIONS = 3
_DEARER = 1e-7  # share of the cost that fewer units may cost more
_TINY = np.finfo(float).tiny


class MinNormHistory(NamedTuple):
    """What `min_norm_interpolant` reached in each of its s rounds; one record has scalars instead.

    Attributes:
        step: (s,) the round, from 1.
        norm_squared: (s,) the least ||Theta||^2 of an interpolant so far; it never rises.
        estimate: (s,) a lower bound of every such norm, if the highest units that were found are
            the highest of all. A later round may correct it downwards.
    """

    step: Int[np.ndarray, " s"]
    norm_squared: Float[np.ndarray, " s"]
    estimate: Float[np.ndarray, " s"]


class MinNorm(NamedTuple):
    """A two-layer network that fits its targets with the least norm over all widths, with a bound.

    Attributes:
        norm_squared: ||Theta||_2^2 of `params`.
        params: `TwoLayer` with |w_j| = |u_j|, w (m,).
        lower_bound: proven: no network of any width that fits the targets has a smaller one. It is
            0 where a call ended before its search was done.
        state: "exact" if the unit behind the bound was enumerated, so that the bound is tight.
            "proven" if it comes from a relaxation, which may be loose.
        estimate: the bound if the highest unit that was found is the highest of all; no proof,
            unless the state is "exact".
        dual: (n,) multipliers nu of the targets behind the bounds, for which
            2 nu . y = lower_bound, and |sum_i nu_i relu(u . x_i)| <= 1 for all |u| = 1.
        residual: the largest |f(x_i) - y_i|.
        history: `MinNormHistory` of the rounds, (s,) each.
    """

    norm_squared: float
    params: TwoLayer
    lower_bound: float
    state: str
    estimate: float
    dual: Float[np.ndarray, " n"]
    residual: float
    history: MinNormHistory

    def __repr__(self) -> str:
        return (
            f"MinNorm(norm_squared={self.norm_squared:.9g}, lower_bound={self.lower_bound:.9g} "
            f"({self.state}), estimate={self.estimate:.9g}, residual={self.residual:.2g}, "
            f"units={len(self.params.u)}, rounds={len(self.history.step)})"
        )


def min_norm_interpolant(
    x: Float[Array | np.ndarray, "n d"],
    y: Float[Array | np.ndarray, " n"],
    *,
    tol: float = 1e-6,
    max_rounds: int = 200,
    time_limit: float | None = None,
    starts: Float[Array | np.ndarray, "m d"] | None = None,
    budget: float = 0.0,
    on_record: Callable[[int, MinNormHistory], object] | None = None,
) -> MinNorm:
    """The least ||Theta||_2^2 of any two-layer ReLU network with f(x_i) = y_i, and one that has it.

    All nu with |sum_i nu_i relu(u . x_i)| <= 1 for every |u| = 1 bound it: 2 nu . y is a lower
    bound. This is the limit of the regularized squared loss as lambda -> 0 (`global_optimum` gives
    the networks on the way). For labels -1 and +1 it is at least 1 / gamma*, the inverse of the
    maximum margin.

    The method is that of `global_optimum`, with constraints in place of a risk. The rounds end when
    the norm meets the estimated bound and a search from many directions confirms it. Where the
    samples span at most three dimensions, or are few in four or five, the search is an enumeration
    and the bound a tight proof. Two calls give the same result. The network is in float64 NumPy.

    Args:
        x: (n, d) inputs. For a row of zeros, where every network is 0, the target must be 0.
        y: (n,) targets.
        tol: the distance to reach between norm and estimate, relative to the norm; below 1.
        max_rounds: rounds after which to give up.
        time_limit: seconds after which to give up, once the round that is running has ended.
        starts: (m, d) directions to begin with, such as the first layer of a trained network.
        budget: seconds of branch and bound to tighten a bound that is not exact.
        on_record: `on_record(step, record)`, called after each round with its number 1, 2, ... and
            a `MinNormHistory` of that round alone (arrays without axes).

    Returns:
        `MinNorm`, whose estimate is within tol of its norm.

    Raises:
        ValueError: no network fits the targets: equal rows with different targets, rows on one ray
            whose targets are not proportional, a row of zeros with another target, or opposite rows
            that contradict one another (the message names them). Or there is a NaN, a shape that
            does not fit, max_rounds < 1, a negative budget, or a tol or time_limit that is not
            positive.
        TypeError: x or y that is not of floats, max_rounds not an integer, on_record not a
            function; or called under `jit`.
        ConvergenceError: an estimate that is not within tol after max_rounds or time_limit, or
            after 12 rounds that gained nothing. Its `result` is the `MinNorm` so far.
        Interrupted: Ctrl-C was pressed, after a first round. Its `step` is the number of rounds,
            its `result` the `MinNorm` of the last one. (A `KeyboardInterrupt`.)

    Example:
        >>> found = min_norm_interpolant(np.eye(2), np.array([1.0, -2.0]))
        >>> round(found.norm_squared, 5), round(found.lower_bound, 5), found.state
        (6.0, 6.0, 'exact')

    Reference:
        Wei, Lee, Liu, Ma (2019), eq. B.14 and Theorem B.10. Pilanci, Ergen (2020), "Neural networks
        are convex regularizers".
    """
    limits = limits_from_now(tol, max_rounds, time_limit, budget)
    if on_record is not None:
        require_callable("on_record", on_record, "on_record(step, record)")
    points, targets = check_rows("min_norm_interpolant", "x", x, y)
    begin = check_starts(starts, points.shape[1])
    targets = require_interpolable(points, targets, rounding_of(x))
    if not np.any(targets):
        return _nothing(points)
    rows = np.any(points != 0, axis=1)
    scale = float(np.linalg.norm(points, axis=1).max())
    height = float(np.abs(targets).max())
    norm = 2 * height / scale  # ||Theta||^2 for each unit of cost
    records: list[MinNormHistory] = []

    def on_round(cost: float, lower: float) -> None:
        values = len(records) + 1, norm * cost, norm * lower
        records.append(MinNormHistory(*map(np.asarray, values)))
        if on_record is not None:
            on_record(len(records), records[-1])

    fit = Targets(targets[rows] / height)
    with one_blas_thread():
        found = _solved(points[rows] / scale, fit, begin, limits, on_round)
    result = _result(points, targets, found, rows, scale, height, records)
    return finished(
        "min_norm_interpolant", f"norm_squared {result.norm_squared:.9g}", result, found, limits
    )


def _nothing(x: np.ndarray) -> MinNorm:
    """The network 0, for targets of 0."""
    zeros: Any = np.zeros((1, x.shape[1])), np.zeros(1)
    empty = MinNormHistory(np.zeros(0, int), np.zeros(0), np.zeros(0))
    return MinNorm(0.0, TwoLayer(*zeros), 0.0, "exact", 0.0, np.zeros(len(x)), 0.0, empty)


def _solved(
    x: np.ndarray,
    fit: Targets,
    starts: np.ndarray,
    limits: Limits,
    on_round: Callable[[float, float], None],
) -> Reached:
    """The cheapest network that fits targets of at most 1 on samples of length at most 1."""

    def misfit(outputs: np.ndarray) -> tuple[float, np.ndarray]:
        missed = outputs - fit.targets
        return float(missed @ missed), 2 * missed

    def near(outputs: np.ndarray) -> np.ndarray:
        missed = np.linalg.norm(outputs - fit.targets)
        return np.full(len(x), missed < _NEAR * np.linalg.norm(fit.targets))

    def bound(dual: np.ndarray, height: float) -> float:
        return -float(dual[:, 0] @ fit.targets) / max(height, _TINY)

    start = first_network(x, 1, misfit, near, starts, scales=False)
    return rounds_to_bound(x, fit, start, bound=bound, limits=limits, on_round=on_round)


def _result(
    x: np.ndarray,
    y: np.ndarray,
    found: Reached,
    rows: np.ndarray,
    scale: float,
    height: float,
    records: list[MinNormHistory],
) -> MinNorm:
    """The network and the bounds for x and y before their scaling."""
    units = _interpolating(x[rows] / scale, y[rows] / height, found.units)
    length = units.length[:, None]
    root = np.sqrt(length * height / scale)
    parts: Any = root * units.v / length, (root * units.w)[:, 0]
    params = TwoLayer(*parts)
    norm = 2 * height / scale
    dual = np.zeros(len(x))
    dual[rows] = -found.dual[:, 0] / scale
    value = max(2 * float(dual @ y), _TINY)
    outputs = np.maximum(x @ params.u.T, 0) @ params.w
    return MinNorm(
        norm_squared=float(np.sum(params.u**2) + np.sum(params.w**2)),
        params=params,
        lower_bound=norm * found.lower,
        state="exact" if found.exact else "proven",
        estimate=norm * found.estimate,
        dual=dual * (norm * found.lower / value),
        residual=float(np.abs(outputs - y).max()),
        history=jax.tree.map(lambda *values: np.stack(values), *records),
    )


def _interpolating(x: np.ndarray, y: np.ndarray, units: Units) -> Units:
    """As few of the units as a vertex has, moved a little so that they fit the targets."""
    units = _mended(x, y, units)
    directions = units.v / units.length[:, None]
    columns = np.maximum(x @ directions.T, 0) * units.w[:, 0]
    ones = np.ones(len(directions))
    found = scipy.optimize.linprog(ones, A_eq=columns, b_eq=y, method="highs-ds")
    if not found.success or found.fun > float(units.length.sum()) * (1 + _DEARER):
        return units
    return _mended(x, y, units._replace(v=found.x[:, None] * directions).where(found.x > 0))


def _mended(x: np.ndarray, y: np.ndarray, units: Units) -> Units:
    """The units, moved to where they fit the targets: first their lengths, then the units."""
    columns = np.maximum(x @ (units.v / units.length[:, None]).T, 0) * units.w[:, 0]
    for _ in range(_CORRECTIONS):
        missed = y - columns @ units.length
        length = units.length + np.linalg.lstsq(columns, missed, rcond=None)[0]
        longer = (length / units.length)[:, None] * units.v
        units = _nearer(x, y, units, longer if np.all(length > 0) else units.v)
    for _ in range(_CORRECTIONS):
        slopes = (units.v @ x.T > 0).T[:, :, None] * units.w[:, 0, None] * x[:, None, :]
        missed = y - units.outputs(x)[:, 0]
        step = np.linalg.lstsq(slopes.reshape(len(x), -1), missed, rcond=None)[0]
        units = _nearer(x, y, units, units.v + step.reshape(units.v.shape))
    return units


def _nearer(x: np.ndarray, y: np.ndarray, units: Units, v: np.ndarray) -> Units:
    """The units, with new v if they fit the targets better."""
    moved = units._replace(v=v)
    missed = [np.abs(of.outputs(x)[:, 0] - y).max() for of in (units, moved)]
    return moved if missed[1] < missed[0] else units
