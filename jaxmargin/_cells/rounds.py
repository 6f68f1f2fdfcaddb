"""Networks of any width that fit outputs at the least cost, found from their dual.

The problem is min R(f) + price sum_j |w_j| |u_j| over all two-layer relu networks
f(x) = sum_j w_j relu(u_j . x). A round solves the convex problem of all units in given cells (see
`units` and `program`). Then it adds cells: those behind the walls that a unit leans against,
and those of directions u at which the dual r has |sum_i r_i relu(u . x_i)| > price. Walls are where
most units of an optimum lie, and no descent on the units themselves comes to rest there.

For k > 1 outputs, w_j turns too. Beside v_j w_j^T a unit is given u_j (T_j z_j)^T, where T_j spans
the directions across w_j. The length of (v_j, z_j) is the cost to first order. Afterwards each unit
is made of rank one again, and all units descend together.

Everything here is float64 NumPy.
"""

from collections.abc import Callable, Generator
from typing import NamedTuple

import numpy as np

from jaxmargin._cells.fits import Fit
from jaxmargin._cells.program import Program, solve
from jaxmargin._cells.units import Units, across, distinct, inside, merged, together, units_at
from jaxmargin._sphere.ascent import around, climb

_NO_WEIGHT = 1e-6  # of the mean length, that new units have
_MOST_NEW = 60  # cells that a round adds for violating directions
# What units of no weight cost together at the start, as a share of the value, and the distance of
# units from the walls of their cells: the first that the fit can bear.
_BEGINNINGS = tuple((10.0 ** -(1 + i), 3 * 10.0 ** -min(3 + i, 8)) for i in range(12))
_TRACES = 0.2  # of the tolerance, that the rows of a dual cost together that are left out
_FRESH = 150  # random directions from which a round climbs, and as many samples
_BESIDE = 300  # directions beside units from which a round climbs, and off their kinks
_FEW, _FURTHER = 10, 300  # steps of all ascents of a round, and how many of them go on
_MOST_EFFORT = 8  # by which the ascents of a round are more, where they find little
_FIRST_AIM, _SHARE_OF_GAP = 5e-4, 5e-3  # to which a round solves its problem, at most
_SAME_CELL, _EMPTY = 1e-4, 1e-2  # 1 - cosine, and share of length, of units that are not kept


class Round(NamedTuple):
    """The best network so far, and what the last round says of it.

    Attributes:
        units: the network.
        value: what the fit says that these units are worth: R + price sum_j |v_j|, or their cost
            once they satisfy the constraints.
        dual: (n, k) the dual of the fit behind the best bound so far.
        bound: a lower bound of every value, if the search has met the highest unit of that dual.
    """

    units: Units
    value: float
    dual: np.ndarray
    bound: float


def rounds(
    x: np.ndarray,
    fit: Fit,
    price: float,
    start: Units,
    *,
    bound: Callable[[np.ndarray, float], float],
    tol: float,
    polish: Callable[[Units], Units] | None = None,
) -> Generator[Round, np.ndarray | None, None]:
    """Rounds without end, whose values never rise.

    A caller may send (p, d) directions that a better search has found to violate the dual. The next
    round has cells for them, and the bound begins anew.

    Args:
        x: (n, d), no row 0.
        fit: R, or the constraints that stand in its place.
        price: > 0.
        start: units to begin with, at least one.
        bound: `bound(dual, ratio)`, a lower bound of the value of every network.
        tol: accuracy to aim at, relative to the value.
        polish: a descent on all units together, for k > 1; None goes without.
    """
    rng = np.random.default_rng(0)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    units = start
    best = Round(start, _value(x, fit, price, start), np.zeros((len(x), start.w.shape[1])), -np.inf)
    aim, effort, gained = _FIRST_AIM, 1, True
    while True:
        begin = _begun(x, unit, fit, price, distinct(units), best.value)
        before, gap = best.value, (best.value - best.bound) / best.value
        aim = max((0.1 if gained else 1e-3) * tol, min(aim, _SHARE_OF_GAP * gap))
        step = _stepped(x, unit, fit, price, begin, aim, best, polish)
        if step.value < best.value:
            best = best._replace(units=step.units, value=step.value)
        idle = not gained
        gained = before - best.value >= 10 * aim * before
        aim = aim if gained else aim / 10
        dual = _without_traces(step.dual, _TRACES * tol * price)
        heights, directions = _highest(x, unit, dual, step.units, rng, effort)
        ratio = float(heights.max()) / price
        lower = bound(dual, ratio)
        if lower > best.bound:
            best = best._replace(dual=dual, bound=lower)
        sent = yield best
        new = directions[heights > price * (1 + 1e-9)]
        if sent is not None:  # they refute the bound, whose search has missed them
            new = np.concatenate([sent, new])
            best = best._replace(bound=-np.inf)
        fresh = _fresh(x, dual, new, best.units)
        few = len(fresh.v) < _MOST_NEW / 2
        effort = min(2 * effort, _MOST_EFFORT) if few else max(effort // 2, 1)
        units = _next_cells(best.units, begin, together(step.behind, fresh), gained or not idle)


def _next_cells(best: Units, begin: Units, new: Units, gained: bool) -> Units:
    """The best units and the new ones; those of little weight only where no round gains.

    There the dual asks for more than the cells of the best units, and keeps all that it had.
    """
    if gained:
        return together(merged(best, _SAME_CELL, _EMPTY), new)
    light = _NO_WEIGHT * float(np.mean(best.length)) / begin.length[:, None]
    return together(merged(best), new, begin._replace(v=light * begin.v))


def _highest(
    x: np.ndarray,
    unit: np.ndarray,
    dual: np.ndarray,
    units: Units,
    rng: np.random.Generator,
    effort: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Heights of units under the dual and their directions, the highest first, by ascents.

    They start at the units, off their kinks, beside them, at samples and at random. Each takes a
    few steps, and the highest ones go on. The more effort, the more of them there are.
    """
    own = units.v / units.length[:, None]
    beside = np.repeat(own, -(-_BESIDE * effort // len(own)), axis=0)
    beside = beside + rng.normal(size=beside.shape) * 10 ** rng.uniform(-3, 0, (len(beside), 1))
    off = around(unit, own, rng)
    off = off[rng.permutation(len(off))[: _BESIDE * effort]]
    rows = np.concatenate([x, -x])
    rows = rows[rng.permutation(len(rows))[:_FRESH]]
    fresh = rng.normal(size=(_FRESH * effort, x.shape[1]))
    starts = np.concatenate([own, beside, off, rows, fresh])
    heights, directions = climb(x, dual, starts, _FEW)
    order = np.argsort(-heights, kind="stable")[: _FURTHER * effort]
    heights, directions = climb(x, dual, directions[order])
    order = np.argsort(-heights, kind="stable")
    return heights[order], directions[order]


def _begun(
    x: np.ndarray, unit: np.ndarray, fit: Fit, price: float, units: Units, value: float
) -> Units:
    """The units inside of their cells, those of no weight as long as the fit can bear."""
    worth = value if np.isfinite(value) else price * float(units.length.sum())
    begin = units
    for share, deep in _BEGINNINGS:
        begin = inside(unit, units, share * worth / (price * len(units.v)), deep)
        if fit.value(begin.outputs(x).ravel()) <= worth:
            break
    return begin


def _without_traces(dual: np.ndarray, most: float) -> np.ndarray:
    """The dual (n, k) without its smallest rows, whose lengths add up to `most`.

    Constraints that do not bind leave such traces, and a search is faster without them.
    """
    size = np.linalg.norm(dual, axis=1)
    order = np.argsort(size, kind="stable")
    traces = order[np.cumsum(size[order]) <= most]
    dual = dual.copy()
    dual[traces] = 0
    return dual


class _Step(NamedTuple):
    units: Units
    value: float
    dual: np.ndarray
    behind: Units


def _stepped(
    x: np.ndarray,
    unit: np.ndarray,
    fit: Fit,
    price: float,
    begin: Units,
    tol: float,
    best: Round,
    polish: Callable[[Units], Units] | None,
) -> _Step:
    """The solution over the cells; for k > 1 with turning w where that helps, and polished."""
    turning = begin.w.shape[1] > 1
    step = _solved(x, unit, fit, price, begin, tol, turning)
    if turning and step.value >= best.value:
        step = _solved(x, unit, fit, price, begin, tol, False)
    if turning and polish is not None:
        units = merged(polish(step.units if step.value < best.value else best.units))
        step = step._replace(units=units, value=_value(x, fit, price, units))
    return step


def _solved(
    x: np.ndarray,
    unit: np.ndarray,
    fit: Fit,
    price: float,
    units: Units,
    tol: float,
    turning: bool,
) -> _Step:
    """The solution over the units' cells, and the cells behind the walls that it leans against."""
    program = _program(x, unit, units, price, turning=turning)
    begin = np.pad(units.v, ((0, 0), (0, program.columns.shape[1] - x.shape[1])))
    found = solve(program, fit, begin, tol)
    dual = found.dual.reshape(len(x), -1)
    units = _of_rank_one(unit, units, found.v)
    behind = across(units, _leaning(x, units, dual, found.multipliers, price))
    value = _value(x, fit, price, units)
    fewer = merged(units)
    value_of_fewer = _value(x, fit, price, fewer)
    if value_of_fewer <= value * (1 + tol):
        units, value = fewer, value_of_fewer
    return _Step(units, value, dual, behind)


def _value(x: np.ndarray, fit: Fit, price: float, units: Units) -> float:
    """R + price sum_j |v_j| of the network, whatever the cells are."""
    return fit.total(units.outputs(x).ravel(), price * float(units.length.sum()))


def _fresh(x: np.ndarray, dual: np.ndarray, directions: np.ndarray, units: Units) -> Units:
    """Units of no weight at the first of these directions, in cells that differ."""
    new = distinct(_opposing(x, dual, directions))
    new = new.where(np.arange(min(len(new.v), _MOST_NEW)))
    return new._replace(v=_NO_WEIGHT * np.mean(units.length) * new.v)


def _program(
    x: np.ndarray, unit: np.ndarray, units: Units, price: float, *, turning: bool
) -> Program:
    """The convex problem of units in these cells; each w_j may turn as well."""
    (m, n), k = units.active.shape, units.w.shape[1]
    columns = units.active[:, None, :] * x.T
    signs = np.where(units.active, 1.0, -1.0)
    if k == 1:
        columns *= units.w[:, :, None]
    elif not turning:
        columns = (columns[..., None] * units.w[:, None, None, :]).reshape(m, -1, n * k)
    else:
        columns = columns[..., None] * units.w[:, None, None, :]
        heights = np.maximum(_directions(units) @ x.T, 0)
        turned = _tangents(units.w)[:, :, None, :] * heights[:, None, :, None]
        columns = np.concatenate([columns, turned], axis=1).reshape(m, -1, n * k)
    return Program(np.ascontiguousarray(columns), unit, signs, np.full(m, price))


def _directions(units: Units) -> np.ndarray:
    return units.v / units.length[:, None]


def _tangents(w: np.ndarray) -> np.ndarray:
    """Orthonormal rows across each unit vector w_j: (m, k - 1, k)."""
    return np.linalg.svd(w[:, None, :])[2][:, 1:]


def _of_rank_one(x: np.ndarray, units: Units, solved: np.ndarray) -> Units:
    """The units nearest to v_j w_j^T + u_j (T_j z_j)^T that keep to their cells."""
    d = x.shape[1]
    v, z = solved[:, :d], solved[:, d:]
    if not z.shape[1]:
        return units._replace(v=v)
    turn = np.einsum("mt,mtk->mk", z, _tangents(units.w))
    both = v[:, :, None] * units.w[:, None, :] + _directions(units)[:, :, None] * turn[:, None, :]
    left = np.linalg.svd(both)[0][:, :, 0]
    left *= np.where(np.sum(left * _directions(units), axis=1) < 0, -1, 1)[:, None]
    signs = np.where(units.active, 1.0, -1.0)
    stays = np.all(signs * (left @ x.T) > 0, axis=1)
    own = v / np.linalg.norm(v, axis=1, keepdims=True)
    left = np.where(stays[:, None], left, own)
    w = np.einsum("md,mdk->mk", left, both)
    length = np.linalg.norm(w, axis=1, keepdims=True)
    return Units(w / length, length * left, units.active)


def _leaning(
    x: np.ndarray, units: Units, dual: np.ndarray, multipliers: np.ndarray, price: float
) -> np.ndarray:
    """(m, n): how fast the energy falls behind the walls on which a unit of weight lies, or 0."""
    length = units.length[:, None]
    size = np.linalg.norm(x, axis=1)
    touching = np.abs(units.v @ x.T) / (length * size) < multipliers / price
    heavy = length > 1e-5 * length.mean()
    excess = multipliers - size * (units.w @ dual.T)
    return np.where(heavy & touching & (excess > 1e-9 * price), excess, 0)


def _opposing(x: np.ndarray, dual: np.ndarray, directions: np.ndarray) -> Units:
    """The units of these directions that lower R fastest, of no weight yet."""
    pull = np.maximum(directions @ x.T, 0) @ dual
    return units_at(x, -pull / np.linalg.norm(pull, axis=1, keepdims=True), directions)
