"""Arguments as arrays: what can be taken as numbers is, and what cannot meets a clear error."""

import contextlib
from collections.abc import Callable
from numbers import Real
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array


def as_array(name: str, value: Any) -> Array | np.ndarray:
    """The value as an array of real numbers or flags; arrays are returned as they are.

    Lists, numbers and data frames become arrays.

    Raises:
        TypeError: it is no array, or one of text, objects, keys, complex or tiny floats; it is
            sparse or masked, or its rows have several lengths.
    """
    if isinstance(value, jax.Array | np.ndarray) and not isinstance(value, np.ma.MaskedArray):
        array: Any = value
    else:
        array = _converted(name, value)
    if not _holds_numbers(array.dtype):
        raise TypeError(f"{name} must be an array of numbers, got {_kind(array)}")
    return array


def as_floats(name: str, value: Any) -> Array | np.ndarray:
    """The value as an array of floats. Integers and flags become JAX's default float.

    Raises:
        TypeError: as `as_array`.
    """
    array = as_array(name, value)
    if jnp.issubdtype(array.dtype, jnp.floating):
        return array
    if isinstance(array, np.ndarray):  # before JAX may cut its integers to 32 bits
        array = array.astype(float)
    return jnp.asarray(array, float)


def as_jax(name: str, value: Any) -> Array:
    """As `as_array`, but an array of JAX, with its precision."""
    return jnp.asarray(as_array(name, value))


def as_result(name: str, value: Any) -> Any:
    """What a function of the caller's returned, as an array of floats, or as the shape of one.

    Raises:
        TypeError: it is no array of floats.
    """
    if isinstance(value, Real):
        value = np.asarray(value)
    dtype = getattr(value, "dtype", None)
    if dtype is None or not hasattr(value, "shape") or hasattr(value, "todense"):
        raise TypeError(f"{name} must return an array of floats, got {type(value).__name__}")
    if not (_holds_numbers(dtype) and jnp.issubdtype(dtype, jnp.floating)):
        raise TypeError(f"{name} must return an array of floats, got {dtype}")
    return value if isinstance(value, jax.ShapeDtypeStruct) else jnp.asarray(value)


def result_shape(name: str, function: Callable, *arguments: Any) -> jax.ShapeDtypeStruct:
    """The shape and dtype of the floats that a function of the caller's returns.

    Raises:
        TypeError: it returns something else.
    """
    return jax.eval_shape(lambda *given: as_result(name, function(*given)), *arguments)


def is_key(value: Any) -> bool:
    """Whether it is an array of random keys."""
    dtype = getattr(value, "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)


def require_key(key: Any, *, several: bool = False) -> None:
    """Raise unless it is one random key, or with `several` an array of keys as well."""
    old = getattr(key, "dtype", None) == np.uint32 and np.ndim(key) > 0
    if not (old or is_key(key)):
        raise TypeError(
            f"key must be a random key, such as jax.random.key(0), got {type(key).__name__}"
        )
    batch = np.shape(key)[: -1 if old else None]
    if batch and not several:
        raise ValueError(
            f"key must be one random key, got keys of shape {batch}: take one of them, key[0]"
        )


def _holds_numbers(dtype: Any) -> bool:
    if jnp.issubdtype(dtype, jnp.floating):
        return jnp.finfo(dtype).bits >= 16
    return jnp.issubdtype(dtype, jnp.integer) or jnp.issubdtype(dtype, jnp.bool_)


def _converted(name: str, value: Any) -> np.ndarray | Array:
    kind = type(value).__name__
    if np.ma.is_masked(value):
        raise TypeError(f"{name} must not have masked entries: fill them, or drop their rows")
    if hasattr(value, "todense"):
        raise TypeError(f"{name} must be dense, got a sparse {kind}: pass {name}.todense()")
    if value is None or isinstance(value, str | bytes | dict | set) or callable(value):
        raise TypeError(f"{name} must be an array of numbers, got {kind}")
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:  # lists that are ragged, or of tracers
        with contextlib.suppress(ValueError, TypeError):
            if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(value)):
                return jnp.asarray(value)
        raise TypeError(
            f"{name} must be an array of numbers, got {kind} with rows of several lengths"
        ) from error
    own = isinstance(value, list | tuple | float)  # has no precision, and gets that of JAX
    return jnp.asarray(array) if own and array.dtype == np.float64 else array


def _kind(array: Array | np.ndarray) -> str:
    """What an array holds that is not of numbers."""
    if is_key(array):
        return "random keys"
    if array.dtype.kind in "US":
        return "text: encode it as numbers, as np.unique(labels, return_inverse=True)[1] does"
    if array.dtype.kind == "O":
        return "objects: convert it, say by np.asarray(..., float), and remove what is missing"
    return f"{array.dtype}: cast it, say to float32"
