"""Guards: what wrong input meets, and the message it gets.

Shapes and dtypes are checked always. Values are checked where they are concrete: under `jit`,
`vmap` and `grad` an array is a tracer, which has none, and the guards of values let it pass.
"""

from collections.abc import Callable
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


def require_positive(name: str, value: float | Array, *, zero: bool = False) -> None:
    """Raise unless a concrete number is finite and > 0 (>= 0 with `zero`)."""
    if not is_concrete(value):
        return
    if not isinstance(value, Real | Array) or np.ndim(value):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not np.isfinite(value) or value < 0 or (value == 0 and not zero):
        bound = ">= 0" if zero else "> 0"
        raise ValueError(f"{name} must be a finite number {bound}, got {value}")


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


def require_parameters(name: str, params: Any) -> None:
    """Raise TypeError unless every leaf of a pytree of parameters is a float or holds floats."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        dtype = jnp.result_type(leaf) if isinstance(leaf, Real) else getattr(leaf, "dtype", None)
        if dtype is None or not jnp.issubdtype(dtype, jnp.floating):
            kind = ("a " + type(leaf).__name__) if dtype is None else str(dtype)
            raise TypeError(
                f"{name}{jax.tree_util.keystr(path)} must hold floats, got {kind}: keep what is "
                f"not trained outside of {name}, say by eqx.partition or nnx.split"
            )


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


def require_own_rows(apply: Callable, params: Any, x: Array, scores: Array) -> None:
    """Raise ValueError if concrete scores apply(params, x) of a row depend on the other rows.

    The first and the last row are given to `apply` alone, and must score what they do in `x`. The
    tolerance is eps^(1/4) of the largest score, far above the rounding of a product of matrices.
    """
    if len(x) < 2 or not is_concrete(params, x, scores):
        return
    together = np.asarray(scores, float)
    tolerance = float(jnp.finfo(scores.dtype).eps) ** 0.25 * np.max(np.abs(together))
    for row in (0, len(x) - 1):
        alone = np.asarray(apply(params, x[row : row + 1]), float)
        change = np.max(np.abs(alone - together[row : row + 1]))
        if change > tolerance:
            raise ValueError(
                "apply must compute each row of scores from its own row of x, but without the "
                f"other rows the scores of row {row} change by {change:.2g}: put batch "
                "normalisation and dropout into evaluation mode, with running statistics that "
                "are no parameters"
            )
