"""The maximum margin of data sets and of Gaussian samples, and the norm of interpolants.

Seconds are to the end of the round whose estimated gap is small enough, and to the proof.
"""

import time
from typing import Any, NamedTuple

import numpy as np

from benchmarks.optimum.real_data import load
from benchmarks.optimum.traced import shown
from benchmarks.timing import print_head, print_row
from jaxmargin import ConvergenceError, max_margin, min_norm_interpolant

LEVELS = (1e-4, 1e-6)


class Case(NamedTuple):
    """A function and its samples, the accuracy to reach, and the seconds that are aimed at."""

    name: str
    function: Any
    x: np.ndarray
    y: np.ndarray
    tol: float
    seconds: float


def cases() -> list[Case]:
    """Data sets of scikit-learn, and 120 Gaussian samples in 20 dimensions."""
    aims = {"iris": 5.0, "wine": 20.0, "breast cancer": 120.0}
    found = []
    for data in load():
        name = data.name.partition(",")[0]
        if name in aims:
            found.append(Case(f"margin, {data.name}", max_margin, data.x, data.y, 1e-4, aims[name]))
    rng = np.random.default_rng(0)
    x, signs = rng.normal(size=(120, 20)), np.sign(rng.normal(size=120))
    found.append(Case("margin, Gaussian", max_margin, x, signs, 1e-6, 60.0))
    classes = rng.integers(0, 3, 120)
    found.append(Case("margin, Gaussian, 3 classes", max_margin, x, classes, 1e-6, 60.0))
    found.append(Case("norm, Gaussian", min_norm_interpolant, x, rng.normal(size=120), 1e-6, 60.0))
    return found


def run() -> list[str]:
    """Print a row for each case; the targets that were missed and the errors."""
    faults = []
    print_head(
        "problem", "n x d", "value", "state", "bound apart by", "estimate apart by", "units",
        "rounds", *(f"s to a gap of {level:.0e}" for level in LEVELS), "s to the end", "target",
    )  # fmt: skip
    for case in cases():
        found, times, fault = _timed(case)
        value, bound = found[0], getattr(found, "upper_bound", getattr(found, "lower_bound", None))
        faults += [f"{case.name}: {fault}"] if fault else []
        if not times[-1] <= case.seconds:
            faults.append(f"{case.name}: {times[-1]:.1f} s, more than {case.seconds:g} s")
        history = found.history
        values = np.maximum(np.asarray(history[1]), 1e-300)  # a margin is 0 until all are right
        gaps = np.abs(1 - history.estimate / values)
        reached = [next((t for t, gap in zip(times, gaps, strict=False) if gap <= level), np.nan)
                   for level in LEVELS]  # fmt: skip
        print_row(
            case.name, "{} x {}".format(*case.x.shape), f"{value:.9g}", found.state,
            f"{abs(1 - bound / value):.1e}", f"{abs(1 - found.estimate / value):.1e}",
            len(found.params.u), len(times) - 1, *map(shown, reached), shown(times[-1]),
            f"{case.seconds:g} ({case.tol:.0e})",
        )  # fmt: skip
    print()
    return faults


def _timed(case: Case) -> tuple[Any, list[float], str]:
    """The result, the seconds after each round and at the end, and what failed."""
    begin, times = time.perf_counter(), []

    def on_record(*_: object) -> None:
        times.append(time.perf_counter() - begin)

    fault = ""
    try:
        found = case.function(
            case.x, case.y, tol=case.tol, time_limit=3 * case.seconds, on_record=on_record
        )
    except ConvergenceError as error:
        found, fault = error.result, str(error)
    on_record()
    return found, times, fault
