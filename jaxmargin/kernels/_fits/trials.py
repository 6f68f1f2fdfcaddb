"""How a predictor is fitted: in float64, trial by trial, from a Gram matrix up to its rounding."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_solve
from jaxtyping import Array

from jaxmargin._arithmetic import power_of_two
from jaxmargin._checks import is_concrete
from jaxmargin._devices import one_blas_thread


class Fitted(NamedTuple):
    """What a solver found.

    Attributes:
        beta: coefficients, in the dtype of gram.
        norm: sqrt(beta' K beta) of each column, in that dtype.
        size: largest |beta| of each column in float64, before the dtype of gram cuts its range.
        quality: what the solver tells of itself; in NumPy unless it is traced.
    """

    beta: Array
    norm: Array
    size: np.ndarray
    quality: Any


def per_trial(
    solve: Callable,
    gram: Any,
    y: Any,
    *settings: Any,
    weights: Any = None,
    on_host: Callable | None = None,
) -> Fitted:
    """`solve(gram, y, scale, *settings) -> (beta, quality)` in float64, for each trial or the one.

    Nothing depends on units: the solver is given K / scale and y over its size, which are near 1.
    Where values are known and the default device is a CPU, `on_host(gram, y, *settings)` is tried
    first, which gives None or `OnHost`. Numbers for each sample, `weights`, are a last argument of
    both, if there are any.
    """
    concrete = is_concrete(gram, y, settings, weights)
    if concrete and on_host is not None and jax.default_backend() == "cpu":
        found: Any = _first_on_host(on_host, solve, gram, y, weights, *settings)
    else:
        numbers = (weights, *settings)
        found = (_in_float64 if concrete else _differentiable)(solve, gram, y, *numbers)
    beta, norm, size, quality = found
    if concrete:
        size, quality = np.asarray(size), jax.tree.map(np.asarray, quality)
    return Fitted(in_dtype(beta, gram.dtype), in_dtype(norm, gram.dtype), size, quality)


def _first_on_host(
    on_host: Callable, solve: Callable, gram: Any, y: Any, weights: Any, *settings: Any
) -> tuple:
    """On the host, and compiled for those trials alone that are not solved there."""

    def one(gram: Any, y: Any, weights: Any = None) -> tuple:
        found = on_host(gram, y, *settings, *([] if weights is None else [weights]))
        return _in_float64(solve, gram, y, weights, *settings) if found is None else tuple(found)

    given = [gram, y] if weights is None else [gram, y, weights]
    with one_blas_thread():
        if np.ndim(gram) == 2:
            return one(*given)
        each = [one(*trial) for trial in zip(*map(np.asarray, given), strict=True)]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *each)


def _in_float64(solve: Callable, gram: Any, y: Any, *numbers: Any) -> tuple:
    with jax.enable_x64(True):
        return _compiled(solve, gram, y, *jax.tree.map(_wide, numbers))


def _wide(number: Any) -> Array:
    return jnp.asarray(number).astype(jnp.float64)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _differentiable(solve: Callable, *args: Any) -> tuple:
    return _in_float64(solve, *args)


def _forward(solve: Callable, *args: Any) -> tuple:
    return _in_float64(solve, *args), args


def _backward(solve: Callable, args: tuple, cotangents: tuple) -> tuple:
    """The derivative, also in float64: JAX would leave float64 on its way back."""
    with jax.enable_x64(True):
        out, pull = jax.vjp(partial(_compiled, solve), *jax.tree.map(_wide, args))
        given = jax.tree.map(lambda ct, leaf: jnp.asarray(ct).astype(leaf.dtype), cotangents, out)
        return jax.tree.map(
            lambda slope, arg: slope.astype(jnp.asarray(arg).dtype), pull(given), args
        )


_differentiable.defvjp(_forward, _backward)


def in_dtype(value: Any, dtype: Any) -> Any:
    """In this dtype; as an array of NumPy where JAX has no float64."""
    if dtype == jnp.float64 and jnp.array(0.0).dtype != dtype and is_concrete(value):
        return np.asarray(value, np.float64)
    with np.errstate(over="ignore", under="ignore"):  # the caller looks at the size
        return jnp.asarray(value, dtype)


@partial(jax.jit, static_argnums=0)
def _compiled(
    solve: Callable, gram: Array, y: Array, weights: Array | None, *settings: Array
) -> tuple:
    def one(gram: Array, y: Array, weights: Array | None) -> tuple:
        wide = gram.astype(jnp.float64)
        wide = wide / 2 + wide.T / 2
        scale, size = _unit(jnp.max(jnp.diagonal(wide))), jnp.ones((1,) * y.ndim)
        if y.dtype != bool:
            y = y.astype(jnp.float64)
            size = _unit(jnp.max(jnp.abs(y), axis=0, keepdims=True))
            y = y / size
        wide = wide / scale
        beta, quality = solve(wide, y, scale, *settings, *([] if weights is None else [weights]))
        norm = _norm(wide, beta) * size[0] / jnp.sqrt(scale)
        beta = beta * (size / scale)
        largest = jnp.max(jnp.abs(beta), axis=0)
        return beta.astype(gram.dtype), norm.astype(gram.dtype), largest, quality

    return one(gram, y, weights) if gram.ndim == 2 else for_each(one, gram, y, weights)


def _unit(value: Array) -> Array:
    return jax.lax.stop_gradient(power_of_two(value))


def for_each(function: Callable, *args: Array | None):
    """Apply the function over the leading axis of args: in turn on a CPU, else batched."""
    return jax.lax.platform_dependent(
        *args,
        cpu=lambda *args: jax.lax.map(lambda one: function(*one), args),
        default=jax.vmap(function),
    )


def _norm(gram: Array, beta: Array) -> Array:
    """||f||_K = sqrt(beta' K beta) of each column, with derivative 0 at 0."""
    square = jnp.sum(beta * (gram @ beta), axis=0)
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0 * square)


def condition_number(matrix: Array, factor: tuple[Array, bool]) -> Array:
    """|M|_1 |M^-1|_2, the second by the power method; NaN if M has no Cholesky factor."""

    def power(_, v: Array) -> Array:
        v = cho_solve(factor, v)
        return v / jnp.linalg.norm(v)

    generic = jnp.asarray(np.random.default_rng(0).normal(size=len(matrix)))
    v = jax.lax.fori_loop(0, 8, power, generic)
    return jnp.max(jnp.sum(jnp.abs(matrix), axis=0)) * jnp.linalg.norm(cho_solve(factor, v))


class Semidefinite(NamedTuple):
    """A Gram matrix that a solver may take to have no negative eigenvalue.

    Attributes:
        gram: K itself if it has a Cholesky factor, else without its negative eigenvalues.
        sound: whether those that were taken away are within the rounding of K.
        error: the largest that was taken away. It is a measure of what rounding did to K.
    """

    gram: Array
    sound: Array
    error: Array

    def doubt(self, beta: Array) -> Array:
        """What an error E of K of this size does to ||f||_K^2 / 2: up to beta' E beta / 2."""
        return self.error * jnp.sum(beta**2) / 2


def semidefinite(gram: Array, rounding: Array) -> Semidefinite:
    """K without negative eigenvalues, for a rounding relative to max_i K_ii."""
    size = jnp.max(jnp.diagonal(gram))
    definite = jnp.isfinite(jnp.linalg.cholesky(gram)).all()

    def kept(gram: Array) -> Semidefinite:
        return Semidefinite(gram, jnp.array(True), jnp.zeros(()))

    def projected(gram: Array) -> Semidefinite:
        values, vectors = jnp.linalg.eigh(gram)
        error = jnp.maximum(-values[0], 0)
        least = len(gram) * jnp.finfo(gram.dtype).eps * size
        gram = (vectors * jnp.maximum(values, least)[None]) @ vectors.T
        sound = (size > 0) & (error <= rounding * size)
        return Semidefinite((gram + gram.T) / 2, sound, error)

    return jax.lax.cond(definite, kept, projected, gram)


def rounding_of(gram: Array | np.ndarray) -> float:
    """What rounding does to the eigenvalues of K and to its factor, over max_i K_ii."""
    n = gram.shape[-1]
    return float(np.sqrt(n) * jnp.finfo(gram.dtype).eps + n * np.finfo(np.float64).eps)
