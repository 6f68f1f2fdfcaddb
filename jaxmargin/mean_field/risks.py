"""The risk R of a measure: logistic, cross-entropy and squared loss, with their conjugates."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import xlogy
from jaxtyping import Array, Float

from jaxmargin.networks.losses import cross_entropy_loss, logistic_loss, squared_loss


class LogisticRisk(NamedTuple):
    """R(a) = sum_i log(1 + e^{-y_i a_i}) (eq. 2.2).

    Attributes:
        y: (n,) labels -1 or +1.
    """

    y: Float[Array, " n"]

    def __call__(self, outputs: Array) -> Array:
        """R of outputs (n,)."""
        _check_outputs(outputs, self.y.shape)
        return jnp.sum(logistic_loss(self.y * outputs))

    def conjugate(self, dual: Array) -> Array:
        """R*(p) = sum_i t_i log t_i + (1 - t_i) log(1 - t_i) with t_i = -y_i p_i in [0, 1].

        Infinite elsewhere.
        """
        t = -self.y * dual
        inside = jnp.clip(t, 0, 1)
        entropy = jnp.sum(xlogy(inside, inside) + xlogy(1 - inside, 1 - inside))
        return _on_domain(entropy, t - inside)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class CrossEntropyRisk:
    """R(a) = sum_i -log softmax(a_i)[label_i] (appendix C.1).

    Attributes:
        labels: (n,) integers in [0, k).
        k: number of classes, of which the labels need not show all.
    """

    labels: Any  # an array, but for the placeholders by which JAX builds and maps dataclasses
    k: int = field(metadata={"static": True})

    def __call__(self, outputs: Array) -> Array:
        """R of outputs (n, k)."""
        _check_outputs(outputs, (*self.labels.shape, self.k))
        return jnp.sum(cross_entropy_loss(outputs, self.labels))

    def conjugate(self, dual: Array) -> Array:
        """R*(p) = sum_ij q_ij log q_ij with q_i = p_i + onehot(label_i) a distribution.

        Infinite elsewhere.
        """
        q = dual + jax.nn.one_hot(self.labels, self.k, dtype=dual.dtype)
        inside = jnp.clip(q, 0, 1)
        entropy = jnp.sum(xlogy(inside, inside))
        return _on_domain(entropy, q - inside + jnp.sum(q, axis=1, keepdims=True) - 1)


class SquaredRisk(NamedTuple):
    """R(a) = sum_i (a_i - y_i)^2 (appendix B.3).

    Attributes:
        y: (n,) or (n, k) targets.
    """

    y: Float[Array, "n *k"]

    def __call__(self, outputs: Array) -> Array:
        """R of outputs of the shape of y."""
        _check_outputs(outputs, self.y.shape)
        return jnp.sum(squared_loss(outputs, self.y))

    def conjugate(self, dual: Array) -> Array:
        """R*(p) = sum_i p_i^2 / 4 + p_i y_i."""
        return jnp.sum(dual**2 / 4 + dual * self.y)


def _on_domain(value: Array, excess: Array) -> Array:
    """The value, or inf where a constraint is exceeded by more than what rounding explains."""
    return jnp.where(jnp.max(jnp.abs(excess)) <= jnp.finfo(value.dtype).eps ** 0.5, value, jnp.inf)


def _check_outputs(outputs: Array, shape: tuple[int, ...]) -> None:
    if outputs.shape != shape:
        raise ValueError(
            f"the outputs of the particles have shape {outputs.shape}, and not {shape}: a "
            "particle must be (w, u) with one w for each output of a sample"
        )
