"""Why kernels need d^2 samples of the distribution D: the objects of appendix B.1.

A kernel predictor is f(x; beta) = sum_i beta_i K(x_i, x). Points of D are (+-1, 0, z) with label
+1 and (0, +-1, z) with label -1, for signs z. Summed over the sign of its first coordinates, f
hardly depends on them: both sums are 2 f~(z) up to O(1/d). Every function here takes any kernel
`(x, z=None) -> Gram matrix`; the polynomial g alone belongs to `two_layer_ntk`.

All inputs of D have |x|^2 = d - 1, so K(x', x) = kappa(<x', x>), and with t = <z_i, z> the
deviation is a second difference, kappa(t + 1) - 2 kappa(t) + kappa(t - 1), that is kappa''(0)
at leading order. In float32 it is lost in rounding from d of a few hundred on: use float64 there.
"""

import functools
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmargin.data.synthetic import embed
from jaxmargin.kernels.closed_form import Kernel, two_layer_ntk
from jaxmargin.kernels.products import kernel_matvec
from jaxmargin.lower_bound.restriction import tilde


def f_tilde(
    x: Float[Array, "n d"],
    beta: Float[Array, " n"],
    z: Float[Array, "n2 d_minus_2"],
    *,
    kernel: Kernel = two_layer_ntk,
) -> Float[Array, " n2"]:
    """f~(z; beta) = sum_i beta_i K~(z_i, z), with z_i the last d - 2 coordinates of x_i.

    Args:
        x: (n, d) training inputs, d >= 3.
        beta: (n,) coefficients.
        z: (n', d - 2) signs.
        kernel: the kernel K.

    Returns:
        (n',) values.

    Raises:
        ValueError: shapes that do not match.

    Example:
        >>> x, beta, z = jnp.array([[1.0, 0.0, 1.0]]), jnp.array([2.0]), jnp.array([[-1.0]])
        >>> [round(v, 3) for v in f_tilde(x, beta, z).tolist()]
        [-0.115]

    Reference:
        Wei, Lee, Liu, Ma (2019), appendix B.1, above Lemma B.2.
    """
    _check_shapes(x, beta, z)
    return kernel_matvec(tilde(kernel), z, beta, x[:, 2:])


def f_plus(
    x: Float[Array, "n d"],
    beta: Float[Array, " n"],
    z: Float[Array, "n2 d_minus_2"],
    *,
    kernel: Kernel = two_layer_ntk,
) -> Float[Array, " n2"]:
    """f+(z; beta) = f((1, 0, z); beta) + f((-1, 0, z); beta), over the two inputs of label +1.

    Args:
        x: (n, d) training inputs, d >= 3.
        beta: (n,) coefficients.
        z: (n', d - 2) signs.
        kernel: the kernel K.

    Returns:
        (n',) values.

    Raises:
        ValueError: shapes that do not match.

    Example:
        >>> x, beta, z = jnp.array([[1.0, 0.0, 1.0]]), jnp.array([2.0]), jnp.array([[-1.0]])
        >>> [round(v, 3) for v in f_plus(x, beta, z).tolist()]
        [0.637]

    Reference:
        Wei, Lee, Liu, Ma (2019), Lemma B.2.
    """
    _check_shapes(x, beta, z)
    return kernel_matvec(functools.partial(_pair_sum, kernel), embed(z, 1, 0), beta, x)


def f_minus(
    x: Float[Array, "n d"],
    beta: Float[Array, " n"],
    z: Float[Array, "n2 d_minus_2"],
    *,
    kernel: Kernel = two_layer_ntk,
) -> Float[Array, " n2"]:
    """f-(z; beta) = f((0, 1, z); beta) + f((0, -1, z); beta), over the two inputs of label -1.

    Args:
        x: (n, d) training inputs, d >= 3.
        beta: (n,) coefficients.
        z: (n', d - 2) signs.
        kernel: the kernel K.

    Returns:
        (n',) values.

    Raises:
        ValueError: shapes that do not match.

    Example:
        >>> x, beta, z = jnp.array([[1.0, 0.0, 1.0]]), jnp.array([2.0]), jnp.array([[-1.0]])
        >>> [round(v, 3) for v in f_minus(x, beta, z).tolist()]
        [-0.231]

    Reference:
        Wei, Lee, Liu, Ma (2019), Lemma B.2.
    """
    _check_shapes(x, beta, z)
    return kernel_matvec(functools.partial(_pair_sum, kernel), embed(z, 0, 1), beta, x)


class Deviation(NamedTuple):
    """How far f+ and f- are from 2 f~ (Lemma B.2).

    Attributes:
        plus: (n',) f+ - 2 f~.
        minus: (n',) f- - 2 f~.
        constant: (n',) the least c for which eq. B.2 holds at z; 0 for beta = 0.
    """

    plus: Float[Array, " n2"]
    minus: Float[Array, " n2"]
    constant: Float[Array, " n2"]


def deviation(
    x: Float[Array, "n d"],
    beta: Float[Array, " n"],
    z: Float[Array, "n2 d_minus_2"],
    *,
    kernel: Kernel = two_layer_ntk,
) -> Deviation:
    """f+ - 2 f~ and f- - 2 f~, at most c (tau1 + tau2) sum_i |beta_i| / d (Lemma B.2).

    Only samples on the axis of the sum contribute, each kappa''(0) = (2 tau1 + tau2) / (pi (d - 1))
    times beta_i at leading order: c tends to at most 2 / pi for almost all z. At the few z that
    (nearly) repeat a sample it grows like sqrt(d).

    Args:
        x: (n, d) training inputs, d >= 3.
        beta: (n,) coefficients.
        z: (n', d - 2) signs.
        kernel: the kernel K; tau1 + tau2 is K(x, x) / |x|^2, taken at the first input.

    Returns:
        `Deviation(plus, minus, constant)`.

    Raises:
        ValueError: shapes that do not match.

    Example:
        >>> x = jnp.ones((1, 20)).at[0, 1].set(0.0)
        >>> z = jnp.where(jnp.arange(18) % 2 == 0, 1.0, -1.0)[None]
        >>> plus, minus, constant = deviation(x, jnp.array([1.0]), z)
        >>> round(plus.item(), 4), minus.item(), round(constant.item(), 3)
        (0.0251, 0.0, 0.503)

    Reference:
        Wei, Lee, Liu, Ma (2019), Lemmas B.2, B.4 and B.5.
    """
    _check_shapes(x, beta, z)

    def gram(point: Array, x: Array) -> Array:
        # Subtracted before the sum over i, where the terms are smaller than their sum by far.
        return _pair_sum(kernel, point, x) - 2 * tilde(kernel)(point[:, 2:], x[:, 2:])

    plus, minus = (kernel_matvec(gram, embed(z, *axis), beta, x) for axis in ((1, 0), (0, 1)))
    taus = kernel(x[:1])[0, 0] / jnp.sum(x[0] ** 2)
    unit = taus * jnp.sum(jnp.abs(beta)) / x.shape[1]
    constant = jnp.maximum(jnp.abs(plus), jnp.abs(minus)) / jnp.where(unit > 0, unit, 1)
    return Deviation(plus, minus, constant)


def paired_error_bound(
    x: Float[Array, "n d"],
    beta: Float[Array, " n"],
    z: Float[Array, "n2 d_minus_2"],
    *,
    kernel: Kernel = two_layer_ntk,
) -> Float[Array, ""]:
    """(Pr_z[f+ <= 0] + Pr_z[f- >= 0]) / 4, which no test error is below (end of Lemma B.2).

    If f+(z) <= 0, one of the two inputs (+-1, 0, z) is misclassified; if f-(z) >= 0, one of
    (0, +-1, z) is. Where |f~| exceeds the deviation, f+ and f- have one sign and exactly one of
    these happens: the paper's 1/4.

    Args:
        x: (n, d) training inputs, d >= 3.
        beta: (n,) coefficients.
        z: (n', d - 2) signs over which the probabilities are taken.
        kernel: the kernel K.

    Returns:
        Scalar in [0, 1/2].

    Raises:
        ValueError: shapes that do not match.

    Example:
        >>> x, beta, z = jnp.array([[1.0, 0.0, 1.0]]), jnp.array([2.0]), jnp.array([[1.0], [-1.0]])
        >>> float(paired_error_bound(x, beta, z))
        0.125

    Reference:
        Wei, Lee, Liu, Ma (2019), Lemma B.2.
    """
    wrong_plus = f_plus(x, beta, z, kernel=kernel) <= 0
    wrong_minus = f_minus(x, beta, z, kernel=kernel) >= 0
    return (jnp.mean(wrong_plus, dtype=x.dtype) + jnp.mean(wrong_minus, dtype=x.dtype)) / 4


def _pair_sum(kernel: Kernel, point: Array, x: Array) -> Array:
    """K(p, x) + K(p', x) for rows p and p', p with its first two coordinates negated."""
    return kernel(point, x) + kernel(point.at[:, :2].multiply(-1), x)


def _check_shapes(x: Array, beta: Array, z: Array) -> None:
    if x.ndim != 2 or x.shape[1] < 3 or beta.shape != x.shape[:1]:
        raise ValueError(
            f"x must be (n, d) with d >= 3 and beta (n,), got {x.shape} and {beta.shape}"
        )
    if z.ndim != 2 or z.shape[1] != x.shape[1] - 2:
        raise ValueError(f"z must be (n', d - 2) = (n', {x.shape[1] - 2}), got {z.shape}")
