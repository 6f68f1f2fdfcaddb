"""Risks of measures over units: L[rho] = R(int Phi drho) + int V drho (section 3).

A measure is a set of weighted particles theta in R^D. Phi and V are 2-homogeneous, so that a
particle of mass s at theta counts as one of mass s |theta|^2 at theta / |theta|. For a two-layer
network theta = (w, u), Phi_i(theta) = w [u . x_i]_+ and V(theta) = lam |theta|^2.

Nothing here keeps an array of (particles x samples): both passes over the particles, the one that
sums Phi and the one that pulls R' back to them, go block by block.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, PRNGKeyArray

from jaxmargin.numerics import require_count, require_finite


class Measure(NamedTuple):
    """Weighted particles, sum_j mass_j delta(theta_j).

    Attributes:
        theta: (m, D) one particle a row.
        mass: (m,) weights >= 0; 1/m each for a finite network of m units.
    """

    theta: Float[Array, "m dim"]
    mass: Float[Array, " m"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class MeanField:
    """The problem min L[rho] = R(int Phi drho) + int V drho over all measures rho (section 3).

    It is a pytree: functions with `jitted(problem, ...)` compile once for all problems whose
    functions are the same and whose arrays have the same shapes. Give data to your own functions by
    `jax.tree_util.Partial(phi, x)` to profit; a closure works too, and compiles anew.

    Attributes:
        phi: `phi(theta) -> (k,)` of one particle (D,), 2-homogeneous. Any shape of output will do.
        loss: `loss(a) -> scalar` R of the summed outputs, convex and >= 0. For a duality gap it
            has a method `conjugate(p)`, the convex conjugate R*.
        potential: `potential(theta) -> scalar` V, 2-homogeneous and > 0 away from 0.

    Example:
        >>> problem = MeanField(
        ...     phi=lambda theta: theta[:1] * jax.nn.relu(theta[1:]),
        ...     loss=lambda a: jnp.sum((a - 1) ** 2),
        ...     potential=lambda theta: 0.1 * jnp.sum(theta**2),
        ... )
        >>> round(float(energy(problem, Measure(jnp.ones((1, 2)), jnp.ones(1)))), 4)
        0.2

    Reference:
        Wei, Lee, Liu, Ma (2019), section 3 and Assumptions E.1 to E.3.
    """

    phi: Callable
    loss: Callable
    potential: Callable

    def __post_init__(self):
        for name in ("phi", "loss", "potential"):
            value = getattr(self, name)
            if callable(value) and not _is_pytree(value):
                object.__setattr__(self, name, _Fixed(value))


@jax.tree_util.register_static
@dataclass(frozen=True)
class _Fixed:
    """A function that is no pytree, as one without leaves. Its own methods stay in reach."""

    function: Callable

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)

    def __getattr__(self, name: str) -> Any:
        if name == "function":  # not set yet, as while it is unpickled
            raise AttributeError(name)
        return getattr(self.function, name)


def _is_pytree(value: Any) -> bool:
    return not jax.tree_util.treedef_is_leaf(jax.tree.structure(value))


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


def energy(problem: MeanField, measure: Measure) -> Float[Array, ""]:
    """L[rho] = R(int Phi drho) + int V drho (Wei et al. 2019, section 3).

    Args:
        problem: `MeanField`.
        measure: particles (m, D) with masses (m,).

    Returns:
        Scalar.

    Raises:
        ValueError: shapes that do not fit, or no particle.
        TypeError: particles and masses are not floats of one dtype.

    Example:
        >>> from jaxmargin import logistic_two_layer
        >>> problem = logistic_two_layer(jnp.ones((1, 1)), jnp.ones(1), lam=0.5)
        >>> round(float(energy(problem, Measure(jnp.ones((1, 2)), jnp.ones(1)))), 4)
        1.3133

    Reference:
        Wei, Lee, Liu, Ma (2019), section 3.
    """
    measure = require_measure(measure)
    return problem.loss(integrate(problem.phi, measure)) + regularizer(problem, measure)


def regularizer(problem: MeanField, measure: Measure) -> Float[Array, ""]:
    """The mean potential, int V drho."""
    return jnp.dot(measure.mass, jax.vmap(problem.potential)(measure.theta))


def first_variation(
    problem: MeanField, measure: Measure, theta: Float[Array, "p dim"]
) -> Float[Array, " p"]:
    """L'[rho](theta) = <R'(int Phi drho), Phi(theta)> + V(theta) (section 3).

    The energy of rho + e delta(theta) is L[rho] + e L'[rho](theta) + O(e^2). At a global optimum it
    is >= 0 everywhere and 0 on the particles.

    Args:
        problem: `MeanField`.
        measure: rho, particles (m, D) with masses (m,).
        theta: (p, D) where.

    Returns:
        (p,).

    Raises:
        ValueError: shapes that do not fit, or no particle.
        TypeError: particles, masses and theta are not floats of one dtype.

    Example:
        >>> from jaxmargin import logistic_two_layer
        >>> problem = logistic_two_layer(jnp.ones((1, 1)), jnp.ones(1), lam=0.5)
        >>> nothing = Measure(jnp.zeros((1, 2)), jnp.ones(1))
        >>> first_variation(problem, nothing, jnp.array([[1.0, 1.0], [1.0, -1.0]])).tolist()
        [0.5, 1.0]

    Reference:
        Wei, Lee, Liu, Ma (2019), section 3.
    """
    return _variation(problem, measure, theta)[0]


def velocity(
    problem: MeanField, measure: Measure, theta: Float[Array, "p dim"]
) -> Float[Array, "p dim"]:
    """v[rho](theta) = -grad_theta L'[rho](theta), by which the flow moves its particles (eq. 3.1).

    Args:
        problem: `MeanField`.
        measure: rho, particles (m, D) with masses (m,).
        theta: (p, D) where; the flow takes its own particles.

    Returns:
        (p, D).

    Raises:
        ValueError: shapes that do not fit, or no particle.
        TypeError: particles, masses and theta are not floats of one dtype.

    Example:
        >>> from jaxmargin import logistic_two_layer
        >>> problem = logistic_two_layer(jnp.ones((1, 1)), jnp.ones(1), lam=0.5)
        >>> nothing = Measure(jnp.zeros((1, 2)), jnp.ones(1))
        >>> velocity(problem, nothing, jnp.array([[1.0, 1.0]])).tolist()
        [[-0.5, -0.5]]

    Reference:
        Wei, Lee, Liu, Ma (2019), section 3, eq. 3.1.
    """
    return -_variation(problem, measure, theta)[1]


def _variation(problem: MeanField, measure: Measure, theta: Array) -> tuple[Array, Array]:
    measure = require_measure(measure)
    theta = jnp.asarray(theta)
    if theta.ndim != 2 or theta.shape[1] != measure.theta.shape[1]:
        raise ValueError(
            f"theta must be (p, D) with D = {measure.theta.shape[1]} as the particles of measure, "
            f"got {theta.shape}"
        )
    if theta.dtype != measure.theta.dtype:
        raise TypeError(
            f"theta must hold {measure.theta.dtype} as the particles of measure, got {theta.dtype}"
        )
    dual = jax.grad(problem.loss)(integrate(problem.phi, measure))
    return variation_of_dual(problem, dual, theta)


def variation_of_dual(problem: MeanField, dual: Array, theta: Array) -> tuple[Array, Array]:
    """<dual, Phi> + V and its gradient at each theta (m, D): L'[rho] for dual = R'(outputs)."""
    values, gradients = pull_back(problem.phi, dual, theta)
    potentials, slopes = jax.vmap(jax.value_and_grad(problem.potential))(theta)
    return values + potentials, gradients + slopes


def second_moment(measure: Measure) -> Float[Array, ""]:
    """W^2 = int |theta|^2 drho, which no perturbation may let grow (Lemma E.5).

    Args:
        measure: particles (m, D) with masses (m,).

    Returns:
        Scalar.

    Raises:
        ValueError: shapes that do not fit, or no particle.
        TypeError: particles and masses are not floats of one dtype.

    Example:
        >>> float(second_moment(Measure(jnp.ones((3, 2)), jnp.full(3, 0.5))))
        3.0

    Reference:
        Wei, Lee, Liu, Ma (2019), appendix E.2 (W_t).
    """
    measure = require_measure(measure)
    return jnp.sum(weights(measure))


def weights(measure: Measure) -> Float[Array, " m"]:
    """mass_j |theta_j|^2, all that the size of a particle means to 2-homogeneous functions."""
    return measure.mass * jnp.sum(measure.theta**2, axis=1)


def sample_sphere(key: PRNGKeyArray, m: int, dim: int) -> Float[Array, "m dim"]:
    """Independent uniform points on the unit sphere of R^dim (the paper's U^d, dim = d + 1).

    Args:
        key: random key.
        m: number of points, >= 1.
        dim: dimension of the space, >= 1.

    Returns:
        (m, dim) unit rows, in JAX's default float type.

    Raises:
        ValueError: a count below 1.
        TypeError: a count that is not an integer.

    Example:
        >>> jnp.linalg.norm(sample_sphere(jax.random.key(0), 2, 5), axis=1).round(5).tolist()
        [1.0, 1.0]

    Reference:
        Wei, Lee, Liu, Ma (2019), eq. 3.2.
    """
    require_count("m", m)
    require_count("dim", dim)
    return uniform_directions(key, (m, dim), jnp.result_type(float))


def uniform_directions(key: PRNGKeyArray, shape: tuple[int, ...], dtype: Any) -> Array:
    """Uniform unit rows."""
    normal = jax.random.normal(key, shape, dtype)
    return normal / jnp.linalg.norm(normal, axis=1, keepdims=True)


def require_measure(measure: Measure) -> Measure:
    """The measure as JAX arrays, its shapes and dtypes checked."""
    theta, mass = jnp.asarray(measure.theta), jnp.asarray(measure.mass)
    if theta.ndim != 2 or 0 in theta.shape or mass.shape != theta.shape[:1]:
        raise ValueError(
            "measure must hold theta (m, D) and mass (m,) for m >= 1 particles, "
            f"got {theta.shape} and {mass.shape}"
        )
    if not jnp.issubdtype(theta.dtype, jnp.floating) or theta.dtype != mass.dtype:
        raise TypeError(
            f"measure must hold floats of one dtype, got {theta.dtype} and {mass.dtype}"
        )
    return Measure(theta, mass)


def check_measure(problem: MeanField, measure: Measure) -> Measure:
    """The measure, with its concrete values checked: finite, no negative mass, phi takes it.

    Raises:
        ValueError: as said; also what phi and loss themselves raise.
        TypeError: particles and masses are not floats of one dtype.
    """
    measure = require_measure(measure)
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
