"""When rounds end."""

import math
import time
from collections.abc import Sequence
from typing import NamedTuple

from jaxmargin._checks import require_count, require_positive

_IDLE = 12  # rounds without a gain after which no more is to be expected


class Limits(NamedTuple):
    """When the rounds of a call end.

    Attributes:
        tol: the gap to reach, relative to the value.
        max_rounds: how many there may be.
        deadline: the `time.monotonic()` after which the running round is the last.
        budget: seconds of branch and bound for the proof.
    """

    tol: float
    max_rounds: int
    deadline: float
    budget: float

    def ended(self, reached: Sequence[tuple[float, float]]) -> bool:
        """Whether the last of these rounds, each with its value and its bound, is the last of all.

        So it is at a limit, and where 12 rounds in a row have gained nothing.
        """
        stalled = len(reached) > _IDLE and len(set(reached[-1 - _IDLE :])) == 1
        return stalled or self._at_one(len(reached))

    def advice(self, count: int) -> str:
        """What to do about a gap that is too large after this many rounds."""
        if self._at_one(count):
            return "raise max_rounds, time_limit or tol"
        return f"the last {_IDLE} rounds gained nothing, so that only a larger tol can be reached"

    def _at_one(self, count: int) -> bool:
        return count >= self.max_rounds or time.monotonic() > self.deadline


def limits_from_now(tol: float, max_rounds: int, time_limit: float | None, budget: float) -> Limits:
    """The limits of a call that begins now, or an error that names the fault.

    Args:
        tol: > 0 and < 1.
        max_rounds: at least 1.
        time_limit: seconds > 0, or None for no limit.
        budget: seconds >= 0.
    """
    require_positive("tol", tol)
    if tol >= 1:
        raise ValueError(f"tol must be below 1, the whole of the value, got {tol}")
    require_count("max_rounds", max_rounds)
    require_positive("budget", budget, zero=True)
    if time_limit is not None:
        require_positive("time_limit", time_limit)
    deadline = time.monotonic() + (math.inf if time_limit is None else time_limit)
    return Limits(tol, max_rounds, deadline, budget)
