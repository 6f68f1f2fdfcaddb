"""Losses of margins, logits and predictions (eq. 2.2; appendices B.3 and C.1).

The losses are elementwise, and stay exact where exp over- or underflows: a margin of -1e4 costs
1e4, and a loss of 1e-9 beside logits of 1e4 is not rounded away.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from jaxmargin._arithmetic import own_and_others
from jaxmargin._arrays import as_floats
from jaxmargin._checks import (
    checked_classes,
    checked_labels,
    finite_result,
    require_same_shape,
)


def logistic_loss(margins: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """log(1 + e^{-z}), elementwise, of margins z = y f(x) (Wei et al. 2019, eq. 2.2).

    Args:
        margins: any shape.

    Returns:
        The same shape, values >= 0.

    Raises:
        TypeError: margins that are not numbers.

    Example:
        >>> logistic_loss(jnp.array([-1e4, 0.0, 1e4])).round(4).tolist()
        [10000.0, 0.693..., 0.0]

    Reference:
        Wei, Lee, Liu, Ma (2019), eq. 2.2.
    """
    return jax.nn.softplus(-jnp.asarray(as_floats("margins", margins)))


def log_margin(scores: Float[Array, "..."], y: Shaped[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The z for which the loss is log(1 + e^{-z}): y f, or -log sum_{j != y} e^{f_j - f_y}.

    The logistic loss is log(1 + e^{-z}) of the margin z = y f(x). The cross-entropy loss of k
    classes is the same function of this second z, a soft form of the margin
    f_y - max_{j != y} f_j: below it by at most log(k - 1), and equal to it for k = 2.

    Args:
        scores: (...) of a scalar network, or (..., k) logits, k >= 2.
        y: (...) floats -1, +1 for scalar scores; integers in [0, k) for logits.

    Returns:
        (...) soft margins; they grow with the evidence for the label.

    Raises:
        TypeError: scores or y that are not numbers, or labels of logits that are not integers.
        ValueError: fewer than two classes, shapes that do not match, or labels out of range (under
            `jit` these have NaN).

    Example:
        >>> log_margin(jnp.array([2.0, 0.5]), jnp.array([1.0, -1.0])).tolist()
        [2.0, -0.5]
        >>> log_margin(jnp.array([[5.0, 1.0, 1.0]]), jnp.array([0])).round(4).tolist()  # 4 - log 2
        [3.306...]

    Reference:
        Wei, Lee, Liu, Ma (2019), eq. 2.2; appendix C.1 for several classes.
    """
    scores = jnp.asarray(as_floats("scores", scores))
    y = checked_labels(scores, y)
    if scores.ndim == y.ndim:
        return y * scores
    own, others = own_and_others(scores, y)
    top = jnp.max(scores, axis=-1, keepdims=True, where=others, initial=-jnp.inf)
    top = jax.lax.stop_gradient(jnp.where(top == -jnp.inf, 0, top))
    total = jnp.sum(jnp.exp(jnp.where(others, scores - top, -jnp.inf)), axis=-1)
    possible = total > 0  # for some other class; without one the margin is infinite
    # The difference first: logsumexp of logits of size 1e4 is rounded to 1e-3 in float32.
    margin = (own - top)[..., 0] - jnp.log(jnp.where(possible, total, 1))
    return jnp.where(possible | jnp.isnan(total), margin, jnp.inf)


def cross_entropy_loss(
    logits: Float[Array, "*shape k"], labels: Int[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """-log softmax(logits)[label], written as log(1 + sum_{j != y} e^{f_j - f_y}).

    The second form is the logistic loss of `log_margin(logits, labels)`. It keeps its relative
    accuracy however small the loss is. With k = 2 it is the logistic loss of the difference of
    the two logits.

    Args:
        logits: (..., k) scores, k >= 2; -inf for classes that are ruled out.
        labels: (...) integers in [0, k).

    Returns:
        (...) values >= 0.

    Raises:
        TypeError: logits that are not numbers, or labels that are not integers.
        ValueError: fewer than two classes, shapes that do not match, or labels out of range (under
            `jit` these cost NaN).

    Example:
        >>> loss = cross_entropy_loss(jnp.array([[30.0, 0.0, 0.0]]), jnp.array([0]))
        >>> f"{float(loss[0]):.3e}"
        '1.872e-13'

    Reference:
        Wei, Lee, Liu, Ma (2019), appendix C.1.
    """
    logits = jnp.asarray(as_floats("logits", logits))
    labels = checked_classes(logits, labels)
    return logistic_loss(log_margin(logits, labels))


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
        ValueError: shapes differ, or a square is beyond the dtype (under `jit` it is inf).
        TypeError: an argument that is not of numbers.

    Example:
        >>> squared_loss(jnp.array([1.0, 3.0]), jnp.array([1.0, 1.0])).tolist()
        [0.0, 4.0]

    Reference:
        Wei, Lee, Liu, Ma (2019), appendix B.3.
    """
    return finite_result("a squared loss", _difference(predictions, y) ** 2, "both", predictions, y)


def _difference(predictions: Any, y: Any) -> Array:
    predictions = jnp.asarray(as_floats("predictions", predictions))
    y = jnp.asarray(as_floats("y", y))
    require_same_shape(predictions, y)
    return predictions - y


def truncated_squared_loss(
    predictions: Float[Array, "*shape"], y: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """min((f(x) - y)^2, 1), elementwise: the test loss of the lower bound for regression.

    Args:
        predictions: any shape.
        y: targets of the same shape.

    Returns:
        The same shape, values in [0, 1].

    Raises:
        ValueError: shapes differ.
        TypeError: an argument that is not of numbers.

    Example:
        >>> truncated_squared_loss(jnp.array([1.5, 3.0]), jnp.array([1.0, 1.0])).tolist()
        [0.25, 1.0]

    Reference:
        Wei, Lee, Liu, Ma (2019), appendix B.3.
    """
    return jnp.minimum(_difference(predictions, y) ** 2, 1.0)
