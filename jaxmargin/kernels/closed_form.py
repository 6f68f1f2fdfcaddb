"""Tangent kernels of infinitely wide relu networks in closed form (section 2, appendix B.1).

A kernel here is a function `(x, z=None) -> Gram matrix` of the rows of x and z. Each one depends
on |x|, |z| and the cosine c of the angle between them:

    K(x, z) = |x| |z| f(c).

Without z the Gram matrix is that of x with itself, and its diagonal is exact. Gradients are
right wherever the dtype holds them, also where it does not hold the kernel itself. Where the kernel
has a kink (x = +-z), the derivative of the singular part is taken as 0, which is its mean over all
directions; at x = 0 the derivative is that of f'(0) <x, z>.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxmargin._arrays import as_floats
from jaxmargin._checks import is_concrete, require_positive
from jaxmargin.kernels._arccosine import Composition, Cosine, by_angle, combination
from jaxmargin.kernels._gram import Profile, gram
from jaxmargin.kernels._inputs import require_matrix
from jaxmargin.kernels._layers import layer_variances, require_depth
from jaxmargin.kernels.wide_networks import nngp, ntk

Kernel = Callable[..., Float[Array, "n n2"]]


def k1(
    x: Float[Array, "n d"], z: Float[Array, "n2 d"] | None = None, *, precise: bool | None = None
) -> Float[Array, "n n2"]:
    """K1(x, z) = <x, z> (1 - arccos(c) / pi), the kernel of the gradient features.

    Args:
        x: (n, d) rows; integers become floats.
        z: (n', d) rows; None stands for x.
        precise: whether to measure angles by differences of the rows; None means for d <= 4 only
            (see `two_layer_ntk`).

    Returns:
        (n, n') Gram matrix in the dtype of x.

    Raises:
        ValueError: x or z is not a non-empty matrix, or they disagree about d.
        TypeError: x or z does not hold real numbers, or their dtypes differ.

    Example:
        >>> k1(jnp.array([[2.0, 0.0], [0.0, 1.0]])).tolist()
        [[4.0, 0.0], [0.0, 1.0]]

    Reference:
        Wei, Lee, Liu, Ma (2019), appendix B.1.
    """
    return gram(combination, x, z, precise, 1.0, 0.0)


def k2(
    x: Float[Array, "n d"], z: Float[Array, "n2 d"] | None = None, *, precise: bool | None = None
) -> Float[Array, "n n2"]:
    """K2(x, z) = |x| |z| sqrt(1 - c^2) / pi; K1 + K2 is the kernel of the relu features.

    Args:
        x: (n, d) rows; integers become floats.
        z: (n', d) rows; None stands for x.
        precise: as for `k1`.

    Returns:
        (n, n') Gram matrix in the dtype of x. K2 alone is not positive semidefinite.

    Raises:
        ValueError: x or z is not a non-empty matrix, or they disagree about d.
        TypeError: x or z does not hold real numbers, or their dtypes differ.

    Example:
        >>> round(float(k2(jnp.array([[2.0, 0.0], [0.0, jnp.pi]]))[0, 1]), 4)
        2.0

    Reference:
        Wei, Lee, Liu, Ma (2019), appendix B.1.
    """
    return gram(combination, x, z, precise, -1.0, 1.0)


def two_layer_ntk(
    x: Float[Array, "n d"],
    z: Float[Array, "n2 d"] | None = None,
    *,
    r_w: float = 1.0,
    r_u: float = 1.0,
    precise: bool | None = None,
) -> Float[Array, "n n2"]:
    """The tangent kernel of a hidden unit, E[<grad f(x), grad f(z)>], in closed form.

    With weights w ~ N(0, r_w^2) and u ~ N(0, r_u^2 I) the expectation of section 2 is

        K(x, z) = (r_w^2 / 2) K1 + (r_u^2 / 2) (K1 + K2).

    In float32 the cosine of two nearly collinear rows has an error of 1e-7. That is an error of
    3e-4 in their angle, and of up to 2e-4 |x| |z| in K1. With `precise` the angle comes from
    |x/|x| - z/|z|| and |x/|x| + z/|z|| instead, and the kernel is as good as one computed in
    float64 and rounded. This takes n n' d elementwise operations in place of a product of matrices.
    For d <= 4, where rows often are nearly collinear, it costs next to nothing and is the default.
    On a CPU it takes 10 times as long at d = 20 and 30 times at d = 784, with the same memory.

    Args:
        x: (n, d) rows; integers become floats.
        z: (n', d) rows; None stands for x.
        r_w: standard deviation of w, >= 0.
        r_u: standard deviation of each entry of u, >= 0.
        precise: whether to measure angles by differences of the rows; None means for d <= 4 only.

    Returns:
        (n, n') Gram matrix in the dtype of x.

    Raises:
        ValueError: x or z is not a non-empty matrix, they disagree about d, or a standard
            deviation is negative or so large or small that the dtype does not hold the kernel.
        TypeError: x or z does not hold real numbers, their dtypes differ, or a standard
            deviation is not a number.

    Example:
        >>> two_layer_ntk(jnp.array([[2.0, 0.0], [0.0, 1.0]]), r_u=0.0).tolist()
        [[2.0, 0.0], [0.0, 0.5]]

    Reference:
        Wei, Lee, Liu, Ma (2019), section 2 and eq. B.1.
    """
    require_positive("r_w", r_w, zero=True)
    require_positive("r_u", r_u, zero=True)
    return gram(combination, x, z, precise, r_w**2 / 2, r_u**2 / 2)


def relu_nngp(
    x: Float[Array, "n d"],
    z: Float[Array, "n2 d"] | None = None,
    *,
    depth: int = 2,
    weight_variance: float | Array | Sequence[float] = 2.0,
    bias_variance: float | Array | Sequence[float] = 0.0,
    precise: bool | None = None,
) -> Float[Array, "n n2"]:
    """Covariance E[f(x) f(z)] of an infinitely wide relu network of `depth` layers.

    The network of eq. 4.2 has no biases, and independent weights: those of layer j have the
    variance s_j / fan_in. With c_1 = c and c_{j+1} = kappa_1(c_j),

        K(x, z) = (s_1 ... s_q / 2^(q-1)) (|x| |z| / d) c_q.

    Args:
        x: (n, d) rows; integers become floats.
        z: (n', d) rows; None stands for x.
        depth: number q of weight matrices, from 1 to 200 (2 has one hidden layer).
        weight_variance: s, one number >= 0 or one for each layer; 2 is that of `init_mlp`. It may
            be traced, and then gives NaN if it is negative.
        bias_variance: variance of biases, likewise; the kernel is then that of `nngp` for "relu".
        precise: whether to measure angles by differences of the rows; None means for d <= 4 only
            (see `two_layer_ntk`).

    Returns:
        (n, n') Gram matrix in the dtype of x.

    Raises:
        ValueError: x or z is not a non-empty matrix, they disagree about d, depth is out of range,
            a variance is negative, their number is wrong, or their product is beyond the dtype.
        TypeError: x or z does not hold real numbers, their dtypes differ, or depth is no integer.

    Example:
        >>> relu_nngp(jnp.array([[2.0, 0.0]]), depth=5).tolist()
        [[4.0]]

    Reference:
        Wei, Lee, Liu, Ma (2019), eq. 4.2; Cho and Saul (2009); Lee et al. (2018).
    """
    if _has_biases(bias_variance, depth):
        return nngp(
            x,
            z,
            activation="relu",
            depth=depth,
            weight_variance=weight_variance,
            bias_variance=bias_variance,
            precise=precise,
        )
    scale = _output_scale(x, depth, weight_variance)
    return gram(_nngp_profile(depth), x, z, precise, scale)


def relu_ntk(
    x: Float[Array, "n d"],
    z: Float[Array, "n2 d"] | None = None,
    *,
    depth: int = 2,
    weight_variance: float | Array | Sequence[float] = 2.0,
    bias_variance: float | Array | Sequence[float] = 0.0,
    precise: bool | None = None,
) -> Float[Array, "n n2"]:
    """Tangent kernel of an infinitely wide relu network of `depth` layers.

    The network is that of `relu_nngp`, with the weights W_j = sqrt(s_j / fan_in) V_j. The entries
    of V_j are drawn from N(0, 1), and the gradient is taken in V_j (the "NTK parameterization").
    With c_1 = c and c_{j+1} = kappa_1(c_j),

        K(x, z) = (s_1 ... s_q / 2^(q-1)) (|x| |z| / d) sum_j c_j kappa_0(c_j) ... kappa_0(c_{q-1}).

    For depth 2 and s_j = 1 this is `two_layer_ntk(x, z) / d`.

    Args:
        x: (n, d) rows; integers become floats.
        z: (n', d) rows; None stands for x.
        depth: number q of the matrices V_j, from 1 to 200.
        weight_variance: s, one number >= 0 or one for each layer; 2 is that of `init_mlp`. It may
            be traced, and then gives NaN if it is negative.
        bias_variance: variance of biases, likewise; the kernel is then that of `ntk` for "relu".
        precise: as for `relu_nngp`.

    Returns:
        (n, n') Gram matrix in the dtype of x.

    Raises:
        ValueError: x or z is not a non-empty matrix, they disagree about d, depth is out of range,
            a variance is negative, their number is wrong, or their product is beyond the dtype.
        TypeError: x or z does not hold real numbers, their dtypes differ, or depth is no integer.

    Example:
        >>> relu_ntk(jnp.array([[2.0, 0.0]]), depth=5).tolist()
        [[20.0]]

    Reference:
        Jacot, Gabriel, Hongler (2018), Theorem 1; Wei, Lee, Liu, Ma (2019), eq. 4.2.
    """
    if _has_biases(bias_variance, depth):
        return ntk(
            x,
            z,
            activation="relu",
            depth=depth,
            weight_variance=weight_variance,
            bias_variance=bias_variance,
            precise=precise,
        )
    scale = _output_scale(x, depth, weight_variance)
    return gram(_ntk_profile(depth), x, z, precise, scale)


def _has_biases(bias_variance: Any, depth: int) -> bool:
    require_depth(depth)
    variances = layer_variances("bias_variance", bias_variance, depth)
    return not is_concrete(variances) or bool(np.any(variances))


@functools.cache  # one function for each depth, so that it compiles once
def _nngp_profile(depth: int) -> Profile:
    if depth == 1:
        return _linear_profile
    if depth == 2:
        return lambda c, scale: combination(c, jnp.zeros_like(scale), scale)

    def recursion(c: Cosine, arc_cosines: Callable) -> Any:  # NumPy too, for the series
        for _ in range(depth - 1):
            _, c = arc_cosines(c)
        return c.value

    return _scaled(recursion)


@functools.cache
def _ntk_profile(depth: int) -> Profile:
    if depth == 1:
        return _linear_profile
    if depth == 2:
        return lambda c, scale: combination(c, scale, scale)

    def recursion(c: Cosine, arc_cosines: Callable) -> Any:  # NumPy too, for the series
        total = c.value
        for _ in range(depth - 1):
            kappa_0, c = arc_cosines(c)
            total = total * kappa_0 + c.value
        return total

    return _scaled(recursion)


def _linear_profile(c: Cosine, scale: Array) -> Array:
    return scale * c.value


def _scaled(recursion: Composition) -> Profile:
    evaluate = by_angle(recursion)
    return lambda c, scale: scale * evaluate(c)


def _output_scale(x: Any, depth: int, weight_variance: Any) -> float | Array:
    """s_1 ... s_q / (2^(q-1) d); a traced variance that is negative makes it NaN."""
    d = require_matrix("x", jnp.asarray(as_floats("x", x))).shape[1]
    variances = layer_variances("weight_variance", weight_variance, depth)
    if is_concrete(variances):
        return 2 * float(np.prod(variances / 2)) / d
    return 2 * jnp.prod(variances / 2) / d
