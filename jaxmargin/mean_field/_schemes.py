"""How a flow replaces a little of its measure by uniform particles (eq. 3.2)."""

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, PRNGKeyArray

from jaxmargin._sphere_search import uniform_directions
from jaxmargin.mean_field.measure import Measure


def _reinitialize(
    key: PRNGKeyArray, measure: Measure, share: Array, total: Array, mesh: Mesh | None
) -> Measure:
    """Each particle, with probability `share`, becomes a uniform one on the sphere.

    Its mass is divided by the total: what is replaced has that total in expectation, and U^d has
    mass 1. For a probability measure nothing changes.
    """
    theta, mass = measure
    key_chosen, key_fresh = jax.random.split(key)
    chosen = _happens(key_chosen, share, mass.shape)
    if mesh is not None:  # all devices draw all of them, so that `any` needs no word between them
        chosen = jax.lax.with_sharding_constraint(chosen, NamedSharding(mesh, PartitionSpec()))

    def redraw() -> Measure:
        fresh = uniform_directions(key_fresh, (len(theta), theta.shape[1]), theta.dtype)
        return Measure(
            jnp.where(chosen[:, None], fresh, theta), jnp.where(chosen, mass / total, mass)
        )

    return jax.lax.cond(jnp.any(chosen), redraw, lambda: measure)  # most steps draw no normals


def _add_and_thin(
    key: PRNGKeyArray, measure: Measure, share: Array, total: Array, mesh: Mesh | None
) -> Measure:
    """Masses shrink, a particle is born, and the two lightest become one.

    The survivor of two particles of weights a, b is the first with probability a / (a + b), and has
    weight a + b: the expectation of every 2-homogeneous function stays.
    """
    del total, mesh
    key_fresh, key_survivor = jax.random.split(key)
    theta, mass = _on_sphere(measure)
    mass = mass * (1 - share)
    m = len(mass)
    newborn = uniform_directions(key_fresh, (1, theta.shape[1]), theta.dtype)[0]
    _, (first, second) = jax.lax.top_k(-jnp.append(mass, share), 2)  # slot m is the newborn
    lighter, heavier = (jnp.append(mass, share)[slot] for slot in (first, second))
    both = lighter + heavier
    survivor = jnp.where(
        _happens(key_survivor, lighter / jnp.where(both > 0, both, 1), ()), first, second
    )
    kept = jnp.where(survivor < m, theta[jnp.minimum(survivor, m - 1)], newborn)
    # There is no slot m: a write to it is dropped.
    freed, other = jnp.minimum(first, second), jnp.maximum(first, second)
    theta = theta.at[freed].set(kept).at[other].set(newborn, mode="drop")
    mass = mass.at[freed].set(both).at[other].set(share, mode="drop")
    return Measure(theta, mass)


def _on_sphere(measure: Measure) -> Measure:
    """Unit particles of the same weights: the same measure to 2-homogeneous functions.

    Left as it is, a particle that is never thinned grows while its mass shrinks, which underflows
    after 90 / (eta sigma) steps.
    """
    norm = jnp.linalg.norm(measure.theta, axis=1, keepdims=True)
    return Measure(measure.theta / jnp.where(norm > 0, norm, 1), measure.weights)


def _happens(key: PRNGKeyArray, probability: Array, shape: tuple[int, ...]) -> Array:
    """True with the given probability, however small: one uniform draw ends at 1e-7 in float32."""
    draw = jax.random.uniform(key, (*shape, 2), probability.dtype)
    step = jnp.finfo(probability.dtype).eps  # between the values of a uniform draw
    return draw[..., 1] * step < probability - draw[..., 0]


SCHEMES = {"reinitialize": _reinitialize, "weighted": _add_and_thin}
