"""Risks of measures over units: L[rho] = R(int Phi drho) + int V drho (section 3).

A measure is a set of weighted particles theta in R^D. Phi and V are 2-homogeneous, so that a
particle of mass s at theta counts as one of mass s |theta|^2 at theta / |theta|. For a two-layer
network theta = (w, u), Phi_i(theta) = w [u . x_i]_+ and V(theta) = lam |theta|^2.

Nothing here keeps an array of (particles x samples): both passes over the particles, the one that
sums Phi and the one that pulls R' back to them, go block by block.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from jaxmargin._checks import require_callable, require_count
from jaxmargin._sphere_search import uniform_directions
from jaxmargin.mean_field._particles import (
    integrate,
    regularizer,
    variation_of_dual,
)
from jaxmargin.mean_field.measure import Measure


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
        >>> from jaxmargin import two_layer_problem
        >>> problem = two_layer_problem(jnp.ones((1, 1)), jnp.ones(1), "logistic", lam=0.5)
        >>> round(float(energy(problem, Measure(jnp.ones((1, 2)), jnp.ones(1)))), 4)
        1.3133

    Reference:
        Wei, Lee, Liu, Ma (2019), section 3.
    """
    measure = measure.checked()
    return problem.loss(integrate(problem.phi, measure)) + regularizer(problem, measure)


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
        >>> from jaxmargin import two_layer_problem
        >>> problem = two_layer_problem(jnp.ones((1, 1)), jnp.ones(1), "logistic", lam=0.5)
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
        >>> from jaxmargin import two_layer_problem
        >>> problem = two_layer_problem(jnp.ones((1, 1)), jnp.ones(1), "logistic", lam=0.5)
        >>> nothing = Measure(jnp.zeros((1, 2)), jnp.ones(1))
        >>> velocity(problem, nothing, jnp.array([[1.0, 1.0]])).tolist()
        [[-0.5, -0.5]]

    Reference:
        Wei, Lee, Liu, Ma (2019), section 3, eq. 3.1.
    """
    return -_variation(problem, measure, theta)[1]


def _variation(problem: MeanField, measure: Measure, theta: Array) -> tuple[Array, Array]:
    measure = measure.checked()
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


def check_two_homogeneous(key: PRNGKeyArray, problem: MeanField, dim: int) -> None:
    """Raise unless phi and potential are 2-homogeneous, and the potential positive.

    Tried at 16 random directions of R^dim and scales from 1/2 to 3.

    Args:
        key: random key.
        problem: `MeanField`.
        dim: D, entries of a particle.

    Returns:
        None.

    Raises:
        ValueError: a function that is not 2-homogeneous, with the degree measured; a potential
            that is not positive.
        TypeError: dim is not an integer.

    Example:
        >>> cubic = MeanField(phi=lambda t: t**3, loss=jnp.sum, potential=lambda t: jnp.sum(t**2))
        >>> check_two_homogeneous(jax.random.key(0), cubic, 2)
        Traceback (most recent call last):
        ...
        ValueError: problem.phi must be 2-homogeneous, phi(c theta) = c^2 phi(theta), ...

    Reference:
        Wei, Lee, Liu, Ma (2019), section 3.
    """
    require_count("dim", dim)
    dtype = jnp.result_type(float)
    for leaf in jax.tree.leaves(problem):  # float32 data stays float32 where float64 is enabled
        if jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            dtype = jnp.result_type(leaf)
    theta = uniform_directions(key, (16, dim), dtype)
    scales = jnp.linspace(0.5, 3.0, 16, dtype=dtype)[:, None]
    tolerance = 1000 * float(jnp.finfo(theta.dtype).eps)
    for name in ("phi", "potential"):
        function = require_callable(f"problem.{name}", getattr(problem, name), "(theta)")
        unit, scaled = (
            jax.vmap(function)(rows).reshape(16, -1) for rows in (theta, scales * theta)
        )
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
