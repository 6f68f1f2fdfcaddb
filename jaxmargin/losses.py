"""Losses of margins, logits and predictions, and the regularized objective (eq. 2.2, 4.1).

The losses are elementwise and stay exact where exp over- or underflows: a margin of -1e4 costs
1e4, and a loss of 1e-9 beside logits of 1e4 is not rounded away.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from jaxmargin import norms
from jaxmargin.norms import Norm
from jaxmargin.numerics import Apply, require_callable, require_positive, safe_power

Loss = Callable[[Array, Array], Array]


def logistic_loss(margins: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """log(1 + e^{-z}), elementwise, of margins z = y f(x) (Wei et al. 2019, eq. 2.2).

    Args:
        margins: any shape.

    Returns:
        The same shape, values >= 0.

    Example:
        >>> logistic_loss(jnp.array([-1e4, 0.0, 1e4])).round(4).tolist()
        [10000.0, 0.693..., 0.0]

    Reference:
        Wei, Lee, Liu, Ma (2019), eq. 2.2.
    """
    return jax.nn.softplus(-margins)


def cross_entropy_loss(
    logits: Float[Array, "*shape k"], labels: Int[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """-log softmax(logits)[label], written as log(1 + sum_{j != y} e^{f_j - f_y}).

    The second form keeps full relative accuracy for a small loss; with k = 2 it is the logistic
    loss of the difference of the logits.

    Args:
        logits: (..., k) scores, k >= 2.
        labels: (...) integers in [0, k).

    Returns:
        (...) values >= 0.

    Raises:
        TypeError: labels are not integers.
        ValueError: fewer than two classes, or shapes that do not match.

    Example:
        >>> loss = cross_entropy_loss(jnp.array([[30.0, 0.0, 0.0]]), jnp.array([0]))
        >>> f"{float(loss[0]):.3e}"
        '1.872e-13'

    Reference:
        Wei, Lee, Liu, Ma (2019), appendix C.1.
    """
    check_class_labels(logits, labels)
    own = jax.nn.one_hot(labels, logits.shape[-1], dtype=bool)
    own_logit = jnp.sum(jnp.where(own, logits, 0.0), axis=-1, keepdims=True)
    # The difference first: logsumexp of logits of size 1e4 is rounded to 1e-3 in float32.
    return jax.nn.softplus(jax.nn.logsumexp(logits - own_logit, axis=-1, where=~own))


def check_class_labels(logits: Array | jax.ShapeDtypeStruct, labels: Array) -> None:
    """Raise unless labels are integers, one for each row of logits over k >= 2 classes."""
    if logits.ndim == 0 or logits.shape[-1] < 2:
        raise ValueError(
            f"logits must be (..., k) with k >= 2 classes, got shape {logits.shape}: "
            "one score a sample has shape (n,), labels -1, +1 and the logistic loss"
        )
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(
            f"labels must be integers in [0, k), got dtype {labels.dtype}: use labels.astype(int)"
        )
    if logits.shape[:-1] != labels.shape:
        raise ValueError(
            f"labels must have shape {logits.shape[:-1]}, one for each row of logits, "
            f"got {labels.shape}"
        )


def squared_loss(
    predictions: Float[Array, "*shape"], y: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """(f(x) - y)^2, elementwise (Wei et al. 2019, Theorem B.10).

    Args:
        predictions: any shape.
        y: targets of the same shape.

    Returns:
        The same shape, values >= 0.

    Raises:
        ValueError: shapes differ.

    Example:
        >>> squared_loss(jnp.array([1.0, 3.0]), jnp.array([1.0, 1.0])).tolist()
        [0.0, 4.0]

    Reference:
        Wei, Lee, Liu, Ma (2019), appendix B.3.
    """
    _check_same_shape(predictions, y)
    return (predictions - y) ** 2


def truncated_squared_loss(
    predictions: Float[Array, "*shape"], y: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """min((f(x) - y)^2, 1), elementwise: the test loss of the regression lower bound.

    Args:
        predictions: any shape.
        y: targets of the same shape.

    Returns:
        The same shape, values in [0, 1].

    Raises:
        ValueError: shapes differ.

    Example:
        >>> truncated_squared_loss(jnp.array([1.5, 3.0]), jnp.array([1.0, 1.0])).tolist()
        [0.25, 1.0]

    Reference:
        Wei, Lee, Liu, Ma (2019), appendix B.3.
    """
    return jnp.minimum(squared_loss(predictions, y), 1.0)


def _check_same_shape(scores: Array, y: Array) -> None:
    if scores.shape != y.shape:
        raise ValueError(
            f"scores and y must have the same shape, got {scores.shape} and {y.shape}: "
            "a network with one output column needs apply(params, x)[..., 0]"
        )


def _logistic_of_scores(scores: Array, y: Array) -> Array:
    _check_same_shape(scores, y)
    return logistic_loss(y * scores)


LOSSES: dict[str, Loss] = {
    "logistic": _logistic_of_scores,
    "cross_entropy": cross_entropy_loss,
    "squared": squared_loss,
}


@dataclass(frozen=True, eq=False)
class Regularized:
    """objective(params, x, y): mean loss + lam * norm(params)**r; made by `regularized`."""

    apply: Apply
    loss: str | Loss
    lam: float
    r: float
    norm: Norm

    def __call__(self, params: PyTree, x: Array, y: Array) -> Float[Array, ""]:
        """Value of the objective on the samples x (n, d) and labels y (n,)."""
        loss = self.loss if callable(self.loss) else LOSSES[self.loss]
        return jnp.mean(loss(self.apply(params, x), y)) + self.lam * self.penalty(params)

    def penalty(self, params: PyTree) -> Float[Array, ""]:
        """norm(params)**r."""
        if self.norm is norms.l2 and self.r == 2:
            return norms.sum_of_squares(params)
        return safe_power(self.norm(params), self.r)

    def check_labels(self, scores: Array | jax.ShapeDtypeStruct, y: Array) -> None:
        """Raise unless concrete labels are what the named loss takes of scores of this shape."""
        if self.loss == "logistic":
            check_signs(y)
        elif self.loss == "cross_entropy":
            check_class_labels(scores, y)
            check_classes(y, scores.shape[-1])


def check_signs(y: Array | np.ndarray) -> None:
    """Raise ValueError unless concrete binary labels are all -1 or +1."""
    wrong = np.setdiff1d(np.unique(np.asarray(y)), [-1, 1])
    if len(wrong):
        raise ValueError(
            f"binary labels must be -1 or +1, got {wrong[0]:g}: labels 0 and 1 become "
            "-1 and +1 by 2 * y - 1"
        )


def check_classes(labels: Array, k: int) -> None:
    """Raise ValueError unless concrete class labels lie in [0, k)."""
    wrong = np.setdiff1d(np.asarray(labels), np.arange(k))
    if len(wrong):
        raise ValueError(
            f"class labels must lie in [0, {k}), as the network has {k} outputs, got {wrong[0]}: "
            "number the classes from 0, or add outputs"
        )


def regularized(
    apply: Apply, loss: str | Loss, *, lam: float, r: float = 2.0, norm: Norm = norms.l2
) -> Regularized:
    """L(Theta) = (1/n) sum_i loss(f(x_i; Theta), y_i) + lam ||Theta||^r (eq. 2.2, 4.1).

    Args:
        apply: `apply(params, x)`, from any library.
        loss: "logistic" (labels -1, +1), "cross_entropy" (labels 0..k-1), "squared", or a
            function `(scores, y) -> losses`.
        lam: strength of the regularizer, >= 0.
        r: its exponent, > 0.
        norm: a norm of the parameters, from `jaxmargin.norms` or `pytree -> scalar`.

    Returns:
        `objective(params, x, y) -> scalar`, differentiable in params (derivative 0 of the
        penalty at Theta = 0).

    Raises:
        ValueError: unknown loss, lam negative or r not positive; shapes that do not fit, at
            the call.
        TypeError: apply or norm is not a function, lam or r no number; class labels that are
            not integers, at the call.

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
    if not callable(loss) and loss not in LOSSES:
        raise ValueError(
            f"loss must be one of {', '.join(LOSSES)} or a function (scores, y), got {loss!r}"
        )
    require_positive("lam", lam, zero=True)
    require_positive("r", r)
    return Regularized(apply, loss, lam, r, norm)
