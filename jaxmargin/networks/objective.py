"""The regularized objective, mean loss + lam * ||Theta||^r (eq. 2.2, 4.1)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from jaxmargin._arithmetic import safe_power, widened
from jaxmargin._arrays import as_array, as_result
from jaxmargin._checks import (
    checked_classes,
    checked_labels,
    finite_result,
    is_concrete,
    require_callable,
    require_choice,
    require_parameters,
    require_positive,
    require_same_shape,
)
from jaxmargin.networks import norms
from jaxmargin.networks.losses import (
    cross_entropy_loss,
    logistic_loss,
    squared_loss,
)
from jaxmargin.networks.models import Apply
from jaxmargin.networks.norms import Norm

Loss = Callable[[Array, Array], Array]
"""A loss: `loss(scores, y)` gives one number for each sample."""

Objective = Callable[[PyTree, Array, Array], Array]
"""What training minimises: `objective(params, x, y)` gives a scalar."""


def _logistic_of_scores(scores: Array, y: Array) -> Array:
    return logistic_loss(_signs_of(scores, y) * scores)


def _signs_of(scores: Array | jax.ShapeDtypeStruct, y: Any) -> Array:
    y = as_array("y", y)
    require_same_shape(scores, y)
    return checked_labels(scores, y)


_LOSSES: dict[str, Loss] = {
    "logistic": _logistic_of_scores,
    "cross_entropy": cross_entropy_loss,
    "squared": squared_loss,
}


@dataclass(frozen=True, eq=False)
class Regularized:
    """What `regularized` makes: a function of (params, x, y) that remembers its parts.

    Attributes:
        apply: the network, `apply(params, x)`.
        loss: name of a loss, or a function `(scores, y) -> losses`.
        lam: strength of the regularizer; or t of them, one for each trial of `train`.
        r: exponent of the norm.
        norm: norm of the parameters.
    """

    apply: Apply
    loss: str | Loss
    lam: float | Array | np.ndarray
    r: float
    norm: Norm

    def __call__(self, params: PyTree, x: Array, y: Array) -> Float[Array, ""]:
        """The mean loss over the samples, plus lam * norm(params)**r."""
        if jnp.ndim(self.lam):
            raise ValueError(
                f"lam has shape {jnp.shape(self.lam)}, one strength for each trial: call "
                "train(..., trials=True), or give regularized a number"
            )
        return self.with_lam(self.lam, params, x, y)

    def with_lam(
        self, lam: float | Array | np.ndarray, params: PyTree, x: Array, y: Array
    ) -> Float[Array, ""]:
        """The same for another lam, one number."""
        loss = self.loss if callable(self.loss) else _LOSSES[self.loss]
        losses = widened(as_result("loss(scores, y)", loss(self.scores(params, x), y)))
        if not losses.size:
            raise ValueError(f"x must have at least one sample, got losses of shape {losses.shape}")
        penalty = self.penalty(params)
        value = jnp.mean(losses) + jnp.asarray(lam, penalty.dtype) * penalty
        return finite_result("the objective", value, "params, x or r", params, x, y)

    def scores(self, params: PyTree, x: Array) -> Array:
        """What the network gives; raise TypeError if that is no array of floats."""
        outputs = self.apply(params, x)
        if isinstance(outputs, tuple | list | dict):
            raise TypeError(
                f"apply must return its scores alone, got a {type(outputs).__name__}: of a model "
                "that returns (scores, updates) take [0], and compute the statistics after training"
            )
        return widened(as_result("apply(params, x)", outputs))

    def penalty(self, params: PyTree) -> Float[Array, ""]:
        """norm(params)**r, with derivative 0 at params = 0 whatever that of the norm is there."""
        if self.norm is norms.l2 and is_concrete(self.r) and self.r == 2:
            return norms.sum_of_squares(params)
        require_parameters("params", params)
        params = jax.tree.map(widened, params)
        zero = norms.linf(params) == 0
        held = jax.tree.map(lambda p: jnp.where(zero, jax.lax.stop_gradient(p), p), params)
        size = as_result("norm(params)", self.norm(held))
        if size.shape:
            raise ValueError(f"norm(params) must be a scalar, got shape {size.shape}")
        return safe_power(size, self.r)

    def check_labels(self, scores: Array | jax.ShapeDtypeStruct, y: Array) -> None:
        """Raise unless concrete labels fit scores of this shape and the named loss."""
        if self.loss == "logistic":
            _signs_of(scores, y)
        elif self.loss == "cross_entropy":
            checked_classes(scores, y)


def regularized(
    apply: Apply,
    loss: str | Loss,
    *,
    lam: float | Float[Array | np.ndarray, "*t"],
    r: float = 2.0,
    norm: Norm = norms.l2,
) -> Regularized:
    """L(Theta) = (1/n) sum_i loss(f(x_i; Theta), y_i) + lam ||Theta||^r (eq. 2.2, 4.1).

    Args:
        apply: `apply(params, x)`, from any library.
        loss: "logistic" (labels -1, +1), "cross_entropy" (labels 0..k-1), "squared", or a
            function `(scores, y) -> losses`.
        lam: strength of the regularizer, >= 0. An array of t of them is for
            `train(..., trials=True)`, one for each trial.
        r: exponent of the norm, > 0.
        norm: a norm of the parameters, from `jaxmargin.norms` or `pytree -> scalar`. To leave a
            part of them free, take the norm of the rest: `lambda params: norms.l2(params.u)`.

    Returns:
        `objective(params, x, y) -> scalar`, differentiable in params. The derivative of the
        penalty at Theta = 0 is 0.

    Raises:
        ValueError: unknown loss, lam negative or r not positive; at the call shapes that do not
            fit, no samples, a lam for each trial, or a value beyond the dtype (under `jit` it is
            infinite).
        TypeError: apply, norm or loss is not a function of as many arguments, lam or r no number;
            at the call, class labels that are not integers, a function that returns no floats, or
            an apply that returns more than scores.

    Example:
        >>> from jaxmargin import TwoLayer, two_layer
        >>> objective = regularized(two_layer, "logistic", lam=0.5)
        >>> params = TwoLayer(u=jnp.zeros((1, 2)), w=jnp.ones(1))
        >>> round(float(objective(params, jnp.ones((3, 2)), jnp.ones(3))), 4)
        1.1931

    Reference:
        Wei, Lee, Liu, Ma (2019), eq. 4.1; appendix C.1 for cross-entropy.
    """
    require_callable("apply", apply, "apply(params, x)")
    require_callable("norm", norm, "norm(params)")
    if callable(loss):
        require_callable("loss", loss, "loss(scores, y)")
    else:
        require_choice("loss", loss, _LOSSES, otherwise=" or a function (scores, y)")
    _check_lam(lam)
    require_positive("r", r)
    return Regularized(apply, loss, lam, r, norm)


def _check_lam(lam: Any) -> None:
    if getattr(lam, "ndim", 0) == 1 and is_concrete(lam):
        for one in lam:
            require_positive("each of lam", float(one), zero=True)
    else:
        require_positive("lam", lam, zero=True)
