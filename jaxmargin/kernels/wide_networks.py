"""Kernels of infinitely wide networks with biases, and with activations other than relu.

Those of relu networks without biases, which the paper is about, are in `closed_form`.
"""

from collections.abc import Sequence
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxmargin._arrays import as_array
from jaxmargin._checks import is_concrete, require_finite
from jaxmargin.kernels._gram import require_held_scale, rows_and_precision
from jaxmargin.kernels._layers import (
    deep_kernel,
    erf,
    gelu,
    layer_variances,
    rectified,
    require_depth,
)

_ActivationName = Literal["relu", "leaky_relu", "abs", "erf", "gelu"]
_ACTIVATIONS = {
    "relu": rectified,
    "leaky_relu": rectified,
    "abs": rectified,
    "erf": erf,
    "gelu": gelu,
}


def nngp(
    x: Float[Array, "n d"],
    z: Float[Array, "n2 d"] | None = None,
    *,
    activation: _ActivationName,
    depth: int = 2,
    weight_variance: float | Array | Sequence[float] = 2.0,
    bias_variance: float | Array | Sequence[float] = 0.0,
    negative_slope: float | Array = 0.01,
    precise: bool | None = None,
) -> Float[Array, "n n2"]:
    """Covariance E[f(x) f(z)] of an infinitely wide network of `depth` layers.

    The weights of layer j have the variance s_j / fan_in, and its biases the variance b_j; all of
    them are independent. With S_1 = s_1 <x, z> / d + b_1 and (u, v) ~ N(0, S_j),

        S_{j+1}(x, z) = s_{j+1} E[phi(u) phi(v)] + b_{j+1},    K = S_q,

    where the expectation has a closed form for each of the activations. For relu without biases
    `relu_nngp` is the same kernel, and faster.

    Args:
        x: (n, d) rows; integers become floats.
        z: (n', d) rows; None stands for x.
        activation: phi, "relu", "leaky_relu", "abs", "erf" or "gelu" (u Phi(u), not its
            approximation by tanh).
        depth: number q of weight matrices, from 1 to 200 (2 has one hidden layer).
        weight_variance: s, one number >= 0 or one for each layer. It may be traced, and then gives
            NaN if it is negative.
        bias_variance: b, likewise.
        negative_slope: of "leaky_relu" for negative arguments; it may be traced.
        precise: whether to measure angles by differences of the rows; None means for d <= 4 only
            (see `two_layer_ntk`).

    Returns:
        (n, n') Gram matrix in the dtype of x.

    Raises:
        ValueError: x or z is not a non-empty matrix, they disagree about d, activation is unknown,
            depth is out of range, a variance is negative, their number is wrong, the kernel that
            they make is beyond the dtype, or negative_slope is not one finite number.
        TypeError: x or z does not hold real numbers, their dtypes differ, or depth is no integer.

    Example:
        >>> x = jnp.array([[2.0, 0.0]])
        >>> nngp(x, activation="relu", weight_variance=1.0, bias_variance=[2.0, 0.5]).round(4)
        Array([[2.5]], dtype=float32)

    Reference:
        Lee et al. (2018); Cho and Saul (2009); Williams (1997); Tsuchida, Roosta-Khorasani,
        Gallagher (2018).
    """
    return _deep(
        False, x, z, activation, depth, weight_variance, bias_variance, negative_slope, precise
    )


def ntk(
    x: Float[Array, "n d"],
    z: Float[Array, "n2 d"] | None = None,
    *,
    activation: _ActivationName,
    depth: int = 2,
    weight_variance: float | Array | Sequence[float] = 2.0,
    bias_variance: float | Array | Sequence[float] = 0.0,
    negative_slope: float | Array = 0.01,
    precise: bool | None = None,
) -> Float[Array, "n n2"]:
    """Tangent kernel of an infinitely wide network of `depth` layers.

    The network is that of `nngp`, with the weights sqrt(s_j / fan_in) V_j and the biases
    sqrt(b_j) a_j. The entries of V_j and a_j are drawn from N(0, 1), and the gradient is taken in
    them (the "NTK parameterization"). With T_1 = S_1 and (u, v) ~ N(0, S_j),

        T_{j+1}(x, z) = S_{j+1} + s_{j+1} E[phi'(u) phi'(v)] T_j,    K = T_q.

    For relu without biases `relu_ntk` is the same kernel, and faster.

    Args:
        x: (n, d) rows; integers become floats.
        z: (n', d) rows; None stands for x.
        activation: phi, "relu", "leaky_relu", "abs", "erf" or "gelu" (u Phi(u), not its
            approximation by tanh).
        depth: number q of the matrices V_j, from 1 to 200.
        weight_variance: s, one number >= 0 or one for each layer. It may be traced, and then gives
            NaN if it is negative.
        bias_variance: b, likewise.
        negative_slope: of "leaky_relu" for negative arguments; it may be traced.
        precise: as for `nngp`.

    Returns:
        (n, n') Gram matrix in the dtype of x.

    Raises:
        ValueError: x or z is not a non-empty matrix, they disagree about d, activation is unknown,
            depth is out of range, a variance is negative, their number is wrong, the kernel that
            they make is beyond the dtype, or negative_slope is not one finite number.
        TypeError: x or z does not hold real numbers, their dtypes differ, or depth is no integer.

    Example:
        >>> x = jnp.array([[2.0, 0.0]])
        >>> ntk(x, activation="relu", weight_variance=1.0, bias_variance=[2.0, 0.5]).round(4)
        Array([[4.5]], dtype=float32)

    Reference:
        Jacot, Gabriel, Hongler (2018), Theorem 1, for a network with biases.
    """
    return _deep(
        True, x, z, activation, depth, weight_variance, bias_variance, negative_slope, precise
    )


def _deep(
    tangent: bool,
    x: Any,
    z: Any,
    activation: Any,
    depth: int,
    weight_variance: Any,
    bias_variance: Any,
    negative_slope: Any,
    precise: bool | None,
) -> Array:
    x, other, precise = rows_and_precision(x, z, precise)
    if not isinstance(activation, str) or activation not in _ACTIVATIONS:
        raise ValueError(
            f"activation must be one of {', '.join(_ACTIVATIONS)}, got {activation!r:.80}"
        )
    require_depth(depth)
    weights = layer_variances("weight_variance", weight_variance, depth)
    biases = layer_variances("bias_variance", bias_variance, depth)
    slope = {"relu": 0.0, "abs": -1.0, "leaky_relu": negative_slope}.get(activation, 0.0)
    slope = as_array("negative_slope", slope)
    if slope.ndim:
        raise ValueError(f"negative_slope must be one number, got shape {slope.shape}")
    require_finite("negative_slope", slope)
    dtype = x.dtype
    if is_concrete(weights, biases, slope):
        _require_held(activation, weights, biases, float(slope), depth, dtype)
    # Half precision would not hold the angles.
    wide = jnp.float32 if jnp.finfo(dtype).bits < 32 else dtype
    numbers = (jnp.asarray(value).astype(wide) for value in (x, other, weights, biases, slope))
    own = z is None
    return deep_kernel(_ACTIVATIONS[activation], tangent, precise, own, *numbers).astype(dtype)


def _require_held(
    activation: str, weights: Any, biases: Any, slope: float, depth: int, dtype: Any
) -> None:
    """Raise unless the dtype holds the variances, and the outputs' for an input of variance 1."""
    for variance in (*weights, *biases):
        require_held_scale(float(variance), dtype)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        variance = weights[0] + biases[0]
        for weight, bias in zip(weights[1:], biases[1:], strict=True):
            if activation == "erf":
                variance = 2 / np.pi * np.arcsin(2 * variance / (1 + 2 * variance))
            else:
                variance = variance * (1 + slope**2) / 2  # of gelu at most this
            variance = weight * variance + bias
    require_held_scale(float(depth * variance), dtype)
