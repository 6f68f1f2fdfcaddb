"""Guards: what wrong input meets, and the message it gets.

Shapes and dtypes are checked always. Values are checked where they are concrete: under `jit`,
`vmap` and `grad` an array is a tracer, which has none, and the guards of values let it pass.
"""

from numbers import Real
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array


def is_concrete(*trees: Any) -> bool:
    """Whether the values of all leaves are known, as they are not under jit, vmap and grad."""
    return not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(trees))


def require_concrete(function: str, *trees: Any) -> None:
    """Raise TypeError if the named function, which needs values, was called under jit."""
    if not is_concrete(*trees):
        raise TypeError(f"{function} takes concrete numbers: call it outside jit, vmap and grad")


def require_finite(name: str, values: Any) -> None:
    """Raise ValueError if a concrete array, or one in a pytree, has a NaN or infinite entry."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(values):
        if is_concrete(leaf):
            _require_finite_array(name + jax.tree_util.keystr(path), np.asarray(leaf))


def _require_finite_array(name: str, array: np.ndarray) -> None:
    if not jnp.issubdtype(array.dtype, jnp.inexact):
        return
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        where = tuple(int(i) for i in bad[0])
        raise ValueError(
            f"{name} must be finite, but {len(bad)} of {array.size} entries are not "
            f"(the first is {array[where]} at index {where}): remove or impute them"
        )


def require_enabled(**trees: Any) -> None:
    """Raise TypeError if a JAX array has a dtype of 64 bits that is not enabled here."""
    for (name, *path), leaf in jax.tree_util.tree_leaves_with_path(trees):
        if isinstance(leaf, Array) and not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            here = jax.dtypes.canonicalize_dtype(leaf.dtype)
            where = f"{name.key}{jax.tree_util.keystr(tuple(path))}"
            if here != leaf.dtype:
                raise TypeError(
                    f"{where} holds {leaf.dtype}, which is not enabled here: call inside "
                    f"jax.enable_x64(True), or cast it to {here}"
                )


def as_array(name: str, value: Any) -> Array:
    """The value as a JAX array; TypeError unless it holds numbers or truth values, in full rows."""
    if not is_concrete(value):
        return jnp.asarray(value)
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise TypeError(f"{name} must not have masked entries: fill them, or drop their rows")
    try:
        array = value if isinstance(value, Array) else np.asarray(value)
    except ValueError as error:
        raise TypeError(f"{name} must be an array, but its rows have several lengths") from error
    if not any(jnp.issubdtype(array.dtype, kind) for kind in (np.number, np.bool_)):
        what = array.dtype if isinstance(value, Array | np.ndarray) else type(value).__name__
        raise TypeError(f"{name} must be an array of numbers, got {what}")
    return jnp.asarray(array)


def require_key(key: Any) -> None:
    """Raise TypeError unless it is a random key, or an array of keys."""
    dtype = getattr(key, "dtype", None)
    old = dtype == np.uint32 and np.ndim(key) > 0
    if dtype is None or not (old or jnp.issubdtype(dtype, jax.dtypes.prng_key)):
        raise TypeError(f"key must be a random key, such as jax.random.key(0), got {key!r}")


def require_positive(name: str, value: float | Array, *, zero: bool = False) -> None:
    """Raise unless a concrete number is finite and > 0 (>= 0 with `zero`)."""
    if not is_concrete(value):
        return
    if not isinstance(value, Real | Array) or np.ndim(value):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not np.isfinite(value) or value < 0 or (value == 0 and not zero):
        bound = ">= 0" if zero else "> 0"
        raise ValueError(f"{name} must be a finite number {bound}, got {value}")


def require_held(dtype: Any, **values: Any) -> None:
    """Raise ValueError where a concrete number becomes 0 or infinite in the dtype; no schedules."""
    for name, value in values.items():
        if callable(value) or not is_concrete(value) or value == 0:
            continue
        with np.errstate(over="ignore", under="ignore"):
            stored = float(np.asarray(value).astype(dtype))
        if stored == 0 or not np.isfinite(stored):
            raise ValueError(
                f"{name} = {float(value):g} is {stored:g} in {dtype}, in which it is kept: scale "
                "the data, or compute in float64"
            )


def require_count(name: str, value: int | np.integer, *, least: int = 1) -> None:
    """Raise unless `value` is an integer of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")


def require_callable(name: str, value: Any, signature: str, *, optional: bool = False) -> Any:
    """The value; raise TypeError unless it can be called, or is None where it is optional.

    `signature` tells how it will be called.
    """
    if callable(value) or (optional and value is None):
        return value
    raise TypeError(f"{name} must be a function {signature}, got {type(value).__name__}")


def require_floats(name: str, array: Array | np.ndarray) -> None:
    """Raise TypeError unless an array holds floats."""
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(f"{name} must hold floats, got {array.dtype}: cast it, say to float32")


def require_rows(name: str, array: Array | np.ndarray) -> None:
    """Raise unless an array is a matrix (n, d) of floats with n, d >= 1."""
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"{name} must be (n, d) with n, d >= 1, got shape {array.shape}")
    require_floats(name, array)


def require_same_shape(scores: Array, y: Array) -> None:
    """Raise ValueError unless scores and y have the same shape."""
    if scores.shape != y.shape:
        raise ValueError(
            f"scores and y must have the same shape, got {scores.shape} and {y.shape}: "
            "a network with one output column needs apply(params, x)[..., 0]"
        )


def require_class_labels(logits: Array | jax.ShapeDtypeStruct, labels: Array) -> None:
    """Raise unless labels are integers, one for each row of logits over k >= 2 classes."""
    if logits.ndim == 0 or logits.shape[-1] < 2:
        raise ValueError(
            f"logits must be (..., k) with k >= 2 classes, got shape {logits.shape}: "
            "one score a sample has shape (n,), labels -1, +1 and the logistic loss"
        )
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(
            f"labels must be integers in [0, k), got dtype {labels.dtype}: use labels.astype(int)"
        )
    if logits.shape[:-1] != labels.shape:
        raise ValueError(
            f"labels must have shape {logits.shape[:-1]}, one for each row of logits, "
            f"got {labels.shape}"
        )


def require_signs(y: Array | np.ndarray) -> None:
    """Raise ValueError unless concrete binary labels are all -1 or +1."""
    if not is_concrete(y):
        return
    wrong = np.setdiff1d(np.unique(np.asarray(y)), [-1, 1])
    if len(wrong):
        raise ValueError(
            f"binary labels must be -1 or +1, got {wrong[0]:g}: labels 0 and 1 become "
            "-1 and +1 by 2 * y - 1"
        )


def require_classes(labels: Array | np.ndarray, k: int) -> None:
    """Raise ValueError unless concrete class labels lie in [0, k)."""
    if not is_concrete(labels):
        return
    wrong = np.setdiff1d(np.asarray(labels), np.arange(k))
    if len(wrong):
        raise ValueError(
            f"class labels must lie in [0, {k}), as the network has {k} outputs, got {wrong[0]}: "
            "number the classes from 0, or add outputs"
        )


def require_separable_labels(x: Array | np.ndarray, y: Array | np.ndarray) -> None:
    """Raise ValueError if concrete labels have one class, or differ between equal rows of x."""
    rows, labels = np.asarray(x), np.asarray(y)
    if len(np.unique(labels)) < 2:
        raise ValueError(
            f"y must have at least two classes, got only {labels.flat[0]:g}: the margin of one "
            "class is that of a constant"
        )
    _, group = np.unique(rows, axis=0, return_inverse=True)
    order = np.argsort(group.ravel(), kind="stable")
    same = group.ravel()[order][1:] == group.ravel()[order][:-1]
    clash = np.flatnonzero(same & (labels[order][1:] != labels[order][:-1]))
    if len(clash):
        i, j = sorted(map(int, order[clash[0] : clash[0] + 2]))
        raise ValueError(
            f"no network separates the data: x[{i}] equals x[{j}], but y is {labels[i]:g} and "
            f"{labels[j]:g}; remove one of them"
        )
