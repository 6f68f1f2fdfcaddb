"""Overlapping blocks cover all rows, each once as a new one."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxmargin._blocks import overlapping_blocks, rows, with_rows


@pytest.mark.parametrize(("m", "size"), [(1, 1), (7, 7), (7, 3), (8, 4), (9, 2), (10, 9)])
def test_every_row_is_new_in_one_block(m: int, size: int):
    starts, fresh = overlapping_blocks(m, size)
    covered = np.asarray(starts)[:, None] + np.arange(size)
    assert covered.min() >= 0
    assert covered.max() < m
    assert sorted(covered[np.asarray(fresh)].tolist()) == list(range(m))


def test_blocks_that_are_written_back_make_the_array():
    array = jnp.arange(14.0).reshape(7, 2)
    copy = jnp.zeros_like(array)
    for start in overlapping_blocks(7, 3)[0]:
        copy = with_rows(copy, rows(array, start, 3), start)
    np.testing.assert_array_equal(copy, array)
