"""An optimizer that sees each unit by itself, so that what it remembers of one can begin anew."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, PyTree

from jaxmargin.networks._units import by_unit

_ABSENT = optax.MaskedNode()


class UnitStates(NamedTuple):
    """What an optimizer remembers.

    Attributes:
        units: its state for each unit; every leaf has a leading axis m.
        rest: its state for the leaves without units; None if there are none.
    """

    units: PyTree
    rest: PyTree


class UnitOptimizer(NamedTuple):
    """An optimizer that is run for each unit, and once for all that is in no unit.

    Attributes:
        optimizer: the optimizer.
        axes: for each leaf of the parameters the axis that counts the units, or None.
    """

    optimizer: optax.GradientTransformationExtraArgs
    axes: tuple[int | None, ...]

    def init(self, params: PyTree) -> UnitStates:
        """The states at the start."""
        rest = self.optimizer.init(self._rest(params)) if None in self.axes else None
        return UnitStates(jax.vmap(self.optimizer.init)(self._units(params)), rest)

    def update(
        self, updates: PyTree, states: UnitStates, params: PyTree, extra: dict[str, Any]
    ) -> tuple[PyTree, UnitStates]:
        """The updates and states after one step."""

        def step(updates: PyTree, state: PyTree, params: PyTree) -> tuple[PyTree, PyTree]:
            return self.optimizer.update(updates, state, params, **extra)

        of_units, units = jax.vmap(step)(self._units(updates), states.units, self._units(params))
        of_rest, rest = [], None
        if None in self.axes:
            of_rest, rest = step(self._rest(updates), states.rest, self._rest(params))
        return self._joined(updates, of_units, of_rest), UnitStates(units, rest)

    def restarted(
        self, states: UnitStates, chosen: Bool[Array, " m"], params: PyTree
    ) -> UnitStates:
        """The states, begun anew at these params for the chosen units; schedules go on."""
        begun = jax.vmap(self.optimizer.init)(self._units(params))
        return states._replace(units=_restarted(states.units, begun, chosen))

    def _units(self, tree: PyTree) -> PyTree:
        return by_unit(tree, self.axes, _ABSENT)

    def _rest(self, tree: PyTree) -> PyTree:
        leaves, structure = jax.tree.flatten(tree)
        return structure.unflatten(
            leaf if axis is None else _ABSENT for leaf, axis in zip(leaves, self.axes, strict=True)
        )

    def _joined(self, like: PyTree, of_units: PyTree, of_rest: PyTree) -> PyTree:
        units, rest = iter(jax.tree.leaves(of_units)), iter(jax.tree.leaves(of_rest))
        return jax.tree.structure(like).unflatten(
            next(rest) if axis is None else jnp.moveaxis(next(units), 0, axis) for axis in self.axes
        )


def _restarted(states: PyTree, begun: PyTree, chosen: Bool[Array, " m"]) -> PyTree:
    def one(old: Any, new: Any) -> Any:
        if isinstance(old, optax.ScaleByScheduleState):
            return old
        if isinstance(old, optax.InjectStatefulHyperparamsState):
            inner = _restarted(old.inner_state, new.inner_state, chosen)
            return old._replace(inner_state=inner)
        return jnp.where(chosen.reshape(-1, *[1] * (old.ndim - 1)), new, old)

    return jax.tree.map(one, states, begun, is_leaf=_has_schedule)


def _has_schedule(state: Any) -> bool:
    return isinstance(state, optax.ScaleByScheduleState | optax.InjectStatefulHyperparamsState)
