"""Arithmetic at the edges, and the type of a network and the checks that all modules share."""

from collections.abc import Callable
from numbers import Real
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, PyTree, Shaped

Apply = Callable[[PyTree, Array], Array]  # a network: apply(params, x)


class DivergenceError(ValueError):
    """A run whose objective stopped being finite.

    Attributes:
        step: first step at which it was not finite.
        trial: index of the trial, or None for a single run.
    """

    def __init__(self, message: str, *, step: int, trial: int | None = None):
        super().__init__(message)
        self.step = step
        self.trial = trial


class ConvergenceError(ValueError):
    """A solver that stopped above its tolerance.

    Attributes:
        fit: what the solver had reached, where that is of use; else None.
    """

    def __init__(self, message: str, *, fit: Any = None):
        super().__init__(message)
        self.fit = fit


def safe_power(base: Float[Array, ""], exponent: float) -> Float[Array, ""]:
    """base**exponent for base >= 0, with derivative 0 (and not inf or NaN) at base = 0.

    Zero is a minimum of every penalty `norm**r`, so 0 is the subgradient that leaves it there.
    A base of NaN stays NaN.
    """
    zero = base == 0
    return jnp.where(zero, 0.0, jnp.where(zero, 1.0, base) ** exponent)


def scaled_power_sum(
    x: Shaped[Array, "*shape"], scale: Float[Array, ""], p: float
) -> Float[Array, ""]:
    """sum_i (|x_i| / scale)**p; with scale = max |x_i| nothing over- or underflows."""
    magnitude = jnp.abs(x) / scale
    return jnp.sum(magnitude**p)


def as_float64(leaf) -> Array:
    """An array, its floats cast to float64 (where that is enabled); other dtypes stay."""
    leaf = jnp.asarray(leaf)
    return leaf.astype(jnp.float64) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf


def require_finite(name: str, values) -> None:
    """Raise ValueError if a concrete array has a NaN or an infinite entry."""
    array = np.asarray(values)
    if not np.issubdtype(array.dtype, np.inexact):
        return
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        where = tuple(int(i) for i in bad[0])
        raise ValueError(
            f"{name} must be finite, but {len(bad)} of {array.size} entries are not "
            f"(the first is {array[where]} at index {where}): remove or impute them"
        )


def require_positive(name: str, value: float | Array, *, zero: bool = False) -> None:
    """Raise unless a concrete number is finite and > 0 (>= 0 with `zero`)."""
    if isinstance(value, Tracer):
        return
    if not isinstance(value, Real | Array) or np.ndim(value):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not np.isfinite(value) or value < 0 or (value == 0 and not zero):
        bound = ">= 0" if zero else "> 0"
        raise ValueError(f"{name} must be a finite number {bound}, got {value}")


def require_count(name: str, value: int, *, least: int = 1) -> None:
    """Raise unless `value` is an integer of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")


def require_callable(name: str, value, signature: str) -> Callable:
    """Raise TypeError unless `value` can be called; `signature` tells how it will be."""
    if not callable(value):
        raise TypeError(f"{name} must be a function {signature}, got {type(value).__name__}")
    return value
