"""The two perturbations against update E.21, and the thinning in each of its cases."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmargin as jm
from jaxmargin.mean_field._particles.schemes import add_and_thin, happens
from jaxmargin.mean_field.measure import Measure
from tests.mean_field.flows import (
    FUNCTIONS,
    integrals,
    logistic,
    measure,
    moved,
    replaced,
    trajectory,
)

SCHEMES = ["reinitialize", "weighted"]


def assert_mean(draws, expected: float, name: str = "", k: float = 5.0):
    draws = np.asarray(draws, np.float64)
    assert np.isfinite(draws).all()
    error = draws.std() / np.sqrt(len(draws))
    rounding = 2e-5 * (1 + abs(expected))
    gap = abs(draws.mean() - expected)
    assert gap <= k * error + rounding, f"{name}: {draws.mean()} +- {error}, expected {expected}"


MEASURES = {
    "probability": measure(6),
    "mass 2.5": measure(6, total=2.5),
    "empty slots": measure(6, empty=3),
    "mass 0.3, one empty": measure(6, total=0.3, empty=1),
    "one particle": measure(1),
}


@jax.jit
def many_steps_from(flow: jm.mean_field.Flow, state: jm.mean_field.FlowState, keys):
    """Integrals and total mass after one step with each key."""

    def after(key):
        new = flow.step(key, state)[0].measure
        return integrals(new) | {"mass": jnp.sum(new.mass)}

    return jax.vmap(after)(keys)


@pytest.mark.parametrize("start", MEASURES.values(), ids=MEASURES.keys())
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_step_is_update_e21_in_expectation(scheme: str, start: Measure):
    """E int h drho_{t+1} = (1 - eta sigma) int h d(moved rho_t) + eta sigma int h dU."""
    problem, step_size, noise = logistic(), 0.2, 1.5
    share = step_size * noise
    flow = jm.perturbed_flow(problem, step_size=step_size, noise=noise, scheme=scheme)
    keys = jax.random.split(jax.random.key(0), 20_000)
    draws = many_steps_from(flow, replaced(flow, start), keys)
    mass = draws.pop("mass")
    before = integrals(moved(problem, start, step_size))
    for name, (_, uniform) in FUNCTIONS.items():
        expected = (1 - share) * float(before[name]) + share * uniform
        assert_mean(draws[name], expected, name)
    if scheme == "reinitialize":
        assert_mean(mass, (1 - share) * float(jnp.sum(start.mass)) + share)
    else:  # thinning keeps the second moment exactly, and the masses are the weights
        np.testing.assert_allclose(draws["|theta|^2"], draws["|theta|^2"][0], rtol=1e-5)
        np.testing.assert_allclose(mass, draws["|theta|^2"], rtol=1e-5)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_step_under_schedules_is_that_update_with_the_rates_of_its_count(scheme: str):
    """After 6 steps: eta = .05 * 2 = .1 and sigma = 8 / 2^(6 / 3) = 2."""
    flow = jm.perturbed_flow(
        logistic(), scheme=scheme,
        step_size=optax.linear_schedule(0.05, 0.15, 12), noise=optax.exponential_decay(8, 3, 0.5),
    )  # fmt: skip
    start = MEASURES["probability"]
    state = replaced(flow, start)._replace(step=jnp.asarray(6))
    draws = many_steps_from(flow, state, jax.random.split(jax.random.key(0), 20_000))
    before = integrals(moved(logistic(), start, 0.1))
    for name, (_, uniform) in FUNCTIONS.items():
        assert_mean(draws[name], 0.8 * float(before[name]) + 0.2 * uniform, name)


def straight(matrix, lam: float = 0.0) -> jm.MeanField:
    """A linear risk: no particle feels another, so that the mean over many steps is known."""
    return jm.MeanField(
        phi=lambda theta: (theta @ jnp.asarray(matrix) @ theta)[None],
        loss=jnp.sum,
        potential=lambda theta: lam * jnp.sum(theta**2),
    )


@pytest.mark.parametrize(("scheme", "m"), [("weighted", 5), ("weighted", 1), ("reinitialize", 5)])
def test_many_steps_are_unbiased(scheme: str, m: int):
    """The matrix of second moments follows M <- (1 - p) B M B + p I / D."""
    half = np.array([[-1.0, 0.5, 0.0], [0.5, 0.5, 0.2], [0.0, 0.2, 1.0]], np.float32)
    step_size, noise, num_steps = 0.05, 1.0, 30
    start = measure(m, total=1.7)
    flow = jm.perturbed_flow(straight(half), step_size=step_size, noise=noise, scheme=scheme)

    def moments(key):
        state = replaced(flow, start)
        for_each = jax.random.split(key, num_steps)
        end = jax.lax.scan(lambda s, k: (flow.step(k, s)[0], None), state, for_each)[0].measure
        return jnp.einsum("j,ja,jb->ab", end.mass, end.theta, end.theta)

    found = jax.jit(jax.vmap(moments))(jax.random.split(jax.random.key(1), 10_000))
    transport = np.eye(3) - 2 * step_size * half
    theta = np.asarray(start.theta, np.float64)
    expected = theta.T @ (np.asarray(start.mass, np.float64)[:, None] * theta)
    for _ in range(num_steps):
        expected = transport @ expected @ transport
        expected = (1 - step_size * noise) * expected + step_size * noise * np.eye(3) / 3
    for i, j in np.ndindex(3, 3):
        assert_mean(found[:, i, j], float(expected[i, j]), f"{i}{j}")


def test_a_heavy_particle_outlives_its_first_mass():
    """It grows as fast as the noise takes from it; e^{-150} of its mass is left after 30,000 steps.

    The others decay, and are never as heavy, so that no thinning ever takes the first.
    """
    share, step_size = 0.005, 0.1
    growth = ((1 - share) ** -0.5 - 1) / (2 * step_size)
    half = np.diag([-growth, 0.5, 0.5]).astype("float32")
    flow = jm.perturbed_flow(
        straight(half), step_size=step_size, noise=share / step_size, scheme="weighted"
    )
    heavy = Measure(jnp.eye(3), jnp.array([1000.0, 1e-3, 1e-3]))
    end = trajectory(flow, flow.init(heavy), 30_000)[0].measure
    np.testing.assert_allclose(end.mass[0] * jnp.sum(end.theta[0] ** 2), 1000, rtol=0.01)
    np.testing.assert_allclose(jnp.linalg.norm(end.theta, axis=1), 1, rtol=1e-5)


def test_small_probabilities_are_right():
    """One uniform float16 draw is a multiple of 1e-3, and cannot tell smaller numbers apart."""
    draws = 2**20
    many = jax.jit(partial(happens, shape=(draws,)))
    for probability in (0.0, 1e-4, 3e-3, 0.25, 1.0):
        count = int(many(jax.random.key(0), jnp.float16(probability)).sum())
        exact = float(jnp.float16(probability))
        assert abs(count - draws * exact) <= 4 * np.sqrt(draws * exact * (1 - exact))


@jax.jit
@partial(jax.vmap, in_axes=(0, None, None))
def thin(key, start: Measure, share):
    return add_and_thin(key, start, share, jnp.float32(1), None)


def thinned(theta, mass, share: float, num_keys: int = 4_000):
    start = Measure(jnp.asarray(theta, float), jnp.asarray(mass, float))
    return thin(jax.random.split(jax.random.key(3), num_keys), start, jnp.float32(share))


E0, E1, E2 = np.eye(3)


def test_thinning_of_empty_slots_takes_the_newborn():
    for m in (1, 3):
        new = thinned(np.zeros((m, 3)), np.zeros(m), 0.25)
        np.testing.assert_allclose(jnp.sum(new.mass, 1), 0.25)
        assert (np.sort(new.mass, axis=1)[:, :-1] == 0).all()
        born = jnp.take_along_axis(new.theta, jnp.argmax(new.mass, 1)[:, None, None], 1)[:, 0]
        np.testing.assert_allclose(jnp.linalg.norm(born, axis=1), 1, rtol=1e-6)
    # With two empty slots and one particle that particle stays what it is.
    new = thinned([2 * E0, 0 * E1, 0 * E2], [0.1, 0, 0], 0.25)
    np.testing.assert_allclose(new.mass[:, 0], 0.3, rtol=1e-6)
    np.testing.assert_array_equal(new.theta[:, 0], np.broadcast_to(E0, (4_000, 3)))
    np.testing.assert_allclose(np.sort(new.mass, axis=1)[:, :2], [[0, 0.25]] * 4_000, rtol=1e-6)


def test_thinning_of_one_slot():
    """Weight 0.4 * 0.75 against a newborn of 0.25: it stays 6 times of 11."""
    new = thinned([2 * E0], [0.1], 0.25)
    np.testing.assert_allclose(new.mass[:, 0], 0.55, rtol=1e-6)
    assert_mean(new.theta[:, 0, 0] == 1, 0.3 / 0.55)


def test_thinning_when_the_newborn_is_among_the_lightest():
    new = thinned([E0, E1, E2], [3.0, 0.5, 4.0], 0.2)
    np.testing.assert_allclose(new.mass, [[2.4, 0.6, 3.2]] * 4_000, rtol=1e-6)
    assert_mean(new.theta[:, 1, 1] == 1, 0.4 / 0.6)


def test_thinning_when_the_newborn_is_heavier():
    """The two lightest, slots 2 and 0, become one in slot 0; the newborn gets the other."""
    new = thinned([E0, E1, E2], [0.5, 4.0, 0.25], 0.2 + 0.3)
    np.testing.assert_allclose(new.mass, [[0.375, 2.0, 0.5]] * 4_000, rtol=1e-6)
    assert_mean(new.theta[:, 0, 0] == 1, 2 / 3)
    assert_mean(new.theta[:, 0, 2] == 1, 1 / 3)
    assert_mean(new.theta[:, 2, 0], 0.0)
