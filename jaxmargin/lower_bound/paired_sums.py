"""Sums of a kernel predictor over paired inputs, which hardly depend on the label (Lemma B.2).

A kernel predictor is f(x; beta) = sum_i beta_i K(x_i, x). Points of the distribution D are
(+-1, 0, z) with label +1 and (0, +-1, z) with label -1, for signs z. The sum of f over the two
inputs that share z and a label hardly depends on that label: for both labels it is 2 f~(z) up to
O(1/d). Every function here takes any kernel `(x, z=None) -> Gram matrix`.

All inputs of D have |x|^2 = d - 1, so K(x', x) = kappa(<x', x>). With t = <z_i, z> the deviation
from 2 f~ is a second difference, kappa(t + 1) - 2 kappa(t) + kappa(t - 1), which is kappa''(0) at
leading order. In float32 it is lost in rounding from d of a few hundred on: use float64 there.
"""

import functools
from numbers import Real
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmargin._arrays import as_result
from jaxmargin._checks import finite_result, require_callable, require_finite, shown
from jaxmargin.data.synthetic import embed
from jaxmargin.kernels.closed_form import Kernel, two_layer_ntk
from jaxmargin.kernels.products import kernel_matvec
from jaxmargin.lower_bound._inputs import float_arrays
from jaxmargin.lower_bound.restriction import tilde

# The first two coordinates of an input of each label.
_AXES: dict[float, tuple[int, int]] = {1: (1, 0), -1: (0, 1)}


def f_tilde(
    x: Float[Array, "n d"],
    beta: Float[Array, " n"],
    z: Float[Array, "n2 d_minus_2"],
    *,
    kernel: Kernel = two_layer_ntk,
) -> Float[Array, " n2"]:
    """The predictor without the label's coordinates, f~(z; beta) = sum_i beta_i K~(z_i, z).

    Here z_i holds the last d - 2 coordinates of x_i, and K~ is `tilde(kernel)`.

    Args:
        x: (n, d) training inputs, d >= 3.
        beta: (n,) coefficients.
        z: (n', d - 2) signs.
        kernel: the kernel K.

    Returns:
        (n',) values.

    Raises:
        ValueError: shapes do not match, or a sum is beyond the dtype (under `jit` it is not
            finite).
        TypeError: kernel is not a function, an array does not hold real numbers, or dtypes differ.

    Example:
        >>> x, beta, z = jnp.array([[1.0, 0.0, 1.0]]), jnp.array([2.0]), jnp.array([[-1.0]])
        >>> [round(v, 3) for v in f_tilde(x, beta, z).tolist()]
        [-0.115]

    Reference:
        Wei, Lee, Liu, Ma (2019), appendix B.1, above Lemma B.2.
    """
    x, beta, z = _check_inputs(x, beta, z, kernel)
    return _finite(kernel_matvec(tilde(kernel), z, beta, x[:, 2:]), x, beta, z)


def paired_sum(
    x: Float[Array, "n d"],
    beta: Float[Array, " n"],
    z: Float[Array, "n2 d_minus_2"],
    *,
    label: float,
    kernel: Kernel = two_layer_ntk,
) -> Float[Array, " n2"]:
    """The sum of f over the two inputs of one label that share the signs z (Lemma B.2).

        f+(z; beta) = f((1, 0, z); beta) + f((-1, 0, z); beta)    for the label +1,
        f-(z; beta) = f((0, 1, z); beta) + f((0, -1, z); beta)    for the label -1.

    Args:
        x: (n, d) training inputs, d >= 3.
        beta: (n,) coefficients.
        z: (n', d - 2) signs.
        label: 1 or -1.
        kernel: the kernel K.

    Returns:
        (n',) values.

    Raises:
        ValueError: shapes do not match, label is neither 1 nor -1, or a sum is beyond the dtype
            (under `jit` it is not finite).
        TypeError: kernel is not a function, an array does not hold real numbers, or dtypes differ.

    Example:
        >>> x, beta, z = jnp.array([[1.0, 0.0, 1.0]]), jnp.array([2.0]), jnp.array([[-1.0]])
        >>> [round(paired_sum(x, beta, z, label=label).item(), 3) for label in (1, -1)]
        [0.637, -0.231]

    Reference:
        Wei, Lee, Liu, Ma (2019), Lemma B.2.
    """
    x, beta, z = _check_inputs(x, beta, z, kernel)
    if not isinstance(label, Real) or label not in _AXES:
        raise ValueError(f"label must be 1 or -1, got {shown(label)}")
    gram = functools.partial(_pair_sum, kernel)
    return _finite(kernel_matvec(gram, embed(z, *_AXES[label]), beta, x), x, beta, z)


class Deviation(NamedTuple):
    """How far f+ and f- of `paired_sum` are from 2 f~ (Lemma B.2).

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
    """How far the two paired sums are from 2 f~: f+ - 2 f~ and f- - 2 f~.

    By Lemma B.2 both are at most c (tau1 + tau2) sum_i |beta_i| / d. Only the samples of the sum's
    own label contribute. At leading order each of them adds beta_i kappa''(0), where kappa''(0) =
    (2 tau1 + tau2) / (pi (d - 1)). So c tends to at most 2 / pi for almost all z. At the few z that
    repeat a sample, or nearly do, it grows like sqrt(d).

    Args:
        x: (n, d) training inputs, d >= 3.
        beta: (n,) coefficients.
        z: (n', d - 2) signs.
        kernel: the kernel K; tau1 + tau2 is K(x, x) / |x|^2, taken at the first input.

    Returns:
        `Deviation(plus, minus, constant)`.

    Raises:
        ValueError: shapes do not match, or a sum is beyond the dtype (under `jit` it is not
            finite).
        TypeError: kernel is not a function, an array does not hold real numbers, or dtypes differ.

    Example:
        >>> x = jnp.ones((1, 20)).at[0, 1].set(0.0)
        >>> z = jnp.where(jnp.arange(18) % 2 == 0, 1.0, -1.0)[None]
        >>> plus, minus, constant = deviation(x, jnp.array([1.0]), z)
        >>> round(plus.item(), 4), minus.item(), round(constant.item(), 3)
        (0.0251, 0.0, 0.503)

    Reference:
        Wei, Lee, Liu, Ma (2019), Lemmas B.2, B.4 and B.5.
    """
    x, beta, z = _check_inputs(x, beta, z, kernel)

    def gram(point: Array, x: Array) -> Array:
        # The terms are subtracted before the sum over i, because they are much smaller than it.
        return _pair_sum(kernel, point, x) - 2 * tilde(kernel)(point[:, 2:], x[:, 2:])

    plus, minus = (kernel_matvec(gram, embed(z, *_AXES[label]), beta, x) for label in (1, -1))
    taus = kernel(x[:1], x[:1])[0, 0] / jnp.sum(x[0] ** 2)
    unit = taus * jnp.sum(jnp.abs(beta)) / x.shape[1]
    constant = jnp.maximum(jnp.abs(plus), jnp.abs(minus)) / jnp.where(unit > 0, unit, 1)
    return _finite(Deviation(plus, minus, constant), x, beta, z)


def paired_error_bound(
    x: Float[Array, "n d"],
    beta: Float[Array, " n"],
    z: Float[Array, "n2 d_minus_2"],
    *,
    kernel: Kernel = two_layer_ntk,
) -> Float[Array, ""]:
    """A lower bound on the test error of f: (Pr_z[f+ <= 0] + Pr_z[f- >= 0]) / 4 (Lemma B.2).

    If f+(z) <= 0, at least one of the two inputs (+-1, 0, z) is misclassified. If f-(z) >= 0, at
    least one of (0, +-1, z) is. Where |f~| exceeds the deviation, f+ and f- have the same sign, so
    that exactly one of the two happens: this is the paper's 1/4.

    Args:
        x: (n, d) training inputs, d >= 3.
        beta: (n,) coefficients.
        z: (n', d - 2) signs over which the probabilities are taken.
        kernel: the kernel K.

    Returns:
        Scalar in [0, 1/2].

    Raises:
        ValueError: shapes do not match, or an array has NaN or infinite entries.
        TypeError: kernel is not a function, an array does not hold real numbers, or dtypes differ.

    Example:
        >>> x, beta, z = jnp.array([[1.0, 0.0, 1.0]]), jnp.array([2.0]), jnp.array([[1.0], [-1.0]])
        >>> float(paired_error_bound(x, beta, z))
        0.125

    Reference:
        Wei, Lee, Liu, Ma (2019), Lemma B.2.
    """
    x, beta, z = _check_inputs(x, beta, z, kernel)
    for name, values in (("x", x), ("beta", beta), ("z", z)):
        require_finite(name, values)
    wrong_plus = paired_sum(x, beta, z, label=1, kernel=kernel) <= 0
    wrong_minus = paired_sum(x, beta, z, label=-1, kernel=kernel) >= 0
    return (jnp.mean(wrong_plus, dtype=x.dtype) + jnp.mean(wrong_minus, dtype=x.dtype)) / 4


def _finite(sums: Any, *inputs: Array) -> Any:
    return finite_result("a sum over the samples", sums, "x, beta or z", *inputs)


def _pair_sum(kernel: Kernel, point: Array, x: Array) -> Array:
    """K(p, x) + K(p', x) for rows p, where p' is p with its first two coordinates negated."""
    other = point.at[:, :2].multiply(-1)
    of, of_other = (as_result("kernel(x, z)", kernel(rows, x)) for rows in (point, other))
    return of + of_other


def _check_inputs(x: Any, beta: Any, z: Any, kernel: Kernel) -> list[Array]:
    require_callable("kernel", kernel, "kernel(x, z)")
    x, beta, z = arrays = float_arrays(x=x, beta=beta, z=z)
    if x.ndim != 2 or 0 in x.shape or x.shape[1] < 3 or beta.shape != x.shape[:1]:
        raise ValueError(
            f"x must be (n, d) with d >= 3 and beta (n,), got {x.shape} and {beta.shape}"
        )
    if z.ndim != 2 or 0 in z.shape or z.shape[1] != x.shape[1] - 2:
        raise ValueError(f"z must be (n', d - 2) = (n', {x.shape[1] - 2}), got {z.shape}")
    if not x.dtype == beta.dtype == z.dtype:
        raise TypeError(
            f"x, beta and z must have one dtype, got {x.dtype}, {beta.dtype} and {z.dtype}"
        )
    return arrays
