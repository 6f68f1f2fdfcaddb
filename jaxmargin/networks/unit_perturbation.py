"""The perturbation of eq. 3.2 for finite networks: a transform to chain after any optimizer."""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Int, PRNGKeyArray, PyTree

from jaxmargin._checks import is_concrete, require_positive
from jaxmargin._sphere_search import uniform_directions

_NO_UNITS = object()  # in place of None, which is an empty pytree to JAX


class PerturbUnitsState(NamedTuple):
    """State of `perturb_units`.

    Attributes:
        key: random key. It never changes; each update folds its own number into it.
        step: number of updates so far.
    """

    key: PRNGKeyArray
    step: Int[Array, ""]


def perturb_units(
    key: PRNGKeyArray, noise: float, *, unit_axis: PyTree, radius: float | None = None
) -> optax.GradientTransformationExtraArgs:
    """Re-initialise each unit of a network with probability `noise` at each update (eq. 3.2).

    A unit consists of all weights that share its index, taken over all leaves that have a unit
    axis. Say that these are D numbers. A chosen unit becomes a fresh uniform point of the sphere
    of the given radius in R^D. Every other unit receives the incoming update, unchanged. Chain the
    transform last: `optax.chain(optax.adam(1e-2), perturb_units(key, 1e-3, unit_axis=...))`.

    With the radius 1/sqrt(m) this is the perturbation of the measure `from_network(params)`: its
    m particles sqrt(m) (w_j, u_j) have mass 1/m, and fresh ones start on the unit sphere. `noise`
    is then the paper's step size times sigma.

    The update of a chosen unit is `fresh - params`, so that adding it to params gives `fresh` up
    to one rounding of params. What the optimizer remembers of a unit, such as Adam's moments, is
    not reset. The D m normal numbers are drawn only when some unit is chosen (under `vmap`:
    always). The draws depend on nothing but the key and the number of the update. The trials of
    `train(..., trials=True)` therefore share them.

    Args:
        key: random key.
        noise: probability, in [0, 1].
        unit_axis: the axis that counts the units, for each leaf of params. It is a pytree of
            integers, with None for leaves without units, and a prefix of params: one entry may
            stand for a whole subtree. A two-layer network has `TwoLayer(u=0, w=0)`, or just 0.
            Kernels of flax are (in, out), so that two layers have `{"params": {"Dense_0":
            {"kernel": 1, "bias": 0}, "Dense_1": {"kernel": 0, "bias": None}}}`. Weights of
            equinox are (out, in).
        radius: length of a fresh unit, > 0; None takes 1/sqrt(m).

    Returns:
        `optax.GradientTransformationExtraArgs` with the state `PerturbUnitsState(key, step)`.

    Raises:
        ValueError: noise outside [0, 1] or radius not positive. The rest is raised by `init` and
            `update`, which see params: unit_axis is not a prefix of them, names no leaf, or names
            an axis that a leaf lacks; leaves have different numbers of units, no units, or units
            of one weight; params are missing in update, or have another structure than the
            updates.
        TypeError: noise, radius or an axis is not a number; leaves with units are not floats.

    Example:
        >>> from jaxmargin import TwoLayer
        >>> params = TwoLayer(u=jnp.ones((4, 2)), w=jnp.ones(4))
        >>> optimizer = optax.chain(
        ...     optax.sgd(0.1),
        ...     perturb_units(jax.random.key(0), 1.0, unit_axis=TwoLayer(u=0, w=0)))
        >>> updates, state = optimizer.update(params, optimizer.init(params), params)
        >>> u, w = optax.apply_updates(params, updates)
        >>> jnp.sqrt(jnp.sum(u**2, axis=1) + w**2).round(5).tolist()  # 1 / sqrt(4)
        [0.5, 0.5, 0.5, 0.5]

    Reference:
        Wei, Lee, Liu, Ma (2019), eq. 3.2.
    """
    _check_noise(noise)
    if radius is not None:
        require_positive("radius", radius)

    def init(params: PyTree) -> PerturbUnitsState:
        _units(unit_axis, params)
        return PerturbUnitsState(key, jnp.zeros((), jnp.int32))

    def update(updates: PyTree, state: Any, params: PyTree | None = None, **_):
        if params is None:
            raise ValueError(
                "perturb_units needs params: call optimizer.update(grads, state, params)"
            )
        axes, m = _units(unit_axis, params)
        leaves, structure = jax.tree.flatten(updates)
        if structure != jax.tree.structure(params):
            raise ValueError(f"updates must have the structure of params, got {structure}")
        length = m**-0.5 if radius is None else radius
        draw = jax.random.fold_in(state.key, state.step)
        leaves = _perturb((tuple(axes), m), draw, noise, length, leaves, jax.tree.leaves(params))
        state = PerturbUnitsState(state.key, jnp.asarray(optax.safe_increment(state.step)))
        return jax.tree.unflatten(structure, leaves), state

    return optax.GradientTransformationExtraArgs(init, update)


@partial(jax.jit, static_argnums=0)  # so that eager calls do not compile the cond each time
def _perturb(
    layout: tuple[tuple, int], key: Array, noise: Any, radius: Any, updates: list, params: list
) -> list:
    """The updates after one draw."""
    axes, m = layout
    which, where = jax.random.split(key)
    # mode="high": below 1e-6 the default's 23 random bits are too few
    chosen = jax.random.bernoulli(which, jnp.asarray(noise, float), (m,), mode="high")
    return jax.lax.cond(
        jnp.any(chosen),
        lambda: _replace(updates, params, axes, chosen, where, radius),
        lambda: updates,
    )


def _replace(
    updates: list, params: list, axes: tuple, chosen: Bool[Array, " m"], key: Array, radius: Any
) -> list:
    """The updates, with fresh - params for the chosen units."""
    m = len(chosen)
    with_units = [i for i, axis in enumerate(axes) if axis is not None]
    wide = any(jnp.asarray(params[i]).dtype == jnp.float64 for i in with_units)
    dtype = jnp.dtype("float64" if wide else "float32")
    sizes = [params[i].size // m for i in with_units]
    fresh = uniform_directions(key, (m, sum(sizes)), dtype) * jnp.asarray(radius, dtype)

    updates = list(updates)
    parts = jnp.split(fresh, np.cumsum(sizes)[:-1], axis=1)
    for part, i in zip(parts, with_units, strict=True):
        old = jnp.moveaxis(params[i], axes[i], 0)
        move = part.reshape(old.shape) - old.astype(dtype)
        mask = chosen.reshape(m, *[1] * (old.ndim - 1))
        incoming = jnp.moveaxis(updates[i], axes[i], 0)
        updates[i] = jnp.moveaxis(
            jnp.where(mask, move.astype(incoming.dtype), incoming), 0, axes[i]
        )
    return updates


def _units(unit_axis: PyTree, params: PyTree) -> tuple[list[int | None], int]:
    """The unit axis of each leaf of params, in order, and how many units there are."""
    axes = _axes(unit_axis, params)
    counts, shapes = {}, []
    for (path, leaf), axis in zip(jax.tree.leaves_with_path(params), axes, strict=True):
        if axis is None:
            continue
        name = "params" + jax.tree_util.keystr(path)
        if isinstance(axis, bool) or not isinstance(axis, int | np.integer):
            raise TypeError(f"unit_axis of {name} must be an integer or None, got {axis!r}")
        shape = jnp.shape(leaf)
        if not -len(shape) <= axis < len(shape):
            raise ValueError(f"unit_axis of {name} must be an axis of {shape}, got {axis}")
        if not jnp.issubdtype(jnp.asarray(leaf).dtype, jnp.floating):
            raise TypeError(f"{name} has units and must hold floats, got {leaf.dtype}")
        counts[name] = shape[axis]
        shapes.append(shape)
    if not counts:
        raise ValueError("unit_axis must give at least one leaf of params an axis, got only None")
    if len(set(counts.values())) > 1:
        raise ValueError(f"leaves with units must agree on their number, got {counts}")
    m = next(iter(counts.values()))
    weights = sum(math.prod(shape) for shape in shapes)
    if weights < 2 * m or m == 0:
        raise ValueError(
            f"params must have at least one unit, of two weights or more, got {counts}"
        )
    return axes, m


def _axes(unit_axis: PyTree, params: PyTree) -> list[Any]:
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


def _check_noise(noise: float) -> None:
    require_positive("noise", noise, zero=True)
    if is_concrete(noise) and noise > 1:
        raise ValueError(f"noise must be a probability in [0, 1], got {noise}")
