"""Rivals of the perturbed flow that `run_flow` can run: Langevin noise, and births and deaths.

Each takes a step of another flow and then changes its particles.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from jaxmargin._checks import require_positive
from jaxmargin.mean_field.flow import Flow, FlowInfo, FlowState, perturbed_flow, wasserstein_flow
from jaxmargin.mean_field.measure import Measure
from jaxmargin.mean_field.problem import MeanField, first_variation


def langevin_flow(problem: MeanField, *, step_size: float, temperature: float) -> Flow:
    """Noise on each particle, theta <- theta + eta v + sqrt(2 eta T) xi (Mei et al. 2018).

    Its stationary measure minimises the energy plus T times the negative entropy.

    Args:
        problem: `MeanField`.
        step_size: eta, > 0.
        temperature: T, >= 0; 0 is the plain flow.
    """
    require_positive("temperature", temperature, zero=True)
    plain = wasserstein_flow(problem, step_size=step_size)
    return _followed_by(_diffuse, plain, problem, temperature)


def birth_death_flow(
    problem: MeanField, *, step_size: float, rate: float = 1.0, noise: float = 0.0
) -> Flow:
    """Transport with births and deaths at rate |L'(theta) - mean L'| (Rotskoff et al. 2019).

        d rho/dt = -div(v rho) - rate (L' - int L' drho) rho

    Particles are drawn anew with probabilities mass exp(-eta rate (L' - mean L')), by systematic
    resampling: the expected number of copies is exact, m stays m, and all end with equal masses. A
    copy is never a new particle, so that particles in one place stay there. Fresh proposals from
    the uniform distribution on the sphere therefore take the places of a share eta noise of the
    particles, as in the scheme "reinitialize".

    Args:
        problem: `MeanField`.
        step_size: eta, > 0.
        rate: of births and deaths, >= 0.
        noise: rate sigma of the fresh proposals, >= 0.
    """
    require_positive("rate", rate, zero=True)
    moved = perturbed_flow(problem, step_size=step_size, noise=noise)
    return _followed_by(_resample, moved, problem, rate)


def _followed_by(change: Callable, flow: Flow, problem: MeanField, strength: float) -> Flow:
    step = jax.tree_util.Partial(_Step(change), flow, problem, jnp.asarray(strength, float))
    return Flow(flow.init, step)


@dataclass(frozen=True)
class _Step:
    """A flow's step, and then `change(key, measure, problem, measure before, strength eta)`."""

    change: Callable

    def __call__(
        self, flow: Flow, problem: MeanField, strength: Array, key: PRNGKeyArray, state: FlowState
    ) -> tuple[FlowState, FlowInfo]:
        key_step, key_change = jax.random.split(key)
        new, info = flow.step(key_step, state)
        amount = jnp.asarray(strength, info.step_size.dtype) * info.step_size
        measure = self.change(key_change, new.measure, problem, state.measure, amount)
        return new._replace(measure=measure), info


def _diffuse(
    key: PRNGKeyArray, moved: Measure, problem: MeanField, before: Measure, amount: Array
) -> Measure:
    del problem, before
    noise = jax.random.normal(key, moved.theta.shape, moved.theta.dtype)
    return moved._replace(theta=moved.theta + jnp.sqrt(2 * amount) * noise)


def _resample(
    key: PRNGKeyArray, moved: Measure, problem: MeanField, before: Measure, amount: Array
) -> Measure:
    """Births and deaths by L' before the step: masses times exp(-amount L'), normalized."""
    variation = first_variation(problem, before, before.theta)
    return systematic_resampling(key, moved, -amount * variation)


def systematic_resampling(key: PRNGKeyArray, measure: Measure, log_factors: Array) -> Measure:
    """Draw m equally heavy particles, with p_j proportional to mass_j exp(log_factors_j).

    In expectation m p_j of them are copies of particle j, and in each draw floor(m p_j) or
    ceil(m p_j).

    Args:
        key: random key.
        measure: m particles.
        log_factors: (m,) logarithms of what the masses are multiplied by.

    Returns:
        m particles of equal masses, with the same total mass.
    """
    theta, mass = measure
    m = len(mass)
    share = mass * jnp.exp(log_factors - jnp.max(log_factors))
    ends = jnp.cumsum(share)
    ticks = (jnp.arange(m, dtype=mass.dtype) + jax.random.uniform(key, (), mass.dtype)) / m
    parents = jnp.searchsorted(ends, ticks * ends[-1], side="right")
    total = jnp.sum(mass)
    return Measure(theta[jnp.minimum(parents, m - 1)], jnp.full_like(mass, total / m))
