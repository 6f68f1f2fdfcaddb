"""What the functions of this folder accept: arrays of floats, and integers as such."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxmargin._arrays import as_floats
from jaxmargin._checks import is_concrete


def float_arrays(**values: Any) -> list[Array]:
    """The named values as arrays of floats."""
    return [jnp.asarray(as_floats(name, value)) for name, value in values.items()]


def overlaps(z: Any, z2: Any, shapes: str) -> tuple[Array, int]:
    """The overlaps <z_i, z2_j> of rows, and how many entries a row has; None stands for z."""
    z, z2 = float_arrays(z=z, z2=z if z2 is None else z2)
    if z.ndim != 2 or z2.ndim != 2 or z.shape[1] != z2.shape[1]:
        raise ValueError(f"z and z2 must be {shapes}, got {z.shape} and {z2.shape}")
    for name, rows in (("z", z), ("z2", z2)):
        if is_concrete(rows) and not np.max(np.abs(np.asarray(rows)), initial=0) <= 1:
            raise ValueError(f"{name} must hold -1 and +1, but has entries outside of [-1, 1]")
    return jnp.matmul(z, z2.T, precision="highest"), z.shape[1]
