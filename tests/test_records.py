"""Which steps a driver records."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxmargin._records import recorded_steps


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
