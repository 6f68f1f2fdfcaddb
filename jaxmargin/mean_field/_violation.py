"""The neurons that violate the dual constraint most."""

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
from jaxmargin.mean_field.two_layer import SquaredNorm, TwoLayerFeatures
from jaxmargin.sphere import maxima

_PARTICLES = 64  # from which a search starts
_SEARCH_STEPS = 100


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
        return separated(SphereMaximum(ratios, theta), count)
    x, lam = network
    d = x.shape[1]
    if d > EXACT_DIMENSION:
        rows = _most_promising(problem, measure.theta, dual)
        starts = (rows if starts is None else jnp.concatenate([rows, starts]))[:, -d:]
    found = maxima(x, dual, count, starts=starts)
    return found.value / (2 * lam), _opposing_neurons(x, dual, found.direction)


def _opposing_neurons(x: Array, dual: Array, u: Array) -> Array:
    """The unit particles (w, u) / sqrt(2), |w| = 1, of which -<r, Phi> is largest: (p, d + k)."""
    total = relu_sum(x, dual, u).reshape(len(u), -1)
    length = jnp.linalg.norm(total, axis=1, keepdims=True)
    first = jnp.zeros_like(total).at[:, 0].set(-1)
    w = jnp.where(length == 0, first, total / jnp.where(length == 0, 1, length))
    return jnp.concatenate([-w, u], axis=1) / math.sqrt(2)


def lowest_variation(
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
    spread_out = spread(_PARTICLES, theta.shape[1], theta.dtype)
    parts = [_most_promising(problem, theta, dual), spread_out, -spread_out]
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
    require_finite("starts", starts)
    return starts
