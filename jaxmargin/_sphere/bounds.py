"""A proven upper bound of |sum_i r_i relu(u . x_i)| over unit vectors u, by branch and bound.

It is that of `relaxation`, which branch and bound tightens: the part of the sphere with the
highest bound is cut in two by the hyperplane u . x_i = 0 of one sample, whose term is then linear
on either side, and both parts get bounds of their own.
"""

import heapq
import time
from typing import NamedTuple

import numpy as np

from jaxmargin._sphere.relaxation import Multipliers, Relaxation
from jaxmargin._sphere.relu_sum import ReluSum

_CLOSED = 1e-9  # relative distance from a value that is attained, at which a part needs no cut
_ROUNDING = 1e-15


class _Part(NamedTuple):
    """A part of the sphere, ordered by its bound, the highest first."""

    negative_bound: float
    number: int  # so that no two are equal
    function: ReluSum
    known: dict[int, int]
    at: Multipliers

    @property
    def bound(self) -> float:
        return -self.negative_bound


def upper_bound(function: ReluSum, attained: float, budget: float) -> float:
    """A number that no unit vector exceeds, scaled as the function is.

    Args:
        function: n samples and their weights.
        attained: a value of it, below which no part needs a bound.
        budget: seconds for branch and bound; 0 bounds the whole sphere only.
    """
    if not len(function.rows):
        return 0.0
    until = time.monotonic() + budget
    slack = _ROUNDING * len(function.rows) * np.linalg.norm(function.weights, axis=1).sum()
    signs = (1, -1) if function.weights.shape[1] == 1 else (1,)
    closed = attained * (1 + _CLOSED)
    parts = []
    for sign in signs:
        signed = function._replace(weights=sign * function.weights)
        bound, at = _bounded(Relaxation(signed, {}), None, np.inf, closed)
        parts.append(_Part(-bound, sign, signed, {}, at))
    heapq.heapify(parts)
    number = 1
    while parts and parts[0].bound > closed and time.monotonic() < until:
        part = heapq.heappop(parts)
        sample = _most_slack(part)
        if sample is None:
            closed = max(closed, part.bound)
            continue
        for side in (1, -1):
            number += 1
            known = {**part.known, sample: side}
            at = part.at._replace(pairs=np.pad(part.at.pairs, (0, 1)))
            bound, at = _bounded(Relaxation(part.function, known), at, part.bound, closed)
            if bound > closed:
                heapq.heappush(parts, _Part(-bound, number, part.function, known, at))
    return max(closed, *(part.bound for part in parts), 0.0) + float(slack)


def _bounded(
    relaxation: Relaxation, at: Multipliers | None, known_bound: float, enough: float
) -> tuple[float, Multipliers]:
    """A bound, and its multipliers. No better one is looked for where it is low enough."""
    first = relaxation.plain() if at is None else at
    bound = relaxation.bound(first)
    if bound <= enough:
        return bound, first
    quick, near = relaxation.improved(first, quick=True)
    if at is None and quick > enough:
        # Good multipliers of the whole sphere are too extreme to begin with on a part of it.
        quick = min(quick, relaxation.improved(near)[0])
    return min(quick, known_bound), near


def _most_slack(part: _Part) -> int | None:
    """The sample whose unknown sign costs the bound most; None where all that matter are known."""
    slack = Relaxation(part.function, part.known).slack_of_samples(part.at)
    return int(slack.argmax()) if np.isfinite(slack.max()) else None
