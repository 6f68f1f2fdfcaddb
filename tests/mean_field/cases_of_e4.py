"""Problems of each loss, with and without kinks, and a measure on the sphere."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import jaxmargin as jm

KEY = jax.random.key(0)
N, D_IN = 6, 3
X = jax.random.normal(jax.random.key(1), (N, D_IN)) * 2
Y = jnp.where(jnp.arange(N) % 2 == 0, 1.0, -1.0)


class Case(NamedTuple):
    loss: Any
    smoothing: float

    @property
    def outputs(self) -> int:
        return 3 if self.loss == "cross_entropy" else 1


CASES = [
    Case(loss, smoothing)
    for loss in ("logistic", "cross_entropy", "squared")
    for smoothing in (0.0, 0.3)
]
LEVEL = 20.0


def problem_of(case: Case, lam: float = 0.1, **options: Any) -> jm.MeanField:
    classes = case.loss == "cross_entropy"
    y, k = (jnp.arange(N) % 3, 3) if classes else (Y, None)
    return jm.two_layer_problem(X, y, case.loss, k=k, lam=lam, smoothing=case.smoothing, **options)


def measure_of(dim: int, m: int = 20):
    return jm.Measure(jm.sample_sphere(KEY, m, dim), jnp.full(m, 1 / m))
