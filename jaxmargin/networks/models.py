"""Positively homogeneous networks (section 2, eq. 4.2) and their activation patterns (section 5).

Units come first in every hidden array: pre-activations are `(m, ...)`. In this order both matrix
products of a gradient step run over contiguous rows, which on CPU is 1.5 times faster than
`(..., m)`.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray, PyTree

from jaxmargin._arrays import as_floats, as_jax, require_key
from jaxmargin._checks import (
    require_callable,
    require_count,
    require_entries,
    require_positive,
    shown,
)
from jaxmargin.networks._layers import matrices_of, unit_weights

Apply = Callable[[PyTree, Array], Array]
"""A network: `apply(params, x)` gives scores (n,) or logits (n, k) of inputs x (n, d)."""

Activation = Callable[[Array], Array]
"""An elementwise function between two layers."""


class TwoLayer(NamedTuple):
    """Parameters of f(x) = sum_j w_j [u_j . x]_+ (section 2).

    Attributes:
        u: (m, d) first layer, one unit a row.
        w: (m,) second layer, or (m, k) for k outputs.
    """

    u: Float[Array, "m d"]
    w: Float[Array, "m *k"]


Mlp = tuple[Float[Array, "_fan_out _fan_in"], ...]
"""Parameters of `mlp`: one matrix for each layer, the first layer first."""

Network = TypeVar("Network", TwoLayer, Mlp)
"""Parameters of one of this package's networks."""


def _weights(params: TwoLayer) -> TwoLayer:
    if not isinstance(params, TwoLayer):
        raise TypeError(f"params must be TwoLayer(u, w), got {type(params).__name__}")
    return TwoLayer(*unit_weights(params))


def _apply_first(matrix: Array, x: Array, name: str) -> Array:
    """(m, d) and (..., d) to (m, ...)."""
    x = as_jax("x", x)
    if x.ndim == 0 or x.shape[-1] != matrix.shape[-1]:
        raise ValueError(
            f"the last axis of x must have the d = {matrix.shape[-1]} features that {name} "
            f"{matrix.shape} takes, got x of shape {x.shape}"
        )
    return jnp.tensordot(matrix, x, axes=((-1,), (-1,)))


def init_two_layer(
    key: PRNGKeyArray, d: int, m: int, *, k: int | None = None, std: float = 1.0
) -> TwoLayer:
    """A two-layer network with independent N(0, std^2) weights (section 5).

    Args:
        key: random key.
        d: number of features, >= 1.
        m: number of hidden units, >= 1.
        k: number of outputs; None gives a scalar network with w of shape (m,).
        std: standard deviation of every weight, > 0.

    Returns:
        `TwoLayer(u=(m, d), w=(m,) or (m, k))` in JAX's default float type.

    Raises:
        ValueError: a count below 1, weights of more entries than 32 bits count, std not positive,
            or several keys.
        TypeError: key is no random key, a count that is not an integer, or std not a number.

    Example:
        >>> params = init_two_layer(jax.random.key(0), d=20, m=400)
        >>> params.u.shape, params.w.shape
        ((400, 20), (400,))

    Reference:
        Wei, Lee, Liu, Ma (2019), section 5 ("every weight ~ N(0, 1)").
    """
    require_key(key)
    require_count("d", d)
    require_count("m", m)
    require_positive("std", std)
    if k is not None:
        require_count("k", k)
    require_entries("u", m=m, d=d)
    require_entries("w", m=m, k=k or 1)
    key_u, key_w = jax.random.split(key)
    w_shape = (m,) if k is None else (m, k)
    scale = jnp.asarray(std, float)
    return TwoLayer(
        u=scale * jax.random.normal(key_u, (m, d)), w=scale * jax.random.normal(key_w, w_shape)
    )


def two_layer(params: TwoLayer, x: Float[Array, "*batch d"]) -> Float[Array, "..."]:
    """f(x; Theta) = sum_j w_j [u_j . x]_+ (Wei et al. 2019, section 2).

    Args:
        params: `TwoLayer` with u (m, d) and w (m,) or (m, k).
        x: (..., d) inputs; any leading axes.

    Returns:
        (...) scores for w of shape (m,), (..., k) for w of shape (m, k).

    Raises:
        ValueError: x and params disagree about d, or u and w about m.
        TypeError: params is no `TwoLayer`, or x or params hold no numbers.

    Example:
        >>> params = TwoLayer(u=jnp.array([[1.0, 0.0], [0.0, 1.0]]), w=jnp.array([1.0, -1.0]))
        >>> float(two_layer(params, jnp.array([2.0, 0.5])))
        1.5

    Reference:
        Wei, Lee, Liu, Ma (2019), section 2.
    """
    u, w = _weights(params)
    hidden = jax.nn.relu(_apply_first(u, x, "params.u"))
    if w.ndim == 1:
        return jnp.tensordot(w, hidden, axes=1)
    return jnp.tensordot(hidden, w, axes=((0,), (0,)))


def init_mlp(
    key: PRNGKeyArray, widths: Sequence[int], *, std: float | Sequence[float] | None = None
) -> Mlp:
    """Random weights of a depth-q network without biases (eq. 4.2).

    Args:
        key: random key.
        widths: (d, m_1, ..., m_{q-1}, k); the last one is 1 for a scalar network.
        std: standard deviation of the normal weights, one number or one for each layer;
            None takes sqrt(2 / fan_in), which keeps the size of relu activations.

    Returns:
        Tuple of q matrices `(fan_out, fan_in)`.

    Raises:
        ValueError: fewer than two widths, one below 1, a matrix of more entries than 32 bits count,
            std of wrong length or sign, or several keys.
        TypeError: key is no random key, a width that is not an integer, or std not a number.

    Example:
        >>> [w.shape for w in init_mlp(jax.random.key(0), (20, 64, 32, 1))]
        [(64, 20), (32, 64), (1, 32)]

    Reference:
        Wei, Lee, Liu, Ma (2019), eq. 4.2; He et al. (2015) for the default scale.
    """
    require_key(key)
    if not isinstance(widths, Sequence) or len(widths) < 2:
        raise ValueError(
            f"widths must be (d, ..., outputs), at least two numbers, got {shown(widths)}"
        )
    for width in widths:
        require_count("each of widths", width)
    for fan_in, fan_out in pairwise(widths):
        require_entries("a matrix", fan_out=fan_out, fan_in=fan_in)
    layers = len(widths) - 1
    if std is None:
        stds = [(2.0 / fan_in) ** 0.5 for fan_in in widths[:-1]]
    else:
        stds = list(std) if isinstance(std, Sequence) else [std] * layers
    if len(stds) != layers:
        raise ValueError(f"std must have one entry a layer ({layers}), got {len(stds)}")
    for s in stds:
        require_positive("std", s)
    shapes = [(widths[i + 1], widths[i]) for i in range(layers)]
    keys = jax.random.split(key, layers)
    return tuple(
        jnp.asarray(s, float) * jax.random.normal(k, shape)
        for k, shape, s in zip(keys, shapes, stds, strict=True)
    )


def _preactivations(matrices: list[Array], x: Array, activation: Activation) -> list[Array]:
    """W_1 x, W_2 phi(W_1 x), ...: one array `(fan_out, ...)` for each layer."""
    require_callable("activation", activation, "activation(preactivations)")
    outputs = [_apply_first(matrices[0], x, "params[0]")]
    for i, matrix in enumerate(matrices[1:], start=1):
        hidden = as_jax("activation(...)", activation(outputs[-1]))
        if hidden.shape != outputs[-1].shape:
            raise ValueError(
                f"activation must keep the shape {outputs[-1].shape}, got {hidden.shape}"
            )
        if matrix.shape[-1] != hidden.shape[0]:
            raise ValueError(
                f"params[{i}] must take the {hidden.shape[0]} outputs of params[{i - 1}], "
                f"got shape {matrix.shape}"
            )
        outputs.append(jnp.tensordot(matrix, hidden, axes=1))
    return outputs


def mlp(
    params: Mlp, x: Float[Array, "*batch d"], *, activation: Activation = jax.nn.relu
) -> Float[Array, "..."]:
    """f(x; Theta) = W_q phi(W_{q-1} phi(... phi(W_1 x))) (Wei et al. 2019, eq. 4.2).

    With a 1-positively-homogeneous activation (relu, leaky relu, abs, identity) f is
    q-homogeneous in its parameters.

    Args:
        params: tuple of q matrices `(fan_out, fan_in)`.
        x: (..., d) inputs.
        activation: elementwise function.

    Returns:
        (...) if the last matrix has one row, else (..., k).

    Raises:
        ValueError: shapes of consecutive matrices, or of x, do not fit.
        TypeError: params is no tuple of matrices, x holds no numbers, or activation is no function.

    Example:
        >>> params = (jnp.eye(2), jnp.array([[1.0, 1.0]]))
        >>> float(mlp(params, jnp.array([-3.0, 2.0]), activation=jnp.abs))
        5.0

    Reference:
        Wei, Lee, Liu, Ma (2019), eq. 4.2.
    """
    output = _preactivations(matrices_of(params), x, activation)[-1]
    return output[0] if output.shape[0] == 1 else jnp.moveaxis(output, 0, -1)


def activation_pattern(
    params: TwoLayer | Mlp, x: Float[Array, "*batch d"], *, activation: Activation = jax.nn.relu
) -> Bool[Array, "*batch m"]:
    """Which unit is active on which input: 1(u_j . x_i >= 0).

    Args:
        params: `TwoLayer`, or the matrices of an `mlp`, where the hidden units of all layers count.
        x: (..., d) inputs, usually (n, d).
        activation: the activation between the layers of an `mlp`.

    Returns:
        (..., m) booleans.

    Raises:
        ValueError: x and params disagree about d.
        TypeError: x or params hold no numbers, or activation is no function.

    Example:
        >>> params = TwoLayer(u=jnp.array([[1.0], [-1.0]]), w=jnp.ones(2))
        >>> activation_pattern(params, jnp.array([[2.0]])).tolist()
        [[True, False]]

    Reference:
        Wei, Lee, Liu, Ma (2019), section 2 (the gradient's indicator).
    """
    if isinstance(params, TwoLayer):
        hidden = [_apply_first(_weights(params).u, x, "params.u")]
    else:
        matrices = matrices_of(params)
        if len(matrices) < 2:
            raise ValueError("params must hold two matrices or more: with one there are no units")
        hidden = _preactivations(matrices[:-1], x, activation)
    return jnp.moveaxis(jnp.concatenate([h >= 0 for h in hidden]), 0, -1)


def pattern_change(
    before: Network,
    after: Network,
    x: Float[Array, "n d"],
    *,
    activation: Activation = jax.nn.relu,
) -> Float[Array, ""]:
    """Fraction of (unit, input) pairs whose activation differs between two parameters.

    A small fraction after training means the kernel regime: nearly every unit is still active on
    the same inputs as at the start, so that the tangent kernel has hardly changed.

    Args:
        before: parameters, usually the initial ones.
        after: parameters of the same shapes.
        x: (n, d) inputs.
        activation: the activation between the layers of an `mlp`.

    Returns:
        Scalar in [0, 1].

    Raises:
        ValueError: the two have different numbers of units, or disagree with x about d; no inputs.
        TypeError: x or params hold no numbers, or activation is no function.

    Example:
        >>> before = TwoLayer(u=jnp.array([[1.0], [-1.0]]), w=jnp.ones(2))
        >>> after = TwoLayer(u=jnp.array([[1.0], [1.0]]), w=jnp.ones(2))
        >>> float(pattern_change(before, after, jnp.array([[2.0], [3.0]])))
        0.5

    Reference:
        Wei, Lee, Liu, Ma (2019), section 5 and Figure 2 (right).
    """
    old = activation_pattern(before, x, activation=activation)
    new = activation_pattern(after, x, activation=activation)
    if old.shape != new.shape:
        raise ValueError(
            f"before and after must have the same units, got {old.shape[-1]} and {new.shape[-1]}"
        )
    if not old.size:
        raise ValueError(f"x must have at least one input, got shape {jnp.shape(x)}")
    return jnp.mean(old != new, dtype=jnp.asarray(as_floats("before[0]", before[0])).dtype)


def append_one(x: Float[Array, "*batch d"]) -> Float[Array, "*batch d+1"]:
    """Append the constant feature 1, whose weights serve as biases of a homogeneous network.

    Args:
        x: (..., d) inputs.

    Returns:
        (..., d + 1).

    Raises:
        ValueError: x has no feature axis.
        TypeError: x holds no numbers.

    Example:
        >>> append_one(jnp.array([[2.0], [3.0]])).tolist()
        [[2.0, 1.0], [3.0, 1.0]]

    Reference:
        Wei, Lee, Liu, Ma (2019), appendix F.3 (relu(w x + b) with w, b regularized together).
    """
    x = as_jax("x", x)
    if x.ndim == 0:
        raise ValueError("x must be (..., d), got a scalar")
    return jnp.concatenate([x, jnp.ones((*x.shape[:-1], 1), x.dtype)], axis=-1)
