"""Two passes over particles, block by block: one sums Phi, the other pulls R' back to each."""

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmargin._blocks import overlapping_blocks, rows, with_rows
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
