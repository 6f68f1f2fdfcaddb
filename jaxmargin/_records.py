"""The steps at which a driver records: one rule for all drivers."""

from collections.abc import Sequence

import numpy as np

from jaxmargin._checks import require_count


def recorded_steps(num_steps: int, record: int | Sequence[int]) -> np.ndarray:
    """The steps 0, ..., num_steps at which a run is recorded: (s,) integers, ascending.

    Args:
        num_steps: steps of the run, >= 1.
        record: record every so many steps, or at these steps. 0 and num_steps are always recorded.

    Raises:
        ValueError: a count out of range.
        TypeError: a count that is not an integer.
    """
    require_count("num_steps", num_steps)
    if isinstance(record, int | np.integer):
        require_count("record", record)
        return np.append(np.arange(0, num_steps, record), num_steps)
    for step in record:
        require_count("each step of record", step, least=0)
    steps = np.unique(np.array([0, *record, num_steps]))
    if steps[-1] > num_steps:
        raise ValueError(
            f"record must hold steps from 0 to num_steps = {num_steps}, got {list(record)}"
        )
    return steps
