"""Homogeneity: its degree, and balanced and widened networks (section 4.3, appendix D.1).

A network f is a-positively-homogeneous if f(x; c Theta) = c^a f(x; Theta) for every c > 0. A relu
network without biases is, and its degree a is its depth.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from jaxmargin._arithmetic import held_octaves, held_range, scaled, widened
from jaxmargin._arrays import as_array, as_result
from jaxmargin._checks import (
    is_concrete,
    require_callable,
    require_count,
    require_entries,
    require_parameters,
    shown,
)
from jaxmargin.networks import norms
from jaxmargin.networks._layers import matrices_of, unit_weights
from jaxmargin.networks.models import Apply, Network, TwoLayer

_Params = TypeVar("_Params", bound=PyTree)
_SHIFTS = np.array([-2.0, -1.0, 1.0, 2.0])  # log2 of the scales c


def balance(params: _Params) -> _Params:
    """Rescale the layers to equal Frobenius norms without changing the function.

    The matrix W_j becomes (prod_i ||W_i||)^(1/q) W_j / ||W_j||. The norm of all parameters does
    not grow, by the inequality of arithmetic and geometric means. If one layer is zero, the
    function is zero, and all layers become zero.

    Args:
        params: `TwoLayer`, the matrices of an `mlp` with a 1-homogeneous activation, or any other
            pytree whose leaves are the weights of one layer each: f must be 1-homogeneous in each
            of them, so that there are no biases.

    Returns:
        Parameters of the same structure, shapes and dtypes.

    Raises:
        ValueError: the pytree has no array.
        TypeError: a leaf does not hold floats.

    Example:
        >>> params = TwoLayer(u=jnp.array([[8.0]]), w=jnp.array([2.0]))
        >>> [float(leaf.item()) for leaf in balance(params)]
        [4.0, 4.0]

    Reference:
        Wei, Lee, Liu, Ma (2019), proof of Proposition D.1 (its exponent read as 1/q).
    """
    require_parameters("params", params)
    leaves, structure = jax.tree.flatten(params)
    layers = [jnp.asarray(leaf) for leaf in leaves]
    if not layers:
        raise ValueError("params must hold at least one layer, got none")
    return jax.tree.unflatten(structure, _balanced(layers))


@jax.jit
def _balanced(layers: list[Array]) -> list[Array]:
    layer_norms = jnp.stack([norms.l2(layer) for layer in layers])
    alive = jnp.all(layer_norms > 0)
    safe_norms = jnp.where(layer_norms > 0, layer_norms, 1.0)
    common = jnp.where(alive, jnp.exp(jnp.mean(jnp.log(safe_norms))), 0.0)
    return [
        (widened(layer) / norm * common).astype(layer.dtype)
        for layer, norm in zip(layers, safe_norms, strict=True)
    ]


def widen(params: Network, widths: int | Sequence[int]) -> Network:
    """The same function, norm and margin in a wider architecture (Theorem 4.3).

    Units with zero weights are added, as in the theorem's proof. Such units receive no gradient:
    before training the wider network, add noise to them.

    Args:
        params: `TwoLayer` or the matrices of an `mlp`.
        widths: new hidden widths (m_1, ..., m_{q-1}), none below the present one; a number
            stands for all of them.

    Returns:
        Parameters of the same type.

    Raises:
        ValueError: wrong number of widths, one below the present width, layers that do not fit, or
            a layer of more entries than 32 bits count.
        TypeError: a width that is not an integer, or params is no network of this package.

    Example:
        >>> from jaxmargin import init_two_layer
        >>> wide = widen(init_two_layer(jax.random.key(0), d=3, m=4), 10)
        >>> wide.u.shape, wide.w.shape
        ((10, 3), (10,))

    Reference:
        Wei, Lee, Liu, Ma (2019), Theorem 4.3.
    """
    layers = [*unit_weights(params)] if isinstance(params, TwoLayer) else matrices_of(params)
    present = [layer.shape[0] for layer in layers[:-1]]
    target = list(widths) if isinstance(widths, Sequence) else [widths] * len(present)
    for width in target:
        require_count("each of widths", width)
    grown = [new - old for new, old in zip(target, present, strict=False)]
    if len(target) != len(present) or min(grown, default=0) < 0:
        raise ValueError(
            f"widths must be {len(present)} hidden widths of at least {tuple(present)}, "
            f"got {shown(widths)}"
        )
    if isinstance(params, TwoLayer):
        u, w = layers
        require_entries("u", m=target[0], d=u.shape[1])
        tail = [(0, 0)] * (w.ndim - 1)
        return TwoLayer(u=jnp.pad(u, [(0, *grown), (0, 0)]), w=jnp.pad(w, [(0, *grown), *tail]))
    extra = [0, *grown, 0]
    for i, (fan_out, fan_in) in enumerate(matrix.shape for matrix in layers):
        require_entries(f"params[{i}]", fan_out=fan_out + extra[i + 1], fan_in=fan_in + extra[i])
    wide: Any = tuple(
        jnp.pad(matrix, [(0, extra[i + 1]), (0, extra[i])]) for i, matrix in enumerate(layers)
    )
    return wide


class Homogeneity(NamedTuple):
    """What `homogeneity_degree` measured.

    Attributes:
        degree: the a that fits f(x; c Theta) = c^a f(x; Theta) best.
        residual: the largest relative error of that equation over the scales c that were tried.
    """

    degree: Float[Array, ""]
    residual: Float[Array, ""]


def homogeneity_degree(apply: Apply, params: PyTree, x: Float[Array, "n d"]) -> Homogeneity:
    """Measure a in f(x; c Theta) = c^a f(x; Theta), and by how much the equation fails.

    The degree is the least-squares slope of log ||f(x; c Theta)|| against log c, for c = 1/4, 1/2,
    2 and 4, which floating point multiplies by exactly. The residual is the largest value of
    ||f_c - c^a f_1|| / max(||f_c||, ||c^a f_1||). It is of the size of rounding if the model is
    homogeneous, and of order 1 if it has, say, biases.

    Outputs that leave the range of floats would say nothing. Where f(x; Theta) does, Theta is
    scaled first by the smallest power of 2 that a bisection finds to bring it back; and where a is
    above 30 in float32 (240 in float64), the c are closer to 1.

    Args:
        apply: `apply(params, x)`.
        params: any pytree of float arrays.
        x: inputs that `apply` takes, on which f is not identically zero.

    Returns:
        `(degree, residual)`, both NaN if f vanishes on x at every scale; in float32 for parameters
        of fewer bits.

    Raises:
        ValueError: no inputs.
        TypeError: apply is not a function of two arguments that returns floats, a leaf of params
            does not hold floats, or x does not hold numbers.

    Example:
        >>> from jaxmargin import init_mlp, mlp
        >>> params = init_mlp(jax.random.key(0), (3, 8, 8, 1))
        >>> degree, residual = homogeneity_degree(mlp, params, jnp.ones((5, 3)))
        >>> round(float(degree), 3), float(residual) < 1e-5
        (3.0, True)

    Reference:
        Wei, Lee, Liu, Ma (2019), section 4 (a-positive-homogeneous networks).
    """
    require_callable("apply", apply, "apply(params, x)")
    require_parameters("params", params)
    params, x = jax.tree.map(widened, (params, as_array("x", x)))

    def output(octaves: Array) -> Array:
        scores = apply(scaled(params, octaves), x)
        return jnp.ravel(widened(as_result("apply(params, x)", scores)))

    shape = jax.eval_shape(output, jnp.zeros(()))
    if not shape.size:
        raise ValueError(f"x must have at least one input, got shape {x.shape}")
    dtype = shape.dtype
    middle = held_octaves(output, dtype, least=2.0 ** -held_range(dtype))
    reference = output(middle)
    shifts, octaves = _held_shifts(middle, reference, output(middle + 0.125))
    if is_concrete(reference):  # nothing of the model to compile
        outputs = [output(octaves[i]) for i in range(len(_SHIFTS))]
    else:
        outputs = jax.lax.map(output, octaves)
    return _fitted(shifts, reference, outputs)


@jax.jit
def _held_shifts(middle: Array, reference: Array, nearby: Array) -> tuple[Array, Array]:
    """Shifts at which outputs stay in range, given those an eighth apart; and middle + shifts."""
    rough = 8 * jnp.log2(norms.l2(nearby) / norms.l2(reference))
    room = held_range(reference.dtype) / jnp.maximum(jnp.abs(jax.lax.stop_gradient(rough)), 1)
    shifts = jnp.exp2(jnp.minimum(jnp.floor(jnp.log2(room)), 0)) * _SHIFTS.astype(reference.dtype)
    return shifts, middle + shifts


@jax.jit
def _fitted(shifts: Array, reference: Array, outputs: Array | list[Array]) -> Homogeneity:
    """The slope of log ||outputs|| against the shifts, and what it leaves."""
    outputs = jnp.asarray(outputs)
    slopes = shifts * jnp.log2(jax.vmap(norms.l2)(outputs) / norms.l2(reference))
    degree = jnp.sum(slopes) / jnp.sum(shifts**2)
    expected = jnp.outer(jnp.exp2(degree * shifts), reference)
    return Homogeneity(degree, jnp.max(jax.vmap(_relative_error)(outputs, expected)))


def _relative_error(a: Array, b: Array) -> Array:
    """||a - b|| / max(||a||, ||b||)."""
    return norms.l2(a - b) / jnp.maximum(norms.l2(a), norms.l2(b))
