"""Both sides of the lemmas behind Theorem E.4, along a recorded flow.

The flow is the perturbed one in small steps, without chance: every step adds the same points of the
sphere, which stand for U^d. The lemmas hold for any noise on the sphere.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm

N, D, M, BORN, STEPS = 6, 4, 40, 30, 80  # samples, entries of a particle, particles, steps
SIGMA, ETA = 0.005, 0.01
ROUNDING = 1e-9


class Flow(NamedTuple):
    """The problem, its constants, and (s, ...) of the states at the times s * ETA."""

    problem: jm.MeanField
    constants: jm.mean_field.Regularity
    measures: jm.Measure
    outputs: np.ndarray  # Q = int Phi drho, (s, n)
    energies: np.ndarray
    moments: np.ndarray  # W^2
    points: jax.Array  # of the sphere, at which L' is looked at
    slopes: np.ndarray  # L' at these points, (s, p)
    height: float  # B_L


@pytest.fixture(scope="module")
def flow() -> Flow:
    with jax.enable_x64(True):
        return recorded()


def recorded() -> Flow:
    rng = np.random.default_rng(0)
    x, y = jnp.asarray(rng.normal(size=(N, D - 1))), jnp.asarray(np.sign(rng.normal(size=N)))
    problem = jm.two_layer_problem(x, y, "logistic", lam=0.05, smoothing=0.3)
    born = jm.sample_sphere(jax.random.key(1), BORN, D)
    first = jm.sample_sphere(jax.random.key(2), M, D)
    points = jnp.concatenate([born, jm.sample_sphere(jax.random.key(3), 2000, D)])
    theta = jnp.concatenate([first, jnp.tile(born, (STEPS, 1))])
    mass = jnp.concatenate([jnp.full(M, 0.5 / M), jnp.zeros(STEPS * BORN)])

    def look(measure):
        outputs = measure.mass @ jax.vmap(problem.phi)(measure.theta)
        slopes = jm.first_variation(problem, measure, points)
        return measure, outputs, jm.energy(problem, measure), jm.second_moment(measure), slopes

    def step(measure, i):
        alive = measure.mass[:, None] > 0
        moved = measure.theta + ETA * jnp.where(
            alive, jm.velocity(problem, measure, measure.theta), 0
        )
        fresh = (jnp.arange(len(mass)) - M) // BORN == i
        masses = jnp.where(fresh, ETA * SIGMA / BORN, measure.mass * (1 - ETA * SIGMA))
        new = jm.Measure(moved, masses)
        return new, look(new)

    start = jm.Measure(theta, mass)
    _, states = jax.jit(lambda start: jax.lax.scan(step, start, jnp.arange(STEPS)))(start)
    constants = jm.mean_field.regularity(problem, D)
    height = constants.M_R * constants.B_Phi + constants.B_V
    measures, *rest, slopes = states
    outputs, energies, moments = map(np.asarray, rest)
    return Flow(
        problem, constants, measures, outputs, energies, moments, points, np.asarray(slopes), height
    )


def test_the_flow_lowers_the_energy_and_is_at_no_optimum(flow: Flow):
    assert flow.energies[-1] < 0.96 * flow.energies[0]
    assert flow.slopes[-1].min() < -0.1


def test_the_variation_is_bounded_and_lipschitz(flow: Flow):
    """Lemmas E.10 and E.15."""
    c = flow.constants
    assert 0.1 * flow.height < np.abs(flow.slopes).max() <= flow.height
    far = np.linalg.norm(flow.points[:, None] - flow.points[None, :300], axis=2)
    gaps = np.abs(flow.slopes[-1][:, None] - flow.slopes[-1][None, :300])
    c2 = c.k**0.5 * c.M_R * c.M_Phi + c.M_V
    assert np.all(gaps <= c2 * far + ROUNDING)
    assert np.max(gaps[far > 0] / far[far > 0]) > 0.05 * c2


@pytest.mark.parametrize("s", [0, 30, 79])
def test_the_rate_of_the_energy(flow: Flow, s: int):
    """Lemma E.11 against a small step; Corollary E.12 and Lemma E.7."""
    with jax.enable_x64(True):
        measure = jax.tree.map(lambda leaf: leaf[s], flow.measures)
        v = jm.velocity(flow.problem, measure, measure.theta)
        speed = float(measure.mass @ jnp.sum(v**2, axis=1))
        mean = float(measure.mass @ jm.first_variation(flow.problem, measure, measure.theta))
        rate = -SIGMA * mean + SIGMA * flow.slopes[s, :BORN].mean() - speed
        tiny = 1e-6
        later = jm.Measure(
            jnp.concatenate([measure.theta + tiny * v, flow.points[:BORN]]),
            jnp.concatenate(
                [measure.mass * (1 - tiny * SIGMA), jnp.full(BORN, tiny * SIGMA / BORN)]
            ),
        )
        change = float(jm.energy(flow.problem, later) - flow.energies[s]) / tiny
    np.testing.assert_allclose(rate, change, rtol=1e-4)
    noise = SIGMA * flow.height * (flow.moments[s] + 1)
    assert rate <= noise - speed
    assert 4 * mean**2 <= speed * flow.moments[s] * (1 + ROUNDING)  # the proof of Lemma E.7
    assert rate <= noise - mean**2 / flow.moments[s]


@pytest.mark.parametrize("s", [0, 30, 79])
def test_integrals_of_homogeneous_functions_change_slowly(flow: Flow, s: int):
    """Lemma E.14, for every Phi_i and for V."""
    c, W2 = flow.constants, flow.moments[s]
    with jax.enable_x64(True):
        measure = jax.tree.map(lambda leaf: leaf[s], flow.measures)
        v = jm.velocity(flow.problem, measure, measure.theta)
        speed = float(measure.mass @ jnp.sum(v**2, axis=1))
        for function, B, steepest in (
            (flow.problem.phi, c.B_Phi, c.M_Phi),
            (lambda t: flow.problem.potential(t)[None], c.B_V, c.M_V),
        ):
            values = jax.vmap(function)
            moved = jax.vmap(lambda t, v, f=function: jax.jvp(f, (t,), (v,))[1])(measure.theta, v)
            change = measure.mass @ (moved - SIGMA * values(measure.theta))
            change = np.abs(change + SIGMA * values(flow.points[:BORN]).mean(axis=0))
            bound = SIGMA * B * (W2 + 1) + steepest * np.sqrt(W2 * speed)
            assert np.all(change <= bound)
            assert np.max(change) > 0.01 * bound
    # -dL/dt + sigma B_L (W^2 + 1) >= speed, so that the printed bound is at least this one


def test_between_two_times(flow: Flow):
    """Lemmas E.6 and E.13, and Lemma E.5, with the largest W of the flow for W_eps."""
    c, W2 = flow.constants, flow.moments.max()
    moved = np.abs(np.diff(flow.outputs, axis=0)).sum(axis=1)
    c1 = max(c.k * c.C_R * c.B_Phi**2, c.k * c.C_R * c.B_Phi * c.M_Phi, flow.height)
    for a, b in ((0, 79), (0, 10), (40, 60)):
        length = (b - a) * ETA
        fall = flow.energies[a] - flow.energies[b]
        assert -fall <= SIGMA * length * flow.height * (W2 + 1)
        change = np.abs(flow.slopes[b] - flow.slopes[a]).max()
        allowed = c.C_R * c.B_Phi * moved[a:b].sum()
        assert 0.01 * allowed < change <= allowed
        noise = SIGMA * length * c1 * (W2 + 1)
        assert allowed <= noise + c1 * np.sqrt(W2 * length * (fall + noise))
    drift = SIGMA * ETA * np.arange(STEPS) * flow.height
    assert np.all(flow.moments <= (flow.energies[0] + drift) / (c.b_V - drift))


def test_a_direction_of_descent_lasts_and_gathers_weight(flow: Flow):
    """Lemma E.16 and Claims E.18 to E.20, from the first time on while z is small."""
    c = flow.constants
    c2 = c.k**0.5 * c.M_R * c.M_Phi + c.M_V
    tau = -float(flow.slopes[0].min())
    assert tau > 5 * SIGMA
    for share in (0.5, 1.0):
        radius = min(share * tau / c2, 2)
        cap = (radius / 2) ** (D - 1) / 2
        assert np.mean(flow.slopes[0] <= -tau + share * tau) >= cap
    moved = np.abs(np.diff(flow.outputs, axis=0)).sum(axis=1)
    z = np.concatenate([[0], c.C_R * c.B_Phi * np.cumsum(moved)])
    last = int(np.sum(z <= tau / 4)) - 1
    assert last >= 2
    weight, before = [], None
    for s in range(last + 1):
        assert flow.slopes[s].min() <= -tau + z[s]
        inside = flow.slopes[s] <= -tau / 2 + z[s]
        assert before is None or np.all(inside[before])
        before = inside
        weight.append(weight_below(flow, s, -tau / 2 + z[s]))
    growth = np.diff(weight) / ETA
    assert np.all(growth >= (tau - SIGMA) * np.array(weight[:-1]) - 10 * ETA * weight[-1])
    assert weight[-1] > weight[0]


def weight_below(flow: Flow, s: int, level: float) -> float:
    """int |theta|^2 drho over the particles in whose direction L' is at most the level."""
    with jax.enable_x64(True):
        measure = jax.tree.map(lambda leaf: leaf[s], flow.measures)
        size = jnp.sum(measure.theta**2, axis=1)
        slopes = jm.first_variation(flow.problem, measure, measure.theta) / size
        return float(jnp.sum(jnp.where(slopes <= level, measure.mass * size, 0)))


@pytest.mark.parametrize("seed", range(4))
def test_the_variation_bounds_the_distance_to_the_optimum(seed: int):
    """Equation E.6, with L' at 20,000 directions and the measures that global_optimum finds."""
    rng = np.random.default_rng(seed)
    with jax.enable_x64(True):
        x, y = jnp.asarray(rng.normal(size=(6, 2))), jnp.asarray(np.resize([1.0, -1.0], 6))
        problem = jm.two_layer_problem(x, y, "logistic", lam=0.1)
        best = jm.global_optimum(problem)
        measure = jm.Measure(
            jnp.asarray(rng.normal(size=(9, 3))), jnp.asarray(rng.uniform(0, 0.3, size=9))
        )
        mean = measure.mass @ jm.first_variation(problem, measure, measure.theta)
        directions = jm.sample_sphere(jax.random.key(seed), 20_000, 3)
        lowest = min(float(jm.first_variation(problem, measure, directions).min()), 0)
        above = float(jm.energy(problem, measure) - best.certificate.energy)
    moment = float(best.measure.mass @ np.sum(best.measure.theta**2, axis=1))
    assert 0.05 < above <= float(mean) - moment * lowest
