"""Langevin noise and birth-death: their laws, and that `run_flow` runs them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmargin import Measure, run_flow, sample_sphere, two_layer_problem, wasserstein_flow
from jaxmargin.experiments.parts.rival_flows import (
    birth_death_flow,
    langevin_flow,
    systematic_resampling,
)
from jaxmargin.mean_field.problem import first_variation

ETA = 0.02


@pytest.fixture(scope="module")
def problem():
    x = jax.random.normal(jax.random.key(0), (6, 2))
    return two_layer_problem(x, jnp.array([1.0, -1, 1, 1, -1, -1]), "logistic", lam=0.01)


def spread_out(m: int) -> Measure:
    return Measure(sample_sphere(jax.random.key(1), m, 3), jnp.full(m, 1 / m))


@pytest.mark.parametrize(
    "make",
    [
        lambda p: langevin_flow(p, step_size=ETA, temperature=0.0),
        lambda p: birth_death_flow(p, step_size=ETA, rate=0.0, noise=0.0),
    ],
)
def test_without_strength_they_are_the_plain_flow(problem, make):
    flow, plain = make(problem), wasserstein_flow(problem, step_size=ETA)
    key, start = jax.random.key(2), spread_out(16)
    got, _ = run_flow(key, flow, flow.init(start), num_steps=20)
    want, _ = run_flow(key, plain, plain.init(start), num_steps=20)
    np.testing.assert_allclose(got.measure.theta, want.measure.theta, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(got.measure.mass, want.measure.mass, rtol=1e-6)


def test_langevin_noise_has_variance_2_eta_t(problem):
    """Five standard errors of a variance, sqrt(2 / N) relative; mean 0; masses stay."""
    temperature, start = 0.3, spread_out(20_000)
    flow = langevin_flow(problem, step_size=ETA, temperature=temperature)
    plain = wasserstein_flow(problem, step_size=ETA)
    key = jax.random.key(3)
    noisy, _ = jax.jit(flow.step)(key, flow.init(start))
    moved, _ = jax.jit(plain.step)(key, plain.init(start))
    noise = np.asarray(noisy.measure.theta - moved.measure.theta, np.float64)
    variance = 2 * ETA * temperature
    assert np.mean(noise**2) == pytest.approx(variance, rel=5 * np.sqrt(2 / noise.size))
    assert abs(noise.mean()) < 5 * np.sqrt(variance / noise.size)
    np.testing.assert_array_equal(noisy.measure.mass, start.mass)


def test_resampling_is_unbiased_and_keeps_count_and_mass():
    """Copies of each particle: floor or ceil of m p_j in each draw, m p_j in the mean."""
    m, draws = 12, 4_000
    factors = jax.random.normal(jax.random.key(4), (m,))
    mass = jnp.arange(1.0, m + 1)
    labelled = Measure(jnp.eye(m), mass)
    keys = jax.random.split(jax.random.key(5), draws)
    drawn = jax.vmap(lambda key: systematic_resampling(key, labelled, factors))(keys)
    copies = np.asarray(drawn.theta.sum(axis=1))
    share = np.asarray(mass * jnp.exp(factors), np.float64)
    expected = m * share / share.sum()
    assert (copies >= np.floor(expected)).all()
    assert (copies <= np.ceil(expected)).all()
    np.testing.assert_allclose(copies.mean(axis=0), expected, atol=5 * 0.5 / np.sqrt(draws))
    np.testing.assert_allclose(drawn.mass.sum(axis=1), mass.sum(), rtol=1e-6)


def test_births_and_deaths_change_masses_by_minus_eta_rate_times_the_centred_variation(problem):
    """To first order in eta, and so by 0 in all; where nothing moves."""
    m, rate, draws = 8, 0.5, 20_000
    start = spread_out(m)
    flow = birth_death_flow(problem, step_size=ETA, rate=rate)
    plain = wasserstein_flow(problem, step_size=ETA)
    moved = plain.step(jax.random.key(0), plain.init(start))[0].measure.theta
    keys = jax.random.split(jax.random.key(6), draws)
    state = flow.init(start)
    drawn = jax.jit(jax.vmap(lambda key, state: flow.step(key, state)[0].measure, (0, None)))(
        keys, state
    )
    same = jnp.all(jnp.abs(drawn.theta[:, :, None] - moved[None, None]) < 1e-5, axis=-1)
    assert bool(jnp.all(jnp.sum(same, axis=-1) == 1))  # no particle is new
    copies = np.asarray(same.sum(axis=1))
    variation = np.asarray(first_variation(problem, start, start.theta), np.float64)
    change = -ETA * rate * (variation - variation.mean())
    tolerance = np.max(change**2) + 5 * np.sqrt(np.abs(change).max() / draws)
    np.testing.assert_allclose(copies.mean(axis=0) - 1, change, atol=tolerance)
    assert np.abs(change).max() > 2 * tolerance


@pytest.mark.parametrize(
    "make",
    [
        lambda p: langevin_flow(p, step_size=ETA, temperature=-1.0),
        lambda p: birth_death_flow(p, step_size=ETA, rate=-1.0),
        lambda p: birth_death_flow(p, step_size=ETA, noise=float("nan")),
    ],
)
def test_negative_strengths_are_refused(problem, make):
    with pytest.raises(ValueError, match="must be a finite number >= 0"):
        make(problem)
