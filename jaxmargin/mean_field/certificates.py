"""How far a measure is from the optimum: the duality gap over all neurons (section 3).

The least energy L[rho] = R(int Phi drho) + int V drho over all measures rho equals

    max_p -R*(p)   subject to   -<p, Phi(theta)> <= V(theta) for every theta.

So every p that satisfies the constraint bounds the least energy from below, by -R*(p). At an
optimum the best p is the slope r = R'(int Phi drho). At another measure a multiple s r with
0 <= s <= 1 satisfies the constraint. For a two-layer network the constraint on s reads
s max_u |sum_i r_i relu(u . x_i)| <= 2 lam, over all unit vectors u: this is a maximum over all
neurons, those that the measure lacks included. It is enumerated for d <= 3 features.

The paper bounds the same distance by the lowest value of L'[rho] on the sphere, times the second
moment of an unknown optimum (eq. E.6). The duality gap needs to know nothing of the optimum.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmargin._checks import require_count
from jaxmargin._sphere_search import EXACT_DIMENSION
from jaxmargin.mean_field._particles import check_measure, integrate, regularizer
from jaxmargin.mean_field._violation import (
    check_starts,
    lowest_variation,
    most_violating,
    relu_network,
    require_risk,
)
from jaxmargin.mean_field.measure import Measure
from jaxmargin.mean_field.problem import MeanField
from jaxmargin.mean_field.risks import Risk

_MULTIPLES = 33  # of the dual point, among which the best is taken


@jax.tree_util.register_dataclass
@dataclass(frozen=True, repr=False)
class Certificate:
    """A bound of the distance to the optimum, L[rho] - inf L <= gap.

    Attributes:
        gap: () energy - lower_bound. Within rounding it is >= 0, and 0 only at an optimum.
        energy: () L[rho].
        lower_bound: () a number that no measure's energy is below.
        lowest_variation: () the least L'[rho](theta) over |theta| = 1; >= 0 at an optimum.
        violations: (p,) the largest values of -<r, Phi(theta)> / V(theta) at unit particles that
            lie apart, the largest first. The constraint at theta is violated where this exceeds 1.
            It is -inf where there are fewer than p such particles.
        directions: (p, D) those unit particles.
        exact: whether the neurons were enumerated, so that gap is a proof up to rounding. If not,
            they were searched, and gap and lower_bound are estimates.
    """

    # Each field but the last is an array. It is annotated as Any because JAX also builds the class
    # with placeholders that are not arrays, for instance while it maps over one.
    gap: Any
    energy: Any
    lower_bound: Any
    lowest_variation: Any
    violations: Any
    directions: Any
    exact: bool = field(metadata={"static": True})

    @property
    def direction(self) -> Any:
        """(D,) the unit particle that violates the constraint most, the best one to add."""
        return self.directions[..., 0, :]

    def __repr__(self) -> str:
        how = (
            "exact: the maximum over the sphere was enumerated"
            if self.exact
            else "estimate: the maximum over the sphere was searched, not enumerated"
        )
        names = ("gap", "energy", "lower_bound", "lowest_variation", "direction")
        values = ", ".join(f"{name}={getattr(self, name)}" for name in names)
        return f"Certificate({values}, {how})"


def certify(
    problem: MeanField,
    measure: Measure,
    *,
    starts: Float[Array, "p dim"] | None = None,
    num_directions: int = 1,
) -> Certificate:
    """A certificate that L[rho] is within `gap` of the least energy of all measures.

    gap = L[rho] + R*(s r) with r = R'(int Phi drho) and the best s in [0, 1] for which s r
    satisfies the dual constraint; see the module for what that is. It is exact, up to rounding in
    the dtype of the problem, for two-layer networks of relu units and d <= 3 features. For other
    problems the most violating particle is searched, and a search that misses it makes the gap too
    small. Works under `jit` and `vmap`.

    Nothing is random. A search starts at those 64 particles of the measure that violate most, at 64
    spread-out directions and, for a two-layer network, at the samples. More starts, such as
    `sample_sphere(key, 1000, D)`, make it safer.

    Args:
        problem: `MeanField` whose loss has a method `conjugate`. Where the features are not those
            of a two-layer relu network under SquaredNorm, phi and V must be 2-homogeneous.
        measure: particles (m, D) with masses (m,).
        starts: (p, D) further particles to search from; not needed where the result is exact.
        num_directions: how many violating particles to tell.

    Returns:
        `Certificate`.

    Raises:
        ValueError: shapes that do not fit, NaN, a negative mass, num_directions < 1.
        TypeError: floats of several dtypes; a loss without a method `conjugate`; num_directions
            not an integer.

    Example:
        >>> from jaxmargin import two_layer_problem
        >>> problem = two_layer_problem(jnp.eye(2), jnp.array([1.0, -1.0]), "logistic", lam=0.1)
        >>> found = certify(problem, Measure(jnp.ones((1, 3)), jnp.ones(1)))
        >>> round(float(found.gap), 2), found.exact
        (1.16, True)

    Reference:
        Wei, Lee, Liu, Ma (2019), section 3 and eq. E.6; Fenchel duality.
    """
    require_risk(problem)
    require_count("num_directions", num_directions)
    measure = check_measure(problem, measure)
    if starts is not None:
        starts = check_starts(jnp.asarray(starts), measure)
    return _certificate(problem, measure, starts, num_directions)


@partial(jax.jit, static_argnames="count")
def _certificate(
    problem: MeanField, measure: Measure, starts: Array | None, count: int
) -> Certificate:
    outputs = integrate(problem.phi, measure)
    risk, dual = jax.value_and_grad(problem.loss)(outputs)
    ratios, theta = most_violating(problem, measure, dual, starts, count)
    scale = 1 / jnp.maximum(ratios[0], 1)
    bound = _best_multiple(require_risk(problem), scale * dual)
    energy = risk + regularizer(problem, measure)
    network = relu_network(problem)
    if network:
        lowest = network[1] * (1 - ratios[0])  # V = lam on the sphere
    else:
        lowest = lowest_variation(problem, measure, dual, starts, theta[:1])
    exact = network is not None and network[0].shape[1] <= EXACT_DIMENSION
    return Certificate(energy - bound, energy, bound, lowest, ratios, theta, exact)


def _best_multiple(risk: Risk, dual: Array) -> Array:
    """The largest -R*(s p) over s from 0 to 1. Each is a bound, as the feasible set is convex."""
    multiples = jnp.linspace(0, 1, _MULTIPLES, dtype=dual.dtype)
    return -jnp.min(jax.lax.map(lambda s: risk.conjugate(s * dual), multiples))
