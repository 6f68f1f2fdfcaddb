"""Losses of margins, logits and predictions, and the regularized objective (eq. 2.2, 4.1).

The losses are elementwise and stay exact where exp over- or underflows: a margin of -1e4 costs
1e4, and a loss of 1e-9 beside logits of 1e4 is not rounded away.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxmargin._checks import check_class_labels


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
    check_same_shape(predictions, y)
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


def check_same_shape(scores: Array, y: Array) -> None:
    """Raise ValueError unless scores and y have the same shape."""
    if scores.shape != y.shape:
        raise ValueError(
            f"scores and y must have the same shape, got {scores.shape} and {y.shape}: "
            "a network with one output column needs apply(params, x)[..., 0]"
        )
