"""Numbers that tell kernels apart: the margin that one has, and how far two are from each other.

The margin of a kernel stands beside that of a network (section 2, appendix B.4). The change of a
network's own tangent kernel tells how far its training was from that of a kernel method.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxmargin._arrays import as_floats
from jaxmargin._checks import is_concrete, require_finite
from jaxmargin.kernels.predictors import fit_svm
from jaxmargin.networks import norms


def kernel_margin(
    gram: Float[Array | np.ndarray, "*t n n"], y: Float[Array | np.ndarray, "*t n"]
) -> Float[Array, "*t"]:
    """The largest margin min_i y_i f(x_i) of a function with ||f||_K <= 1.

    It is 1 / ||f||_K for the hard-margin support vector machine f, and grows with the square root
    of the kernel. So kernels can be compared with each other, and with networks, only once they are
    scaled alike:

    - `two_layer_ntk(x, r_w=0.0) / d` is the mean of relu(u . x) relu(u . z) over unit vectors u.
      Its functions are f(x) = E_u[g(u) relu(u . x)], with E_u[g^2]^(1/2) for the norm. With the
      norm E_u|g|, which is smaller, and with measures in place of g, the largest margin is that of
      the l1-SVM over all relu features, 2 `max_margin(x, y).margin`. Hence it is at least as large.
    - `two_layer_ntk(x, r_w=1.0, r_u=1 / d**0.5)` is the tangent kernel of such u with w = +-1.

    Args:
        gram: (n, n) positive semidefinite Gram matrix, or (t, n, n).
        y: (n,) floats -1, +1, with a leading t if gram has one.

    Returns:
        Scalar > 0, or (t,), in the dtype of gram.

    Raises:
        ConvergenceError: gram is too ill-conditioned, or its rounding decides the answer.
        ValueError: the labels cannot be separated or are not -1, +1, gram is not square, symmetric,
            finite and positive semidefinite, or y does not match it.
        TypeError: gram or y is of a wrong dtype, or traced; or y holds classes.

    Example:
        >>> x, y = jnp.array([[2.0, 0.0], [0.0, 1.0]]), jnp.array([1.0, -1.0])
        >>> round(float(kernel_margin(x @ x.T, y)), 4)  # 2 / sqrt(5)
        0.8944

    Reference:
        Chizat, Bach (2020), "Implicit bias of gradient descent for wide two-layer neural networks
        trained with the logistic loss", for both margins side by side; Wei, Lee, Liu, Ma (2019),
        section 2 and eq. B.15.
    """
    fit = fit_svm(gram, y)
    if fit.beta.shape != np.shape(gram)[:-1]:
        raise TypeError(
            "y must hold floats -1, +1, got classes: a kernel's margin is that of two classes"
        )
    return 1 / fit.norm


def kernel_alignment(
    first: Float[Array, "*shape"], second: Float[Array, "*shape"]
) -> Float[Array, ""]:
    """The cosine between two kernels on the same samples, <K, K'> / (||K|| ||K'||).

    Args:
        first: the entries of a kernel, in any shape: (n, n') of `empirical_ntk` or of a kernel in
            closed form, or (n, n', k, k) of a network with k outputs.
        second: those of another one, of the same shape.

    Returns:
        Scalar in [-1, 1]; at least 0 for Gram matrices. 1 means equal up to a factor.

    Raises:
        ValueError: shapes that differ, a kernel that is not finite, or 0 everywhere (NaN under
            `jit`).
        TypeError: an argument that is not an array of numbers.

    Example:
        >>> round(float(kernel_alignment(jnp.eye(4), jnp.ones((4, 4)))), 4)
        0.5

    Reference:
        Cristianini, Shawe-Taylor, Elisseeff, Kandola (2001), "On kernel-target alignment".
    """
    first, second = _pair(first, second, "first", "second")
    _require_not_zero(first=first, second=second)
    cosine = jnp.sum((first / norms.l2(first)) * (second / norms.l2(second)))
    return jnp.clip(cosine, -1, 1)


def kernel_change(
    before: Float[Array, "*shape"], after: Float[Array, "*shape"]
) -> Float[Array, ""]:
    """How much a kernel has changed, ||K' - K|| / ||K||.

    Of the tangent kernel of a network before and after training it tells how far the training was
    from that of a kernel method, whose kernel does not change at all.

    Args:
        before: the entries of the kernel in any shape, such as `empirical_ntk(apply, params0, x)`.
        after: its entries later, of the same shape.

    Returns:
        Scalar >= 0.

    Raises:
        ValueError: shapes that differ, a kernel that is not finite, or `before` is 0 everywhere
            (NaN under `jit`).
        TypeError: an argument that is not an array of numbers.

    Example:
        >>> float(kernel_change(jnp.eye(2), 3 * jnp.eye(2)))
        2.0

    Reference:
        Chizat, Oyallon, Bach (2019), "On lazy training in differentiable programming".
    """
    before, after = _pair(before, after, "before", "after")
    _require_not_zero(before=before)
    return norms.l2(after - before) / norms.l2(before)


def _pair(one: Array, other: Array, first: str, second: str) -> tuple[Array, Array]:
    """Both as finite floats of one shape and dtype."""
    one, other = jnp.asarray(as_floats(first, one)), jnp.asarray(as_floats(second, other))
    if one.shape != other.shape or not one.size:
        raise ValueError(
            f"{first} and {second} must have one shape and be of the same samples, got {one.shape} "
            f"and {other.shape}"
        )
    require_finite(first, one)
    require_finite(second, other)
    dtype = jnp.promote_types(one.dtype, other.dtype)
    return one.astype(dtype), other.astype(dtype)


def _require_not_zero(**kernels: Array) -> None:
    """Raise ValueError if a concrete kernel is 0 everywhere."""
    for name, kernel in kernels.items():
        if is_concrete(kernel) and not jnp.any(kernel):
            raise ValueError(f"{name} must not be 0 everywhere: it has no direction and no size")
