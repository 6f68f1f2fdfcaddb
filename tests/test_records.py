"""Which steps a driver records, and the segments in which it takes them."""

import signal
import threading
from itertools import pairwise
from unittest.mock import patch

import jax.numpy as jnp
import numpy as np
import pytest

from jaxmargin._records import SECONDS, Ended, Segment, recorded_steps, run_in_segments
from tests.interrupts import clock, usual_handler


@pytest.mark.parametrize(
    ("record", "steps"),
    [
        (1, [0, 1, 2, 3, 4, 5, 6, 7]),
        (3, [0, 3, 6, 7]),
        (7, [0, 7]),
        (100, [0, 7]),
        ([5, 2, 2], [0, 2, 5, 7]),
        ((0, 7), [0, 7]),
        ([], [0, 7]),
        (np.int64(6), [0, 6, 7]),
        (np.array([4]), [0, 4, 7]),
        (jnp.array([4]), [0, 4, 7]),
    ],
    ids=str,
)
def test_the_steps_of_a_run_of_seven(record, steps: list[int]):
    found = recorded_steps(7, record)
    assert found.tolist() == steps
    assert np.issubdtype(found.dtype, np.integer)


@pytest.mark.parametrize(
    ("num_steps", "record", "error", "message"),
    [
        (0, 1, ValueError, "num_steps must be at least 1, got 0"),
        (2.0, 1, TypeError, "num_steps must be an integer"),
        (7, 0, ValueError, "record must be at least 1, got 0"),
        (7, True, TypeError, "record must be an integer, got True"),
        (7, [8], ValueError, r"record must hold steps from 0 to num_steps = 7, got \[8\]"),
        (7, [-1], ValueError, "each step of record must be at least 0"),
        (7, None, TypeError, "record must be an integer or a list of steps, got None"),
        (7, "3", TypeError, "record must be an integer or a list of steps, got '3'"),
        (2**31, 2**31, ValueError, "num_steps must be at most 2147483647, .* got 2147483648"),
        (10**9, 1, ValueError, "asks for 1,000,000,000 records of 1,000,000,000 steps"),
        (7, [0.5], TypeError, "each step of record must be an integer"),
    ],
)
def test_wrong_steps(num_steps, record, error, message: str):
    with pytest.raises(error, match=message):
        recorded_steps(num_steps, record)


class Walk:
    """A run that notes its stretches and its records; time passes with both.

    It also stands in for the module `time`.
    """

    def __init__(self, steps, *, per_step: float = 0.0, per_record: float = 0.0):
        self.steps = np.array(steps)
        self.costs = per_step, per_record
        self.now = 0.0
        self.segments: list[Segment] = []
        self.stretches: list[tuple[int, int]] = []
        self.records: list[int] = []
        self.seconds: list[float] = []

    def perf_counter(self) -> float:
        return self.now

    def advance(self, segment: Segment, steps: np.ndarray, count: int) -> int:
        self.segments.append(segment)
        began = self.now
        for i in range(int(segment.begin), int(segment.end)):
            first, end = map(int, segment.stretch(jnp.asarray(steps), jnp.asarray(i)))
            self.stretches.append((first, end))
            self.now += self.costs[0] * (end - first)
            if end == steps[i]:
                self.records.append(end)
                self.now += self.costs[1]
        self.seconds.append(self.now - began)
        return count + 1

    def run(self, watch=lambda *_: False) -> Ended:
        return run_in_segments(self.advance, 0, self.steps, watch)

    def assert_whole(self, last: int) -> None:
        """Each step is taken once, in order, up to the last."""
        assert self.stretches[0][0] == self.steps[0]
        assert all(one[1] == other[0] for one, other in pairwise(self.stretches))
        assert self.stretches[-1][1] == last


LISTS = ([0, 1], [0, 1, 2, 3], [0, 50, 100], [7, 8, 9, 40, 41, 90])


@pytest.mark.parametrize("tick", [1.0, 0.0])
@pytest.mark.parametrize("steps", LISTS, ids=len)
def test_segments_take_each_step_and_make_each_record_once(steps: list[int], tick: float):
    walk = Walk(steps)
    with clock(tick):
        ended = walk.run()
    walk.assert_whole(steps[-1])
    assert walk.records == steps
    assert (ended.progress, ended.interrupted) == (len(walk.segments), False)
    assert ended.steps.tolist() == steps


def test_segments_last_about_as_long_as_they_should():
    """From long gaps between records to many that cost much: never more than two seconds."""
    sparse, dense = [0, 200_000, 400_000], range(400_001, 400_100)
    walk = Walk([*sparse, *dense], per_step=1e-4, per_record=0.2)
    with patch("jaxmargin._records.time", walk):
        walk.run()
    walk.assert_whole(400_099)
    assert max(walk.seconds) < 2 * SECONDS
    total = 400_099 * 1e-4 + 102 * 0.2
    assert len(walk.segments) < 2 * total / SECONDS


def test_a_run_that_is_over_takes_no_more_segments():
    walk = Walk(range(10))
    with clock(1.0):
        walk.run(watch=lambda progress, begin, end: end > 4)
    assert walk.records == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("at", "recorded"), [(1, [0]), (7, [0, 3]), (11, [0, 5]), (13, [0, 5, 6])])
def test_an_interrupt_records_where_it_came(at: int, recorded: list[int]):
    """A segment is one step; the watch is told of no record that the interrupt made."""
    walk, told = Walk([0, 5, 10, 15]), []
    with clock(1.0, at):
        ended = walk.run(watch=lambda progress, begin, end: bool(told.extend(range(begin, end))))
    assert ended.interrupted
    assert ended.steps.tolist() == walk.records == recorded
    assert told == [i for i, step in enumerate([0, 5]) if step in recorded]
    walk.assert_whole(recorded[-1])


def test_an_interrupt_in_the_last_segment_is_not_lost():
    walk = Walk([0, 1])
    with clock(1.0, at=4):
        ended = walk.run()
    assert (ended.interrupted, ended.steps.tolist()) == (True, [0, 1])


def test_the_second_interrupt_does_not_wait():
    def press(*_):
        signal.raise_signal(signal.SIGINT)
        return False

    with usual_handler():
        with clock(1.0, at=1), pytest.raises(KeyboardInterrupt):
            Walk([0, 9]).run(watch=press)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_handlers_and_threads_are_left_alone():
    pressed = []
    before = signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
    try:
        with patch("tests.interrupts.usual_handler"), clock(1.0, at=1):
            assert not Walk([0, 9]).run().interrupted
    finally:
        signal.signal(signal.SIGINT, before)
    assert pressed == [True]
    walk = Walk([0, 9])
    thread = threading.Thread(target=walk.run)
    thread.start()
    thread.join()
    walk.assert_whole(9)
