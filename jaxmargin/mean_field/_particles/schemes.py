"""How a flow renews particles: two perturbations that are right in expectation (section E.4)."""

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, PRNGKeyArray

from jaxmargin._sphere_search import uniform_directions
from jaxmargin.mean_field.measure import Measure


def reinitialize(
    key: PRNGKeyArray, measure: Measure, share: Array, total: Array, mesh: Mesh | None
) -> Measure:
    """Each particle, with probability `share`, becomes a uniform one on the sphere.

    The mass of a replaced particle is divided by the total mass of the measure. In expectation the
    replaced particles hold `share` of the total, so that the new ones have mass `share`, as U^d of
    mass 1 asks for. For a probability measure the division changes nothing.
    """
    theta, mass = measure
    key_chosen, key_fresh = jax.random.split(key)
    chosen = happens(key_chosen, share, mass.shape)
    if mesh is not None:  # each device draws for all particles: then `any` needs no communication
        chosen = jax.lax.with_sharding_constraint(chosen, NamedSharding(mesh, PartitionSpec()))

    def redraw() -> Measure:
        fresh = uniform_directions(key_fresh, (len(theta), theta.shape[1]), theta.dtype)
        return Measure(
            jnp.where(chosen[:, None], fresh, theta), jnp.where(chosen, mass / total, mass)
        )

    # In most steps nothing is chosen, and no normals need to be drawn.
    return jax.lax.cond(jnp.any(chosen), redraw, lambda: measure)


def add_and_thin(
    key: PRNGKeyArray, measure: Measure, share: Array, total: Array, mesh: Mesh | None
) -> Measure:
    """All masses shrink, a particle is born, and the two lightest become one.

    Of two particles with weights a and b the first survives with probability a / (a + b), and the
    survivor has weight a + b. This keeps the expected integral of every 2-homogeneous function.
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
        happens(key_survivor, lighter / jnp.where(both > 0, both, 1), ()), first, second
    )
    kept = jnp.where(survivor < m, theta[jnp.minimum(survivor, m - 1)], newborn)
    # A write to slot m, which does not exist, is dropped.
    freed, other = jnp.minimum(first, second), jnp.maximum(first, second)
    theta = theta.at[freed].set(kept).at[other].set(newborn, mode="drop")
    mass = mass.at[freed].set(both).at[other].set(share, mode="drop")
    return Measure(theta, mass)


def _on_sphere(measure: Measure) -> Measure:
    """Unit particles with the same weights, over which 2-homogeneous functions integrate the same.

    Without this, a particle that is never thinned would grow while its mass shrinks by a factor in
    each step, and the mass would underflow after 90 / (eta sigma) steps.
    """
    norm = jnp.linalg.norm(measure.theta, axis=1, keepdims=True)
    return Measure(measure.theta / jnp.where(norm > 0, norm, 1), measure.weights)


def happens(key: PRNGKeyArray, probability: Array, shape: tuple[int, ...]) -> Array:
    """True with the given probability, however small.

    A uniform draw is a multiple of 1e-7 in float32, so that it cannot tell smaller probabilities
    apart. A second draw decides below that.
    """
    draw = jax.random.uniform(key, (*shape, 2), probability.dtype)
    step = jnp.finfo(probability.dtype).eps  # between the values of a uniform draw
    return draw[..., 1] * step < probability - draw[..., 0]


SCHEMES = {"reinitialize": reinitialize, "weighted": add_and_thin}
