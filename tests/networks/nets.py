"""Networks and data that the tests share, drawn in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np

import jaxmargin as jm

ACTIVATIONS = {
    "relu": (jax.nn.relu, lambda h: np.maximum(h, 0)),
    "leaky relu": (jax.nn.leaky_relu, lambda h: np.where(h > 0, h, 0.01 * h)),
    "abs": (jnp.abs, np.abs),
    "identity": (lambda h: h, lambda h: h),
}


def draw(seed: int, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def network(seed: int, *shapes: tuple[int, ...]) -> tuple[jax.Array, ...]:
    return tuple(jnp.asarray(matrix) for matrix in draw(seed, *shapes))


def two_layer_network(seed: int, m: int = 4, d: int = 3, k: int | None = None) -> jm.TwoLayer:
    return jm.TwoLayer(*network(seed, (m, d), (m,) if k is None else (m, k)))
