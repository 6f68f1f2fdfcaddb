"""Arithmetic at the edges: powers at 0, sums that do not overflow, steps to a boundary."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped


def safe_power(base: Float[Array, ""], exponent: float) -> Float[Array, ""]:
    """base**exponent for base >= 0, with derivative 0 (and not inf or NaN) at base = 0.

    Zero is a minimum of every penalty `norm**r`, so 0 is the subgradient that leaves it there.
    A base of NaN stays NaN.
    """
    zero = base == 0
    return jnp.where(zero, 0.0, jnp.where(zero, 1.0, base) ** exponent)


def scaled_power_sum(
    x: Shaped[Array, "*shape"], scale: Float[Array, ""], p: float
) -> Float[Array, ""]:
    """sum_i (|x_i| / scale)**p. With scale = max |x_i| nothing over- or underflows."""
    magnitude = jnp.abs(x) / scale
    return jnp.sum(magnitude**p)


def own_and_others(
    scores: Float[Array, "*n k"], labels: Int[Array, "*n"]
) -> tuple[Float[Array, "*n 1"], Bool[Array, "*n k"]]:
    """The score of each row's own label, and which of the scores belong to the other labels."""
    own = jax.nn.one_hot(labels, scores.shape[-1], dtype=bool)
    return jnp.sum(jnp.where(own, scores, 0.0), axis=-1, keepdims=True), ~own


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
