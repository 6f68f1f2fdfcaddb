"""Arrays of floats of whatever numbers come."""

import jax.numpy as jnp
import numpy as np

from jaxmargin.lower_bound import _inputs as inputs


def test_float_arrays_and_overlaps():
    lists, flags = inputs.float_arrays(lists=[1, 2], flags=np.array([True, False]))
    assert lists.dtype == flags.dtype == jnp.result_type(float)
    found, width = inputs.overlaps(np.array([[1, -1, 1]]), None, "")
    assert (found.tolist(), width) == ([[3.0]], 3)
