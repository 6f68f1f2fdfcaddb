"""Tiny mean-field problems of every kind, and measures for them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

import jaxmargin as jm

N, D = 6, 3
LAM = 0.1
K = {"squared, 2 outputs": 2, "cross-entropy": 3, "smooth cross-entropy": 3}  # else scalar


def normal(*shape: int, dtype, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def _samples(dtype) -> tuple[jax.Array, jax.Array]:
    return normal(N, D, dtype=dtype, seed=5), jnp.asarray(np.resize([1, -1], N), dtype)


def _labels() -> jax.Array:
    return jnp.asarray(np.resize([0, 2, 1, 1], N))


PROBLEMS: dict[str, Callable] = {
    "logistic": lambda dtype: jm.two_layer_problem(*_samples(dtype), "logistic", lam=LAM),
    "smooth logistic": lambda dtype: jm.two_layer_problem(
        *_samples(dtype), "logistic", lam=LAM, smoothing=0.3
    ),
    "squared": lambda dtype: jm.two_layer_problem(*_samples(dtype), "squared", lam=LAM),
    "squared, 2 outputs": lambda dtype: jm.two_layer_problem(
        _samples(dtype)[0], normal(N, 2, dtype=dtype, seed=6), "squared", lam=LAM
    ),
    "cross-entropy": lambda dtype: jm.two_layer_problem(
        _samples(dtype)[0], _labels(), "cross_entropy", k=3, lam=LAM
    ),
    "smooth cross-entropy": lambda dtype: jm.two_layer_problem(
        _samples(dtype)[0], _labels(), "cross_entropy", k=3, lam=LAM, smoothing=0.3
    ),
}


def outputs(name: str) -> int:
    """Outputs of a unit of the named problem."""
    return K.get(name, 1)


def points(name: str, m: int, dtype, seed: int = 0) -> jax.Array:
    return normal(m, outputs(name) + D, dtype=dtype, seed=seed)


def measure(name: str, dtype, m: int = 7, seed: int = 0) -> jm.Measure:
    mass = jnp.asarray(np.random.default_rng(seed + 1).uniform(0.05, 0.4, size=m), dtype)
    return jm.Measure(points(name, m, dtype, seed), mass)
