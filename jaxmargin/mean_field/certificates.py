"""How far a measure is from the optimum: the duality gap over all neurons (section 3, E.6).

The dual of min L[rho] = R(int Phi drho) + int V drho is

    max_p -R*(p)   subject to   -<p, Phi(theta)> <= V(theta) for every theta,

so that every multiple s r of r = R'(int Phi drho) that is small enough bounds inf L from below, by
-R*(s r). For a two-layer network the constraint reads max_u |sum_i p_i relu(u . x_i)| <= 2 lam over
unit u: all neurons at once, enumerated for d <= 3.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmargin._sphere_search import EXACT_DIMENSION
from jaxmargin.mean_field._particles import check_measure, integrate, regularizer
from jaxmargin.mean_field._violation import (
    check_starts,
    lowest_variation,
    most_violating,
    relu_network,
    require_conjugate,
)
from jaxmargin.mean_field.measure import Measure
from jaxmargin.mean_field.problem import MeanField

_MULTIPLES = 33  # of the dual point, among which the best is taken


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


def certify(
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
        >>> from jaxmargin import two_layer_problem
        >>> problem = two_layer_problem(jnp.eye(2), jnp.array([1.0, -1.0]), "logistic", lam=0.1)
        >>> found = certify(problem, Measure(jnp.ones((1, 3)), jnp.ones(1)))
        >>> round(float(found.gap), 2), found.exact
        (1.16, True)

    Reference:
        Wei, Lee, Liu, Ma (2019), section 3 and appendix E.6; Fenchel duality.
    """
    require_conjugate(problem)
    measure = check_measure(problem, measure)
    if starts is not None:
        starts = check_starts(jnp.asarray(starts), measure)
    return certified(problem, measure, starts, 1)[0]


@partial(jax.jit, static_argnames="count")
def certified(
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
        lowest = lowest_variation(problem, measure, dual, starts, theta[:1])
    exact = network is not None and network[0].shape[1] <= EXACT_DIMENSION
    return Certificate(energy - bound, energy, bound, lowest, theta[0], exact), ratios, theta


def _best_multiple(conjugate: Callable, dual: Array) -> Array:
    """The largest -R*(s p) of s = 0, ..., 1; each is a bound, as the feasible set is convex."""
    multiples = jnp.linspace(0, 1, _MULTIPLES, dtype=dual.dtype)
    return -jnp.min(jax.lax.map(lambda s: conjugate(s * dual), multiples))
