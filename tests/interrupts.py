"""Ctrl-C, pressed by a clock that the tests set; it also decides how long segments are."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch


class Clock:
    """In place of `time`: each look takes `tick` seconds, and Ctrl-C comes at look number `at`.

    There are two looks a segment. A tick of a second makes segments of one step or record; one of
    no time makes each 16 times as long as the one before.
    """

    def __init__(self, tick: float, at: int | None = None):
        self.tick, self.at = tick, at
        self.looks = 0

    def perf_counter(self) -> float:
        self.looks += 1
        if self.looks == self.at:
            signal.raise_signal(signal.SIGINT)
        return self.tick * self.looks


@contextmanager
def usual_handler() -> Iterator[None]:
    """Python's own handler, which a process in the background may not have."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def clock(tick: float, at: int | None = None) -> Iterator[Clock]:
    """A clock for the segments of all runs."""
    with usual_handler(), patch("jaxmargin._records.time", Clock(tick, at)) as made:
        yield made


def interrupted(call: Callable, **options: Any) -> Callable:
    """The call, not yet made, with Ctrl-C in its first segment."""

    def run() -> Any:
        with clock(1.0, at=1):
            return call(**options)

    return partial(run)


def pressed(step: int, record: Any) -> None:
    """An `on_record` in which Ctrl-C is pressed."""
    del step, record
    with usual_handler():
        signal.raise_signal(signal.SIGINT)
