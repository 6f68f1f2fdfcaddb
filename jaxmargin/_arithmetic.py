"""Arithmetic at the edges: powers at 0, sums that do not overflow, steps to a boundary, scales.

The outputs of a network of depth q are homogeneous of degree q, and leave the range of floats long
before its parameters do: at norm 1 those of 40 layers are about 1e-75. So such networks are
evaluated at another scale of the parameters.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree, Shaped

from jaxmargin._checks import is_concrete

_ROUNDS = 30  # of halving of the range of exponents


def safe_power(base: Float[Array, "*shape"], exponent: float) -> Float[Array, "*shape"]:
    """base**exponent for base >= 0, with derivative 0 (and not inf or NaN) at base = 0.

    Zero is a minimum of every penalty `norm**r`, so 0 is the subgradient that leaves it there.
    A base of NaN stays NaN.
    """
    zero = base == 0
    return jnp.where(zero, 0.0, jnp.where(zero, 1.0, base) ** exponent)


def scaled_power_sum(
    x: Shaped[Array, "*shape"], scale: Float[Array, ""], p: float
) -> Float[Array, ""]:
    """sum_i (|x_i| / scale)**p. With scale = max |x_i| nothing over- or underflows.

    For p < 2 the second derivative at x_i = 0, which is infinite, is taken to be 0.
    """
    magnitude = jnp.abs(x) / scale
    return jnp.sum(safe_power(magnitude, p) if p < 2 else magnitude**p)


def own_and_others(
    scores: Float[Array, "*n k"], labels: Int[Array, "*n"]
) -> tuple[Float[Array, "*n 1"], Bool[Array, "*n k"]]:
    """The score of each row's own label, and which of the scores belong to the other labels.

    The score of a label outside [0, k) is NaN.
    """
    own = jax.nn.one_hot(labels, scores.shape[-1], dtype=bool)
    score = jnp.sum(jnp.where(own, scores, 0.0), axis=-1, keepdims=True)
    return jnp.where(jnp.any(own, axis=-1, keepdims=True), score, jnp.nan), ~own


def widened(leaf) -> Array:
    """The leaf as an array, with floats of fewer than 32 bits cast to float32."""
    leaf = jnp.asarray(leaf)
    narrow = jnp.issubdtype(leaf.dtype, jnp.floating) and jnp.finfo(leaf.dtype).bits < 32
    return leaf.astype(jnp.float32) if narrow else leaf


def power_of_two(value, xp=jnp):
    """The power of two at or below |value|, by which all floats divide exactly; 1 for 0."""
    _, exponent = xp.frexp(value)
    return xp.where(value == 0, 1.0, xp.ldexp(xp.ones_like(value), exponent - 1))


def as_float64(leaf) -> Array:
    """The leaf as an array, with floats cast to float64; call it inside `jax.enable_x64(True)`."""
    leaf = jnp.asarray(leaf)
    return leaf.astype(jnp.float64) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf


def step_to_boundary(value, change, xp=jnp):
    """The largest t with value + t * change >= 0, for value > 0; inf if there is no largest.

    With `xp=np` it works on arrays of NumPy.
    """
    falling = change < 0
    return xp.min(xp.where(falling, value / xp.where(falling, -change, 1), xp.inf), initial=xp.inf)


@jax.jit
def scaled(params: PyTree, octaves: Float[Array, ""] | float) -> PyTree:
    """The parameters times 2**octaves."""
    factor = jnp.exp2(octaves)
    products = jax.tree.map(lambda leaf: leaf * jnp.asarray(factor, leaf.dtype), params)
    # Without the barrier the compiler may raise the two factors to a power by themselves.
    return jax.lax.optimization_barrier(products)


def held_range(dtype: Any) -> int:
    """Octaves around 1 in which outputs are well within the range: a quarter of all exponents."""
    return jnp.finfo(dtype).maxexp // 4


def held_octaves(
    outputs: Callable[[Array], Array], dtype: Any, *, least: float
) -> Float[Array, ""]:
    """The exponent nearest to 0 by halvings at which no output is too large and one not too small.

    Args:
        outputs: `outputs(octaves)` gives the network's outputs with parameters scaled by
            2**octaves; they grow with it.
        dtype: of the outputs.
        least: 0 is the answer if the largest output is at least this there.

    Returns:
        Scalar of the dtype, without a derivative; of no meaning if all outputs are 0 or NaN at
        every scale.
    """
    most = 2.0 ** held_range(dtype)

    def at(octaves: Array) -> tuple[Array, Array]:
        return octaves, _peak(outputs(octaves))

    def searching(state: tuple) -> Array:
        (_, peak), _, _, i = state
        return _is_outside(peak, least, most, i)

    def halve(state: tuple) -> tuple:
        (octaves, peak), low, high, i = state
        low, high, middle = _halved(octaves, peak < 1 / most, low, high)
        return at(middle), low, high, i + 1

    end = jnp.asarray(2.0 * held_range(dtype), dtype)
    start = at(jnp.zeros((), dtype)), -end, end, jnp.zeros((), np.int32)
    return jax.lax.stop_gradient(_repeat(searching, halve, start)[0][0])


@jax.jit
def _peak(outputs: Array) -> Array:
    return jnp.max(jnp.abs(outputs), initial=0.0)


@jax.jit
def _is_outside(peak: Array, least: Array | float, most: Array | float, i: Array) -> Array:
    """Whether the search has to go on after i halvings."""
    lowest = jnp.where(i == 0, least, 1 / most)
    return (i < _ROUNDS) & ~((peak >= lowest) & (peak <= most))


@jax.jit
def _halved(octaves: Array, small: Array, low: Array, high: Array) -> tuple[Array, Array, Array]:
    """The bounds of the half that is left, and its middle."""
    low, high = jnp.where(small, octaves, low), jnp.where(small, high, octaves)
    return low, high, (low + high) / 2


def _repeat(condition: Callable, body: Callable, state: tuple) -> tuple:
    """`jax.lax.while_loop`, but by Python where the values are known, which compiles nothing."""
    if not is_concrete(state):
        return jax.lax.while_loop(condition, body, state)
    while condition(state):
        state = body(state)
    return state
