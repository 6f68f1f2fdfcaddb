"""How a predictor is fitted: in float64, trial by trial, from a Gram matrix up to its rounding."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_solve
from jaxtyping import Array


def per_trial(solve: Callable, gram: Array, y: Array, *settings: float) -> tuple[Array, Array, Any]:
    """`solve(gram, y, *settings) -> (beta, quality)` in float64, for the one trial or for each.

    Returns:
        beta and the norms of its columns in the dtype of gram, and the quality in NumPy.
    """
    with jax.enable_x64(True):
        scalars = [jnp.asarray(setting, jnp.float64) for setting in settings]
        beta, norm, quality = _compiled(solve, gram, y, *scalars)
    return beta, norm, jax.tree.map(np.asarray, quality)


@partial(jax.jit, static_argnums=0)
def _compiled(solve: Callable, gram: Array, y: Array, *settings: Array) -> tuple[Array, Array, Any]:
    def one(gram: Array, y: Array) -> tuple[Array, Array, Any]:
        wide = gram.astype(jnp.float64)
        wide = (wide + wide.T) / 2
        y = y if y.dtype == bool else y.astype(jnp.float64)
        beta, quality = solve(wide, y, *settings)
        return beta.astype(gram.dtype), _norm(wide, beta).astype(gram.dtype), quality

    return one(gram, y) if gram.ndim == 2 else for_each(one, gram, y)


def for_each(function: Callable, *args: Array):
    """Apply the function over the leading axis of args: in turn on a CPU, else batched."""
    return jax.lax.platform_dependent(
        *args,
        cpu=lambda *args: jax.lax.map(lambda one: function(*one), args),
        default=jax.vmap(function),
    )


def _norm(gram: Array, beta: Array) -> Array:
    """||f||_K = sqrt(beta' K beta) of each column."""
    return jnp.sqrt(jnp.maximum(jnp.sum(beta * (gram @ beta), axis=0), 0))


def condition_number(matrix: Array, factor: tuple[Array, bool]) -> Array:
    """|M|_1 |M^-1|_2, the second by the power method; NaN if M has no Cholesky factor."""

    def power(_, v: Array) -> Array:
        v = cho_solve(factor, v)
        return v / jnp.linalg.norm(v)

    generic = jax.random.normal(jax.random.key(0), (len(matrix),))
    v = jax.lax.fori_loop(0, 8, power, generic)
    return jnp.max(jnp.sum(jnp.abs(matrix), axis=0)) * jnp.linalg.norm(cho_solve(factor, v))


def semidefinite(gram: Array, rounding: Array) -> tuple[Array, Array]:
    """K, or K + rounding I if K has no Cholesky factor; and whether the result has one."""
    own = jnp.eye(len(gram))
    jitter = rounding * jnp.max(jnp.diagonal(gram)) * own

    def definite(matrix: Array) -> Array:
        return jnp.isfinite(jnp.linalg.cholesky(matrix)).all()

    gram = jnp.where(definite(gram), gram, gram + jitter)
    return gram, definite(gram)


def rounding_of(gram: Array) -> float:
    """What rounding does to the eigenvalues of K and to its factor, over max_i K_ii."""
    n = gram.shape[-1]
    return float(np.sqrt(n) * jnp.finfo(gram.dtype).eps + n * np.finfo(np.float64).eps)
