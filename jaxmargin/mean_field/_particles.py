"""Passes over the particles of a measure, block by block, and what a measure must satisfy."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from jaxmargin._checks import require_finite
from jaxmargin.mean_field.measure import Measure
from jaxmargin.mean_field.problem import MeanField


def integrate(phi: Callable, measure: Measure) -> Array:
    """The outputs int Phi drho = sum_j mass_j Phi(theta_j) of the network that rho is.

    Args:
        phi: `phi(theta) -> (k,)`, or an object that has `integrate(theta, mass)` as well.
        measure: m particles.

    Returns:
        (k,), or whatever shape phi gives.
    """
    block_sum = getattr(phi, "integrate", None) or _default_integrate(phi)
    theta, mass = measure
    size = _block_size(phi, theta)
    if size == len(theta):
        return block_sum(theta, mass)
    starts, fresh = _overlapping_blocks(len(theta), size)

    def add(total: Array, block: tuple[Array, Array]) -> tuple[Array, None]:
        start, own = block
        rows, masses = _rows(theta, start, size), _rows(mass, start, size)
        return total + block_sum(rows, jnp.where(own, masses, 0)), None

    first = jax.eval_shape(block_sum, theta[:1], mass[:1])
    return jax.lax.scan(add, jnp.zeros(first.shape, first.dtype), (starts, fresh))[0]


def pull_back(phi: Callable, dual: Array, theta: Array) -> tuple[Array, Array]:
    """<dual, Phi(theta)> and its gradient in theta, for each of the particles theta (m, D).

    Args:
        phi: `phi(theta) -> (k,)`, or an object that has `pull_back(dual, theta)` as well.
        dual: of the shape of phi's output, such as R'(int Phi drho).
        theta: (m, D) particles.

    Returns:
        (m,) values and (m, D) gradients.
    """
    of_block = getattr(phi, "pull_back", None) or _default_pull_back(phi)
    size = _block_size(phi, theta)
    if size == len(theta):
        return of_block(dual, theta)
    starts, _ = _overlapping_blocks(len(theta), size)

    def write(out: tuple[Array, Array], start: Array) -> tuple[tuple[Array, Array], None]:
        values, gradients = of_block(dual, _rows(theta, start, size))
        return (_set_rows(out[0], values, start), _set_rows(out[1], gradients, start)), None

    empty = (jnp.zeros(len(theta), theta.dtype), jnp.zeros_like(theta))
    return jax.lax.scan(write, empty, starts)[0]


def _default_integrate(phi: Callable) -> Callable:
    return lambda theta, mass: jnp.tensordot(mass, jax.vmap(phi)(theta), axes=1)


def _default_pull_back(phi: Callable) -> Callable:
    def of_block(dual: Array, theta: Array) -> tuple[Array, Array]:
        return jax.vmap(jax.value_and_grad(lambda one: jnp.sum(dual * phi(one))))(theta)

    return of_block


def _block_size(phi: Callable, theta: Array) -> int:
    """Particles of a block: all, if their outputs are not too many numbers."""
    outputs = jax.eval_shape(phi, jax.ShapeDtypeStruct(theta.shape[1:], theta.dtype)).size
    whole, part = _BLOCK_ENTRIES[jax.default_backend() == "cpu"]
    m = len(theta)
    return m if m * outputs <= whole else max(1, min(m, part // outputs))


# Entries (particles x outputs) up to which one block takes everything, so that both passes share
# the pre-activations; and those of a block where there are several. On two cores, 16 MB and 8 MB
# were the fastest; an accelerator wants large blocks.
_BLOCK_ENTRIES = {True: (2**22, 2**21), False: (2**27, 2**26)}


def _overlapping_blocks(m: int, size: int) -> tuple[Array, Array]:
    """Starts of blocks that cover m rows, and which rows of each no earlier block has.

    The last block begins early enough to be whole.
    """
    nominal = np.arange(0, m, size)
    starts = np.minimum(nominal, m - size)
    fresh = starts[:, None] + np.arange(size) >= nominal[:, None]
    return jnp.asarray(starts), jnp.asarray(fresh)


def _rows(array: Array, start: Array, size: int) -> Array:
    return jax.lax.dynamic_slice_in_dim(array, start, size)


def _set_rows(array: Array, rows: Array, start: Array) -> Array:
    return jax.lax.dynamic_update_slice_in_dim(array, rows, start, axis=0)


def regularizer(problem: MeanField, measure: Measure) -> Float[Array, ""]:
    """The mean potential, int V drho."""
    return jnp.dot(measure.mass, jax.vmap(problem.potential)(measure.theta))


def variation_of_dual(problem: MeanField, dual: Array, theta: Array) -> tuple[Array, Array]:
    """<dual, Phi> + V and its gradient at each theta (m, D): L'[rho] for dual = R'(outputs)."""
    values, gradients = pull_back(problem.phi, dual, theta)
    potentials, slopes = jax.vmap(jax.value_and_grad(problem.potential))(theta)
    return values + potentials, gradients + slopes


def check_measure(problem: MeanField, measure: Measure) -> Measure:
    """The measure, with its concrete values checked: finite, no negative mass, phi takes it.

    Raises:
        ValueError: as said; also what phi and loss themselves raise.
        TypeError: particles and masses are not floats of one dtype.
    """
    measure = measure.checked()
    output = jax.eval_shape(problem.phi, measure.theta[0])
    for name, argument in (("loss", output), ("potential", measure.theta[0])):
        value = jax.eval_shape(getattr(problem, name), argument)
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
