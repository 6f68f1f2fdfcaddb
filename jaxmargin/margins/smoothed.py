"""The smoothed normalised margin, which never falls along a gradient flow (after section 4).

Training without a regularizer has no minimiser, since the loss of a homogeneous network falls as
its parameters grow. What the gradient flow does improve is a smooth stand-in for the normalised
margin, in which the loss takes the place of the smallest margin.
"""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree, Shaped

from jaxmargin.margins._inputs import checked_model, degree_of
from jaxmargin.margins.normalized import SignedLog
from jaxmargin.networks import norms
from jaxmargin.networks.losses import log_margin
from jaxmargin.networks.models import Apply

_FAR = 40.0  # a margin from which log(1 + e^-z) is e^-z to the last digit


def smoothed_margin(
    apply: Apply,
    params: PyTree,
    x: Float[Array, "n d"],
    y: Shaped[Array, " n"],
    *,
    loss: Literal["logistic", "exponential"] = "logistic",
) -> Float[Array, ""]:
    """The smoothed normalised margin, l^{-1}(L(Theta)) / ||Theta||^a.

    L(Theta) = sum_i l(z_i) is the *sum* of the losses, l is log(1 + e^-z) or e^-z, and a is the
    degree of the network. z_i is the margin y_i f(x_i) or, for logits, `log_margin`, with which the
    logistic loss is the cross-entropy. This number is at most the normalised margin, and differs
    from it by at most log(n (k - 1)) / ||Theta||^a for the exponential loss with k classes (2 for
    scalar scores). For the logistic loss the difference tends to this as the margins grow.

    Along a gradient flow of L it never falls, once L is below log 2 (logistic loss and
    cross-entropy) or below 1 (exponential loss); it is then positive.

    All is computed from logarithms: margins of 1e4, whose losses are no floats, lose nothing.

    Args:
        apply: `apply(params, x)` giving (n,) or (n, k), positively homogeneous in params. Its
            degree is measured.
        params: any pytree of float arrays.
        x: (n, d) inputs.
        y: (n,) numbers -1, +1 for scalar scores; integers in [0, k) for logits.
        loss: "logistic", which for logits is the cross-entropy, or "exponential".

    Returns:
        Scalar; at most 0 where L is at least that threshold, and NaN under `jit` if the network is
        not homogeneous.

    Raises:
        ValueError: a network that is not homogeneous or vanishes on x, scores that are not finite,
            shapes that do not match, no samples, labels out of range, or another loss.
        TypeError: a leaf of params that does not hold floats, labels of logits that are not
            integers, or apply is no function that returns an array of floats.

    Example:
        Of one sample it is the normalised margin. Of two with the same margin it is smaller:

        >>> apply = lambda w, x: x @ w
        >>> w, x = jnp.array([3.0, 4.0]), jnp.array([[1.0, 0.0], [1.0, 0.0]])
        >>> found = smoothed_margin(apply, w, x[:1], jnp.ones(1), loss="exponential")
        >>> round(float(found), 4)
        0.6
        >>> found = smoothed_margin(apply, w, x, jnp.ones(2), loss="exponential")
        >>> round(float(found), 4)  # 0.6 - log(2) / 5
        0.4614

    Reference:
        Lyu, Li (2020), "Gradient descent maximizes the margin of homogeneous neural networks",
        eq. 3 and Theorem 4.1; Definition A.3 and Theorem A.7 for the logistic loss, Definition F.1
        for the cross-entropy.
    """
    inverse, size, degree = _parts(apply, params, x, y, loss)
    half = size ** (-degree / 2)  # ||Theta||^a need not be a float where the quotient is
    return inverse * half * half


def log_smoothed_margin(
    apply: Apply,
    params: PyTree,
    x: Float[Array, "n d"],
    y: Shaped[Array, " n"],
    *,
    loss: Literal["logistic", "exponential"] = "logistic",
) -> SignedLog:
    """The sign of `smoothed_margin`, and the logarithm of its size.

    For deep networks, whose normalised margins may be below the least float.

    Args:
        apply: `apply(params, x)` giving (n,) or (n, k), positively homogeneous in params.
        params: any pytree of float arrays.
        x: (n, d) inputs.
        y: (n,) labels, as `smoothed_margin` takes them.
        loss: "logistic" or "exponential".

    Returns:
        `SignedLog(sign, log)`.

    Raises:
        ValueError: as `smoothed_margin`.
        TypeError: as `smoothed_margin`.

    Example:
        Of f(x) = theta^100 x, whose normalised margin is x, and with a second weight beside theta:

        >>> apply = lambda params, x: (params[0] ** 100 + params[1] ** 100) * x
        >>> params = jnp.array([1.1, 1.1])
        >>> found = log_smoothed_margin(apply, params, jnp.ones(1), jnp.ones(1))
        >>> float(found.sign), round(float(found.log), 2)  # log of 2 * 2 ** -50
        (1.0, -33.96)

    Reference:
        Lyu, Li (2020), "Gradient descent maximizes the margin of homogeneous neural networks",
        eq. 3 and Definition A.3.
    """
    inverse, size, degree = _parts(apply, params, x, y, loss)
    magnitude = jnp.log(jnp.abs(jnp.where(inverse == 0, 1, inverse))) - degree * jnp.log(size)
    return SignedLog(jnp.sign(inverse), jnp.where(inverse == 0, -jnp.inf, magnitude))


def _parts(
    apply: Apply, params: PyTree, x: Array, y: Array, loss: str
) -> tuple[Array, Array, Array]:
    """l^{-1}(L(Theta)), ||Theta|| and the degree, in the dtype of the scores."""
    if not isinstance(loss, str) or loss not in _LOSSES:
        raise ValueError(f"loss must be one of {', '.join(_LOSSES)}, got {loss!r:.80}")
    log_loss, inverse = _LOSSES[loss]
    params, x, scores = checked_model(apply, params, x)
    margins = log_margin(scores, y)
    degree = degree_of(apply, jax.lax.stop_gradient(params), x)
    total = _log_sum_exp(log_loss(margins))
    return inverse(total), norms.l2(params).astype(scores.dtype), degree.astype(scores.dtype)


@jax.jit
def _log_logistic(margins: Array) -> Array:
    """The logarithm of log(1 + e^-z)."""
    far = margins > _FAR
    return jnp.where(far, -margins, jnp.log(jax.nn.softplus(-jnp.where(far, 0, margins))))


@jax.jit
def _inverse_logistic(log_loss: Array) -> Array:
    """The z with log(1 + e^-z) = e^log_loss, -log(expm1(e^log_loss))."""
    far = log_loss < -_FAR
    loss = jnp.exp(jnp.where(far, 0, log_loss))
    return jnp.where(far, -log_loss, -loss - jnp.log(-jnp.expm1(-loss)))


_log_sum_exp = jax.jit(jax.scipy.special.logsumexp)

# The logarithm of the loss at a margin, and the margin at a logarithm of the loss.
_LOSSES: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "logistic": (_log_logistic, _inverse_logistic),
    "exponential": (jnp.negative, jnp.negative),
}
