"""The steps at which a driver records, and the segments in which it takes them.

A compiled loop does not see Ctrl-C before its end. Drivers therefore run theirs in segments of
about a second. A segment ends at any step, the state stays on the devices between two of them, and
one compiled program runs them all, so that the numbers are those of one loop.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxmargin._arrays import as_array
from jaxmargin._checks import require_count, shown

SECONDS = 0.5  # of a segment, about
_MOST = 10**7  # records of a run: a few hundred megabytes
_GROWTH = 16  # at most, of a segment over the one before


def recorded_steps(num_steps: int, record: int | Sequence[int], first: int = 0) -> np.ndarray:
    """The steps 0, ..., num_steps at which a run is recorded: (s,) integers, ascending.

    Args:
        num_steps: steps of the run, >= 1.
        record: record every so many steps, or at these steps. 0 and num_steps are always recorded.
        first: the number of steps done before this run, if they are counted on.

    Raises:
        ValueError: a count out of range, more records than memory should hold, or more steps than
            an integer of JAX counts.
        TypeError: a count that is not an integer.
    """
    require_count("num_steps", num_steps)
    _require_countable(num_steps, first)
    if isinstance(record, jax.Array | np.ndarray):
        record = np.asarray(as_array("record", record)).tolist()
    if isinstance(record, int | np.integer):
        require_count("record", record)
        if num_steps // record >= _MOST:
            raise ValueError(
                f"record = {record} asks for {num_steps // record:,} records of {num_steps:,} "
                f"steps, and at most {_MOST:,} are kept: record less often"
            )
        return np.append(np.arange(0, num_steps, record), num_steps)
    if isinstance(record, str) or not isinstance(record, Iterable):
        raise TypeError(f"record must be an integer or a list of steps, got {shown(record)}")
    listed = list(record)
    for step in listed:
        require_count("each step of record", step, least=0)
    steps = np.unique(np.array([0, *listed, num_steps]))
    if steps[-1] > num_steps:
        raise ValueError(f"record must hold steps from 0 to num_steps = {num_steps}, got {listed}")
    return steps


def _require_countable(num_steps: int, first: int) -> None:
    """Raise ValueError if so many steps after the first are no integer of JAX."""
    most = int(jnp.iinfo(jnp.zeros((), int).dtype).max)
    if first + num_steps > most:
        raise ValueError(
            f"num_steps must be at most {most - first}, so that the last step is a number of "
            f"{jnp.iinfo(jnp.zeros((), int).dtype).bits} bits, got {num_steps}: take fewer steps, "
            "or enable float64 in JAX"
        )


class Segment(NamedTuple):
    """A stretch of a run, for a compiled program.

    Attributes:
        since: the step at which the segment begins.
        until: the step at which it ends.
        begin: index of the first record that is still to be made.
        end: one more than that of the last record towards which steps are taken; if that lies
            beyond `until`, it is not made yet.
    """

    since: Any
    until: Any
    begin: Any
    end: Any

    def stretch(self, steps: Array, i: Array) -> tuple[Array, Array]:
        """The steps between which the segment goes towards record i of `steps`."""
        first = jnp.where(i == self.begin, self.since, steps[i - 1])
        return first, jnp.minimum(steps[i], self.until)


class Ended(NamedTuple):
    """A run that has come to its end, or to an interrupt.

    Attributes:
        progress: what the last segment returned.
        steps: the recorded steps; the last one is where the run ended.
        interrupted: whether Ctrl-C was pressed.
    """

    progress: Any
    steps: np.ndarray
    interrupted: bool


def run_in_segments(
    advance: Callable[[Segment, np.ndarray, Any], Any],
    progress: Any,
    steps: np.ndarray,
    watch: Callable[[Any, int, int], bool],
) -> Ended:
    """Run through the recorded steps; once Ctrl-C is pressed, record the step reached, and end.

    Args:
        advance: `advance(segment, steps, progress) -> progress`, a compiled program.
        progress: where to start; no record is made yet.
        steps: (s,) ascending steps to record, of which the first is where the run starts.
        watch: `watch(progress, begin, end)` is told after each segment which records are new, and
            returns whether the run is over.
    """
    with _interrupts() as came:
        for segment in _segments(steps):
            progress = jax.block_until_ready(advance(_arrays(segment), steps, progress))
            made = int(np.searchsorted(steps, segment.until, side="right"))
            if watch(progress, segment.begin, made):
                break
            if came:
                if segment.until > steps[made - 1]:
                    steps = np.append(steps[:made], [segment.until] * (len(steps) - made))
                    last = Segment(segment.until, segment.until, made, made + 1)
                    progress = advance(_arrays(last), steps, progress)
                    made += 1
                return Ended(progress, steps[:made], True)
        return Ended(progress, steps, bool(came))


def kept_records(records: Any, count: int, trials: bool) -> Any:
    """The first `count` records; with trials, each array has their axis before that of records."""
    return jax.tree.map(lambda of: of[:, :count] if trials else of[:count], records)


def _arrays(segment: Segment) -> Segment:
    """Of one dtype, so that one program takes them all."""
    return Segment(*map(np.asarray, segment))


def _segments(steps: np.ndarray) -> Iterator[Segment]:
    """Segments that take `SECONDS` each by the rate of the one before.

    The first takes no step: it compiles, and its time tells nothing. With several processes, whose
    clocks would cut differently, there is one segment.
    """
    alone = jax.process_count() == 1
    done, begin = int(steps[0]), 0
    most_steps, most_records = (0, 1) if alone else (int(steps[-1]) - done, len(steps))
    while begin < len(steps):
        until = min(done + most_steps, int(steps[min(begin + most_records, len(steps)) - 1]))
        made = int(np.searchsorted(steps, until, side="right"))
        start = time.perf_counter()
        yield Segment(done, until, begin, made + (until > steps[made - 1]))
        factor = min(SECONDS / max(time.perf_counter() - start, 1e-9), _GROWTH)
        factor = factor if until > done else 1
        most_steps = max(1, int(factor * (until - done)))
        most_records = max(1, int(factor * (made - begin)))
        done, begin = until, made


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """A list that grows when Ctrl-C is pressed; the second time acts at once.

    Only the main thread gets signals. A handler that is not Python's own is left alone, and so are
    several processes, of which one cannot end before the others.
    """
    came: list[int] = []
    main = threading.current_thread() is threading.main_thread()
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not main or not usual or jax.process_count() > 1:
        yield came
        return

    def note(number: int, frame: Any) -> None:
        came.append(number)
        if len(came) > 1:
            signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield came
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
