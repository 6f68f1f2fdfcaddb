"""Small problems that the tests of training share, drawn in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxmargin as jm

SGD = optax.sgd(0.1)  # one object, so that runs of the same shape share a compilation


def draw(*shape: int, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def problem(k: int | None = None, n: int = 6, d: int = 3, m: int = 4):
    """Network, inputs and labels: signs for a scalar network, classes for k outputs."""
    params = jm.TwoLayer(draw(m, d), draw(m, seed=1) if k is None else draw(m, k, seed=1))
    y = jnp.where(draw(n, seed=3) > 0, 1.0, -1.0) if k is None else jnp.arange(n) % k
    return params, draw(n, d, seed=2), y


def quadratic(params, x, y):
    """Strongly convex in any vector of parameters; samples are the rows of x and entries of y."""
    return jnp.mean((x @ params - y) ** 2)


def vector_problem(n: int = 6, d: int = 3):
    return draw(d, seed=4), draw(n, d, seed=2), draw(n, seed=5)
