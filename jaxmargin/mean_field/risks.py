"""Risks R of a network's outputs on all samples, each with its convex conjugate R*.

A duality gap needs R*(p) = sup_a <p, a> - R(a) beside R. The ready risks are sums over the
samples, as in example 3.2; `MeanRisk` makes means of them.
"""

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax.scipy.special import xlog1py, xlogy
from jaxtyping import Array, Float

from jaxmargin._checks import require_positive
from jaxmargin.networks.losses import cross_entropy_loss, logistic_loss, squared_loss


@runtime_checkable
class Risk(Protocol):
    """A convex function R >= 0 of the outputs on all samples, `risk(outputs) -> scalar`.

    An object with these two methods can be the `loss` of a `MeanField` that is to have
    certificates. Where it holds data, make it a pytree, such as a NamedTuple.

    Attributes:
        conjugate: `conjugate(dual) -> scalar`, the convex conjugate R*(p) = sup_a <p, a> - R(a) at
            p = dual, which has the shape of the outputs; inf outside the domain of R*.
    """

    def __call__(self, outputs: Array, /) -> Array:
        """R of the outputs."""
        ...

    def conjugate(self, dual: Array, /) -> Array:
        """R* of a dual point."""
        ...


@runtime_checkable
class BoundedRisk(Risk, Protocol):
    """A risk that knows the shape of its outputs, and how steep and how curved it is.

    Attributes:
        shape: (n,) or (n, k), the shape of the outputs on n samples.
        bounds: `bounds(level) -> (slope, curvature, valid)` bounds |grad R| by the slope where
            R <= valid, and the operator norm of the Hessian of R by the curvature. A risk that is
            not Lipschitz takes valid = level, and raises ValueError if level is None; the others
            have valid = inf and ignore level.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """(n,) or (n, k)."""
        ...

    def bounds(self, level: float | None, /) -> tuple[float, float, float]:
        """Bounds of the slope and of the curvature, and of R where the former holds."""
        ...


class LogisticRisk(NamedTuple):
    """R(a) = sum_i log(1 + e^{-y_i a_i}) (eq. 2.2).

    Attributes:
        y: (n,) labels -1 or +1.
    """

    y: Float[Array, " n"]

    @property
    def shape(self) -> tuple[int, ...]:
        """(n,), one output a sample."""
        return self.y.shape

    def __call__(self, outputs: Array) -> Array:
        """R of outputs (n,)."""
        _check_outputs(outputs, self.shape)
        return jnp.sum(logistic_loss(self.y * outputs))

    def conjugate(self, dual: Array) -> Array:
        """R*(p) = sum_i t_i log t_i + (1 - t_i) log(1 - t_i) with t_i = -y_i p_i in [0, 1].

        Infinite elsewhere.
        """
        t = -self.y * dual
        inside = jnp.clip(t, 0, 1)
        # log1p: a margin of 50 has t = 2e-22, and 1 - t would be 1.
        entropy = jnp.sum(xlogy(inside, inside) + xlog1py(1 - inside, -inside))
        return _on_domain(entropy, (t >= 0) & (t <= 1 + _rounding(t)))

    def bounds(self, level: float | None = None) -> tuple[float, float, float]:
        """|grad R| <= sqrt(n) and |Hessian of R| <= 1/4, everywhere."""
        return len(self.y) ** 0.5, 0.25, math.inf


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class CrossEntropyRisk:
    """R(a) = sum_i -log softmax(a_i)[label_i] (appendix C.1).

    Attributes:
        labels: (n,) integers in [0, k).
        k: number of classes; some of them may have no sample.
    """

    labels: Any  # An array. (JAX also builds the class with placeholders that are none.)
    k: int = field(metadata={"static": True})

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, k), one output for each class."""
        return (*self.labels.shape, self.k)

    def __call__(self, outputs: Array) -> Array:
        """R of outputs (n, k)."""
        _check_outputs(outputs, self.shape)
        return jnp.sum(cross_entropy_loss(outputs, self.labels))

    def conjugate(self, dual: Array) -> Array:
        """R*(p) = sum_ij q_ij log q_ij with q_i = p_i + onehot(label_i) a distribution.

        Infinite elsewhere.
        """
        own = jax.nn.one_hot(self.labels, self.k, dtype=bool)
        others = jnp.where(own, 0, dual)  # q_ij = p_ij for j != label_i
        missing = jnp.sum(jnp.where(own, -dual, 0), axis=1)  # 1 - q_ij for the label
        # log1p, and 1 - q as the sum of the others: it may be 2e-22, where q would be 1.
        t = jnp.clip(jnp.sum(others, axis=1), 0, 1)
        inside = jnp.maximum(others, 0)
        entropy = jnp.sum(xlogy(inside, inside)) + jnp.sum(xlog1py(1 - t, -t))
        close = jnp.abs(missing - t) <= self.k * _rounding(t) * t
        return _on_domain(entropy, (others >= 0) & close[:, None])

    def bounds(self, level: float | None = None) -> tuple[float, float, float]:
        """|grad R| <= sqrt(2 n) and |Hessian of R| <= 1/2, everywhere."""
        return (2 * len(self.labels)) ** 0.5, 0.5, math.inf


class SquaredRisk(NamedTuple):
    """R(a) = sum_i (a_i - y_i)^2 (appendix B.3).

    Attributes:
        y: (n,) or (n, k) targets.
    """

    y: Float[Array, "n *k"]

    @property
    def shape(self) -> tuple[int, ...]:
        """(n,) or (n, k), as the targets."""
        return self.y.shape

    def __call__(self, outputs: Array) -> Array:
        """R of outputs of the shape of y."""
        _check_outputs(outputs, self.shape)
        return jnp.sum(squared_loss(outputs, self.y))

    def conjugate(self, dual: Array) -> Array:
        """R*(p) = sum_i p_i^2 / 4 + p_i y_i."""
        return jnp.sum(dual**2 / 4 + dual * self.y)

    def bounds(self, level: float | None = None) -> tuple[float, float, float]:
        """|grad R| <= 2 sqrt(level) where R <= level; |Hessian of R| <= 2."""
        if level is None:
            raise ValueError("the squared loss is Lipschitz only on {R <= level}: give level")
        require_positive("level", level)
        return 2 * float(level) ** 0.5, 2.0, float(level)


class MeanRisk(NamedTuple):
    """R(a) / n: the mean over the n samples, where R is a sum over them.

    Attributes:
        total: R, such as `LogisticRisk(y)`.
    """

    total: BoundedRisk

    @property
    def shape(self) -> tuple[int, ...]:
        """(n,) or (n, k), as that of the sum."""
        return self.total.shape

    def __call__(self, outputs: Array) -> Array:
        """The mean over the samples, of outputs (n,) or (n, k)."""
        return self.total(outputs) / self.shape[0]

    def conjugate(self, dual: Array) -> Array:
        """R*(n p) / n, which is sup_a <p, a> - R(a) / n."""
        n = self.shape[0]
        return self.total.conjugate(n * dual) / n

    def bounds(self, level: float | None = None) -> tuple[float, float, float]:
        """Those of the sum where it is at most n level, divided by n."""
        n = self.shape[0]
        slope, curvature, valid = self.total.bounds(None if level is None else n * level)
        return slope / n, curvature / n, valid / n


def _on_domain(value: Array, inside: Array) -> Array:
    """The value if all of the constraints hold, else inf."""
    return jnp.where(jnp.all(inside), value, jnp.inf)


def _rounding(values: Array) -> float:
    """A relative error that the sums and products of a dual point may have."""
    return 32 * float(jnp.finfo(values.dtype).eps)


def _check_outputs(outputs: Array, shape: tuple[int, ...]) -> None:
    if outputs.shape != shape:
        raise ValueError(
            f"the outputs of the particles have shape {outputs.shape}, and not {shape}: a "
            "particle must be (w, u) with one w for each output of a sample"
        )
