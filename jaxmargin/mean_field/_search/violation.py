"""The particles that violate the dual constraint most: where -<dual, Phi(theta)> / V(theta) peaks.

The ratio does not depend on the length of theta, so that unit particles are enough. For two-layer
relu networks its maximum is one over the unit vectors u, which is attained and bounded by
`jaxmargin._sphere`. For other problems an ascent climbs from many starts, and nothing is proven.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxmargin._checks import require_finite
from jaxmargin._sphere.relu_sum import unit_rows as unit_directions
from jaxmargin._sphere.unit_maximum import unit_maximum
from jaxmargin._sphere_search import SphereMaximum, separated, spread, unit_rows
from jaxmargin.mean_field._particles.checks import require_problem
from jaxmargin.mean_field._particles.passes import pull_back, variation_of_dual
from jaxmargin.mean_field.measure import Measure
from jaxmargin.mean_field.problem import MeanField
from jaxmargin.mean_field.risks import Risk
from jaxmargin.mean_field.two_layer import SquaredNorm, TwoLayerFeatures

State = Literal["exact", "proven", "estimate"]

_POWERS = np.arange(-1000, 1001)  # of two, the first multiples of the dual point to be tried
_GRID, _ZOOMS = 33, 13  # points between two neighbours, and how often they are drawn closer
_ROUNDING = 1e-14
_PARTICLES = 64  # of the measure, from which a search starts; and as many spread-out ones
_SEARCH_STEPS = 100


def relu_network(problem: MeanField) -> tuple[Array, Array] | None:
    """The samples x and the strength lam of a two-layer relu problem; None for other problems."""
    phi, potential = problem.phi, problem.potential
    if isinstance(phi, TwoLayerFeatures) and isinstance(potential, SquaredNorm):
        return phi.x, potential.lam
    return None


class Violation(NamedTuple):
    """The largest ratios -<dual, Phi(theta)> / V(theta) that lie apart, and a bound of all ratios.

    Attributes:
        ratios: (count,) the largest first; -inf where there are fewer.
        theta: (count, D) the unit particles where they are.
        bound: a number that no particle's ratio exceeds; inf where none is known.
        state: "exact" if the bound is ratios[0] up to rounding, "proven" if it may be larger, and
            "estimate" if there is none.
    """

    ratios: np.ndarray
    theta: np.ndarray
    bound: float
    state: State


def most_violating(
    problem: MeanField,
    measure: Measure,
    dual: Array,
    starts: Array | None,
    count: int,
    budget: float = 0.0,
) -> Violation:
    """The particles that violate the constraint most.

    For a two-layer network the best (w, u) of a direction of u has |w| = |u|. There the ratio is
    |sum_i dual_i relu(u . x_i)| / (2 lam) for the unit vector u.
    """
    network = relu_network(problem)
    if network is None:
        ratios, theta = _searched(problem, measure, dual, starts, count)
        return Violation(np.asarray(ratios), np.asarray(theta), math.inf, "estimate")
    x, weights, price = np.asarray(network[0]), np.asarray(dual), 2 * float(network[1])
    rows = np.asarray(_most_promising(problem, measure.theta, dual))
    if starts is not None:
        rows = np.concatenate([rows, np.asarray(starts)])
    found = unit_maximum(x, weights, starts=rows[:, -x.shape[1] :], count=count, budget=budget)
    theta = _opposing_neurons(x, weights, found.directions)
    state: State = "exact" if found.exact else "proven"
    return Violation(found.values / price, theta, found.bound / price, state)


@partial(jax.jit, static_argnames="count")
def _searched(
    problem: MeanField, measure: Measure, dual: Array, starts: Array | None, count: int
) -> SphereMaximum:
    ratios, theta = _climb(
        lambda theta: _ratio(problem, dual, theta),
        _search_starts(problem, measure, dual, starts),
    )
    return separated(SphereMaximum(ratios, theta), count)


def _opposing_neurons(x: np.ndarray, dual: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Of each unit direction u, the unit particle (w, u) / sqrt(2) with the largest -<dual, Phi>.

    The w is the unit vector opposite to sum_i dual_i relu(u . x_i). Returns (p, k + d).
    """
    largest = max(np.abs(x).max(), np.finfo(float).tiny)
    total = (np.maximum(u @ (x / largest).T, 0) @ dual).reshape(len(u), -1)
    return np.concatenate([-unit_directions(total), u], axis=1) / math.sqrt(2)


@jax.jit
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


@jax.jit
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
    require_problem(problem)
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


def best_bound(
    problem: MeanField, outputs: Array, dual: Array, most: float, energy: Array | float
) -> float:
    """The largest -R*(s r) over s from 0 to `most`, less its rounding, and never above the energy.

    -R*(s r) is concave in s. So its maximum lies between the neighbours of the best of some points.
    """
    points = np.concatenate([[0.0], np.minimum(np.ldexp(1.0, _POWERS), most)])
    highest, at, floor = -np.inf, 0.0, -np.inf
    for _ in range(_ZOOMS):
        values = np.asarray(_multiples(problem, dual, points))
        if points[0] == 0:  # -R*(0) is the infimum of R, and no product of the dual is rounded
            floor = float(values[0]) - _ROUNDING * abs(float(values[0]))
        best = int(np.nan_to_num(values, nan=-np.inf).argmax())
        if values[best] > highest:
            highest, at = float(values[best]), float(points[best])
        ends = points[max(best - 1, 0)], points[min(best + 1, len(points) - 1)]
        points = np.linspace(*ends, _GRID)
    size = at * float(jnp.sum(jnp.abs(outputs * dual))) + abs(highest)
    return min(max(highest - _ROUNDING * size, floor), float(energy))


def bound_of_dual(problem: MeanField, dual: np.ndarray, ratio: float) -> float:
    """The largest -R*(s r) over 0 <= s <= 1 / ratio."""
    point = jnp.asarray(dual)
    return best_bound(problem, jnp.zeros_like(point), point, 1 / ratio, np.inf)


@jax.jit
def _multiples(problem: MeanField, dual: Array, multiples: Array) -> Array:
    """-R*(s r) for each s."""
    risk = require_risk(problem)
    return -jax.lax.map(lambda s: risk.conjugate(s * dual), multiples)
