"""The particles that violate the dual constraint most: where -<dual, Phi(theta)> / V(theta) peaks.

The ratio does not depend on the length of theta, so that unit particles are enough. For two-layer
relu networks its maxima are those that `jaxmargin.sphere` finds. For other problems an ascent
climbs from many starts.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxmargin._checks import require_finite
from jaxmargin._sphere_search import (
    EXACT_DIMENSION,
    SphereMaximum,
    relu_sum,
    separated,
    spread,
    unit_rows,
)
from jaxmargin.mean_field._particles import pull_back, variation_of_dual
from jaxmargin.mean_field.measure import Measure
from jaxmargin.mean_field.problem import MeanField
from jaxmargin.mean_field.risks import Risk
from jaxmargin.mean_field.two_layer import SquaredNorm, TwoLayerFeatures
from jaxmargin.sphere import maxima

_PARTICLES = 64  # of the measure, from which a search starts; and as many spread-out ones
_SEARCH_STEPS = 100


def relu_network(problem: MeanField) -> tuple[Array, Array] | None:
    """The samples x and the strength lam of a two-layer relu problem; None for other problems."""
    phi, potential = problem.phi, problem.potential
    if isinstance(phi, TwoLayerFeatures) and isinstance(potential, SquaredNorm):
        return phi.x, potential.lam
    return None


def most_violating(
    problem: MeanField, measure: Measure, dual: Array, starts: Array | None, count: int
) -> tuple[Array, Array]:
    """The largest ratios -<dual, Phi(theta)> / V(theta) that lie apart on the unit sphere.

    For a two-layer network the best (w, u) of a direction of u has |w| = |u|. There the ratio is
    |sum_i dual_i relu(u . x_i)| / (2 lam) for the unit vector u.

    Returns:
        (count,) ratios, the largest first, and the (count, D) unit particles where they are.
    """
    network = relu_network(problem)
    if network is None:
        ratios, theta = _climb(
            lambda theta: _ratio(problem, dual, theta),
            _search_starts(problem, measure, dual, starts),
        )
        return separated(SphereMaximum(ratios, theta), count)
    x, lam = network
    d = x.shape[1]
    if d > EXACT_DIMENSION:
        rows = _most_promising(problem, measure.theta, dual)
        starts = (rows if starts is None else jnp.concatenate([rows, starts]))[:, -d:]
    found = maxima(x, dual, count, starts=starts)
    return found.value / (2 * lam), _opposing_neurons(x, dual, found.direction)


def _opposing_neurons(x: Array, dual: Array, u: Array) -> Array:
    """Of each unit direction u, the unit particle (w, u) / sqrt(2) with the largest -<dual, Phi>.

    The w is the unit vector opposite to sum_i dual_i relu(u . x_i). Returns (p, k + d).
    """
    total = relu_sum(x, dual, u).reshape(len(u), -1)
    length = jnp.linalg.norm(total, axis=1, keepdims=True)
    first = jnp.zeros_like(total).at[:, 0].set(-1)
    w = jnp.where(length == 0, first, total / jnp.where(length == 0, 1, length))
    return jnp.concatenate([-w, u], axis=1) / math.sqrt(2)


def lowest_variation(
    problem: MeanField, measure: Measure, dual: Array, starts: Array | None, also: Array
) -> Array:
    """The least L'[rho] that a search on the unit sphere meets; it starts from `also` as well."""

    def descent(theta: Array) -> tuple[Array, Array]:
        values, slopes = variation_of_dual(problem, dual, theta)
        return -values, -slopes

    rows = _search_starts(problem, measure, dual, starts)
    return -jnp.max(_climb(descent, jnp.concatenate([also, rows]))[0])


def _search_starts(
    problem: MeanField, measure: Measure, dual: Array, starts: Array | None
) -> Array:
    """The measure's best particles, spread-out directions with their opposites, and `starts`."""
    theta = measure.theta
    spread_out = spread(_PARTICLES, theta.shape[1], theta.dtype)
    parts = [_most_promising(problem, theta, dual), spread_out, -spread_out]
    return jnp.concatenate(parts if starts is None else [*parts, starts])


def _ratio(problem: MeanField, dual: Array, theta: Array) -> tuple[Array, Array]:
    """-<dual, Phi(theta)> / V(theta) and its gradient, at each theta (m, D); 0 at theta = 0."""
    values, slopes = pull_back(problem.phi, dual, theta)
    potential, grade = jax.vmap(jax.value_and_grad(problem.potential))(theta)
    safe = jnp.where(potential > 0, potential, 1)
    ratio = jnp.where(potential > 0, -values / safe, 0)
    return ratio, -(slopes + ratio[:, None] * grade) / safe[:, None]


def _most_promising(problem: MeanField, theta: Array, dual: Array) -> Array:
    """The particles whose ratios are largest."""
    count = min(_PARTICLES, len(theta))
    return theta[jax.lax.top_k(_ratio(problem, dual, theta)[0], count)[1]]


def _climb(function: Callable, starts: Array) -> tuple[Array, Array]:
    """From each start, an ascent on the unit sphere that takes no step down: values and where.

    The step doubles after an improvement and is halved otherwise.
    """

    def advance(_: int, state: tuple) -> tuple:
        theta, values, slopes, step = state
        ahead = unit_rows(theta + step[:, None] * unit_rows(slopes))
        new_values, new_slopes = function(ahead)
        better = new_values > values
        keep = better[:, None]
        return (
            jnp.where(keep, ahead, theta),
            jnp.where(better, new_values, values),
            jnp.where(keep, _tangent(ahead, new_slopes), slopes),
            jnp.where(better, 2 * step, step / 2),
        )

    theta = unit_rows(starts)
    values, slopes = function(theta)
    first = (theta, values, _tangent(theta, slopes), jnp.ones_like(values))
    theta, values, *_ = jax.lax.fori_loop(0, _SEARCH_STEPS, advance, first)
    return values, theta


def _tangent(theta: Array, slopes: Array) -> Array:
    return slopes - jnp.sum(theta * slopes, axis=1, keepdims=True) * theta


def require_risk(problem: MeanField) -> Risk:
    """The loss, or TypeError where it has no conjugate."""
    if not isinstance(problem.loss, Risk):
        raise TypeError(
            "problem.loss must have a method conjugate(p), the convex conjugate "
            "R*(p) = sup_a <p, a> - R(a), for a duality gap: make it a class with __call__ and "
            "conjugate, as jaxmargin's own losses are"
        )
    return problem.loss


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
    require_finite("starts", starts)
    return starts
