"""Training and test samples of one random teacher a trial, as sections 5 and F draw them.

The settings of an experiment that uses them have `trials`, `d`, `hidden` (units of the teacher) and
`test_samples`; for labels also `margin` and `max_majority`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxmargin.data.synthetic import teacher
from jaxmargin.networks.models import two_layer


class Samples(NamedTuple):
    """Training and test samples, with a leading axis t where there are trials."""

    x: Array
    y: Array
    x_test: Array
    y_test: Array


def labelled(key: Array, settings: Any, n: int) -> Samples:
    """N(0, I) inputs with the sign of the teacher's value; n of them are for training."""
    options = {"margin": settings.margin, "max_majority": settings.max_majority}
    drawn = _draw(key, settings, n, **options)
    return _split([sample.x for sample in drawn], [sample.y for sample in drawn], n)


def valued(key: Array, settings: Any, n: int) -> Samples:
    """Inputs on the unit sphere with the teacher's value; n of them are for training."""
    drawn = _draw(key, settings, n, inputs="sphere")
    values = [two_layer(sample.teacher, sample.x) for sample in drawn]
    return _split([sample.x for sample in drawn], values, n)


def _draw(key: Array, settings: Any, n: int, **options) -> list:
    """A `TeacherSample` of n training and then the test samples for each trial."""
    count = n + settings.test_samples
    return [
        teacher(k, count, d=settings.d, hidden=settings.hidden, **options)
        for k in jax.random.split(key, settings.trials)
    ]


def _split(xs: list[Array], ys: list[Array], n: int) -> Samples:
    x, y = jnp.stack(xs), jnp.stack(ys)
    return Samples(x[:, :n], y[:, :n], x[:, n:], y[:, n:])
