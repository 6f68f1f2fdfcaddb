"""Wrong input: the Rademacher complexity."""

from functools import partial

import jax.numpy as jnp

from jaxmargin import margins
from tests.fault import KEY, Fault, wrong

complexity_of = partial(wrong, margins.rademacher_complexity, KEY)

FAULTS = [
    Fault("rademacher_complexity", complexity_of(jnp.ones(3)), ValueError,
          r"x must be \(n, d\) with n, d >= 1, got .*\(3,\)"),
    Fault("rademacher_complexity", complexity_of(jnp.ones((3, 0))), ValueError,
          r"x must be \(n, d\) with n, d >= 1, got .*\(3, 0\)"),
    Fault("rademacher_complexity", complexity_of(jnp.ones((3, 2)), num_draws=1), ValueError,
          "num_draws must be at least 2, got 1"),
    Fault("rademacher_complexity", complexity_of(jnp.ones((3, 2)), num_draws=1.5), TypeError,
          "num_draws must be an integer, got 1.5"),
]  # fmt: skip
