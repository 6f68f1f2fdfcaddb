"""A call of `global_optimum` with the second of each record, also where it does not finish."""

import time
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

import jaxmargin as jm


class Traced(NamedTuple):
    """What a call reached, and when.

    Attributes:
        optimum: what it returned, or the `result` of its error; None if there is neither.
        fault: the error's first line, or the empty string.
        seconds: that the call took.
        times: (s,) seconds from the call to each record.
        energy: (s,) energies of the records.
        gap: (s,) gaps that the records reported, relative to the energy: the estimated ones, which
            are the proven ones where the state is exact.
    """

    optimum: Any
    fault: str
    seconds: float
    times: np.ndarray
    energy: np.ndarray
    gap: np.ndarray

    def time_of_gap(self, level: float) -> float:
        """Seconds after which the reported gap was at most the level; inf if it never was."""
        return self._first(self.gap <= level)

    def time_of_energy(self, energy: float) -> float:
        """Seconds after which the energy was at most this one; inf if it never was."""
        return self._first(self.energy <= energy)

    def _first(self, reached: np.ndarray) -> float:
        return float(self.times[np.argmax(reached)]) if np.any(reached) else np.inf


def problem_of(
    x: np.ndarray, y: np.ndarray, loss: Any, *, lam: float, k: int | None = None
) -> jm.MeanField:
    """The problem on arrays of NumPy; labels of classes are integers."""
    return jm.two_layer_problem(jnp.asarray(x), jnp.asarray(y), loss, lam=lam, k=k)


def traced(problem: jm.MeanField, **settings: Any) -> Traced:
    """`global_optimum(problem, **settings)` with its records; what it raises becomes a fault."""
    records: list[tuple[float, float, float]] = []
    began = time.perf_counter()

    def keep(_: int, record: Any) -> None:
        gap = record.estimated_gap
        relative = float(gap) / max(float(record.energy), 1e-300)
        records.append((time.perf_counter() - began, float(record.energy), relative))

    optimum, fault = None, ""
    try:
        optimum = jm.global_optimum(problem, on_record=keep, **settings)
    except Exception as error:  # a benchmark lists whatever went wrong, and goes on
        optimum = getattr(error, "result", None)
        fault = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    seconds = time.perf_counter() - began
    return Traced(optimum, fault, seconds, *np.array(records or np.empty((0, 3))).T)


def shown(seconds: float) -> str:
    """Seconds for a table; a dash stands for never."""
    return f"{seconds:.1f}" if np.isfinite(seconds) else "-"
