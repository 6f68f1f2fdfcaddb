"""A search for the largest |sum_i r_i relu(u . x_i)| over unit vectors u: ascents from many starts.

Fix the direction w of the sum at u, and let p_i = w . r_i. Around u the function is at least

    sum_{p_i > 0} p_i relu(u . x_i) - sum_{p_i < 0} |p_i| relu(u . x_i),

a difference of two convex functions. The first is at least the linear q . u, where q sums the
p_i x_i of those of its samples that are active. With q . u in its place, the largest difference
over the ball is a convex problem. Its dual asks for the shortest vector

    v = q - sum_{p_i < 0} b_i x_i,   0 <= b_i <= |p_i|,

and its solution is u = v / |v|. Maxima gather on the kinks u . x_i = 0 with p_i < 0, on which no
step along a gradient settles; here they are the samples with 0 < b_i < |p_i|. All starts take some
steps of an accelerated projected gradient towards their b at once, try v / |v| and a step along
the gradient, and linearise again where it is higher. At the end each is moved onto the kinks
closest to it, so that a maximum on them is met exactly.

Every value is the function itself at its direction, and so a lower bound of the maximum.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxmargin._devices import on_all_cores
from jaxmargin._sphere.relu_sum import ReluSum, scaled, unit_rows

_INNER = 4  # steps towards b for each linearisation
_PATIENCE = 8  # linearisations without a gain after which an ascent ends
_SETTLE = 3  # times that a direction is moved onto its kinks at the end
_DEPENDENT = 1e-6  # sine of the angle to other kinks, below which a kink is one of them
_CACHED_ENTRIES = 2**16  # of an array (points x samples) that is used again and again
_BLOCK_ENTRIES = 2**21  # of an array (points x kinks x samples)
_MOST_HEIGHTS = 2**25  # terms of the heights of samples, among which starts are chosen
_BATCH = 256  # samples, and random starts, of the first batch of a search
_STARTS_PER_AXIS, _MOST_STARTS = 256, 20_000  # the fewest and the most starts of a search
_TOPS = 128  # of the highest directions, that a batch starts around
_SAME = 1e-8  # 1 - cosine, below which two directions are one
_ON_KINK = 1e-7  # |u . x_i| / |x_i| of unit vectors u, below which they lie on that kink


def climb(
    x: np.ndarray, dual: np.ndarray, starts: np.ndarray, steps: int = 60
) -> tuple[np.ndarray, np.ndarray]:
    """Ascend from each start: (p,) values and (p, d) unit vectors that attain them.

    Args:
        x: (n, d) samples.
        dual: r, (n,), or (n, k) for k outputs.
        starts: (p, d) points to climb from, of any length.
        steps: the most linearisations.
    """
    function = scaled(x, dual)
    values, u = ascend(function, unit_rows(np.asarray(starts, float)), steps)
    return function.unscaled(values), u


def search(
    x: np.ndarray, dual: np.ndarray, starts: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Climb from batches of starts until one as large as all before it finds nothing higher.

    The first batch starts at the given starts, at those samples and opposites of samples where
    the function is highest, and at random directions. Each later one starts at as many random
    directions as there were starts before, and off each kink of the highest directions so far. The
    random numbers are the same in every call.

    Returns:
        (p,) values, the highest first, and the (p, d) unit vectors that attain them.
    """
    function, d = scaled(x, dual), np.shape(x)[1]
    given = np.zeros((0, d)) if starts is None else unit_rows(np.asarray(starts, float))
    values, u = search_scaled(function, given)
    return function.unscaled(values), u


def search_scaled(
    function: ReluSum, starts: np.ndarray, enough: float = np.inf
) -> tuple[np.ndarray, np.ndarray]:
    """`search` of a scaled function, from unit vectors (p, d) among others.

    A value above `enough` ends it at once.
    """
    rng, d = np.random.default_rng(0), starts.shape[1]
    batch = [starts, highest_rows(function, _BATCH).reshape(-1, d), rng.normal(size=(_BATCH, d))]
    values, u = _highest_first(*ascend(function, unit_rows(np.concatenate(batch))))
    tried, agreed = len(values), False
    while tried < _MOST_STARTS and not (agreed and tried >= _STARTS_PER_AXIS * d):
        if values[0] > enough:
            break
        fresh = [around(function.rows, _apart(u), rng), rng.normal(size=(tried, d))]
        more_values, more = ascend(function, unit_rows(np.concatenate(fresh)))
        tried += len(more)
        agreed = more_values.max() <= values[0] * (1 + 1e-10)
        values, u = np.concatenate([values, more_values]), np.concatenate([u, more])
        values, u = _highest_first(values, u)
    return values, u


def _apart(u: np.ndarray) -> np.ndarray:
    """The first of p unit vectors, of which none is met twice."""
    u = u[: 4 * _TOPS]
    first = np.argmax(u @ u.T > 1 - _SAME, axis=1)
    return u[first == np.arange(len(u))][:_TOPS]


def around(rows: np.ndarray, tops: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Points off each kink of each top, on both sides, which stay on its other kinks.

    Args:
        rows: (n, d) unit rows, the samples.
        tops: (p, d) unit vectors.
        rng: of the distances, .1 to 3.
    """
    points = [np.zeros((0, tops.shape[1]))]
    for u in tops:
        kinks = rows[np.abs(rows @ u) < _ON_KINK]
        if len(kinks):
            off = np.linalg.pinv(np.concatenate([kinks, u[None]])).T[: len(kinks)]
            off /= np.linalg.norm(off, axis=1, keepdims=True)
            off *= 10 ** rng.uniform(-1, 0.5, size=(len(off), 1))
            points += [u + off, u - off]
    return np.concatenate(points)


def highest_rows(function: ReluSum, count: int) -> np.ndarray:
    """Of the samples and their opposites, the unit rows at which the function is highest.

    Of very many samples it takes some, so that the time is linear in their number.
    """
    n = max(1, len(function.rows))
    rows = function.rows[:: -(-n // max(count, _MOST_HEIGHTS // n))]
    both = np.concatenate([rows, -rows])
    return both[np.argsort(-function.heights(both), kind="stable")[:count]]


def _highest_first(values: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(-values, kind="stable")
    return values[order], u[order]


class _State(NamedTuple):
    """Where p ascents are: values (p,), u (p, d), b (p, n), the gradient's steps and idle turns."""

    values: np.ndarray
    u: np.ndarray
    b: np.ndarray
    step: np.ndarray
    idle: np.ndarray


def ascend(function: ReluSum, u: np.ndarray, steps: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """`climb` of a scaled function, from unit vectors u (p, d). Its values are scaled as well."""
    values, u, n = function.heights(u), u.copy(), len(function.rows)
    if not n or not len(u):
        return values, u
    rate = 1 / float(np.linalg.norm(function.rows, 2)) ** 2

    def climbed(values: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        values, u = _ascended(function, values, u, rate, steps)
        for _ in range(_SETTLE):
            values, u = settled(function, values, u)
        return values, u

    return _in_blocks(climbed, max(1, _CACHED_ENTRIES // n), values, u)


def _in_blocks(
    each: Callable, size: int, values: np.ndarray, u: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """`each(values, u)` of blocks of so many directions, on all cores at once."""
    starts = range(0, len(u), size)
    blocks = [(values[start : start + size], u[start : start + size]) for start in starts]
    parts = on_all_cores(lambda block: each(*block), blocks)
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _ascended(
    function: ReluSum, values: np.ndarray, u: np.ndarray, rate: float, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    ones = np.ones(len(u))
    state = _State(values, u, np.zeros((len(u), len(function.rows))), ones, 0 * ones)
    for _ in range(steps):
        moving = state.idle < _PATIENCE
        if not moving.any():
            break
        part = _advanced(function, _State(*(field[moving] for field in state)), rate)
        for field, new in zip(state, part, strict=True):
            field[moving] = new
    return state.values, state.u


def _advanced(function: ReluSum, state: _State, rate: float) -> _State:
    """One linearisation of each ascent."""
    values, u, b, step, idle = state
    pull, hidden = _pull(function, u)
    slope = ((hidden > 0) * pull) @ function.rows
    b, v = _shortest(function.rows, pull, ((hidden > 0) & (pull > 0)) * pull, b, rate)
    tried = np.stack([unit_rows(u + step[:, None] * unit_rows(slope)), unit_rows(v)])
    heights = function.heights(tried.reshape(-1, u.shape[1])).reshape(2, -1)
    best = heights.argmax(axis=0)
    highest = heights.max(axis=0)
    up = highest > values
    idle = np.where(highest > values * (1 + 1e-12), 0, idle + 1)
    step = np.where(heights[0] > values, 2 * step, step / 2)
    u = np.where(up[:, None], tried[best, np.arange(len(u))], u)
    return _State(np.maximum(values, highest), u, b, step, idle)


def _pull(function: ReluSum, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The p_i = w . r_i and u . x_i at each u, both (p, n)."""
    hidden = u @ function.rows.T
    w = unit_rows(np.maximum(hidden, 0) @ function.weights)
    return w @ function.weights.T, hidden


def _shortest(
    rows: np.ndarray, pull: np.ndarray, active: np.ndarray, b: np.ndarray, rate: float
) -> tuple[np.ndarray, np.ndarray]:
    """Steps from b (p, n) towards the one of the shortest v; the new b, and its v (p, d)."""
    q, most = active @ rows, np.maximum(-pull, 0)
    b = np.minimum(b, most)
    ahead, t = b, 1.0
    for _ in range(_INNER):
        new = np.clip(ahead + rate * ((q - ahead @ rows) @ rows.T), 0, most)
        t, before = (1 + (1 + 4 * t * t) ** 0.5) / 2, t
        ahead, b = new + (before - 1) / t * (new - b), new
    return b, q - b @ rows


def settled(function: ReluSum, values: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each u moved onto its 1, 2, ... nearest kinks with p_i < 0, where that is higher.

    The peak of the linear function around u, and the same peak on the kinks, are tried.
    """
    n, d = function.rows.shape
    kinks = min(n, d - 1)
    if not kinks:
        return values, u
    size = max(1, _BLOCK_ENTRIES // ((n + d) * (kinks + 1)))
    blocks = [
        _on_kinks(function, values[start : start + size], u[start : start + size], kinks)
        for start in range(0, len(u), size)
    ]
    return np.concatenate([part[0] for part in blocks]), np.concatenate(
        [part[1] for part in blocks]
    )


def _on_kinks(
    function: ReluSum, values: np.ndarray, u: np.ndarray, kinks: int
) -> tuple[np.ndarray, np.ndarray]:
    pull, hidden = _pull(function, u)
    slope = ((hidden > 0) * pull) @ function.rows
    distance = np.where(pull < 0, np.abs(hidden), np.inf)
    nearest = np.argpartition(distance, kinks - 1, axis=1)[:, :kinks]
    order = np.argsort(np.take_along_axis(distance, nearest, axis=1), axis=1)
    nearest = np.take_along_axis(nearest, order, axis=1)
    # The columns of Q are orthonormal, and the first j of them span the j nearest samples.
    q, r = np.linalg.qr(function.rows[nearest].transpose(0, 2, 1))
    new = np.abs(np.diagonal(r, axis1=1, axis2=2)) > _DEPENDENT
    parts = (new * np.einsum("pdk,pd->pk", q, slope))[:, :, None] * q.transpose(0, 2, 1)
    tried = np.concatenate([slope[:, None], slope[:, None] - np.cumsum(parts, axis=1)], axis=1)
    tried = unit_rows(tried)
    heights = function.heights(tried.reshape(-1, u.shape[1])).reshape(len(u), -1)
    best = heights.argmax(axis=1)
    each = np.arange(len(u))
    up = heights[each, best] > values
    return np.where(up, heights[each, best], values), np.where(up[:, None], tried[each, best], u)
