"""Wrong input: the Rademacher complexity."""

from functools import partial

import jax
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
    Fault("rademacher_complexity", complexity_of(jnp.ones((3, 2)), num_draws=10**12), ValueError,
          r"num_draws \* n must be at most 2,147,483,647, the most entries of the signs, got "),
    Fault("rademacher_complexity", wrong(margins.rademacher_complexity, 0, jnp.ones((3, 2))),
          TypeError, "key must be a random key, .* got int"),
    Fault("rademacher_complexity",
          wrong(margins.rademacher_complexity, jax.random.split(KEY), jnp.ones((3, 2))), ValueError,
          r"key must be one random key, got keys of shape \(2,\): take one of them, key\[0\]"),
]  # fmt: skip
