"""Arguments as arrays: what can be taken as numbers is, and what cannot meets a clear error."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, PRNGKeyArray


def as_array(name: str, value: Any) -> Array | np.ndarray:
    """The value as an array of real numbers or flags; arrays are returned as they are.

    Lists, numbers and data frames become arrays.

    Raises:
        TypeError: it is no array, or one of text, objects, keys, complex or tiny floats; it is
            sparse or masked.
        ValueError: lists of different lengths.
    """
    if isinstance(value, jax.Array | np.ndarray) and not isinstance(value, np.ma.MaskedArray):
        array: Any = value
    else:
        array = _converted(name, value)
    if not _holds_numbers(array.dtype):
        raise TypeError(f"{name} must hold real numbers, got {_kind(array)}")
    return array


def as_floats(name: str, value: Any) -> Array | np.ndarray:
    """The value as an array of floats. Integers and flags become JAX's default float.

    Raises:
        TypeError: as `as_array`.
        ValueError: as `as_array`.
    """
    array = as_array(name, value)
    if jnp.issubdtype(array.dtype, jnp.floating):
        return array
    return jnp.asarray(array).astype(float)


def require_key(name: str, key: Any) -> PRNGKeyArray:
    """The key; raise unless it is one random key of JAX.

    Raises:
        TypeError: it is no key.
        ValueError: it is several keys.
    """
    typed = isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    raw = isinstance(key, jax.Array | np.ndarray) and key.dtype == np.uint32 and key.ndim > 0
    if not typed and not raw:
        raise TypeError(
            f"{name} must be a random key such as jax.random.key(0), got {type(key).__name__}"
        )
    if key.ndim != (0 if typed else 1):
        raise ValueError(
            f"{name} must be one random key, got an array of keys of shape {key.shape}: use "
            f"{name}[0], or jax.vmap for all of them"
        )
    return key


def _holds_numbers(dtype: Any) -> bool:
    if jnp.issubdtype(dtype, jnp.floating):
        return jnp.finfo(dtype).bits >= 16
    return jnp.issubdtype(dtype, jnp.integer) or jnp.issubdtype(dtype, jnp.bool_)


def _converted(name: str, value: Any) -> np.ndarray | Array:
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array: fill it, or drop the rows with masked entries")
    if hasattr(value, "todense"):
        raise TypeError(f"{name} is sparse: pass it dense, as {name}.todense() is")
    if value is None or isinstance(value, str | bytes | dict | set) or callable(value):
        raise TypeError(f"{name} must be an array of real numbers, got {_type_of(value)}")
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:  # lists that are ragged, or of tracers
        if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(value)):
            return jnp.asarray(value)
        raise ValueError(
            f"{name} must be a rectangular array of numbers, but its parts have different shapes"
        ) from error
    # Python's own numbers have no precision; they get that of JAX.
    return jnp.asarray(array) if _holds_numbers(array.dtype) else array


def _type_of(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def _kind(array: Array | np.ndarray) -> str:
    """What an array holds that is not of numbers."""
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        return "random keys"
    if array.dtype.kind in "US":
        return "text: encode it as numbers, as np.unique(labels, return_inverse=True)[1] does"
    if array.dtype.kind == "O":
        return "objects: convert it, say by np.asarray(..., float), and remove what is missing"
    return f"{array.dtype}: cast it, say to float32"
