"""Times the work, not the launch: sides interleaved, medians. Names the machine, prints tables."""

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax


def machine() -> str:
    """The processor, its cores and the versions, in one line for the head of a table."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.processor() or platform.machine()
    threads = os.environ.get("OPENBLAS_NUM_THREADS", "default")
    return (
        f"{processor}, {os.cpu_count()} cores, {platform.system()}; Python "
        f"{platform.python_version()}, JAX {jax.__version__}, BLAS threads: {threads}"
    )


def counted(count: int) -> Iterator[int]:
    """0, 1, ..., count - 1; each is told on the standard error, where a long run shows its way."""
    for i in range(count):
        print(f"{i + 1} of {count}", end="\r", file=sys.stderr, flush=True)
        yield i
    print(file=sys.stderr)


def print_row(*cells: object) -> None:
    """One row of a markdown table."""
    print("|", " | ".join(str(cell) for cell in cells), "|", flush=True)


def print_head(*names: str) -> None:
    """The head of a markdown table, after an empty line."""
    print()
    print_row(*names)
    print("|" + "---|" * len(names), flush=True)


def interleaved(candidates: Mapping[str, Callable[[], Any]], repeats: int = 9) -> dict[str, float]:
    """Median seconds of each candidate, taken in turns within one process.

    Taking turns lets whatever else the machine does slow every candidate alike, so that ratios
    stand even where the seconds waver. Each measured run follows an unmeasured one of the same
    candidate, as in a long computation: after a pause, or another library, it would be slower.

    Args:
        candidates: name to a function of no arguments that returns all it computes: already
            compiled, with its inputs on the device. What is not a JAX array must be ready.
        repeats: measured runs of each.

    Returns:
        Name to median seconds.
    """
    taken = interleaved_samples(candidates, repeats)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def interleaved_samples(
    candidates: Mapping[str, Callable[[], Any]], repeats: int
) -> dict[str, list[float]]:
    """The seconds of all runs, of which `interleaved` takes the medians."""
    for run in candidates.values():
        jax.block_until_ready(run())
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    names = list(candidates)
    for turn in range(repeats):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:  # no one always runs in another's wake
            jax.block_until_ready(candidates[name]())  # its threads, memory and caches come back
            start = time.perf_counter()
            result = jax.block_until_ready(candidates[name]())
            seconds[name].append(time.perf_counter() - start)
            del result  # not while the clock runs: returning its memory takes a while too
    return seconds
