"""The steps at which a driver records: one rule for all drivers."""

from collections.abc import Iterable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxmargin._checks import require_count

_MOST = 10**7  # records of a run: a few hundred megabytes


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
    if isinstance(record, int | np.integer):
        require_count("record", record)
        if num_steps // record >= _MOST:
            raise ValueError(
                f"record = {record} asks for {num_steps // record:,} records of {num_steps:,} "
                f"steps, and at most {_MOST:,} are kept: record less often"
            )
        return np.append(np.arange(0, num_steps, record), num_steps)
    if isinstance(record, str) or not isinstance(record, Iterable):
        raise TypeError(f"record must be an integer or a list of steps, got {record!r}")
    listed = list(np.asarray(record)) if isinstance(record, jax.Array) else list(record)
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
