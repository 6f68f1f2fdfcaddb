"""Times the work, not the launch: blocked on the whole output, sides interleaved, medians."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax


def interleaved(candidates: Mapping[str, Callable[[], Any]], repeats: int = 9) -> dict[str, float]:
    """Median seconds of each candidate, taken in turns within one process.

    Taking turns lets whatever else the machine does slow every candidate alike, so that ratios
    stand even where the seconds waver. Each candidate runs once unmeasured first.

    Args:
        candidates: name to a function of no arguments that returns all it computes: already
            compiled, with its inputs on the device. What is not a JAX array must be ready.
        repeats: measured runs of each.

    Returns:
        Name to median seconds.
    """
    for run in candidates.values():
        jax.block_until_ready(run())
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    names = list(candidates)
    for turn in range(repeats):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:  # no one always runs in another's wake
            start = time.perf_counter()
            result = jax.block_until_ready(candidates[name]())
            seconds[name].append(time.perf_counter() - start)
            del result  # not while the clock runs: returning its memory takes a while too
    return {name: statistics.median(taken) for name, taken in seconds.items()}
