"""One benchmark: what is timed at which sizes, beside whom, and how it is measured."""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks.timing import interleaved_samples

SECONDS = 1.5  # of repeats for each side, about
FEWEST, MOST = 3, 41  # repeats


class Sides(NamedTuple):
    """Calls without arguments that do the same work, at one size.

    Attributes:
        ours: the call of this package.
        peers: calls of others, by name; their answers are compared with ours.
        floors: work that cannot be left out, by name, such as the matrix products alone.
        answer: what of a result is compared, as an array.
        tolerance: the relative distance that answers may have.
    """

    ours: Callable[[], Any]
    peers: Mapping[str, Callable[[], Any]] = {}
    floors: Mapping[str, Callable[[], Any]] = {}
    answer: Callable[[Any], Any] = lambda result: result
    tolerance: float = 1e-4


class Benchmark(NamedTuple):
    """A hot path.

    Attributes:
        name: `package/function`.
        axis: the size that grows, such as "n".
        values: its values; growth is told from the last two.
        build: `build(value) -> Sides`.
        setting: the sizes that stay.
    """

    name: str
    axis: str
    values: tuple[int, ...]
    build: Callable[[int], Sides]
    setting: str


def measure(benchmark: Benchmark, value: int) -> dict[str, Any]:
    """A record of one size: seconds of the first call, of later ones, and what was compared.

    The first call is made with empty caches, so that it compiles.
    """
    sides = benchmark.build(value)
    jax.clear_caches()
    first, result = _timed(sides.ours)
    calls = {"ours": sides.ours, **sides.peers, **sides.floors}
    distances = {name: _distance(sides, result, peer()) for name, peer in sides.peers.items()}
    for call in sides.floors.values():
        jax.block_until_ready(call())
    slowest = max(_timed(call)[0] for call in calls.values())
    repeats = int(np.clip(SECONDS / max(slowest, 1e-6), FEWEST, MOST))
    taken = interleaved_samples(calls, repeats)
    return {
        "name": benchmark.name,
        "axis": benchmark.axis,
        "value": value,
        "setting": benchmark.setting,
        "first": first,
        "seconds": {name: _spread(samples) for name, samples in taken.items()},
        "peers": list(sides.peers),
        "distance": distances,
        "agree": all(distance <= sides.tolerance for distance in distances.values()),
        "repeats": repeats,
    }


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = jax.block_until_ready(call())
    return time.perf_counter() - start, result


def _distance(sides: Sides, ours: Any, theirs: Any) -> float:
    """|ours - theirs| / |ours|, as a whole."""
    a, b = (np.asarray(sides.answer(result), float) for result in (ours, theirs))
    return float(np.linalg.norm(a - b) / max(float(np.linalg.norm(a)), 1e-300))


def _spread(samples: list[float]) -> dict[str, float]:
    low, median, high = np.quantile(samples, [0.1, 0.5, 0.9])
    return {"low": float(low), "median": float(median), "high": float(high)}
