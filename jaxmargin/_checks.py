"""Guards: what wrong input meets, and the message it gets.

Shapes and dtypes are checked always. Values are checked where they are concrete: under `jit`,
`vmap` and `grad` an array is a tracer, which has none, and the guards of values let it pass.
"""

import inspect
import math
from collections.abc import Callable, Iterable
from numbers import Real
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from jaxmargin._arrays import as_array, is_key

_MOST_ENTRIES = 2**31 - 1  # of an array, so that 32 bits count them


def is_concrete(*trees: Any) -> bool:
    """Whether the values of all leaves are known, as they are not under jit, vmap and grad."""
    return not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(trees))


def require_concrete(function: str, *trees: Any) -> None:
    """Raise TypeError if the named function, which needs values, was called under jit."""
    if not is_concrete(*trees):
        raise TypeError(f"{function} takes concrete numbers: call it outside jit, vmap and grad")


def label_array(name: str, value: Any) -> Array | np.ndarray:
    """As `as_array`; text and other names of classes get an error that tells how to number them."""
    if isinstance(value, str | Array) or hasattr(value, "todense"):
        return as_array(name, value)
    try:
        names = np.asarray(value)
    except (TypeError, ValueError):
        return as_array(name, value)
    if names.ndim and names.size and names.dtype.kind in "OUS":
        raise TypeError(
            f"{name} must hold numbers, got {listed(np.unique(names.astype(str)))}: number the "
            f"classes by np.unique({name}, return_inverse=True)[1]"
        )
    return as_array(name, value)


def listed(values: np.ndarray) -> str:
    """Some values in a message: the first few of many."""
    shown = [f"{v:g}" if isinstance(v, float) else repr(v) for v in values[:5].tolist()]
    return ", ".join(shown) + (f", ... ({len(values)} values)" if len(values) > 5 else "")


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


def finite_result(what: str, result: Any, causes: str, *inputs: Any) -> Any:
    """The result; raise ValueError if a concrete one is not finite though all its inputs are.

    `causes` are what to scale down.
    """
    for leaf in jax.tree.leaves(result):
        if not _is_finite(leaf) and _is_finite(inputs):
            limits = jnp.finfo(leaf.dtype)
            raise ValueError(
                f"{what} is beyond {limits.dtype}, whose largest number is "
                f"{float(limits.max):.2g}: scale {causes} down, or use float64"
            )
    return result


def _is_finite(tree: Any) -> bool:
    """Whether no number in it is NaN or infinite; traced ones are taken to be finite."""

    def is_number(leaf: Any) -> bool:
        dtype = np.dtype(float) if isinstance(leaf, float) else getattr(leaf, "dtype", None)
        return dtype is not None and jnp.issubdtype(dtype, jnp.inexact) and is_concrete(leaf)

    numbers = filter(is_number, jax.tree.leaves(tree))
    return all(bool(np.all(np.isfinite(np.asarray(number)))) for number in numbers)


def require_number(name: str, value: float | Array) -> None:
    """Raise TypeError unless a concrete value is one real number, in Python or as an array ()."""
    if not is_concrete(value):
        return
    if not isinstance(value, Real | Array) or np.ndim(value) or not _is_real(value):
        raise TypeError(f"{name} must be a number, got {shown(value)}")


def require_positive(name: str, value: float | Array, *, zero: bool = False) -> None:
    """Raise unless a concrete number is finite and > 0 (>= 0 with `zero`)."""
    if not is_concrete(value):
        return
    require_number(name, value)
    if not np.isfinite(value) or value < 0 or (value == 0 and not zero):
        bound = ">= 0" if zero else "> 0"
        raise ValueError(f"{name} must be a finite number {bound}, got {value}")


def shown(value: Any) -> str:
    """The value in one short line."""
    if is_key(value):
        return f"random keys of shape {value.shape}" if value.ndim else "a random key"
    if isinstance(value, Array | np.ndarray) and value.ndim:
        return f"an array of shape {value.shape}"
    return repr(value).partition("\n")[0][:80]


def _is_real(value: Any) -> bool:
    if is_key(value):
        return False
    dtype = jnp.result_type(value)
    return jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer)


def require_choice(name: str, value: Any, known: Iterable[str], *, otherwise: str = "") -> None:
    """Raise ValueError unless the value is one of the known names."""
    known = list(known)
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}{otherwise}, got {shown(value)}")


def require_entries(what: str, **shape: int) -> None:
    """Raise ValueError if an array of this shape has more entries than 32 bits count."""
    entries = math.prod(map(int, shape.values()))
    if entries > _MOST_ENTRIES:
        sizes = " * ".join(f"{size:,}" for size in shape.values())
        raise ValueError(
            f"{' * '.join(shape)} must be at most {_MOST_ENTRIES:,}, the most entries of {what}, "
            f"got {sizes}, which would take {4 * entries / 1e9:,.0f} GB: take fewer"
        )


def require_range(name: str, sizes: np.ndarray, dtype: Any, causes: str) -> None:
    """Raise ValueError unless results of these sizes, in float64, are 0 or within the dtype."""
    limits = jnp.finfo(dtype)
    outside = (sizes != 0) & ~((sizes >= float(limits.tiny)) & (sizes <= float(limits.max)))
    if np.any(outside):
        raise ValueError(
            f"{name} has size {sizes[outside].flat[0]:.2g}, outside the range of {dtype} "
            f"({float(limits.tiny):.2g} to {float(limits.max):.2g}): scale {causes}, or use float64"
        )


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
        raise TypeError(f"{name} must be an integer, got {shown(value)}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")


def require_callable(name: str, value: Any, signature: str, *, optional: bool = False) -> Any:
    """The value; raise TypeError unless it can be called, or is None where it is optional.

    `signature` tells how it will be called: "apply(params, x)" with two arguments, and
    "kernel(x, z=None)" with one and with two.
    """
    if optional and value is None:
        return value
    if not callable(value):
        raise TypeError(f"{name} must be a function {signature}, got {type(value).__name__}")
    arguments = signature.partition("(")[2].split(",")
    for count in (len(arguments), sum("=" not in argument for argument in arguments)):
        if not _takes(value, count):
            raise TypeError(
                f"{name} must be a function {signature}, got one that cannot be called with "
                f"{count} argument{'s' if count > 1 else ''}"
            )
    return value


def _takes(function: Callable, count: int) -> bool:
    """Whether it can be called with so many positional arguments, as far as it tells."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # functions in C need not have one
        return True
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def require_floats(name: str, array: Array | np.ndarray) -> None:
    """Raise TypeError unless an array holds floats."""
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(f"{name} must hold floats, got {array.dtype}: cast it, say to float32")


def require_parameters(name: str, params: Any) -> None:
    """Raise TypeError unless every leaf of a pytree of parameters is a float or holds floats."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        dtype = jnp.result_type(leaf) if isinstance(leaf, Real) else getattr(leaf, "dtype", None)
        if hasattr(leaf, "todense") or isinstance(leaf, np.ma.MaskedArray):
            dtype = None
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


def require_same_shape(scores: Array | jax.ShapeDtypeStruct, y: Array | np.ndarray) -> None:
    """Raise ValueError unless scores and y have the same shape."""
    if scores.shape != y.shape:
        column = y.shape[-1:] == (1,) and y.shape[:-1] == scores.shape
        mending = (
            "a column of labels needs y[..., 0]"
            if column
            else "a network with one output column needs apply(params, x)[..., 0]"
        )
        raise ValueError(
            f"scores and y must have the same shape, got {scores.shape} and {y.shape}: {mending}"
        )


def require_class_labels(logits: Array | jax.ShapeDtypeStruct, labels: Array | np.ndarray) -> None:
    """Raise unless labels are integers, one for each row of logits over k >= 2 classes."""
    if logits.ndim and logits.shape[-1] == 1:
        raise ValueError(
            f"scores have shape {logits.shape}, of one output column: for labels -1, +1 and the "
            "logistic loss append [..., 0], apply(params, x)[..., 0]; for k classes give k columns"
        )
    if logits.ndim == 0 or logits.shape[-1] < 2:
        raise ValueError(
            f"logits must be (..., k) with k >= 2 classes, got shape {logits.shape}: "
            "for one score a sample append [..., 0], and use labels -1, +1 and the logistic loss"
        )
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(
            f"labels must be integers in [0, k), got dtype {labels.dtype}: use labels.astype(int)"
        )
    if logits.shape[:-1] != labels.shape:
        raise ValueError(
            f"labels must have shape {logits.shape[:-1]}, one for each row of logits, "
            f"got {labels.shape}{_mending_of_classes(logits.shape, labels.shape)}"
        )


def _mending_of_classes(logits: tuple[int, ...], labels: tuple[int, ...]) -> str:
    """What makes labels of this shape one for each row of logits, if it is one of the usual."""
    if labels == logits:
        return ": one-hot rows become labels by labels.argmax(-1)"
    if labels == (*logits[:-1], 1):
        return ": a column becomes labels by labels[..., 0]"
    return ""


def require_signs(y: Array | np.ndarray) -> None:
    """Raise ValueError unless concrete binary labels are all -1 or +1."""
    if not is_concrete(y):
        return
    present = np.unique(np.asarray(y).astype(float))
    wrong = np.setdiff1d(present, [-1, 1])
    if len(wrong):
        raise ValueError(
            f"binary labels must be -1 or +1, got {', '.join(f'{v:g}' for v in wrong[:3])}: "
            + _mending_of_signs(present, np.asarray(y).dtype)
        )


def _mending_of_signs(present: np.ndarray, dtype: np.dtype) -> str:
    """What makes labels -1 and +1 of those that are present."""
    if np.isin(present, [0, 1]).all():
        return "labels 0 and 1 become -1 and +1 by 2 * y - 1 in floats (one-hot rows: y.argmax(-1))"
    if dtype.kind == "u" and present[-1] == np.iinfo(dtype).max:
        return f"{dtype} has no -1, use y.astype(np.{dtype.name[1:]})"
    if len(present) == 2:
        return f"two labels become -1 and +1 by np.where(y == {present[1]:g}, 1.0, -1.0)"
    return "more classes are numbered 0, ..., k-1, for a network with k outputs"


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


def checked_labels(scores: Array | jax.ShapeDtypeStruct, y: Any) -> Array:
    """The labels y of these scores: signs -1, +1 in their dtype, or integers in [0, k).

    Signs that are traced become NaN where they are neither.

    Raises:
        TypeError: y holds no numbers, or class labels are not integers.
        ValueError: shapes that do not fit, or values that are no labels.
    """
    y = as_array("y", y)
    column = y.shape == (*scores.shape, 1) or scores.shape == (*y.shape, 1)
    if len(scores.shape) != y.ndim and not column:
        return checked_classes(scores, y)
    require_same_shape(scores, y)
    require_signs(y)
    signs = jnp.asarray(y).astype(scores.dtype)
    return signs if is_concrete(y) else jnp.where(jnp.abs(signs) == 1, signs, jnp.nan)


def checked_classes(logits: Array | jax.ShapeDtypeStruct, labels: Any) -> Array:
    """Integer labels of logits (..., k), in [0, k) where they are concrete.

    Raises:
        TypeError: labels are no integers.
        ValueError: shapes that do not fit, or values that are no labels.
    """
    labels = as_array("labels", labels)
    require_class_labels(logits, labels)
    require_classes(labels, logits.shape[-1])
    return jnp.asarray(labels)


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
