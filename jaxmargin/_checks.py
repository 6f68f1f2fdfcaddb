"""Guards: what wrong input meets, and the message it gets."""

from collections.abc import Callable
from numbers import Real

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array


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


def check_class_labels(logits: Array | jax.ShapeDtypeStruct, labels: Array) -> None:
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


def check_signs(y: Array | np.ndarray) -> None:
    """Raise ValueError unless concrete binary labels are all -1 or +1."""
    wrong = np.setdiff1d(np.unique(np.asarray(y)), [-1, 1])
    if len(wrong):
        raise ValueError(
            f"binary labels must be -1 or +1, got {wrong[0]:g}: labels 0 and 1 become "
            "-1 and +1 by 2 * y - 1"
        )


def check_classes(labels: Array, k: int) -> None:
    """Raise ValueError unless concrete class labels lie in [0, k)."""
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
