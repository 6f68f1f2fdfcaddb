"""How far a measure is from the optimum: the duality gap over all neurons (section 3, E.6).

The dual of min L[rho] = R(int Phi drho) + int V drho is

    max_p -R*(p)   subject to   -<p, Phi(theta)> <= V(theta) for every theta,

so that every multiple s r of r = R'(int Phi drho) that is small enough bounds inf L from below, by
-R*(s r). For a two-layer network the constraint reads max_u |sum_i p_i relu(u . x_i)| <= 2 lam over
unit u: all neurons at once, enumerated for d <= 3.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float

from jaxmargin import sphere
from jaxmargin.meanfield import (
    MeanField,
    Measure,
    check_measure,
    integrate,
    pull_back,
    regularizer,
    variation_of_dual,
)
from jaxmargin.numerics import require_finite
from jaxmargin.two_layer_problems import SquaredNorm, TwoLayerFeatures

_MULTIPLES = 33  # of the dual point, among which the best is taken
_PARTICLES = 64  # from which a search starts
_SEARCH_STEPS = 100


@jax.tree_util.register_dataclass
@dataclass(frozen=True, repr=False)
class Certificate:
    """A bound of the distance to the optimum, L[rho] - inf L <= gap.

    Attributes:
        gap: () energy - lower_bound. Within rounding it is >= 0, and 0 only at an optimum.
        energy: () L[rho].
        lower_bound: () below the energy of every measure.
        lowest_variation: () the least L'[rho](theta) over |theta| = 1; >= 0 at an optimum.
        direction: (D,) the unit particle theta that violates the dual constraint most, the one to
            add to the measure.
        exact: whether the neurons were enumerated, so that gap is a proof up to rounding. Else they
            were searched, and gap and lower_bound are estimates.
    """

    gap: Any  # arrays all, but for the placeholders by which JAX builds and maps dataclasses
    energy: Any
    lower_bound: Any
    lowest_variation: Any
    direction: Any
    exact: bool = field(metadata={"static": True})

    def __repr__(self) -> str:
        how = (
            "exact: the maximum over the sphere was enumerated"
            if self.exact
            else "estimate: the maximum over the sphere was searched, not enumerated"
        )
        names = ("gap", "energy", "lower_bound", "lowest_variation", "direction")
        values = ", ".join(f"{name}={getattr(self, name)}" for name in names)
        return f"Certificate({values}, {how})"


def duality_gap(
    problem: MeanField, measure: Measure, *, starts: Float[Array, "p dim"] | None = None
) -> Certificate:
    """A certificate that L[rho] is within `gap` of the best energy of all measures.

    gap = L[rho] + R*(s r) with r = R'(int Phi drho) and the best s in [0, 1] for which s r
    satisfies the dual constraint: s <= 2 lam / max_u |sum_i r_i relu(u . x_i)| for a two-layer
    network. It is exact (up to rounding in the dtype of the problem) for two-layer networks of relu
    units and d <= 3 features; otherwise the maximum is searched, and missing it makes the gap too
    small. Works under `jit` and `vmap`.

    Nothing is random. Searches start at the particles that promise most, at the samples and at 64
    spread-out directions; more starts, such as `sample_sphere(key, 1000, D)`, make them safer.

    Args:
        problem: `MeanField` whose loss has a method `conjugate`. Where the features are not those
            of a two-layer relu network under SquaredNorm, phi and V must be 2-homogeneous.
        measure: particles (m, D) with masses (m,).
        starts: (p, D) further particles to search from; not needed where the result is exact.

    Returns:
        `Certificate`.

    Raises:
        ValueError: shapes that do not fit, NaN, a negative mass.
        TypeError: floats of several dtypes; a loss without a method `conjugate`.

    Example:
        >>> from jaxmargin import logistic_two_layer
        >>> problem = logistic_two_layer(jnp.eye(2), jnp.array([1.0, -1.0]), lam=0.1)
        >>> found = duality_gap(problem, Measure(jnp.ones((1, 3)), jnp.ones(1)))
        >>> round(float(found.gap), 2), found.exact
        (1.16, True)

    Reference:
        Wei, Lee, Liu, Ma (2019), section 3 and appendix E.6; Fenchel duality.
    """
    require_conjugate(problem)
    measure = check_measure(problem, measure)
    if starts is not None:
        starts = check_starts(jnp.asarray(starts), measure)
    return certify(problem, measure, starts, 1)[0]


@partial(jax.jit, static_argnames="count")
def certify(
    problem: MeanField, measure: Measure, starts: Array | None, count: int
) -> tuple[Certificate, Array, Array]:
    """The certificate, with the ratios and particles (count, D) of `most_violating`."""
    outputs = integrate(problem.phi, measure)
    risk, dual = jax.value_and_grad(problem.loss)(outputs)
    ratios, theta = most_violating(problem, measure, dual, starts, count)
    scale = 1 / jnp.maximum(ratios[0], 1)
    bound = _best_multiple(require_conjugate(problem), scale * dual)
    energy = risk + regularizer(problem, measure)
    network = relu_network(problem)
    if network:
        lowest = network[1] * (1 - ratios[0])  # V = lam on the sphere
    else:
        lowest = _lowest_variation(problem, measure, dual, starts, theta[:1])
    exact = network is not None and network[0].shape[1] <= sphere.EXACT_DIMENSION
    return Certificate(energy - bound, energy, bound, lowest, theta[0], exact), ratios, theta


def _best_multiple(conjugate: Callable, dual: Array) -> Array:
    """The largest -R*(s p) of s = 0, ..., 1; each is a bound, as the feasible set is convex."""
    multiples = jnp.linspace(0, 1, _MULTIPLES, dtype=dual.dtype)
    return -jnp.min(jax.lax.map(lambda s: conjugate(s * dual), multiples))


def relu_network(problem: MeanField) -> tuple[Array, Array] | None:
    """The x and lam of a two-layer relu network under lam |theta|^2; None for other problems."""
    phi, potential = problem.phi, problem.potential
    if isinstance(phi, TwoLayerFeatures) and isinstance(potential, SquaredNorm):
        return phi.x, potential.lam
    return None


def most_violating(
    problem: MeanField, measure: Measure, dual: Array, starts: Array | None, count: int
) -> tuple[Array, Array]:
    """The largest -<dual, Phi(theta)> / V(theta) that lie apart, and where on the unit sphere.

    For a two-layer network the maximum over (w, u) has |w| = |u| and is |F(u)| / (2 lam) with
    F(u) = sum_i r_i relu(u . x_i) for unit u.

    Returns:
        (count,) ratios, the largest first, and (count, D) particles.
    """
    network = relu_network(problem)
    if network is None:
        ratios, theta = _climb(
            lambda theta: _ratio(problem, dual, theta),
            _search_starts(problem, measure, dual, starts),
        )
        return sphere.separated(sphere.SphereMaximum(ratios, theta), count)
    x, lam = network
    d = x.shape[1]
    if d > sphere.EXACT_DIMENSION:
        rows = _most_promising(problem, measure.theta, dual)
        starts = (rows if starts is None else jnp.concatenate([rows, starts]))[:, -d:]
    found = sphere.maxima(x, dual, count, starts=starts)
    return found.value / (2 * lam), _opposing_neurons(x, dual, found.direction)


def _opposing_neurons(x: Array, dual: Array, u: Array) -> Array:
    """The unit particles (w, u) / sqrt(2), |w| = 1, of which -<r, Phi> is largest: (p, d + k)."""
    total = sphere.relu_sum(x, dual, u).reshape(len(u), -1)
    length = jnp.linalg.norm(total, axis=1, keepdims=True)
    first = jnp.zeros_like(total).at[:, 0].set(-1)
    w = jnp.where(length == 0, first, total / jnp.where(length == 0, 1, length))
    return jnp.concatenate([-w, u], axis=1) / math.sqrt(2)


def _lowest_variation(
    problem: MeanField, measure: Measure, dual: Array, starts: Array | None, also: Array
) -> Array:
    """The least L'[rho] that a search on the unit sphere meets, from `also` as well."""

    def descent(theta: Array) -> tuple[Array, Array]:
        values, slopes = variation_of_dual(problem, dual, theta)
        return -values, -slopes

    rows = _search_starts(problem, measure, dual, starts)
    return -jnp.max(_climb(descent, jnp.concatenate([also, rows]))[0])


def _search_starts(
    problem: MeanField, measure: Measure, dual: Array, starts: Array | None
) -> Array:
    """The best particles, spread-out directions and their opposites, and those given."""
    theta = measure.theta
    spread = sphere.spread(_PARTICLES, theta.shape[1], theta.dtype)
    parts = [_most_promising(problem, theta, dual), spread, -spread]
    return jnp.concatenate(parts if starts is None else [*parts, starts])


def _ratio(problem: MeanField, dual: Array, theta: Array) -> tuple[Array, Array]:
    """-<r, Phi(theta)> / V(theta) and its gradient, at each theta (m, D); 0 at theta = 0."""
    values, slopes = pull_back(problem.phi, dual, theta)
    potential, grade = jax.vmap(jax.value_and_grad(problem.potential))(theta)
    safe = jnp.where(potential > 0, potential, 1)
    ratio = jnp.where(potential > 0, -values / safe, 0)
    return ratio, -(slopes + ratio[:, None] * grade) / safe[:, None]


def _most_promising(problem: MeanField, theta: Array, dual: Array) -> Array:
    count = min(_PARTICLES, len(theta))
    return theta[jax.lax.top_k(_ratio(problem, dual, theta)[0], count)[1]]


def _climb(function: Callable, starts: Array) -> tuple[Array, Array]:
    """From each start, normalised ascent on the unit sphere that takes improvements only."""

    def advance(_: int, state: tuple) -> tuple:
        theta, values, slopes, step = state
        ahead = sphere.unit_rows(theta + step[:, None] * sphere.unit_rows(slopes))
        new_values, new_slopes = function(ahead)
        better = new_values > values
        keep = better[:, None]
        return (
            jnp.where(keep, ahead, theta),
            jnp.where(better, new_values, values),
            jnp.where(keep, _tangent(ahead, new_slopes), slopes),
            jnp.where(better, 2 * step, step / 2),
        )

    theta = sphere.unit_rows(starts)
    values, slopes = function(theta)
    first = (theta, values, _tangent(theta, slopes), jnp.ones_like(values))
    theta, values, *_ = jax.lax.fori_loop(0, _SEARCH_STEPS, advance, first)
    return values, theta


def _tangent(theta: Array, slopes: Array) -> Array:
    return slopes - jnp.sum(theta * slopes, axis=1, keepdims=True) * theta


def require_conjugate(problem: MeanField) -> Callable:
    """R*, or TypeError."""
    found = getattr(problem.loss, "conjugate", None)
    if not callable(found):
        raise TypeError(
            "problem.loss must have a method conjugate(p), the convex conjugate "
            "R*(p) = sup_a <p, a> - R(a), for a duality gap: make it a class with __call__ and "
            "conjugate, as jaxmargin's own losses are"
        )
    return found


def check_starts(starts: Array, measure: Measure) -> Array:
    """The starts, if they are particles like the measure's."""
    if starts.ndim != 2 or starts.shape[1] != measure.theta.shape[1]:
        raise ValueError(
            f"starts must be (p, D = {measure.theta.shape[1]}) particles, got {starts.shape}"
        )
    if starts.dtype != measure.theta.dtype:
        raise TypeError(
            f"starts must have the measure's dtype {measure.theta.dtype}, got {starts.dtype}"
        )
    if not isinstance(starts, Tracer):
        require_finite("starts", starts)
    return starts
