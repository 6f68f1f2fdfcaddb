"""What `train` and `perturb_units` have to know of optax."""

from typing import Any

import jax
import optax
from jaxtyping import PyTree


def require_optimizer(name: str, value: Any) -> None:
    """Raise TypeError unless the value is a gradient transformation."""
    if not isinstance(value, optax.GradientTransformation):
        accumulates = isinstance(value, optax.MultiSteps)
        raise TypeError(
            f"{name} must be an optax.GradientTransformation such as optax.sgd(0.1), "
            f"got {type(value).__name__}"
            + (": call its .gradient_transformation()" if accumulates else "")
        )


def has_state(opt_state: PyTree, kind: type) -> bool:
    """Whether a part of an optimizer's state is of this type."""

    def is_kind(state: Any) -> bool:
        return isinstance(state, kind)

    return any(map(is_kind, jax.tree.leaves(opt_state, is_leaf=is_kind)))


def skips_steps(opt_state: PyTree) -> bool:
    """Whether it is the optimizer's business what to do with objectives that are not finite."""
    return has_state(opt_state, optax.ApplyIfFiniteState)


def descended(params: PyTree) -> PyTree:
    """The part of the parameters at which gradients are taken: the fast ones of lookahead."""
    return params.fast if isinstance(params, optax.LookaheadParams) else params


def measured(params: PyTree) -> PyTree:
    """The part of the parameters that is measured: the slow ones of lookahead."""
    return params.slow if isinstance(params, optax.LookaheadParams) else params


def require_pairs_for_lookahead(params: PyTree, opt_state: PyTree) -> None:
    """Raise ValueError unless lookahead, and nothing else, gets its pairs of parameters."""
    looks, pairs = (
        has_state(opt_state, optax.LookaheadState),
        isinstance(params, optax.LookaheadParams),
    )
    if looks and not pairs:
        raise ValueError(
            "optax.lookahead has fast and slow parameters: start from "
            "params=optax.LookaheadParams.init_synced(params)"
        )
    if pairs and not looks:
        raise ValueError("params are optax.LookaheadParams, which only optax.lookahead takes")
