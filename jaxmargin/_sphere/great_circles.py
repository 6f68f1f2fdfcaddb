"""The exact maximum of |sum_i r_i relu(u . x_i)| over unit vectors u, for samples of rank <= 5.

The hyperplanes u . x_i = 0 cut the sphere of R^r into cells, whose faces are cells of fewer
dimensions. On a face the sum is linear, M u, for the moments M = sum_i r_i x_i^T of the samples
that are active there. Its length has a maximum inside the face only at the top right singular
vector of M, projected onto the samples that the face lies across. Every face of one dimension or
more has an arc in its closure, and the arc lies on a great circle across r - 2 samples. So it is
enough to walk around every such circle: from arc to arc one sample is switched on or off, and at
each arc the peaks of all faces around it are tried, with every choice of which of the r - 2
samples are active, inactive, or lain across.

This takes that no r samples lie in a hyperplane. They are made so: every unit row is moved by at
most 2^-36, which changes the function by no more than 2^-35 sum_i |r_i| |x_i|. That much is added
to the bound, and nothing else is special about parallel, opposite or repeated samples.
"""

from collections.abc import Iterator
from itertools import combinations, islice, product
from math import comb
from typing import NamedTuple

import numpy as np

from jaxmargin._sphere.relu_sum import ReluSum, unit_rows

_ALWAYS, _MOST_RANK = 3, 5  # ranks up to which it is enumerated: always; if not too many arcs
_MOST_ARCS = 2**22  # times k^2: some ten seconds
_MOVED = 2.0**-36
_SPANNED = (1e-11, 1e-6)  # parts of sum_i |r_i| |x_i| that a projection onto fewer axes may lose
_BLOCK_ENTRIES = 2**20  # of an array (circles x arcs x moments)
_SIGN_TOLERANCE = 1e-10  # of u . x_i, within which a peak counts as inside its face
_ROUNDING = 4e-15


class Enumerated(NamedTuple):
    """The maximum of a scaled function.

    Attributes:
        direction: (d,) a unit vector that attains it, up to rounding and the moved rows.
        bound: a number that no unit vector exceeds, with all errors added.
    """

    direction: np.ndarray
    bound: float


class Span(NamedTuple):
    """Orthonormal axes (r, d) of the samples, and what a scaled function loses off them at most."""

    axes: np.ndarray
    lost: float


def enumerated(function: ReluSum, span: Span, start: np.ndarray) -> Enumerated:
    """The maximum by enumeration.

    Args:
        function: n samples and their weights; n > 0.
        span: `enumerable_span` of it.
        start: (d,) a unit vector. The higher the function there, the less has to be tried.
    """
    axes, lost = span
    moved = _in_general_position(function._replace(rows=function.rows @ axes.T))
    best = _Best(moved, axes @ start)
    if len(axes) == 1:
        best.try_points(np.array([[1.0], [-1.0]]))
    else:
        for samples in _blocks(moved):
            _walk(_circles(moved, samples), best)
    slack = lost + (2 * _MOVED + len(moved.rows) * _ROUNDING) * best.total
    return Enumerated(unit_rows(best.direction @ axes), best.value + slack)


def enumerable(n: int, rank: int, outputs: int) -> bool:
    """Whether the maximum is enumerated for any n samples of that rank."""
    arcs = comb(n, max(rank, 2) - 2) * 2 * n
    return rank <= _ALWAYS or (rank <= _MOST_RANK and arcs * outputs**2 <= _MOST_ARCS)


def enumerable_span(function: ReluSum) -> Span | None:
    """The span of the samples, if it has few enough dimensions for an enumeration."""
    rows, weights = function.rows, function.weights
    sizes = np.linalg.norm(weights, axis=1)
    directions = np.linalg.svd(rows * (sizes / sizes.max())[:, None], full_matrices=False)[2]
    for tolerance in _SPANNED:
        for rank in range(1, min(_MOST_RANK, len(directions)) + 1):
            axes = directions[:rank]
            off = np.linalg.norm(rows - rows @ axes.T @ axes, axis=1)
            lost = float(sizes @ off)
            cheap = enumerable(len(rows), rank, weights.shape[1])
            if lost <= tolerance * sizes.sum() and cheap:
                return Span(axes, lost)
    return None


def _in_general_position(function: ReluSum) -> ReluSum:
    """The function of unit rows that are moved a little, always in the same way."""
    random = unit_rows(np.random.default_rng(0).normal(size=function.rows.shape))
    return function._replace(rows=unit_rows(function.rows + _MOVED * random))


class _Best:
    """The highest point so far."""

    def __init__(self, function: ReluSum, start: np.ndarray):
        self.function = function
        self.total = float(np.linalg.norm(function.weights, axis=1).sum())
        self.value, self.direction = -1.0, start
        self.try_points(unit_rows(start[None]))

    def try_points(self, u: np.ndarray) -> None:
        """Evaluate the function at (p, r) unit vectors."""
        self.take(self.function.heights(u), u)

    def take(self, values: np.ndarray, u: np.ndarray) -> None:
        """Compare with the values of (p, r) unit vectors."""
        if len(values) and values.max() > self.value:
            best = int(values.argmax())
            self.value, self.direction = float(values[best]), u[best].copy()

    def may_beat(self, squares: np.ndarray) -> np.ndarray:
        """Whether values with these squares may be higher, given their rounding errors."""
        return squares > self.value**2 - _ROUNDING * self.total**2


def _blocks(function: ReluSum) -> Iterator[np.ndarray]:
    """The choices of r - 2 samples, in blocks (b, r - 2) that fit into memory."""
    n, r = function.rows.shape
    size = max(1, _BLOCK_ENTRIES // (2 * n * r * function.weights.shape[1]))
    choices = combinations(range(n), r - 2)
    while block := list(islice(choices, size)):
        yield np.array(block, int).reshape(len(block), r - 2)


class _Circles(NamedTuple):
    """b great circles, each cut into 2n arcs by its 2n events, where one sample turns on or off.

    Attributes:
        function: n rows in R^r with weights (n, k).
        samples: (b, r - 2) the samples that each circle lies across.
        plane: (b, 2, r) orthonormal vectors that span it.
        angle: (b, 2n) where the events are, sorted; arc j follows event j.
        event: (b, 2n) the samples of the events.
        sign: (b, 2n) +1 where the sample turns on, -1 where it turns off, 0 for `samples`.
        moments: (b, 2n, k, r) M on each arc, without `samples`.
    """

    function: ReluSum
    samples: np.ndarray
    plane: np.ndarray
    angle: np.ndarray
    event: np.ndarray
    sign: np.ndarray
    moments: np.ndarray


def _circles(function: ReluSum, samples: np.ndarray) -> _Circles:
    rows, weights = function.rows, function.weights
    (n, r), k, b = rows.shape, weights.shape[1], len(samples)
    if r > 2:
        plane = np.linalg.svd(rows[samples], full_matrices=True)[2][:, -2:]
    else:
        plane = np.eye(2)[None]
    on_plane = np.einsum("nr,bcr->bcn", rows, plane)
    middle = np.arctan2(on_plane[:, 1], on_plane[:, 0])
    own = np.zeros((b, n), bool)
    own[np.arange(b)[:, None], samples] = True
    events = np.concatenate([middle - np.pi / 2, middle + np.pi / 2], axis=1)
    events = np.where(events < -np.pi, events + 2 * np.pi, events)
    events = np.where(events >= np.pi, events - 2 * np.pi, events)
    order = np.argsort(events, axis=1)
    event = order % n
    sign = np.where(order < n, 1.0, -1.0)
    sign[np.take_along_axis(own, event, axis=1)] = 0
    at_first = (events[:, n:] < events[:, :n]) & ~own  # it turns off before it turns on
    products = (weights[:, :, None] * rows[:, None, :]).reshape(n, k * r)
    moments = np.cumsum(sign[:, :, None] * products[event], axis=1)
    moments += (at_first @ products)[:, None]
    angle = np.take_along_axis(events, order, axis=1)
    return _Circles(function, samples, plane, angle, event, sign, moments.reshape(b, 2 * n, k, r))


def _walk(circles: _Circles, best: _Best) -> None:
    """Try every event, the peak of every arc, and the peaks of all faces around every arc."""
    _try_events(circles, best)
    _try_arcs(circles, best)
    count = circles.samples.shape[1]
    for held in range(count):
        for across in combinations(range(count), held):
            _try_faces(circles, across, best)


def _try_events(circles: _Circles, best: _Best) -> None:
    across = np.stack([np.cos(circles.angle), np.sin(circles.angle)], axis=-1)
    u = across @ circles.plane
    values = np.linalg.norm(np.einsum("bekr,ber->bek", circles.moments, u), axis=2)
    best.take(values.ravel(), u.reshape(-1, u.shape[-1]))


def _try_arcs(circles: _Circles, best: _Best) -> None:
    """On a circle the sum is G (cos t, sin t), and the square of its length a sinusoid of 2t."""
    flat = np.einsum("bekr,bcr->bekc", circles.moments, circles.plane)
    first, second = (np.sum(flat[..., c] ** 2, axis=2) for c in (0, 1))
    mixed = np.sum(flat[..., 0] * flat[..., 1], axis=2)
    peak = np.arctan2(2 * mixed, first - second) / 2
    squares = (first + second) / 2 + np.hypot((first - second) / 2, mixed)
    after = np.concatenate([circles.angle[:, 1:], circles.angle[:, :1] + 2 * np.pi], axis=1)
    hot = best.may_beat(squares)
    for turned in (peak, peak + np.pi):
        from_event = np.mod(turned - circles.angle, 2 * np.pi)
        circle, arc = np.nonzero(hot & (from_event <= after - circles.angle + _SIGN_TOLERANCE))
        at = turned[circle, arc]
        points = np.stack([np.cos(at), np.sin(at)], axis=1)
        best.try_points(unit_rows(np.einsum("pc,pcr->pr", points, circles.plane[circle])))


def _try_faces(circles: _Circles, across: tuple[int, ...], best: _Best) -> None:
    """Try the peaks of the faces across some of the circle's samples, for all signs of the rest."""
    rest = [i for i in range(circles.samples.shape[1]) if i not in across]
    signs = np.array(list(product((-1.0, 1.0), repeat=len(rest))))
    moments, added = _face_moments(circles, across, rest, signs)
    b, arcs, k, r = moments.shape
    flat, more = moments.reshape(b, arcs, -1), added.reshape(b, len(signs), -1)
    squares = 2 * flat @ more.transpose(0, 2, 1)  # of the Frobenius norms of all sums
    squares += np.sum(flat**2, axis=2)[:, :, None] + np.sum(more**2, axis=2)[:, None]
    hot = np.stack(np.nonzero(best.may_beat(squares)))
    size = _BLOCK_ENTRIES // (k * r)
    for start in range(0, hot.shape[1], size):
        circle, arc, choice = hot[:, start : start + size]
        values, u = _peaks(moments[circle, arc] + added[circle, choice])
        high = best.may_beat(values**2)
        circle, arc, choice, u = circle[high], arc[high], choice[high], u[high]
        following = (arc + 1) % arcs
        ends = circles.event[circle, arc], circles.event[circle, following]
        sides = circles.sign[circle, arc], -circles.sign[circle, following]
        walls = np.column_stack([*ends, circles.samples[circle][:, rest]])
        side = np.column_stack([*sides, signs[choice]])
        inside = np.einsum("pwr,pr->pw", circles.function.rows[walls], u) * side
        for way in (1, -1):
            _try_peaks(way * u[(way * inside >= -_SIGN_TOLERANCE).all(axis=1)], best)


def _face_moments(
    circles: _Circles, across: tuple[int, ...], rest: list[int], signs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """M on each arc, and what the active ones of the rest add for each choice of signs.

    Both are projected off the samples that the face lies across: (b, arcs, k, r), (b, t, k, r).
    """
    rows, weights = circles.function.rows, circles.function.weights
    others = circles.samples[:, rest]
    own = weights[others][..., None] * rows[others][:, :, None]
    added = np.einsum("ts,bskr->btkr", (signs > 0).astype(float), own)
    if not across:
        return circles.moments, added
    q = np.linalg.qr(rows[circles.samples[:, across]].transpose(0, 2, 1))[0]
    off = (np.eye(rows.shape[1]) - q @ q.transpose(0, 2, 1))[:, None]
    return circles.moments @ off, added @ off


def _try_peaks(u: np.ndarray, best: _Best) -> None:
    """Try unit vectors, of which many are equal: a face has many arcs around it."""
    marks = u @ np.random.default_rng(1).normal(size=(u.shape[1], 2))
    first = np.unique(np.round(marks, 11), axis=0, return_index=True)[1]
    best.try_points(u[first])


def _peaks(moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest singular value of each (k, r) matrix, and its right singular vector."""
    if moments.shape[1] == 1:
        return np.linalg.norm(moments[:, 0], axis=1), unit_rows(moments[:, 0])
    left = np.linalg.eigh(moments @ moments.transpose(0, 2, 1))[1][:, :, -1]
    top = np.einsum("pk,pkr->pr", left, moments)
    return np.linalg.norm(top, axis=1), unit_rows(top)
