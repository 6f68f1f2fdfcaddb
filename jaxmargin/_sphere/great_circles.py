"""The exact maximum of |sum_i r_i relu(u . x_i)| over unit vectors u, for samples of rank <= 5.

The hyperplanes u . x_i = 0 cut the sphere of R^r into cells, whose faces are cells of fewer
dimensions. On a face the sum is linear, M u, for the moments M = sum_i r_i x_i^T of the samples
that are active there. Its length has a maximum inside the face only at the top right singular
vector of M, projected onto the samples that the face lies across. Every face of one dimension or
more has an arc in its closure, and the arc lies on a great circle across r - 2 samples. So it is
enough to walk around every such circle: from arc to arc one sample is switched on or off, and at
each arc the peaks of all faces around it are tried, with every choice of which of the r - 2
samples are active, inactive, or lain across. On the opposite half of a circle the other samples are
active, so that half a circle of sorted events and running sums is enough. An arc is left at once
if |M| of all cells around it is below the highest value so far, for no face in their closure has a
higher peak. The time is that of sorting: n log n for rank 2, and n^2 log n for rank 3.

This takes that no r samples lie in a hyperplane. They are made so: every unit row is moved by at
most 2^-36, which changes the function by no more than 2^-35 sum_i |r_i| |x_i|. That much is added
to the bound, and nothing else is special about parallel, opposite or repeated samples.
"""

from collections.abc import Iterator
from itertools import combinations, islice, product
from math import comb
from typing import NamedTuple

import numpy as np

from jaxmargin._devices import cores, on_all_cores
from jaxmargin._sphere.relu_sum import ReluSum, unit_rows

_ALWAYS, _MOST_RANK = 3, 5  # ranks up to which it is enumerated: always; if not too many arcs
_MOST_ARCS = 2**22  # times k^2: some ten seconds
_MOVED = 2.0**-36
_SPANNED = (1e-11, 1e-6)  # parts of sum_i |r_i| |x_i| that a projection onto fewer axes may lose
_BLOCK_ENTRIES = 2**20  # of an array (circles x arcs x moments)
_SIGN_TOLERANCE = 1e-10  # of u . x_i, within which a peak counts as inside its face
_ROUNDING = 4e-15
_TINY = np.finfo(float).tiny
_PROBES = 64  # samples that a peak is compared with before the function is evaluated there
_TRIED = 64  # points at which the function is evaluated before the claims of others are looked at


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
    shares = min(cores(), -(-comb(len(moved.rows), max(len(axes), 2) - 2) // _block_size(moved)))

    def highest_of(share: int) -> _Best:
        best = _Best(moved, axes @ start)
        if len(axes) == 1:
            ends = np.array([[1.0], [-1.0]])
            best.take(moved.heights(ends), ends)
        else:
            for samples in islice(_blocks(moved), share, None, shares):
                _walk(_circles(moved, samples), best)
        return best

    best = max(on_all_cores(highest_of, range(shares)), key=lambda best: best.value)
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
        u = unit_rows(start[None])
        self.take(function.heights(u), u)

    def try_points(self, u: np.ndarray, claimed: np.ndarray) -> None:
        """Evaluate the function at (p, r) unit vectors, those first that claim to be highest."""
        left = np.argsort(-claimed, kind="stable")
        while len(left):
            first, left = u[left[:_TRIED]], left[_TRIED:]
            self.take(self.function.heights(first), first)
            left = left[self.may_beat(claimed[left] ** 2)]

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
    choices, size = combinations(range(n), r - 2), _block_size(function)
    while block := list(islice(choices, size)):
        yield np.array(block, int).reshape(len(block), r - 2)


def _block_size(function: ReluSum) -> int:
    n, r = function.rows.shape
    return max(1, _BLOCK_ENTRIES // (n * (r * function.weights.shape[1] + 2 ** (r - 1))))


class _Circles(NamedTuple):
    """b great circles. On each, n events of samples cut the half at angles 0 to pi into arcs.

    The other half is its opposite: there the same samples turn on that turn off here.

    Attributes:
        function: n rows in R^r with weights (n, k).
        samples: (b, r - 2) the samples that each circle lies across.
        plane: (b, 2, r) orthonormal vectors that span it.
        on_plane: (b, 2, n) the samples projected onto them; (1, 0) in place of `samples`.
        event: (b, n) the samples in the order of their events; arc j follows event j.
        moments: (b, k r, n) M on each arc, without `samples`.
        total: (b, k r) M of all samples but `samples`.
    """

    function: ReluSum
    samples: np.ndarray
    plane: np.ndarray
    on_plane: np.ndarray
    event: np.ndarray
    moments: np.ndarray
    total: np.ndarray


def _circles(function: ReluSum, samples: np.ndarray) -> _Circles:
    rows, weights = function.rows, function.weights
    (n, r), k, b = rows.shape, weights.shape[1], len(samples)
    if r > 2:
        plane = np.linalg.svd(rows[samples], full_matrices=True)[2][:, -2:]
    else:
        plane = np.eye(2)[None]
    on_plane = plane @ rows.T
    circle = np.arange(b)[:, None]
    on_plane[circle, 0, samples], on_plane[circle, 1, samples] = 1, 0
    first, second = on_plane[:, 0], on_plane[:, 1]
    first[np.abs(first) < _TINY] = _TINY
    event = np.argsort(second / first, axis=1)  # -cot of the angle at which it turns on or off
    active = first > 0  # at angle 0; it turns off, and the others on
    active[circle, samples] = False
    turn = np.where(active, -1.0, 1.0)
    turn[circle, samples] = 0
    turn = np.take_along_axis(turn, event, axis=1)
    products = (weights[:, :, None] * rows[:, None, :]).reshape(n, k * r)
    moments = np.empty((b, k * r, n))
    for part, column in enumerate(products.T):
        np.cumsum(turn * column[event], axis=1, out=moments[:, part])
    moments += (active @ products)[:, :, None]
    total = products.sum(axis=0) - products[samples].sum(axis=1)
    return _Circles(function, samples, plane, on_plane, event, moments, total)


class _Arcs(NamedTuple):
    """h arcs of great circles, from one event to the next.

    Attributes:
        function: n rows in R^r with weights (n, k).
        samples: (h, r - 2) the samples that the circle of each lies across.
        plane: (h, 2, r) orthonormal vectors that span it.
        moments: (h, k, r) M on the arc, without `samples`.
        ends: (2, h, 2) unit vectors in the plane, the first and the last of the arc.
        walls: (2, h) the samples that turn on or off there.
        sides: (2, h) +1 where u . x > 0 for them on the arc, -1 where it is negative, 0 for
            `samples`.
    """

    function: ReluSum
    samples: np.ndarray
    plane: np.ndarray
    moments: np.ndarray
    ends: np.ndarray
    walls: np.ndarray
    sides: np.ndarray


def _arcs(circles: _Circles, circle: np.ndarray, half: np.ndarray, arc: np.ndarray) -> _Arcs:
    """The arcs of these circles in the upper half (0), and those opposite to them (1)."""
    (n, r), k = circles.function.rows.shape, circles.function.weights.shape[1]
    walls = circles.event[circle, np.stack([arc, (arc + 1) % n])]
    first, second = circles.on_plane[circle, :, walls].transpose(2, 0, 1)
    way = 1.0 - 2 * half  # the last arc ends opposite to where the first begins
    way = np.stack([way, np.where(arc == n - 1, -way, way)])
    turn = np.where(first > 0, way, -way)
    ends = np.stack([-second, first], axis=-1) * (turn / np.hypot(first, second))[..., None]
    sides = turn * np.array([[-1.0], [1.0]])
    sides[(walls[..., None] == circles.samples[circle]).any(axis=2)] = 0
    moments = circles.moments[circle, :, arc]
    moments = np.where(half[:, None] == 0, moments, circles.total[circle] - moments)
    at = circles.samples[circle], circles.plane[circle], moments.reshape(-1, k, r)
    return _Arcs(circles.function, *at, ends, walls, sides)


def _walk(circles: _Circles, best: _Best) -> None:
    """Try every event, the peak of every arc, and the peaks of all faces around every arc.

    Only of arcs around which a cell may have a higher peak: all else is in the closure of cells.
    """
    circle, half, arc = np.nonzero(_hot(circles, best))
    r, k = circles.plane.shape[2], circles.function.weights.shape[1]
    size = _BLOCK_ENTRIES // (k * r * 2 ** (r - 2))
    for part in (slice(start, start + size) for start in range(0, len(arc), size)):
        arcs = _arcs(circles, circle[part], half[part], arc[part])
        _try_events(arcs, best)
        _try_arcs(arcs, best)
        for held in range(r - 2):
            for across in combinations(range(r - 2), held):
                _try_faces(arcs, across, best)


def _hot(circles: _Circles, best: _Best) -> np.ndarray:
    """Arcs (b, 2, n) with a cell around them whose |M| (Frobenius) is above the highest value."""
    function, samples = circles.function, circles.samples
    b, count = samples.shape
    moments = function.weights[samples][..., None] * function.rows[samples][:, :, None]
    chosen = np.array(list(product((0.0, 1.0), repeat=count)))
    added = np.einsum("ts,bsc->btc", chosen, moments.reshape(b, count, circles.total.shape[1]))
    # M of a cell is the running sum plus a shift, or on the other half minus such a sum.
    shift = np.concatenate([added, -circles.total[:, None] - added], axis=1)
    squares = 2 * shift @ circles.moments
    squares += np.sum(shift**2, axis=2)[:, :, None]
    squares += np.sum(circles.moments**2, axis=1)[:, None]
    return best.may_beat(squares.reshape(b, 2, len(chosen), -1).max(axis=2))


def _try_events(arcs: _Arcs, best: _Best) -> None:
    u = np.einsum("hc,hcr->hr", arcs.ends[0], arcs.plane)
    best.take(np.linalg.norm(np.einsum("hkr,hr->hk", arcs.moments, u), axis=1), u)


def _try_arcs(arcs: _Arcs, best: _Best) -> None:
    """On a circle the sum is G (cos t, sin t), and the square of its length a sinusoid of 2t."""
    flat = arcs.moments @ arcs.plane.transpose(0, 2, 1)
    first, second = (np.sum(flat[..., c] ** 2, axis=1) for c in (0, 1))
    mixed = np.sum(flat[..., 0] * flat[..., 1], axis=1)
    squares = (first + second) / 2 + np.hypot((first - second) / 2, mixed)
    hot = np.flatnonzero(best.may_beat(squares))
    angle = np.arctan2(2 * mixed[hot], first[hot] - second[hot]) / 2
    peak = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    begin, end = arcs.ends[:, hot]
    along = np.stack([_cross(begin, peak), _cross(peak, end)])
    for way in (1, -1):
        inside = (way * along >= -_SIGN_TOLERANCE).all(axis=0)
        u = way * np.einsum("pc,pcr->pr", peak[inside], arcs.plane[hot[inside]])
        best.try_points(unit_rows(u), np.sqrt(squares[hot[inside]]))


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of plane vectors (h, 2): positive where b lies to the left of a."""
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def _try_faces(arcs: _Arcs, across: tuple[int, ...], best: _Best) -> None:
    """Try the peaks of the faces across some of the circle's samples, for all signs of the rest."""
    rest = [i for i in range(arcs.samples.shape[1]) if i not in across]
    signs = np.array(list(product((-1.0, 1.0), repeat=len(rest))))
    faces = _face_moments(arcs, across, rest, signs)
    arc, choice = np.nonzero(best.may_beat(np.sum(faces**2, axis=(2, 3))))
    moments = faces[arc, choice]
    high = best.may_beat(_squares_at_most(moments))
    arc, choice = arc[high], choice[high]
    values, u = _peaks(moments[high])
    walls = np.concatenate([arcs.walls[:, arc], arcs.samples[arc][:, rest].T])
    sides = np.concatenate([arcs.sides[:, arc], signs[choice].T])
    inside = np.einsum("wpr,pr->wp", arcs.function.rows[walls], u) * sides
    hot = best.may_beat(values**2)
    for way in (1, -1):
        chosen = np.flatnonzero(hot & (way * inside >= -_SIGN_TOLERANCE).all(axis=0))
        chosen = chosen[_near(arcs, arc[chosen], way * u[chosen])]
        _try_peaks(way * u[chosen], values[chosen], best)


def _near(arcs: _Arcs, arc: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Whether some samples see each peak (p, r) on the side on which they see the arc of its face.

    No peak of the face itself is lost, and most of those that lie in other cells are.
    """
    rows = arcs.function.rows
    middle = np.einsum("hc,hcr->hr", arcs.ends[:, arc].sum(axis=0), arcs.plane[arc])
    probes = rows[:: -(-len(rows) // _PROBES)].T
    seen, there = unit_rows(middle) @ probes, u @ probes
    apart = (seen * there < 0) & (np.minimum(np.abs(seen), np.abs(there)) > _SIGN_TOLERANCE)
    return np.logical_not(np.any(apart, axis=1))


def _face_moments(
    arcs: _Arcs, across: tuple[int, ...], rest: list[int], signs: np.ndarray
) -> np.ndarray:
    """M (h, t, k, r) of the faces around each arc, for each choice of signs (t, s) of the rest.

    It is projected off the samples that the face lies across.
    """
    rows, weights = arcs.function.rows, arcs.function.weights
    others = arcs.samples[:, rest]
    own = weights[others][..., None] * rows[others][:, :, None]
    faces = arcs.moments[:, None] + np.einsum("ts,hskr->htkr", (signs > 0).astype(float), own)
    if not across:
        return faces
    q = np.linalg.qr(rows[arcs.samples[:, across]].transpose(0, 2, 1))[0]
    return faces @ (np.eye(rows.shape[1]) - q @ q.transpose(0, 2, 1))[:, None]


def _try_peaks(u: np.ndarray, values: np.ndarray, best: _Best) -> None:
    """Try unit vectors, of which many are equal: a face has many arcs around it."""
    marks = u @ np.random.default_rng(1).normal(size=(u.shape[1], 2))
    first = np.unique(np.round(marks, 11), axis=0, return_index=True)[1]
    best.try_points(u[first], values[first])


def _gram(moments: np.ndarray) -> np.ndarray:
    """M M' or M' M of each (k, r) matrix, whichever is smaller."""
    flipped = moments.transpose(0, 2, 1)
    k, r = moments.shape[1:]
    return moments @ flipped if k < r else flipped @ moments


def _squares_at_most(moments: np.ndarray) -> np.ndarray:
    """A bound of the square of the largest singular value of each matrix, from two traces.

    Of p numbers with sum s and squares that sum to q, none exceeds s/p + ((1 - 1/p)(q - s^2/p))^1/2
    (Samuelson's inequality). For p <= 2 it is the largest itself.
    """
    gram = _gram(moments)
    p = gram.shape[1]
    total = np.trace(gram, axis1=1, axis2=2)
    apart = np.maximum(np.sum(gram**2, axis=(1, 2)) - total**2 / p, 0)
    return total / p + np.sqrt((1 - 1 / p) * apart)


def _peaks(moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest singular value of each (k, r) matrix, and its right singular vector."""
    k, r = moments.shape[1:]
    if k == 1:
        return np.linalg.norm(moments[:, 0], axis=1), unit_rows(moments[:, 0])
    top = np.linalg.eigh(_gram(moments))[1][:, :, -1]
    if k >= r:
        return np.linalg.norm(np.einsum("pkr,pr->pk", moments, top), axis=1), top
    along = np.einsum("pk,pkr->pr", top, moments)
    return np.linalg.norm(along, axis=1), unit_rows(along)
