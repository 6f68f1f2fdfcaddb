"""What searches of the sphere in JAX share: directions to start from, and the best of them."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri
from jaxtyping import Array, Float, PRNGKeyArray


class SphereMaximum(NamedTuple):
    """A maximum over the unit sphere, or p of them.

    Attributes:
        value: () or (p,) lengths |sum_i r_i relu(u . x_i)|; -inf where there are fewer than p.
        direction: (d,) or (p, d) unit vectors u.
    """

    value: Float[Array, "*p"]
    direction: Float[Array, "*p d"]


def separated(points: SphereMaximum, count: int, separation: float = 0.1) -> SphereMaximum:
    """The best `count` of p points such that any two are at least the angle `separation` apart."""
    values, directions = points
    near = jnp.cos(jnp.asarray(separation, values.dtype))

    def take(left: Array, _: None) -> tuple[Array, SphereMaximum]:
        best = jnp.argmax(left)
        close = (_dot(directions, directions[best]) > near).at[best].set(True)
        return jnp.where(close, -jnp.inf, left), SphereMaximum(left[best], directions[best])

    return jax.lax.scan(take, values, length=count)[1]


def relu_sum(x: Array, dual: Array, u: Array) -> Array:
    """sum_i r_i relu(u . x_i): () or (k,) for one u (d,), (p,) or (p, k) for p of them."""
    return _dot(jax.nn.relu(_dot(u, x.T)), dual)


def spread(count: int, dim: int, dtype) -> Array:
    """Well spread points (count, dim) without a random key.

    A Kronecker sequence fills the cube evenly; the inverse normal distribution function makes
    directions of its points that fill the sphere.
    """
    root = 2.0
    for _ in range(50):  # solves root^(dim + 1) = root + 1, as Roberts (2018) suggests
        root = (1 + root) ** (1 / (dim + 1))
    rates = root ** -jnp.arange(1, dim + 1, dtype=dtype)
    phase = (0.5 + jnp.arange(1, count + 1, dtype=dtype)[:, None] * rates[None, :]) % 1
    return ndtri(jnp.clip(phase, 1e-4, 1 - 1e-4))


def _dot(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision="highest")


def unit_rows(v: Array) -> Array:
    """Rows of length 1; a row of zeros becomes the first axis."""
    length = jnp.linalg.norm(v, axis=-1, keepdims=True)
    axis = jnp.zeros_like(v).at[..., 0].set(1)
    return jnp.where(length == 0, axis, v / jnp.where(length == 0, 1, length))


def uniform_directions(key: PRNGKeyArray, shape: tuple[int, ...], dtype: Any) -> Array:
    """Independent uniform unit rows, of the given shape."""
    normal = jax.random.normal(key, shape, dtype)
    return normal / jnp.linalg.norm(normal, axis=1, keepdims=True)
