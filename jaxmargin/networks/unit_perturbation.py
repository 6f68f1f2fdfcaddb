"""The perturbation of eq. 3.2 for finite networks, around or after any optimizer."""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Int, PRNGKeyArray, PyTree

from jaxmargin._arrays import as_jax, require_key
from jaxmargin._checks import is_concrete, require_positive
from jaxmargin._sphere_search import uniform_directions
from jaxmargin.networks._optimizers import require_optimizer
from jaxmargin.networks._unit_optimizer import UnitOptimizer, UnitStates
from jaxmargin.networks._units import unit_axes


class PerturbUnitsState(NamedTuple):
    """State of `perturb_units`.

    Attributes:
        key: random key. It never changes; each update folds its own number into it.
        step: number of updates so far.
        optimizer: what the optimizer remembers, `units` of each unit (every leaf has a leading axis
            m), and `rest` of what is in no unit.
    """

    key: PRNGKeyArray
    step: Int[Array, ""]
    optimizer: PyTree


def perturb_units(
    key: PRNGKeyArray,
    noise: float,
    *,
    unit_axis: PyTree,
    radius: float | None = None,
    optimizer: optax.GradientTransformation | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Re-initialise each unit of a network with probability `noise` at each update (eq. 3.2).

    A unit consists of all weights that share its index, taken over all leaves that have a unit
    axis. Say that these are D numbers. A chosen unit becomes a fresh uniform point of the sphere
    of the given radius in R^D. Every other unit receives the update of `optimizer`.

    What the optimizer remembers of a chosen unit, such as Adam's moments and its count of steps,
    begins anew with it. Schedules go on. For this the optimizer is run for each unit by itself: the
    update of an entry may depend on its own unit alone, as it does for SGD, momentum, Adam and
    their kind. What looks at all gradients together goes before:
    `optax.chain(optax.clip_by_global_norm(1.0), perturb_units(..., optimizer=optax.adam(1e-2)))`.
    Without `optimizer` this is a transform to chain last, after an optimizer that remembers
    nothing, such as plain SGD; any other would go on with the memory of the unit that is gone.

    With the radius 1/sqrt(m) this is the perturbation of the measure `from_network(params)`: its
    m particles sqrt(m) (w_j, u_j) have mass 1/m, and fresh ones start on the unit sphere. `noise`
    is then the paper's step size times sigma.

    The update of a chosen unit is `fresh - params`, so that adding it to params gives `fresh` up
    to one rounding of params. The D m normal numbers are drawn only when some unit is chosen (under
    `vmap`: always). The draws depend on nothing but the key and the number of the update. The
    trials of `train(..., trials=True)` therefore share them.

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
        optimizer: what updates the other units, any `optax.GradientTransformation` that works unit
            by unit; None lets the incoming updates through.

    Returns:
        `optax.GradientTransformationExtraArgs` with the state `PerturbUnitsState(key, step,
        optimizer)`.

    Raises:
        ValueError: noise outside [0, 1] or radius not positive. The rest is raised by `init` and
            `update`, which see params: unit_axis is not a prefix of them, names no leaf, or names
            an axis that a leaf lacks; leaves have different numbers of units, no units, or units
            of one weight; params are missing in update, or have another structure or other shapes
            than the updates.
        TypeError: key is no key, noise, radius or an axis not a number; optimizer is not a gradient
            transformation; leaves with units are not floats, or updates no arrays.

    Example:
        >>> from jaxmargin import TwoLayer
        >>> params = TwoLayer(u=jnp.ones((4, 2)), w=jnp.ones(4))
        >>> optimizer = perturb_units(
        ...     jax.random.key(0), 1.0, unit_axis=TwoLayer(u=0, w=0), optimizer=optax.sgd(0.1))
        >>> updates, state = optimizer.update(params, optimizer.init(params), params)
        >>> u, w = optax.apply_updates(params, updates)
        >>> jnp.sqrt(jnp.sum(u**2, axis=1) + w**2).round(5).tolist()  # 1 / sqrt(4)
        [0.5, 0.5, 0.5, 0.5]

    Reference:
        Wei, Lee, Liu, Ma (2019), eq. 3.2.
    """
    require_key(key)
    _check_noise(noise)
    if radius is not None:
        require_positive("radius", radius)
    if optimizer is None:
        optimizer = optax.identity()
    require_optimizer("optimizer", optimizer)
    whole = optax.with_extra_args_support(optimizer)

    def init(params: PyTree) -> PerturbUnitsState:
        axes, _ = _units(unit_axis, params)
        states = UnitOptimizer(whole, axes).init(_as_arrays(axes, params))
        return PerturbUnitsState(key, jnp.zeros((), jnp.int32), states)

    def update(updates: PyTree, state: Any, params: PyTree | None = None, **extra):
        if params is None:
            raise ValueError(
                "perturb_units needs params: call optimizer.update(grads, state, params)"
            )
        axes, m = _units(unit_axis, params)
        updates, params = _checked_updates(axes, updates, params), _as_arrays(axes, params)
        per_unit = UnitOptimizer(whole, axes)
        updates, states = per_unit.update(updates, state.optimizer, params, extra)
        length = m**-0.5 if radius is None else radius
        draw = jax.random.fold_in(state.key, state.step)
        updates, states = _perturb((per_unit, m), draw, noise, length, updates, params, states)
        step = jnp.asarray(optax.safe_increment(state.step))
        return updates, PerturbUnitsState(state.key, step, states)

    return optax.GradientTransformationExtraArgs(init, update)


@partial(jax.jit, static_argnums=0)  # so that eager calls do not compile the cond each time
def _perturb(
    layout: tuple[UnitOptimizer, int],
    key: Array,
    noise: Any,
    radius: Any,
    updates: PyTree,
    params: PyTree,
    states: UnitStates,
) -> tuple[PyTree, UnitStates]:
    """The updates and the optimizer's states after one draw."""
    per_unit, m = layout
    which, where = jax.random.split(key)
    # mode="high": below 1e-6 the default's 23 random bits are too few
    chosen = jax.random.bernoulli(which, jnp.asarray(noise, float), (m,), mode="high")

    def renewed() -> tuple[PyTree, UnitStates]:
        leaves, structure = jax.tree.flatten(updates)
        replaced = structure.unflatten(
            _replace(leaves, jax.tree.leaves(params), per_unit.axes, chosen, where, radius)
        )
        fresh = jax.tree.map(lambda p, move: p + move.astype(p.dtype), params, replaced)
        return replaced, per_unit.restarted(states, chosen, fresh)

    return jax.lax.cond(jnp.any(chosen), renewed, lambda: (updates, states))


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


def _units(unit_axis: PyTree, params: PyTree) -> tuple[tuple[int | None, ...], int]:
    """The unit axis of each leaf of params, in order, and how many units there are."""
    axes, m = unit_axes(unit_axis, params)
    shapes = [
        jnp.shape(leaf)
        for leaf, axis in zip(jax.tree.leaves(params), axes, strict=True)
        if axis is not None
    ]
    if sum(map(math.prod, shapes)) < 2 * m or m == 0:
        raise ValueError(
            f"params must have at least one unit, of two weights or more, got {m} units in leaves "
            f"of shape {', '.join(map(str, shapes))}"
        )
    return tuple(axes), m


def _as_arrays(axes: tuple, params: PyTree) -> PyTree:
    """The parameters, with leaves that have units as arrays."""
    leaves, structure = jax.tree.flatten(params)
    arrays = [
        leaf if axis is None else as_jax("params", leaf)
        for leaf, axis in zip(leaves, axes, strict=True)
    ]
    return jax.tree.unflatten(structure, arrays)


def _checked_updates(axes: tuple, updates: PyTree, params: PyTree) -> PyTree:
    """The updates, once they have the structure of params; those of units as arrays, and fit."""
    structure = jax.tree.structure(updates)
    if structure != jax.tree.structure(params):
        raise ValueError(f"updates must have the structure of params, got {structure}")
    leaves = []
    for (path, leaf), old, axis in zip(
        jax.tree.leaves_with_path(updates), jax.tree.leaves(params), axes, strict=True
    ):
        name = "updates" + jax.tree_util.keystr(path)
        leaves.append(leaf if axis is None else as_jax(name, leaf))
        if jnp.shape(leaves[-1]) != jnp.shape(old):
            raise ValueError(
                f"{name} must have shape {jnp.shape(old)} as in params, got {jnp.shape(leaf)}"
            )
    return jax.tree.unflatten(structure, leaves)


def _check_noise(noise: float) -> None:
    require_positive("noise", noise, zero=True)
    if is_concrete(noise) and noise > 1:
        raise ValueError(f"noise must be a probability in [0, 1], got {noise}")
