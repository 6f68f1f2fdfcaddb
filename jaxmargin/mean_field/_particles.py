"""Particles of a measure: passes over them, block by block, checks, and how a flow renews some."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, PRNGKeyArray

from jaxmargin._arrays import as_jax, require_key
from jaxmargin._blocks import overlapping_blocks, rows, with_rows
from jaxmargin._checks import require_enabled, require_finite
from jaxmargin._sphere_search import uniform_directions
from jaxmargin.mean_field.measure import Features, Measure

# Two numbers of entries (particles x outputs). Up to the first, a pass takes all particles in one
# block, so that both passes of a step share the pre-activations. Above it, no block has more than
# the second. On two CPU cores 16 MB and 8 MB of float32 were the fastest; an accelerator wants
# larger blocks.
BLOCK_ENTRIES = {"cpu": (2**22, 2**21), "accelerator": (2**27, 2**26)}


@runtime_checkable
class Problem(Protocol):
    """What the passes need of a `MeanField`, which is defined on top of them."""

    @property
    def phi(self) -> Callable: ...
    @property
    def loss(self) -> Callable: ...
    @property
    def potential(self) -> Callable: ...


def integrate(phi: Callable, measure: Measure) -> Array:
    """The outputs int Phi drho = sum_j mass_j Phi(theta_j) of the network that rho is.

    Args:
        phi: `Features`, or a plain function `phi(theta) -> (k,)`.
        measure: m particles.

    Returns:
        (k,), or whatever shape phi gives.
    """
    block_sum = _as_features(phi).integrate
    theta, mass = measure
    size = _block_size(phi, theta)
    if size == len(theta):
        return block_sum(theta, mass)

    def add(total: Array, block: tuple[Array, Array]) -> tuple[Array, None]:
        start, fresh = block
        masses = jnp.where(fresh, rows(mass, start, size), 0)
        return total + block_sum(rows(theta, start, size), masses), None

    first = jax.eval_shape(block_sum, theta[:1], mass[:1])
    blocks = overlapping_blocks(len(theta), size)
    return jax.lax.scan(add, jnp.zeros(first.shape, first.dtype), blocks)[0]


def pull_back(phi: Callable, dual: Array, theta: Array) -> tuple[Array, Array]:
    """<dual, Phi(theta)> and its gradient in theta, for each of the particles theta (m, D).

    Args:
        phi: `Features`, or a plain function `phi(theta) -> (k,)`.
        dual: of the shape of phi's output, such as R'(int Phi drho).
        theta: (m, D) particles.

    Returns:
        (m,) values and (m, D) gradients.
    """
    of_block = _as_features(phi).pull_back
    size = _block_size(phi, theta)
    if size == len(theta):
        return of_block(dual, theta)

    def write(out: tuple[Array, Array], start: Array) -> tuple[tuple[Array, Array], None]:
        values, gradients = of_block(dual, rows(theta, start, size))
        return (with_rows(out[0], values, start), with_rows(out[1], gradients, start)), None

    empty = (jnp.zeros(len(theta), theta.dtype), jnp.zeros_like(theta))
    starts, _ = overlapping_blocks(len(theta), size)
    return jax.lax.scan(write, empty, starts)[0]


class _Pointwise(NamedTuple):
    """`Features` made of a plain function of one particle."""

    phi: Callable

    def __call__(self, theta: Array) -> Array:
        return self.phi(theta)

    def integrate(self, theta: Array, mass: Array) -> Array:
        return jnp.tensordot(mass, jax.vmap(self.phi)(theta), axes=1)

    def pull_back(self, dual: Array, theta: Array) -> tuple[Array, Array]:
        return jax.vmap(jax.value_and_grad(lambda one: jnp.sum(dual * self.phi(one))))(theta)


def _as_features(phi: Callable) -> Features:
    return phi if isinstance(phi, Features) else _Pointwise(phi)


def _block_size(phi: Callable, theta: Array) -> int:
    """Particles of a block: all of them, unless their outputs are too many numbers."""
    outputs = jax.eval_shape(phi, jax.ShapeDtypeStruct(theta.shape[1:], theta.dtype)).size
    whole, part = BLOCK_ENTRIES["cpu" if jax.default_backend() == "cpu" else "accelerator"]
    m = len(theta)
    return m if m * outputs <= whole else max(1, min(m, part // outputs))


def regularizer(problem: Problem, measure: Measure) -> Float[Array, ""]:
    """The integral of the potential, int V drho."""
    return jnp.dot(measure.mass, jax.vmap(problem.potential)(measure.theta))


def variation_of_dual(problem: Problem, dual: Array, theta: Array) -> tuple[Array, Array]:
    """<dual, Phi> + V and its gradient at each theta (m, D): L'[rho] for dual = R'(outputs)."""
    values, gradients = pull_back(problem.phi, dual, theta)
    potentials, slopes = jax.vmap(jax.value_and_grad(problem.potential))(theta)
    return values + potentials, gradients + slopes


def require_problem(problem: Problem) -> None:
    """Raise TypeError unless it has the three functions of a `MeanField`."""
    if not isinstance(problem, Problem):
        raise TypeError(f"problem must be a MeanField, got {type(problem).__name__}")


def checked_run(key: PRNGKeyArray, flow: Any, state: Any) -> Any:
    """The state as arrays, once these are the key, the flow and the state of a run.

    The types are known by their fields, as they are defined on top of this module.

    Raises:
        TypeError: one of them is something else, or holds 64 bits where they are not enabled.
    """
    require_key(key, several=True)  # how many is for the caller to check, as the trial axis is
    if not (hasattr(flow, "init") and hasattr(flow, "step")):
        raise TypeError(f"flow must be a Flow, got {type(flow).__name__}")
    if not all(hasattr(state, name) for name in ("measure", "step", "step_size")):
        raise TypeError(
            f"state must be a FlowState, such as flow.init(measure), got {type(state).__name__}"
        )
    require_enabled(flow=flow, state=state)
    if not isinstance(state.measure, Measure):
        raise TypeError(f"state.measure must be a Measure, got {type(state.measure).__name__}")
    theta, mass = state.measure
    return state._replace(
        measure=Measure(as_jax("state.measure.theta", theta), as_jax("state.measure.mass", mass)),
        step=as_jax("state.step", state.step),
        step_size=as_jax("state.step_size", state.step_size),
    )


def step_of_one_run(key: PRNGKeyArray, state: Any) -> int:
    """The state's step; raise unless the key is one, and the state that of one run, not trials."""
    require_key(key)
    if shape := state.step.shape:
        raise ValueError(f"state.step must be one step, got shape {shape}: take trials=True")
    state.measure.checked()
    return int(state.step)


def check_measure(problem: Problem, measure: Measure) -> Measure:
    """The measure, once its concrete values are finite, its masses >= 0, and phi takes it.

    Raises:
        ValueError: one of these does not hold; also what phi and loss themselves raise.
        TypeError: no problem or no measure; particles and masses are not floats of one dtype.
    """
    require_problem(problem)
    measure = Measure.checked(measure)
    output = jax.eval_shape(problem.phi, measure.theta[0])
    for name, function, argument in (
        ("loss", problem.loss, output),
        ("potential", problem.potential, measure.theta[0]),
    ):
        value = jax.eval_shape(function, argument)
        if getattr(value, "shape", None) != ():
            raise ValueError(f"problem.{name} must give a scalar, got {value}")
    if isinstance(measure.theta, Tracer) or isinstance(measure.mass, Tracer):
        return measure
    require_finite("measure.theta", measure.theta)
    require_finite("measure.mass", measure.mass)
    if np.any(np.asarray(measure.mass) < 0):
        raise ValueError(
            f"measure.mass must be >= 0, got {np.min(np.asarray(measure.mass)):g}: a sign belongs "
            "into theta, as that of w"
        )
    return measure


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
