"""The largest |sum_i r_i relu(u . x_i)| over unit vectors u: attained, and proven."""

from typing import NamedTuple

import numpy as np

from jaxmargin._sphere.ascent import ascend, highest_rows, search_scaled, settled
from jaxmargin._sphere.bounds import upper_bound
from jaxmargin._sphere.great_circles import enumerable_span, enumerated
from jaxmargin._sphere.relu_sum import ReluSum, scaled, unit_rows

_FEW, _QUICK_SAMPLES = 4, 30  # starts that shorten an enumeration, unless it is quick itself
_CLIMBED = (
    64  # starts where the maximum is enumerated: those show other maxima, besides the highest
)
_FIXED = 32  # random directions among the latter
_FIRST_STEPS = 12  # of an ascent that is to shorten an enumeration


class UnitMaximum(NamedTuple):
    """The highest points that were found, and a bound of all points.

    Attributes:
        values: (p,) the function at the directions, the highest first; -inf where there are fewer.
        directions: (p, d) unit vectors that lie apart from one another.
        bound: a number that the function exceeds at no unit vector, rounding included.
        exact: whether the maximum was enumerated, so that values[0] and bound differ by rounding
            only. Otherwise values[0] was searched, and the bound may be loose.
    """

    values: np.ndarray
    directions: np.ndarray
    bound: float
    exact: bool


def unit_maximum(
    x: np.ndarray,
    dual: np.ndarray,
    *,
    starts: np.ndarray | None = None,
    count: int = 1,
    separation: float = 0.1,
    budget: float = 0.0,
    enough: float = np.inf,
) -> UnitMaximum:
    """The maximum over the sphere with a proven bound, in float64.

    Args:
        x: (n, d) samples.
        dual: r, (n,), or (n, k) for k outputs.
        starts: (p, d) more points to climb from.
        count: how many points to tell.
        separation: the least angle between any two of them, in radians.
        budget: seconds of branch and bound where the maximum is not enumerated.
        enough: a value above which a search ends at once, without a bound.
    """
    function = scaled(x, dual)
    enough = float(np.ldexp(enough, -function.exponent))
    values, u, bound = highest(function, starts, count, separation, enough)
    exact = bound is not None
    if not exact and values[0] > enough:
        bound = np.inf
    if bound is None:
        bound = upper_bound(function, values[0], budget)
    bound = max(bound, values[0])
    return UnitMaximum(function.unscaled(values), u, float(function.unscaled(bound)), exact)


def highest(
    function: ReluSum,
    starts: np.ndarray | None,
    count: int,
    separation: float,
    enough: float = np.inf,
) -> tuple[np.ndarray, np.ndarray, float | None]:
    """The highest points that lie apart, scaled; the bound if they were enumerated, else None."""
    d = function.rows.shape[1]
    given = np.zeros((0, d)) if starts is None else unit_rows(np.asarray(starts, float))
    if not len(function.rows):
        axis = unit_rows(np.zeros((1, d)))
        return *separated(np.zeros(1), axis, count, separation), 0.0
    span = enumerable_span(function)
    if span is None or enough < np.inf:
        values, u = search_scaled(function, given, enough)
        if span is None or values[0] > enough:
            return *separated(values, u, count, separation), None
        given = u[:count]
    climbed = _CLIMBED if count > 1 else 0 if _quick(function) else _FEW
    fixed = np.random.default_rng(0).normal(size=(_FIXED if count > 1 else 0, d))
    rows = highest_rows(function, max(climbed, 1))
    first = np.concatenate([given, rows, unit_rows(fixed)])
    values = function.heights(first)
    climbed_values, tops = ascend(function, first, _FIRST_STEPS) if climbed else (values, first)
    found = enumerated(function, span, tops[climbed_values.argmax()])
    top_value = function.heights(found.direction[None])
    top_value, top = settled(function, top_value, found.direction[None])
    # Where maxima are fewer than asked for, the starts of the ascents are the next best.
    values = np.concatenate([top_value, climbed_values, values])
    return *separated(values, np.concatenate([top, tops, first]), count, separation), found.bound


def _quick(function: ReluSum) -> bool:
    n, d = function.rows.shape
    return d <= 2 or (d == 3 and n <= _QUICK_SAMPLES)


def separated(
    values: np.ndarray, u: np.ndarray, count: int, separation: float
) -> tuple[np.ndarray, np.ndarray]:
    """The best `count` of p points such that any two are at least that angle apart."""
    left, near = values.copy(), np.cos(separation)
    best_values, best = np.full(count, -np.inf), np.repeat(u[:1], count, axis=0)
    for i in range(count):
        highest_left = int(left.argmax())
        best_values[i], best[i] = left[highest_left], u[highest_left]
        if left[highest_left] == -np.inf:
            break
        left[u @ u[highest_left] > near] = -np.inf
        left[highest_left] = -np.inf
    return best_values, best
