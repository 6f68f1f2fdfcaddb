"""Wrong input: kernels of the coordinates that carry no label."""

from typing import Any

import jax.numpy as jnp

from jaxmargin import lower_bound
from tests.fault import Fault, wrong

PAIR: Any = lambda x, z: (x, z)  # noqa: E731
FAULTS: list[Fault] = [
    Fault("tilde", wrong(lower_bound.tilde, jnp.ones(3)), TypeError,
          r"kernel must be a function kernel\(x, z\), got ArrayImpl"),
    Fault("tilde", wrong(lower_bound.tilde(PAIR), jnp.ones((2, 3))), TypeError,
          r"kernel\(x, z\) must return an array of floats, got tuple"),
]  # fmt: skip
