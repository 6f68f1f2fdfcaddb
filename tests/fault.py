"""A row of the table, and the tiny inputs that the rows share."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

import jaxmargin as jm

KEY = jax.random.key(0)
NAN = float("nan")
SCALAR_NET = jm.TwoLayer(u=jnp.ones((4, 3)), w=jnp.ones(4))
CLASS_NET = jm.TwoLayer(u=jnp.ones((4, 3)), w=jnp.ones((4, 2)))
X = jnp.ones((6, 3))
SIGNS = jnp.array([1.0, -1.0] * 3)
CLASSES = jnp.array([0, 1] * 3)
PARTICLES = jm.Measure(theta=jnp.ones((5, 4)), mass=jnp.ones(5))
LOGISTIC = jm.regularized(jm.two_layer, "logistic", lam=0.1)
CROSS_ENTROPY = jm.regularized(jm.two_layer, "cross_entropy", lam=0.1)
SQUARED = jm.regularized(jm.two_layer, "squared", lam=0.1)
PROBLEM = jm.two_layer_problem(X, SIGNS, "logistic", lam=0.1)


class Fault(NamedTuple):
    """A call of the public function `name` that must raise `error` with a message like `match`."""

    name: str
    call: Callable
    error: type[BaseException]
    match: str


def wrong(function: Callable, *args, **options) -> Callable:
    """The call, not yet made, hidden from the type checker that would refuse it."""
    return partial(function, *args, **options)
