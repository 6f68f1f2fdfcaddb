"""Problems over measures: min L[rho] = R(int Phi drho) + int V drho (section 3).

A measure is a set of weighted particles theta in R^D. Phi and V are 2-homogeneous: a particle of
mass s at theta counts exactly as one of mass s |theta|^2 at theta / |theta|. For a two-layer
network a particle is a unit theta = (w, u), with Phi_i(theta) = w [u . x_i]_+ and
V(theta) = lam |theta|^2 (example 3.2).

Nothing here keeps an array of (particles x samples). There are two passes over the particles: one
sums Phi, the other pulls R' back to each particle. Both go block by block.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from jaxmargin._arrays import as_jax, as_result, require_key
from jaxmargin._checks import (
    finite_result,
    require_callable,
    require_concrete,
    require_count,
    require_entries,
)
from jaxmargin._sphere_search import uniform_directions
from jaxmargin.mean_field._particles.checks import require_problem
from jaxmargin.mean_field._particles.passes import integrate, regularizer, variation_of_dual
from jaxmargin.mean_field.measure import Features, Measure

_DIRECTIONS = 16  # at which homogeneity is tried


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class MeanField:
    """The problem min L[rho] = R(int Phi drho) + int V drho over all measures rho (section 3).

    It is a pytree. A jitted function of a problem compiles once for all problems whose functions
    are the same and whose arrays have the same shapes. To profit from this, give data to your own
    functions by `jax.tree_util.Partial(phi, x)`. A closure over the data works too, but each new
    closure compiles anew.

    Attributes:
        phi: Phi as a function `phi(theta) -> (k,)` of one particle (D,), 2-homogeneous; or
            `Features`, which know faster passes over many particles. The output may have any shape.
        loss: `loss(a) -> scalar`, the convex function R >= 0 of the summed outputs. For a duality
            gap it needs a method `conjugate(p)` as well, the convex conjugate R*.
        potential: `potential(theta) -> scalar`, the 2-homogeneous V, > 0 away from theta = 0.

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
            if callable(value) and jax.tree_util.all_leaves([value]):
                object.__setattr__(self, name, _without_leaves(value))


def _without_leaves(function: Callable) -> Callable:
    """The function as a pytree without leaves that has the methods a problem may ask it for."""
    if isinstance(function, Features):
        return _FixedFeatures(function)
    return _FixedRisk(function) if hasattr(function, "conjugate") else _Fixed(function)


@jax.tree_util.register_static
@dataclass(frozen=True)
class _Fixed:
    function: Any

    def __call__(self, argument: Array) -> Any:
        return self.function(argument)


@jax.tree_util.register_static
@dataclass(frozen=True)
class _FixedFeatures(_Fixed):
    def integrate(self, theta: Array, mass: Array) -> Array:
        return self.function.integrate(theta, mass)

    def pull_back(self, dual: Array, theta: Array) -> tuple[Array, Array]:
        return self.function.pull_back(dual, theta)


@jax.tree_util.register_static
@dataclass(frozen=True)
class _FixedRisk(_Fixed):
    def conjugate(self, dual: Array) -> Array:
        return self.function.conjugate(dual)


def energy(problem: MeanField, measure: Measure) -> Float[Array, ""]:
    """L[rho] = R(int Phi drho) + int V drho (Wei et al. 2019, section 3).

    Args:
        problem: `MeanField`.
        measure: particles (m, D) with masses (m,).

    Returns:
        Scalar.

    Raises:
        ValueError: the shapes do not fit, there is no particle, or the result is beyond the dtype
            (under `jit` it is not finite).
        TypeError: no `MeanField` or no `Measure`; particles and masses are not floats of one dtype.

    Example:
        >>> from jaxmargin import two_layer_problem
        >>> problem = two_layer_problem(jnp.ones((1, 1)), jnp.ones(1), "logistic", lam=0.5)
        >>> round(float(energy(problem, Measure(jnp.ones((1, 2)), jnp.ones(1)))), 4)
        1.3133

    Reference:
        Wei, Lee, Liu, Ma (2019), section 3.
    """
    require_problem(problem)
    measure = Measure.checked(measure)
    risk = as_result("problem.loss(a)", problem.loss(integrate(problem.phi, measure)))
    value = risk + regularizer(problem, measure)
    return finite_result("the energy", value, "the particles or the data", problem, measure)


def first_variation(
    problem: MeanField, measure: Measure, theta: Float[Array, "p dim"]
) -> Float[Array, " p"]:
    """L'[rho](theta) = <R'(int Phi drho), Phi(theta)> + V(theta) (section 3).

    An added particle of small mass e at theta changes the energy by e L'[rho](theta) + O(e^2). At a
    global optimum the first variation is >= 0 everywhere, and 0 at each particle of the measure.

    Args:
        problem: `MeanField`.
        measure: rho, particles (m, D) with masses (m,).
        theta: (p, D) points at which it is taken.

    Returns:
        (p,).

    Raises:
        ValueError: the shapes do not fit, there is no particle, or the result is beyond the dtype
            (under `jit` it is not finite).
        TypeError: no `MeanField` or no `Measure`; particles, masses and theta are not floats of one
            dtype.

    Example:
        >>> from jaxmargin import two_layer_problem
        >>> problem = two_layer_problem(jnp.ones((1, 1)), jnp.ones(1), "logistic", lam=0.5)
        >>> nothing = Measure(jnp.zeros((1, 2)), jnp.ones(1))
        >>> first_variation(problem, nothing, jnp.array([[1.0, 1.0], [1.0, -1.0]])).tolist()
        [0.5, 1.0]

    Reference:
        Wei, Lee, Liu, Ma (2019), section 3.
    """
    value = _variation(problem, measure, theta)[0]
    causes = "the particles, theta or the data"
    return finite_result("the first variation", value, causes, problem, measure, theta)


def velocity(
    problem: MeanField, measure: Measure, theta: Float[Array, "p dim"]
) -> Float[Array, "p dim"]:
    """v[rho](theta) = -grad_theta L'[rho](theta), along which a flow moves particles (eq. 3.1).

    Args:
        problem: `MeanField`.
        measure: rho, particles (m, D) with masses (m,).
        theta: (p, D) points at which it is taken; a flow takes it at its own particles.

    Returns:
        (p, D).

    Raises:
        ValueError: the shapes do not fit, there is no particle, or the result is beyond the dtype
            (under `jit` it is not finite).
        TypeError: no `MeanField` or no `Measure`; particles, masses and theta are not floats of one
            dtype.

    Example:
        >>> from jaxmargin import two_layer_problem
        >>> problem = two_layer_problem(jnp.ones((1, 1)), jnp.ones(1), "logistic", lam=0.5)
        >>> nothing = Measure(jnp.zeros((1, 2)), jnp.ones(1))
        >>> velocity(problem, nothing, jnp.array([[1.0, 1.0]])).tolist()
        [[-0.5, -0.5]]

    Reference:
        Wei, Lee, Liu, Ma (2019), section 3, eq. 3.1.
    """
    value = -_variation(problem, measure, theta)[1]
    return finite_result("the velocity", value, "theta or the data", problem, measure, theta)


def _variation(problem: MeanField, measure: Measure, theta: Array) -> tuple[Array, Array]:
    require_problem(problem)
    measure = Measure.checked(measure)
    theta = as_jax("theta", theta)
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


def check_two_homogeneous(key: PRNGKeyArray, problem: MeanField, dim: int) -> None:
    """Raise unless phi and potential are 2-homogeneous, and the potential positive.

    This is tried at 16 random directions of R^dim, each with another scale from 1/2 to 3.

    Args:
        key: random key.
        problem: `MeanField`.
        dim: D, the number of entries of a particle.

    Returns:
        None.

    Raises:
        ValueError: a function is not 2-homogeneous (the message tells by how much it grew), the
            potential is not positive, dim is below 1 or asks for too many entries, or several keys.
        TypeError: dim is not an integer, key no key, problem no `MeanField`; called under `jit`.

    Example:
        >>> cubic = MeanField(phi=lambda t: t**3, loss=jnp.sum, potential=lambda t: jnp.sum(t**2))
        >>> check_two_homogeneous(jax.random.key(0), cubic, 2)
        Traceback (most recent call last):
        ...
        ValueError: problem.phi must be 2-homogeneous, phi(c theta) = c^2 phi(theta), ...

    Reference:
        Wei, Lee, Liu, Ma (2019), section 3.
    """
    require_concrete("check_two_homogeneous", key, problem)
    require_key(key)
    require_problem(problem)
    require_count("dim", dim)
    require_entries("the particles", directions=_DIRECTIONS, dim=dim)
    dtype = jnp.result_type(float)
    for leaf in jax.tree.leaves(problem):  # float32 data stays float32 where float64 is enabled
        if jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            dtype = jnp.result_type(leaf)
    theta = uniform_directions(key, (_DIRECTIONS, dim), dtype)
    scales = jnp.linspace(0.5, 3.0, _DIRECTIONS, dtype=dtype)[:, None]
    tolerance = 1000 * float(jnp.finfo(theta.dtype).eps)
    for name in ("phi", "potential"):
        function = require_callable(f"problem.{name}", getattr(problem, name), "(theta)")
        unit, scaled = (_at_each(name, function, rows) for rows in (theta, scales * theta))
        worst = float(jnp.max(jnp.abs(scaled / scales**2 - unit)))
        if not worst <= tolerance * float(jnp.max(jnp.abs(unit))):
            ratio = jnp.linalg.norm(scaled[-1]) / jnp.linalg.norm(unit[-1])
            raise ValueError(
                f"problem.{name} must be 2-homogeneous, {name}(c theta) = c^2 {name}(theta), but "
                f"c = 3 multiplied it by {float(ratio):.3g}: a network's unit has one factor from "
                "each of two layers, and no bias"
            )
    lowest = float(jnp.min(jax.vmap(problem.potential)(theta)))
    if not lowest > 0:
        raise ValueError(
            f"problem.potential must be > 0 away from theta = 0, got {lowest:.3g} on the sphere: "
            "without it the optimum may lie at infinity"
        )


def _at_each(name: str, function: Callable, rows: Array) -> Array:
    """What phi or the potential gives for each row, flat."""

    def at(row: Array) -> Array:
        return jnp.ravel(as_result(f"problem.{name}(theta)", function(row)))

    return jax.vmap(at)(rows)
