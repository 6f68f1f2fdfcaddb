"""How far a measure is from the optimum: the duality gap over all neurons (section 3).

The least energy L[rho] = R(int Phi drho) + int V drho over all measures rho equals

    max_p -R*(p)   subject to   -<p, Phi(theta)> <= V(theta) for every theta.

So every p that satisfies the constraint bounds the least energy from below, by -R*(p). At an
optimum the best p is the slope r = R'(int Phi drho). At another measure a multiple s r with
s >= 0 satisfies the constraint. For a two-layer network the constraint on s reads
s max_u |sum_i r_i relu(u . x_i)| <= 2 lam, over all unit vectors u: this is a maximum over all
neurons, those that the measure lacks included. A proof needs a number that it cannot exceed.

The paper bounds the same distance by the lowest value of L'[rho] on the sphere, times the second
moment of an unknown optimum (eq. E.6). The duality gap needs to know nothing of the optimum.
"""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxmargin._arithmetic import as_float64
from jaxmargin._arrays import as_jax
from jaxmargin._checks import require_concrete, require_count, require_finite, require_positive
from jaxmargin.mean_field._particles.checks import check_measure
from jaxmargin.mean_field._particles.passes import integrate, regularizer
from jaxmargin.mean_field._search.violation import (
    State,
    best_bound,
    check_starts,
    lowest_variation,
    most_violating,
    relu_network,
    require_risk,
)
from jaxmargin.mean_field.measure import Measure
from jaxmargin.mean_field.problem import MeanField

_LEAST = 1e-300  # ratio, so that its inverse is finite

_WORDS = {
    "exact": "exact: the maximum over all neurons was enumerated, and the gap is a proof",
    "proven": "proven: no neuron is above the bound that gap and lower_bound come from",
    "estimate": "estimate: neurons were searched, and nothing but lower_bound is a proof",
}


@jax.tree_util.register_dataclass
@dataclass(frozen=True, repr=False)
class Certificate:
    """A bound of the distance to the optimum, L[rho] - inf L <= gap. All of it is float64.

    Attributes:
        gap: () energy - lower_bound, which is >= 0.
        energy: () L[rho].
        lower_bound: () a number that no measure's energy is below, rounding included. Where the
            state is "estimate" nothing is known of all neurons, and it is only the infimum of R.
        estimated_gap: () what the gap would be if the highest neuron that was found were the
            highest of all. It is the gap where the state is "exact", and no bound elsewhere.
        lowest_variation: () the least L'[rho](theta) that was found over |theta| = 1; >= 0 at an
            optimum.
        violations: (p,) the largest values of -<r, Phi(theta)> / V(theta) that were found at unit
            particles that lie apart, the largest first. The constraint at theta is violated where
            this exceeds 1. It is -inf where there are fewer than p such particles.
        directions: (p, D) those unit particles.
        proven_violation: () a number that this ratio exceeds at no particle; inf where the state is
            "estimate".
        state: "exact" if the maximum over all neurons was enumerated, so that proven_violation is
            violations[0] up to rounding. "proven" if it is a bound for all neurons that may be
            loose. "estimate" if neurons were searched only.
    """

    # Each field but the last is an array. It is annotated as Any because JAX also builds the class
    # with placeholders that are not arrays, for instance while it maps over one.
    gap: Any
    energy: Any
    lower_bound: Any
    estimated_gap: Any
    lowest_variation: Any
    violations: Any
    directions: Any
    proven_violation: Any
    state: State = field(metadata={"static": True})

    @property
    def direction(self) -> Any:
        """(D,) the unit particle that violates the constraint most, the best one to add."""
        return self.directions[..., 0, :]

    def __repr__(self) -> str:
        proven = [f"{name}={getattr(self, name)}" for name in ("energy", "lower_bound", "gap")]
        found = [f"{name}={getattr(self, name)}" for name in ("lowest_variation", "direction")]
        if self.state != "exact":
            found = [f"estimated_gap={self.estimated_gap} (no bound)", *found]
        return f"Certificate({_WORDS[self.state]}; {', '.join(proven + found)})"


def certify(
    problem: MeanField,
    measure: Measure,
    *,
    starts: Float[Array, "p dim"] | None = None,
    num_directions: int = 1,
    budget: float = 0.0,
    dual: Array | np.ndarray | None = None,
) -> Certificate:
    """A certificate that L[rho] is within `gap` of the least energy of all measures.

    gap = L[rho] + R*(s r) with r = R'(int Phi drho) and the best s >= 0 for which s r satisfies the
    dual constraint; see the module for what that is. Computed in float64, whatever the dtypes of
    the problem and of the measure. The result says in which of three states it is.

    - "exact": two-layer networks of relu units under SquaredNorm, where the samples span at most 3
      dimensions; or 4 or 5 dimensions, if there are not too many samples (some 160 and 58 for one
      output). The maximum over all neurons is enumerated.
    - "proven": the same networks with any other samples. A semidefinite relaxation bounds all
      neurons. It is often some per cent above the maximum, and branch and bound tightens it for as
      long as the budget allows.
    - "estimate": features or potentials of your own, which must be 2-homogeneous. The most
      violating particle is searched, and `estimated_gap` is too small where the search misses it.

    The time of an exact certificate grows as n log n for samples that span 2 dimensions, as
    n^2 log n in 3, and as n^(r - 1) log n in r: 10^5 samples in the plane, or 1000 in 3 dimensions,
    take seconds.

    A search starts at those 64 particles of the measure that violate most, at spread-out
    directions and, for a two-layer network, at the samples. More starts, such as
    `sample_sphere(key, 1000, D)`, make an estimate safer.

    Args:
        problem: `MeanField` whose loss has a method `conjugate`.
        measure: particles (m, D) with masses (m,).
        starts: (p, D) further particles to search from; not needed where the result is exact.
        num_directions: how many violating particles to tell.
        budget: seconds of branch and bound where the result is not exact.
        dual: a dual point of the shape of the outputs, of which the best multiple bounds the energy
            from below. None takes the slope of R at the outputs.

    Returns:
        `Certificate`.

    Raises:
        ValueError: shapes that do not fit, NaN, a negative mass or budget, num_directions < 1, a
            dual of another shape than the outputs.
        TypeError: floats of several dtypes; a loss without a method `conjugate`; num_directions
            not an integer, budget not a number; called under `jit`.

    Example:
        >>> from jaxmargin import two_layer_problem
        >>> problem = two_layer_problem(jnp.eye(2), jnp.array([1.0, -1.0]), "logistic", lam=0.1)
        >>> found = certify(problem, Measure(jnp.ones((1, 3)), jnp.ones(1)))
        >>> round(float(found.gap), 2), found.state
        (1.16, 'exact')

    Reference:
        Wei, Lee, Liu, Ma (2019), section 3 and eq. E.6; Fenchel duality.
    """
    require_risk(problem)
    require_count("num_directions", num_directions)
    require_positive("budget", budget, zero=True)
    require_concrete("certify", problem, measure, starts)
    with jax.enable_x64(True):  # arrays of NumPy keep float64
        measure = check_measure(problem, measure)
        if starts is not None:
            starts = check_starts(as_jax("starts", starts), measure)
        problem, measure, starts = jax.tree.map(as_float64, (problem, measure, starts))
        return _certificate(problem, measure, dual, starts, num_directions, budget)


def _certificate(
    problem: MeanField,
    measure: Measure,
    dual: Array | np.ndarray | None,
    starts: Array | None,
    count: int,
    budget: float,
) -> Certificate:
    """The certificate with this dual point; None takes the slope of R at the outputs."""
    energy, outputs, slope = _slope(problem, measure)
    dual = slope if dual is None else as_jax("dual", dual).astype(slope.dtype)
    if dual.shape != slope.shape:
        raise ValueError(f"dual must be {slope.shape} as the outputs, got {dual.shape}")
    require_finite("dual", dual)
    found = most_violating(problem, measure, dual, starts, count, budget)
    bound = best_bound(problem, outputs, dual, 1 / max(found.bound, _LEAST), energy)
    estimate = bound
    if found.state != "exact":
        estimate = best_bound(problem, outputs, dual, 1 / max(found.ratios[0], _LEAST), energy)
    network = relu_network(problem)
    if network:
        lowest = float(network[1]) * (1 - found.ratios[0])  # V = lam on the sphere
    else:
        lowest = lowest_variation(problem, measure, dual, starts, jnp.asarray(found.theta[:1]))
    return Certificate(
        gap=np.asarray(energy - bound),
        energy=np.asarray(energy),
        lower_bound=np.asarray(bound),
        estimated_gap=np.asarray(energy - estimate),
        lowest_variation=np.asarray(lowest),
        violations=found.ratios,
        directions=found.theta,
        proven_violation=np.asarray(found.bound),
        state=found.state,
    )


@jax.jit
def _slope(problem: MeanField, measure: Measure) -> tuple[Array, Array, Array]:
    """L[rho], the outputs a = int Phi drho, and r = R'(a)."""
    outputs = integrate(problem.phi, measure)
    risk, dual = jax.value_and_grad(problem.loss)(outputs)
    return risk + regularizer(problem, measure), outputs, dual
