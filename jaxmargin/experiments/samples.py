"""Training and test samples of one random teacher a trial, as sections 5 and F draw them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxmargin.data import synthetic as data


class Samples(NamedTuple):
    """Training and test samples, with a leading axis t where there are trials."""

    x: Array
    y: Array
    x_test: Array
    y_test: Array


def draw(key: Array, *, trials: int, n: int, test_samples: int, **teacher) -> Samples:
    """`data.teacher(key, ..., **teacher)` for every trial, with n samples for training."""
    drawn = [data.teacher(k, n + test_samples, **teacher) for k in jax.random.split(key, trials)]
    x, y = jnp.stack([s.x for s in drawn]), jnp.stack([s.y for s in drawn])
    return Samples(x[:, :n], y[:, :n], x[:, n:], y[:, n:])
