"""The units of a network: which axis of each leaf of the parameters counts them."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from jaxmargin._arrays import as_array
from jaxmargin._checks import shown

_NO_UNITS = object()  # in place of None, which is an empty pytree to JAX


def unit_axes(unit_axis: PyTree, params: PyTree) -> tuple[list[int | None], int]:
    """The unit axis of each leaf of params, in order, and how many units there are.

    Raises:
        ValueError: unit_axis is not a prefix of params, names no leaf, or names an axis that a leaf
            lacks; leaves have different numbers of units.
        TypeError: an axis is not an integer; a leaf with units does not hold floats.
    """
    axes = _broadcast(unit_axis, params)
    counts = {}
    for (path, leaf), axis in zip(jax.tree.leaves_with_path(params), axes, strict=True):
        if axis is None:
            continue
        name = "params" + jax.tree_util.keystr(path)
        if isinstance(axis, bool) or not isinstance(axis, int | np.integer):
            raise TypeError(f"unit_axis of {name} must be an integer or None, got {shown(axis)}")
        dtype, shape = as_array(name, leaf).dtype, jnp.shape(leaf)
        if not -len(shape) <= axis < len(shape):
            raise ValueError(f"unit_axis of {name} must be an axis of {shape}, got {axis}")
        if not jnp.issubdtype(dtype, jnp.floating):
            raise TypeError(f"{name} has units and must hold floats, got {dtype}")
        counts[name] = shape[axis]
    if not counts:
        raise ValueError("unit_axis must give at least one leaf of params an axis, got only None")
    if len(set(counts.values())) > 1:
        raise ValueError(f"leaves with units must agree on their number, got {counts}")
    return axes, next(iter(counts.values()))


def by_unit(tree: PyTree, axes: Sequence[int | None], others: Any = None) -> PyTree:
    """The leaves that have units, with these in front; `others` in place of all other leaves."""
    leaves, structure = jax.tree.flatten(tree)
    return structure.unflatten(
        others if axis is None else jnp.moveaxis(leaf, axis, 0)
        for leaf, axis in zip(leaves, axes, strict=True)
    )


def _broadcast(unit_axis: PyTree, params: PyTree) -> list[Any]:
    """The entry of unit_axis above each leaf of params; None is an entry of unit_axis."""

    def is_none(entry: Any) -> bool:
        return entry is None

    marked = jax.tree.map(lambda e: _NO_UNITS if is_none(e) else e, unit_axis, is_leaf=is_none)
    try:
        axes = jax.tree.leaves(jax.tree.broadcast(marked, params))
    except ValueError as error:
        reason = str(error).split("\n")[0]
        raise ValueError(f"unit_axis must be a pytree prefix of params: {reason}") from None
    return [None if axis is _NO_UNITS else axis for axis in axes]
