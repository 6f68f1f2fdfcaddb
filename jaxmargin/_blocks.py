"""Rows of an array in blocks of one size, of which the last begins early enough to be whole."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array


def overlapping_blocks(m: int, size: int) -> tuple[Array, Array]:
    """Starts (b,) of blocks that cover m >= size rows, and which rows (b, size) are new in each."""
    nominal = np.arange(0, m, size)
    starts = np.minimum(nominal, m - size)
    fresh = starts[:, None] + np.arange(size) >= nominal[:, None]
    return jnp.asarray(starts), jnp.asarray(fresh)


def rows(array: Array, start: Array, size: int) -> Array:
    """The `size` rows of a block."""
    return jax.lax.dynamic_slice_in_dim(array, start, size)


def with_rows(array: Array, new: Array, start: Array) -> Array:
    """The array, with the rows of a block replaced."""
    return jax.lax.dynamic_update_slice_in_dim(array, new, start, axis=0)
