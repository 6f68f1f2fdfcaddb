"""Both sides of the lemmas behind Theorem E.4, along a recorded flow (sections E.2 and E.3).

The proof bounds how much a flow may gain and must lose. Here each bound stands beside what a flow
with finitely many particles did:

- Where a lemma has W_eps^2, which bounds the second moment, the largest one of the record is taken.
  The proofs use no more.
- The sphere is seen at given directions, and their mean stands for that over U^d.
- Between two records, |Q(t + l) - Q(t)|_1 stands for the integral of |Q'|_1, which is at least as
  large. The first inequality of Lemma E.6 and Claims E.18 and E.19 hold with it too.
- Lemma E.16 has the share beta of the sphere that `Regularity.log_share` tells of.

Inequalities between two records are those of a solution in continuous time. Steps that are too long
violate them, and chance may.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxmargin._arithmetic import as_float64
from jaxmargin._arrays import as_array, as_floats
from jaxmargin._checks import (
    finite_result,
    require_concrete,
    require_finite,
    require_positive,
)
from jaxmargin.mean_field._particles.checks import check_measure, require_problem
from jaxmargin.mean_field._particles.passes import integrate, regularizer, variation_of_dual
from jaxmargin.mean_field.assumptions import Regularity, regularity
from jaxmargin.mean_field.measure import Measure
from jaxmargin.mean_field.problem import MeanField

_ROUNDING = 1e-9  # of the larger side, and
_ULPS = 16  # of what the two sides are differences of
_ABOVE = 1 + 1e-9  # level of the squared loss, relative to the largest energy
_SMALLEST = 2.0**-1022  # positive float64


class Sides(NamedTuple):
    """The two sides of a statement left <= right, at each place where it was evaluated.

    Attributes:
        left: what must not be larger.
        right: (as left) what bounds it; inf where a lemma allows anything.
        rounding: (as left) how much of left - right rounding may account for.
    """

    left: Float[np.ndarray, "..."]
    right: Float[np.ndarray, "..."]
    rounding: Float[np.ndarray, "..."]

    @property
    def holds(self) -> np.ndarray:
        """Whether left <= right at each place, up to rounding."""
        return self.left <= self.right + self.rounding

    def __str__(self) -> str:
        """The place with the least room, relative to the larger side."""
        if not self.left.size:
            return "nowhere in this record"
        bound = np.where(np.isfinite(self.right), self.right, 2 * np.abs(self.left) + 1)
        size = np.maximum(np.maximum(np.abs(self.left), np.abs(bound)), _SMALLEST)
        at = np.argmax((self.left - bound) / size)
        failed = int(np.sum(~self.holds))
        found = f"violated at {failed} of {self.left.size}" if failed else "holds"
        return f"{self.left.flat[at]:10.3g} <= {self.right.flat[at]:<10.3g} {found}"


class FlowBudget(NamedTuple):
    """Both sides of the lemmas along a flow, at s records. `print` shows where each is tightest.

    W^2 is the largest second moment of the record, B_L, c1 and c2 are those of `Regularity`. The
    statements from Lemma E.16 on follow the lowest L' = -tau of the first record, for as long as
    z <= tau / 4, that is for a <= s records: z(t) sums C_R B_Phi |Q(t + l) - Q(t)|_1 from there on,
    T_t is the set {L' <= -tau / 2 + z(t)} of directions, and N(t) the weight of the particles in
    it. They are empty where tau <= 0.

    Attributes:
        time: (s,) as given.
        energy: (s,) L[rho].
        energy_rate: (s,) dL/dt by Lemma E.11.
        speed: (s,) int |v|^2 drho.
        lowest_variation: (s,) the least L' at the directions.
        lemma_e5: (s,) second moment <= (L_0 + sigma t B_L) / (b_V - sigma t B_L), t from the first
            record on; inf where the denominator is not positive.
        equation_e2: (s - 1,) of Lemma E.6: the largest change of L' <= C_R B_Phi |change of Q|_1.
        equation_e3: (s - 1,) of Lemma E.6: C_R B_Phi |change of Q|_1 <= sigma l c1 (W^2 + 1)
            + c1 W sqrt(l (fall of L + sigma l c1 (W^2 + 1))), in the time l between two records. A
            fall that is below what the noise explains counts as 0 under the root.
        lemma_e7: (s,) energy_rate <= sigma B_L (W^2 + 1) - (int L' drho)^2 / W^2.
        lemma_e8: (r,) L[rho] later <= L[rho] - (tau / 4 - sigma l c1 (W^2 + 1))^2 / (l c1^2 W^2)
            + sigma l c1 (W^2 + 1), for every record with tau = -lowest_variation > sigma and the
            first one that is a time l >= log(W^2 / (sigma beta)) / (tau - sigma) + 1 later. A
            negative number under the square counts as 0.
        lemma_e10: (s,) largest |L'| <= B_L.
        corollary_e12: (s,) energy_rate <= sigma B_L (second moment + 1) - speed.
        lemma_e13: (s - 1,) increase of L <= sigma l B_L (W^2 + 1).
        lemma_e14: (s, k + 1) |d/dt int h drho| <= sigma B (W^2 + 1)
            + M W sqrt(-energy_rate + sigma B_L (W^2 + 1)), for each output h = Phi_i with B_Phi and
            M_Phi, and last for h = V with B_V and M_V.
        lemma_e15: (s,) largest |grad L'| <= c2.
        lemma_e16: (a,) beta <= share of the directions in T.
        claim_e18: (a,) lowest L' <= -tau + z.
        claim_e19: (a - 1,) highest L' of a record at the directions that were in T at the record
            before <= -tau / 2 + z: T does not shrink.
        claim_e20: (a - 1,) (tau - sigma) N + sigma beta <= increase of N / l.
    """

    time: Float[np.ndarray, " s"]
    energy: Float[np.ndarray, " s"]
    energy_rate: Float[np.ndarray, " s"]
    speed: Float[np.ndarray, " s"]
    lowest_variation: Float[np.ndarray, " s"]
    lemma_e5: Sides
    equation_e2: Sides
    equation_e3: Sides
    lemma_e7: Sides
    lemma_e8: Sides
    lemma_e10: Sides
    corollary_e12: Sides
    lemma_e13: Sides
    lemma_e14: Sides
    lemma_e15: Sides
    lemma_e16: Sides
    claim_e18: Sides
    claim_e19: Sides
    claim_e20: Sides

    @property
    def statements(self) -> dict[str, Sides]:
        """The two sides of each statement, by its field."""
        return {name: of for name, of in self._asdict().items() if isinstance(of, Sides)}

    @property
    def violated(self) -> tuple[str, ...]:
        """The fields of the statements that fail somewhere."""
        return tuple(name for name, of in self.statements.items() if not np.all(of.holds))

    def __str__(self) -> str:
        return "\n".join(f"{name:13}  {of}" for name, of in self.statements.items())


def flow_budget(
    problem: MeanField,
    measures: Measure,
    directions: Float[Array | np.ndarray, "p dim"],
    *,
    time: Float[Array | np.ndarray, " s"],
    noise: float,
    constants: Regularity | None = None,
) -> FlowBudget:
    """What the lemmas behind Theorem E.4 allow a flow, beside what it did.

    `run_flow` records the measures with `metrics=lambda measure: measure`. Lemmas E.7, E.10 and
    E.14 to E.16, eq. E.2, Corollary E.12 and Claims E.18 and E.19 hold for every record; the others
    tell whether its steps follow the flow. Computes in float64, whatever the dtypes.

    Args:
        problem: `MeanField`.
        measures: s records of a flow, a `Measure` of arrays (s, m, D) and (s, m), s >= 2.
        directions: (p, D), not 0, at whose unit vectors L' is looked at. Uniform ones, such as
            `sample_sphere` gives, stand for U^d.
        time: (s,) the time of each record, eta times the number of steps; increasing.
        noise: sigma of the flow, >= 0; 0 for the plain one.
        constants: those of a problem of your own. None takes `regularity`.

    Returns:
        `FlowBudget` of float64 NumPy arrays.

    Raises:
        ValueError: shapes that do not fit, NaN, a negative mass, a time that does not increase, a
            direction of zeros, a negative noise, constants below 0, or a level that an energy
            exceeds.
        TypeError: a problem whose constants are not known, where none are given; constants that are
            no `Regularity`; measures that are no `Measure`; no floats; called under `jit`.

    Example:
        >>> from jaxmargin import run_flow, sample_sphere, two_layer_problem, wasserstein_flow
        >>> problem = two_layer_problem(jnp.eye(2), jnp.array([1.0, -1.0]), "logistic", lam=0.1)
        >>> directions = sample_sphere(jax.random.key(0), 500, 3)
        >>> start = Measure(directions[:8], jnp.full(8, 1 / 8))
        >>> def budget(step_size):
        ...     flow = wasserstein_flow(problem, step_size=step_size)
        ...     run = run_flow(
        ...         jax.random.key(1), flow, flow.init(start), num_steps=40, record=1,
        ...         metrics=lambda measure: measure)
        ...     time = step_size * np.asarray(run.history.step)
        ...     return flow_budget(problem, run.history.metrics, directions, time=time, noise=0.0)
        >>> budget(0.05).violated
        ()
        >>> budget(5.0).violated  # steps that overshoot
        ('lemma_e5', 'equation_e3', 'lemma_e13')

    Reference:
        Wei, Lee, Liu, Ma (2019), Lemmas E.5 to E.8, E.10 to E.16, Corollary E.12, Claims E.18 to
        E.20.
    """
    require_concrete("flow_budget", problem, measures, directions, time, noise)
    require_positive("noise", noise, zero=True)
    record = _checked(problem, measures, directions, time)
    with jax.enable_x64(True):
        wide, *rest = jax.tree.map(as_float64, (problem, record.measures, record.directions))
        seen = jax.tree.map(np.asarray, _seen(wide, *rest, jnp.float64(noise)))
        finite_result("the energy or a rate", seen, "the particles or the data", record.measures)
        highest = max(float(seen.energy.max()), _SMALLEST)
        if constants is None:
            constants = regularity(wide, record.dim, level=_ABOVE * highest)
    constants = Regularity.checked(constants, highest)
    return _Budget(constants, seen, record, float(noise)).all_of_it()


class _Record(NamedTuple):
    """The record as it is looked at: unit directions, and times in float64."""

    measures: Measure
    directions: np.ndarray
    time: np.ndarray

    @property
    def dim(self) -> int:
        return self.directions.shape[1]


def _checked(problem: MeanField, measures: Measure, directions: Any, time: Any) -> _Record:
    """The record, once all of its shapes and values are right."""
    require_problem(problem)
    if not isinstance(measures, Measure):
        raise TypeError(f"measures must be a Measure of records, got {type(measures).__name__}")
    theta, mass = (as_array(f"measures.{name}", of) for name, of in measures._asdict().items())
    if theta.ndim != 3 or 0 in theta.shape or mass.shape != theta.shape[:2] or len(theta) < 2:
        raise ValueError(
            "measures must hold theta (s, m, D) and mass (s, m) of s >= 2 records, got "
            f"{theta.shape} and {mass.shape}"
        )
    particles: Any = theta.reshape(-1, theta.shape[2]), mass.ravel()
    with jax.enable_x64(True):
        check_measure(*jax.tree.map(as_float64, (problem, Measure(*particles))))
    rows, times = as_floats("directions", directions), as_floats("time", time)
    if rows.ndim != 2 or rows.shape[1] != theta.shape[2] or not len(rows):
        raise ValueError(f"directions must be (p, D = {theta.shape[2]}), got {rows.shape}")
    if times.shape != (len(theta),):
        raise ValueError(
            f"time must be (s,), one for each of s = {len(theta)} records, got {times.shape}"
        )
    require_finite("directions", rows)
    require_finite("time", times)
    wide, times = (np.asarray(of, np.float64) for of in (rows, times))
    largest = np.abs(wide).max(axis=1, keepdims=True)
    if not np.all(largest > 0):
        raise ValueError("directions must not have a row of zeros, which points nowhere")
    if not np.all(np.diff(times) > 0):
        raise ValueError("time must increase from record to record")
    unit = wide / largest
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    given: Any = theta, mass  # in NumPy they may be wider than what is enabled here
    return _Record(Measure(*given), unit, times)


class _Seen(NamedTuple):
    """What is looked at in each of s measures."""

    energy: Any
    moment: Any
    speed: Any
    mean: Any  # int L' drho
    rate: Any  # of the energy
    outputs: Any  # (s, k), Q
    rates: Any  # (s, k + 1) of Q and of int V drho
    slopes: Any  # (s, p), L' at the directions
    steepness: Any  # the largest |grad L'| there
    weights: Any  # (s, m)
    of_particles: Any  # (s, m), L' in the direction of each particle


@jax.jit
def _seen(problem: MeanField, measures: Measure, directions: Array, noise: Array) -> _Seen:
    uniform = Measure(directions, jnp.full(len(directions), 1 / len(directions)))

    def integrals(measure: Measure) -> Array:
        outputs = jnp.ravel(integrate(problem.phi, measure))
        return jnp.append(outputs, regularizer(problem, measure))

    born = integrals(uniform)

    def look(measure: Measure) -> _Seen:
        theta, mass = measure
        outputs = integrate(problem.phi, measure)
        risk, dual = jax.value_and_grad(problem.loss)(outputs)
        values, gradients = variation_of_dual(problem, dual, theta)
        slopes, ascents = variation_of_dual(problem, dual, directions)
        speed = mass @ jnp.sum(gradients**2, axis=1)
        mean = mass @ values
        now, moved = jax.jvp(lambda theta: integrals(Measure(theta, mass)), (theta,), (-gradients,))
        size = jnp.sum(theta**2, axis=1)
        return _Seen(
            energy=risk + now[-1],
            moment=mass @ size,
            speed=speed,
            mean=mean,
            rate=noise * (jnp.mean(slopes) - mean) - speed,
            outputs=now[:-1],
            rates=moved + noise * (born - now),
            slopes=slopes,
            steepness=jnp.max(jnp.linalg.norm(ascents, axis=1)),
            weights=mass * size,
            of_particles=values / jnp.where(size > 0, size, 1),
        )

    return jax.lax.map(look, measures)


def _sides(left: np.ndarray, right: np.ndarray | float, rounding: float = 0.0) -> Sides:
    right = np.broadcast_to(right, left.shape)
    size = np.maximum(np.abs(left), np.abs(np.where(np.isfinite(right), right, 0)))
    return Sides(left, right, _ROUNDING * size + rounding)


class _Budget:
    """The statements of one record: constants, what was seen, and their two sides."""

    def __init__(
        self,
        constants: Regularity,
        seen: _Seen,
        record: _Record,
        noise: float,
    ):
        self.constants, self.seen, self.noise = constants, seen, noise
        self.time, self.dim = record.time, record.dim
        self.ulps = _ULPS * float(jnp.finfo(record.measures.theta.dtype).eps)
        self.most = float(seen.moment.max())  # W^2
        self.lengths = np.diff(self.time)
        self.shifts = constants.C_R * constants.B_Phi * np.abs(np.diff(seen.outputs, axis=0)).sum(1)
        self.allowed = noise * constants.B_L * (self.most + 1)  # rate at which L may rise
        self.of_energy = self.ulps * (constants.B_L * self.most + float(seen.energy.max()))
        self.of_slopes = _ULPS * np.finfo(float).eps * constants.B_L  # L' is taken in float64

    def all_of_it(self) -> FlowBudget:
        seen, c = self.seen, self.constants
        change = np.abs(np.diff(seen.slopes, axis=0)).max(axis=1)
        mean_of_square = seen.mean**2 / max(self.most, _SMALLEST)
        noisy = self.noise * c.B_L * (seen.moment + 1)
        return FlowBudget(
            time=self.time,
            energy=seen.energy,
            energy_rate=seen.rate,
            speed=seen.speed,
            lowest_variation=seen.slopes.min(axis=1),
            lemma_e5=self.second_moment(),
            equation_e2=_sides(change, self.shifts, self.of_slopes),
            equation_e3=self.shift(),
            lemma_e7=_sides(seen.rate, self.allowed - mean_of_square),
            lemma_e8=self.fall(),
            lemma_e10=_sides(np.abs(seen.slopes).max(axis=1), c.B_L),
            corollary_e12=_sides(seen.rate, noisy - seen.speed),
            lemma_e13=_sides(np.diff(seen.energy), self.allowed * self.lengths, self.of_energy),
            lemma_e14=self.integrals(),
            lemma_e15=_sides(seen.steepness, c.c2),
            **self.descent(),
        )

    def second_moment(self) -> Sides:
        drift = self.noise * (self.time - self.time[0]) * self.constants.B_L
        room = self.constants.b_V - drift
        bound = (self.seen.energy[0] + drift) / np.where(room > 0, room, 1)
        return _sides(self.seen.moment, np.where(room > 0, bound, np.inf))

    def shift(self) -> Sides:
        c1 = self.constants.c1
        noisy = self.noise * self.lengths * c1 * (self.most + 1)
        room = np.maximum(-np.diff(self.seen.energy) + noisy, 0)
        allowed = noisy + c1 * np.sqrt(self.most * self.lengths * room)
        return _sides(self.shifts, allowed, self.ulps * c1 * self.most)

    def integrals(self) -> Sides:
        c, outputs = self.constants, self.seen.outputs.shape[1]
        size = np.array([c.B_Phi] * outputs + [c.B_V])
        slope = np.array([c.M_Phi] * outputs + [c.M_V])
        root = np.sqrt(np.maximum(self.allowed - self.seen.rate, 0) * self.most)[:, None]
        return _sides(np.abs(self.seen.rates), self.noise * size * (self.most + 1) + slope * root)

    def fall(self) -> Sides:
        """Lemma E.8, from every record with a direction of descent."""
        energy, c1, found = self.seen.energy, self.constants.c1, []
        for i, tau in enumerate(-self.seen.slopes.min(axis=1)):
            if not tau > self.noise > 0 or self.most == 0:
                continue
            log_share = self.constants.log_share(math.log(tau / 2), self.dim)
            growth = math.log(self.most) - math.log(self.noise) - log_share
            least = max(growth, 0) / (tau - self.noise) + 1
            j = int(np.searchsorted(self.time, self.time[i] + least))
            if j == len(self.time):
                continue
            length = self.time[j] - self.time[i]
            noisy = self.noise * length * c1 * (self.most + 1)
            fall = max(tau / 4 - noisy, 0) ** 2 / (length * c1**2 * self.most) - noisy
            found.append((energy[j], energy[i] - fall))
        left, right = np.array(found).reshape(-1, 2).T
        return _sides(left, right, self.of_energy)

    def descent(self) -> dict[str, Sides]:
        """Lemma E.16 and Claims E.18 to E.20, from the first record on while z <= tau / 4."""
        slopes = self.seen.slopes
        tau = -float(slopes[0].min())
        z = np.concatenate([[0], np.cumsum(self.shifts)])
        count = int(np.sum(z <= tau / 4)) if tau > 0 else 0
        slopes, z, lengths = slopes[:count], z[:count], self.lengths[: max(count - 1, 0)]
        levels = -tau / 2 + z
        inside = slopes <= levels[:, None]
        share = math.exp(self.constants.log_share(math.log(tau / 2), self.dim)) if count else 0.0
        among = self.seen.of_particles[:count] <= levels[:, None]
        weight = np.sum(np.where(among, self.seen.weights[:count], 0), axis=1)
        stayed = np.max(np.where(inside[:-1], slopes[1:], -np.inf), axis=1)
        growth = (tau - self.noise) * weight[:-1] + self.noise * share
        return {
            "lemma_e16": _sides(np.full(count, share), inside.mean(axis=1)),
            "claim_e18": _sides(slopes.min(axis=1), -tau + z, self.of_slopes),
            "claim_e19": _sides(stayed, levels[1:], self.of_slopes),
            "claim_e20": _sides(growth, np.diff(weight) / lengths),
        }
