"""The perturbation of eq. 3.2 for finite networks, as a transform to chain after any optimizer."""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.core import Tracer
from jaxtyping import Array, Bool, Int, PRNGKeyArray, PyTree

from jaxmargin._checks import require_positive
from jaxmargin._sphere_search import uniform_directions


class PerturbUnitsState(NamedTuple):
    """State of `perturb_units`.

    Attributes:
        key: random key, never changed: update number `step` folds its number in.
        step: updates so far.
    """

    key: PRNGKeyArray
    step: Int[Array, ""]


def perturb_units(
    noise: float, *, key: PRNGKeyArray, unit_axis: PyTree, radius: float | None = None
) -> optax.GradientTransformationExtraArgs:
    """Re-initialise each unit of a network with probability `noise` at each update (eq. 3.2).

    A unit is all weights that share its index, over all leaves that have a unit axis: D numbers. A
    chosen unit becomes a fresh uniform point of the sphere of the given radius in R^D; every other
    unit receives the incoming update, unchanged. Chain it last:
    `optax.chain(optax.adam(1e-2), perturb_units(1e-3, key=key, unit_axis=...))`.

    The radius 1/sqrt(m) makes it the perturbation of the measure `from_network(params)`, whose
    m particles sqrt(m) (w_j, u_j) have mass 1/m and are born on the unit sphere. `noise` is then
    the paper's step size * sigma.

    The update is fresh - params, and params + update is fresh up to one rounding of params. What
    the optimizer remembers of a unit, such as Adam's moments, is not reset. The D m normals are
    drawn only when some unit is chosen, but always under `vmap`. The draws depend on the key and
    on the number of the update alone, so that the trials of `train(..., trials=True)` share them.

    Args:
        noise: probability, in [0, 1].
        key: random key.
        unit_axis: the axis that counts the units, for each leaf of params: a pytree of integers,
            and of None for leaves without units, that is a prefix of params (one None may stand
            for a whole subtree). `TwoLayer(u=0, w=0)`, or just 0; flax's kernels are (in, out):
            `{"params": {"Dense_0": {"kernel": 1, "bias": 0}, "Dense_1": {"kernel": 0, "bias":
            None}}}`; equinox's weights are (out, in).
        radius: length of a fresh unit, > 0; None takes 1/sqrt(m).

    Returns:
        `optax.GradientTransformationExtraArgs` with the state `PerturbUnitsState(key, step)`.

    Raises:
        ValueError: noise outside [0, 1] or radius not positive; when it meets params (init and
            update): unit_axis is no prefix of them, names no leaf, or an axis that a leaf lacks;
            leaves of different numbers of units, none, or units of one weight; params missing in
            update, or unlike the updates.
        TypeError: noise, radius or an axis is no number; leaves with units that are not floats.

    Example:
        >>> from jaxmargin import TwoLayer
        >>> params = TwoLayer(u=jnp.ones((4, 2)), w=jnp.ones(4))
        >>> optimizer = optax.chain(
        ...     optax.sgd(0.1),
        ...     perturb_units(1.0, key=jax.random.key(0), unit_axis=TwoLayer(u=0, w=0)))
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
    chosen = jax.random.bernoulli(which, noise, (m,), mode="high")
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
    axes = _broadcast(unit_axis, params)
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


def _broadcast(unit_axis: PyTree, params: PyTree) -> list:
    """The entry of unit_axis above each leaf of params; None is an entry of unit_axis."""
    axes = []

    def note(axis: Any, subtree: PyTree) -> None:  # an empty subtree of params has no leaf
        axes.extend([axis] * len(jax.tree.leaves(subtree)))

    try:
        jax.tree.map(note, unit_axis, params, is_leaf=lambda entry: entry is None)
    except ValueError as error:
        reason = str(error).split("\n")[0]
        raise ValueError(f"unit_axis must be a pytree prefix of params: {reason}") from None
    return axes


def _check_noise(noise: float) -> None:
    require_positive("noise", noise, zero=True)
    if not isinstance(noise, Tracer) and noise > 1:
        raise ValueError(f"noise must be a probability in [0, 1], got {noise}")
