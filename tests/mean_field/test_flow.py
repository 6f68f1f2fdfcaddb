"""Flows against the lemmas of section E and against gradient descent of networks."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from jaxmargin.mean_field.measure import Measure
from tests.mean_field.flows import integrals, logistic, measure, moved, normal, replaced, trajectory

SCHEMES = ["reinitialize", "weighted"]


def test_without_noise_both_schemes_are_the_plain_flow():
    problem, start = logistic(), measure(6)
    plain = jm.wasserstein_flow(problem, step_size=0.1)
    expected = integrals(trajectory(plain, plain.init(start))[0].measure)
    for scheme in SCHEMES:
        flow = jm.perturbed_flow(problem, step_size=0.1, noise=0.0, scheme=scheme)
        found = integrals(trajectory(flow, flow.init(start))[0].measure)
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("loss", ["logistic", "squared", "cross_entropy"])
def test_the_plain_flow_is_gradient_descent_on_units(loss: str):
    """On (w_j, u_j) = sqrt(mass_j) theta_j with the same eta, whatever the masses."""
    with jax.enable_x64(True):
        x, k = normal(5, 2, dtype=float), None
        if loss == "cross_entropy":
            k, y = 3, jnp.array([0, 2, 1, 1, 0])
            problem = jm.two_layer_problem(x, y, "cross_entropy", k=k, lam=0.1)
        else:
            y = jnp.sign(normal(5, seed=100, dtype=float))
            make = (
                partial(jm.two_layer_problem, loss="logistic")
                if loss == "logistic"
                else partial(jm.two_layer_problem, loss="squared")
            )
            problem = make(x, y, lam=0.1)
        start = measure(7, 2 + (k or 1), dtype=float)
        mean = jm.regularized(jm.two_layer, loss, lam=0.1 / len(x))

        def objective(units):
            return len(x) * mean(units, x, y)

        flow = jm.wasserstein_flow(problem, step_size=0.05)
        state, units = flow.init(start), jm.as_network(problem, start)
        descend = jax.jit(jax.value_and_grad(objective))
        for _ in range(5):
            value, slopes = descend(units)
            units = jax.tree.map(lambda a, b: a - 0.05 * b, units, slopes)
            state, info = trajectory(flow, state)
            np.testing.assert_allclose(info.energy, [value], rtol=1e-12)
            found = jm.as_network(problem, state.measure)
            jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-10), found, units)
        np.testing.assert_array_equal(state.measure.mass, start.mass)


def test_the_energy_of_the_plain_flow_falls_as_lemma_e11_says():
    """dL/dt = -E |v|^2, to first order in the step."""
    with jax.enable_x64(True):
        problem, start = logistic(dtype=float), measure(9, dtype=float)
        rate = -jnp.sum(start.mass * jnp.sum(jm.velocity(problem, start, start.theta) ** 2, 1))

        def error(step_size: float) -> float:
            flow = jm.wasserstein_flow(problem, step_size=step_size)
            state, info = trajectory(flow, flow.init(start))
            return float((jm.energy(problem, state.measure) - info.energy[0]) / step_size - rate)

        coarse, fine = error(1e-4), error(5e-5)
        assert abs(fine) < 1e-3 * abs(rate)
        np.testing.assert_allclose(coarse / fine, 2, rtol=0.02)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_perturbed_energy_changes_as_lemma_e11_says(scheme: str):
    """dL/dt = <L', drho/dt> = -sigma E_rho L' + sigma E_U L' - E |v|^2; here E_U L' = lam."""
    with jax.enable_x64(True):
        problem, start = logistic(dtype=float), measure(9, dtype=float)
        noise, step_size = 100.0, 1e-4

        def slope(of: Measure):
            return jnp.sum(of.mass * jm.first_variation(problem, start, of.theta))

        flow = jm.perturbed_flow(problem, step_size=step_size, noise=noise, scheme=scheme)
        state = replaced(flow, start)
        keys = jax.random.split(jax.random.key(0), 50_000)
        after = jax.jit(jax.vmap(lambda key: slope(flow.step(key, state)[0].measure)))(keys)
        speed = jnp.sum(start.mass * jnp.sum(jm.velocity(problem, start, start.theta) ** 2, 1))
        rate = noise * (0.1 - slope(start)) - speed
        found = (np.asarray(after) - float(slope(start))) / step_size
        error = found.std() / np.sqrt(len(found))
        assert error < 0.2 * abs(rate)
        assert abs(found.mean() - rate) < 5 * error + 0.02 * abs(rate)


def bounds(problem: Any) -> tuple[float, float]:
    """b_V and B_L = M_R B_Phi + B_V of assumptions E.1 to E.3, for the logistic problem."""
    x, lam = np.asarray(problem.phi.x), float(problem.potential.lam)
    return lam, np.sqrt(len(x)) * np.linalg.norm(x, 2) / 2 + lam


@pytest.mark.parametrize("scheme", SCHEMES)
def test_energy_and_second_moment_stay_within_lemmas_e5_and_e13(scheme: str):
    problem, noise, step_size = logistic(12, lam=0.3), 1e-3, 0.02
    floor, ceiling = bounds(problem)
    flow = jm.perturbed_flow(problem, step_size=step_size, noise=noise, scheme=scheme)
    start = flow.init(measure(200))
    _, history = jm.run_flow(
        jax.random.key(4), flow, start, num_steps=500, record=25, metrics=jm.second_moment
    )
    time = step_size * np.asarray(history.step)
    energy, moment = np.asarray(history.energy), np.asarray(history.metrics)
    assert noise * time[-1] * ceiling < floor
    assert (moment <= (energy[0] + noise * time * ceiling) / (floor - noise * time * ceiling)).all()
    rise = energy[None, :] - energy[:, None]
    allowed = noise * (time[None, :] - time[:, None]) * ceiling * (moment.max() + 1)
    later = np.triu(np.ones_like(rise), 1) > 0
    assert (rise <= allowed)[later].all()


def test_collapsed_particles_stay_and_perturbed_ones_escape():
    """16 points, 64 particles in one direction: the plain flow has one unit for ever."""
    x = normal(16, 2, seed=3)
    problem = jm.two_layer_problem(x, jnp.sign(x[:, 0] * x[:, 1]), "logistic", lam=0.1)
    start = Measure(jnp.tile(jnp.array([0.3, 0.2, -0.1]), (64, 1)), jnp.full(64, 1 / 64))
    run = partial(jm.run_flow, jax.random.key(0), num_steps=4_000, record=4_000)
    plain = jm.wasserstein_flow(problem, step_size=0.03)
    state, stuck = run(plain, state=plain.init(start))
    theta = np.asarray(state.measure.theta)
    np.testing.assert_array_equal(theta, np.broadcast_to(theta[0], theta.shape))
    free = jm.sample_sphere(jax.random.key(5), 64, 3)
    best = run(plain, state=plain.init(Measure(free, start.mass)))[1].lowest[-1]
    for scheme in SCHEMES:
        flow = jm.perturbed_flow(problem, step_size=0.03, noise=1e-2, scheme=scheme)
        found = float(run(flow, state=flow.init(start))[1].lowest[-1])
        assert found < 0.8 * float(stuck.lowest[-1])
        assert found < 1.02 * float(best)


SAFEGUARDED: dict[str, Callable[..., jm.mean_field.Flow]] = {
    "plain": jm.wasserstein_flow,
    "reinitialize": partial(jm.perturbed_flow, noise=0.0),
    "weighted": partial(jm.perturbed_flow, noise=0.0, scheme="weighted"),
}


@pytest.mark.parametrize("make", SAFEGUARDED.values(), ids=SAFEGUARDED.keys())
def test_the_safeguard_never_lets_the_energy_rise(make: Callable[..., jm.mean_field.Flow]):
    problem, start = logistic(40, lam=0.5), measure(10)
    wild = jm.wasserstein_flow(problem, step_size=3.0)
    energy = np.asarray(trajectory(wild, wild.init(start), 60)[1].energy)
    assert not (energy < 1e6).all()
    tame = make(problem, step_size=3.0, safeguard=True)
    state, info = trajectory(tame, tame.init(start), 60)
    energy = np.asarray(info.energy)
    assert (np.diff(energy) <= 1e-5 * energy[:-1]).all()
    assert jm.energy(problem, state.measure) < 0.85 * energy[0]
    assert float(jnp.min(info.step_size)) < 1.5


def test_the_step_size_recovers():
    problem = logistic(40, lam=0.5, smoothing=0.5)
    flow = jm.wasserstein_flow(problem, step_size=0.02, safeguard=True)
    small = flow.init(measure(10))._replace(step_size=jnp.float32(1e-3))
    _, info = trajectory(flow, small, 40)
    sizes = np.asarray(info.step_size)
    np.testing.assert_allclose(sizes, np.minimum(1e-3 * 1.2 ** np.arange(40), 0.02), rtol=1e-4)


@pytest.mark.parametrize("make", SAFEGUARDED.values(), ids=SAFEGUARDED.keys())
def test_the_safeguard_leaves_small_steps_alone(make: Callable[..., jm.mean_field.Flow]):
    problem, start = logistic(), measure(10)
    flows = [make(problem, step_size=1e-2, safeguard=safe) for safe in (False, True)]
    plain, safe = (trajectory(flow, flow.init(start), 50) for flow in flows)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=2e-6, atol=1e-7), safe, plain)


def test_a_flow_has_its_own_step_size_whatever_the_state_s():
    problem = logistic()
    slow, fast = (jm.wasserstein_flow(problem, step_size=eta) for eta in (0.01, 0.1))
    state = trajectory(slow, slow.init(measure(4)))[0]
    new, info = trajectory(fast, state)
    assert float(info.step_size[0]) == np.float32(0.1)
    expected = moved(problem, state.measure, 0.1)
    np.testing.assert_allclose(new.measure.theta, expected.theta, rtol=1e-5)
    careful = jm.wasserstein_flow(problem, step_size=0.005, safeguard=True)
    assert float(trajectory(careful, state)[1].step_size[0]) == np.float32(0.005)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_is_kept(scheme: str, dtype: str):
    with jax.enable_x64(True):
        flow = jm.perturbed_flow(
            logistic(dtype=dtype), step_size=0.1, noise=0.5, scheme=scheme, safeguard=True
        )
        state, info = jax.eval_shape(
            flow.step, jax.random.key(0), flow.init(measure(6, dtype=dtype))
        )
        leaves = jax.tree.leaves((state.measure, state.step_size, info))
        assert {str(leaf.dtype) for leaf in leaves} == {dtype}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("m", [1, 7])
def test_any_number_of_particles(scheme: str, m: int):
    flow = jm.perturbed_flow(logistic(), step_size=0.1, noise=0.5, scheme=scheme, reserve=None)
    state, info = trajectory(flow, flow.init(measure(m)), 50)
    assert state.measure.mass.shape == (2 * m if scheme == "weighted" else m,)
    assert bool(jnp.isfinite(info.energy).all())


def test_the_reserve_is_as_asked():
    make = partial(jm.perturbed_flow, logistic(), step_size=0.1, noise=0.5, scheme="weighted")
    for reserve, slots in ((None, 10), (0, 5), (3, 8)):
        state = make(reserve=reserve).init(measure(5))
        assert state.measure.mass.shape == (slots,)
        assert not state.measure.mass[5:].any()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_many_problems_at_once_are_a_loop(scheme: str):
    problems = [logistic(lam=0.1 * (i + 1), seed=i) for i in range(3)]
    noises = jnp.array([0.3, 0.6, 0.9])

    def end(problem, noise, start):
        flow = jm.perturbed_flow(problem, step_size=0.1, noise=noise, scheme=scheme)
        return trajectory(flow, flow.init(start), 3)

    starts = jax.tree.map(lambda *a: jnp.stack(a), *[measure(4, total=s) for s in (1.0, 0.5, 2.0)])
    stacked = jax.tree.map(lambda *a: jnp.stack(a), *problems)
    one_by_one = jax.jit(end)
    together = jax.jit(jax.vmap(end))(stacked, noises, starts)
    for i, problem in enumerate(problems):
        alone = one_by_one(problem, noises[i], jax.tree.map(lambda a, i=i: a[i], starts))
        one = jax.tree.map(lambda a, i=i: a[i], together)
        jax.tree.map(partial(np.testing.assert_allclose, rtol=2e-5, atol=1e-6), one, alone)
