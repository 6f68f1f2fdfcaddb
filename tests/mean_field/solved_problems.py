"""Small random problems whose least energy a cone program knows, and measures for them."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

import jaxmargin as jm
from benchmarks import cone_program

N, LAM = 8, 0.1
CASES = [(d, loss) for d in (2, 3) for loss in ("logistic", "squared")]


@cache
def samples(d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([d, seed])
    return rng.normal(size=(N, d)), np.where(rng.normal(size=N) > 0, 1.0, -1.0)


@cache
def least_energy(d: int, loss: str, seed: int) -> float:
    return cone_program.optimum(*samples(d, seed), lam=LAM, loss=loss)


def problem_of(d: int, loss, seed: int = 0, *, lam: float = LAM, **options) -> jm.MeanField:
    x, y = (jnp.asarray(part) for part in samples(d, seed))
    return jm.two_layer_problem(x, y, loss, lam=lam, **options)


def particles(dim: int, m: int = 6, seed: int = 0) -> jm.Measure:
    theta = jm.sample_sphere(jax.random.key(seed), m, dim)
    return jm.Measure(2 * theta, jnp.full(m, 1 / m, theta.dtype))
