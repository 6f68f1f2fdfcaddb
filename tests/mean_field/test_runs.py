"""Runs against a loop of `flow.step`: records, halves, early stop, divergence, compilation."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from jaxmargin.mean_field.measure import Measure

SCHEMES = ["reinitialize", "weighted"]
KEY = jax.random.key(5)


def normal(*shape: int, seed: int = 0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), "float32")


def problem(seed: int = 0, n: int = 6) -> jm.MeanField:
    y = jnp.sign(normal(n, seed=seed + 50))
    return jm.two_layer_problem(normal(n, 2, seed=seed), y, "logistic", lam=0.1)


def particles(m: int = 5) -> Measure:
    return Measure(normal(m, 3, seed=9), jnp.full(m, 1 / m, "float32"))


def perturbed(
    scheme: str = "reinitialize", *, step_size=0.1, noise=0.5, **options
) -> jm.mean_field.Flow:
    return jm.perturbed_flow(problem(), step_size=step_size, noise=noise, scheme=scheme, **options)


@jax.jit
def step(flow: jm.mean_field.Flow, key, state: jm.mean_field.FlowState):
    return flow.step(jax.random.fold_in(key, state.step), state)


def loop(flow: jm.mean_field.Flow, state: jm.mean_field.FlowState, num_steps: int):
    """The final state, and the energies of all num_steps + 1 states."""
    energies = []
    for _ in range(num_steps):
        state, info = step(flow, KEY, state)
        energies.append(float(info.energy))
    return state, np.array([*energies, float(step(flow, KEY, state)[1].energy)])


def assert_same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_run_is_a_loop_of_steps(scheme: str):
    """25 steps with a record every 10: the end is recorded as well."""
    flow = perturbed(scheme)
    start = flow.init(particles())
    state, history = jm.run_flow(KEY, flow, start, num_steps=25, record=10)
    expected, energies = loop(flow, start, 25)
    assert history.step.tolist() == [0, 10, 20, 25]
    assert history.metrics is None
    np.testing.assert_allclose(history.energy, energies[[0, 10, 20, 25]], rtol=1e-5)
    lowest = np.minimum.accumulate(energies)[[0, 10, 20, 25]]
    np.testing.assert_allclose(history.lowest, lowest, rtol=1e-5)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), state, expected)
    assert int(state.step) == 25


def test_lowest_sees_what_no_record_does():
    """One record, at the end: noise drives the energy up and down between."""
    flow = perturbed(noise=3.0)
    start = flow.init(particles(1))
    _, history = jm.run_flow(KEY, flow, start, num_steps=60, record=60)
    energies = loop(flow, start, 60)[1]
    assert energies.min() < energies[[0, -1]].min() - 1e-3
    np.testing.assert_allclose(history.lowest[-1], energies.min(), rtol=1e-5)


@pytest.mark.parametrize("flow", [perturbed("reinitialize"), perturbed("weighted", safeguard=True)],
                         ids=SCHEMES)  # fmt: skip
def test_two_halves_are_the_whole(flow: jm.mean_field.Flow):
    whole = partial(jm.run_flow, flow, KEY, record=10, metrics=jm.second_moment)
    start = flow.init(particles())
    end, history = whole(start, num_steps=60)
    middle, first = whole(start, num_steps=30)
    again, second = whole(middle, num_steps=30)
    assert_same(again, end)
    for name in ("step", "energy", "metrics"):
        parts = [getattr(first, name), getattr(second, name)[1:]]
        assert_same(jnp.concatenate(parts), getattr(history, name))
    joined = jnp.concatenate([first.lowest, jnp.minimum(first.lowest[-1], second.lowest[1:])])
    assert_same(joined, history.lowest)


def test_metrics_are_any_pytree_of_the_measure():
    def metrics(measure):
        return {"moment": jm.second_moment(measure), "all": (measure.theta, 3, jnp.array(True))}

    flow = perturbed()
    start = flow.init(particles())
    state, history = jm.run_flow(KEY, flow, start, num_steps=7, record=3, metrics=metrics)
    assert history.step.tolist() == [0, 3, 6, 7]
    assert jax.tree.map(jnp.shape, history.metrics) == {
        "moment": (4,),
        "all": ((4, 5, 3), (4,), (4,)),
    }
    theta, three, true = history.metrics["all"]
    assert_same(theta[0], start.measure.theta)
    assert_same(theta[-1], state.measure.theta)
    assert three.tolist() == [3] * 4
    assert true.all()
    np.testing.assert_allclose(
        history.metrics["moment"][-1], jm.second_moment(state.measure), rtol=1e-6
    )


def stop_at(step: int):
    return lambda record: record.step >= step


@pytest.mark.parametrize(("at", "steps"), [(0, [0]), (11, [0, 10, 20]), (99, [0, 10, 20, 25])])
def test_a_run_ends_at_the_first_record_that_says_so(at: int, steps: list[int]):
    flow, calls = perturbed(), []
    start = flow.init(particles())
    state, history = jm.run_flow(
        KEY, flow, start, num_steps=25, record=10, metrics=jm.second_moment,
        stop=stop_at(at), on_record=lambda: calls.append(1),
    )  # fmt: skip
    assert history.step.tolist() == steps
    assert {len(leaf) for leaf in jax.tree.leaves(history)} == {len(steps)}
    assert len(calls) == len(steps)
    assert int(state.step) == steps[-1]
    expected = start
    if steps[-1]:
        expected, _ = jm.run_flow(KEY, flow, start, num_steps=steps[-1], record=10)
    assert_same(state, expected)


def test_stop_may_ask_for_metrics_and_energies():
    flow = jm.wasserstein_flow(problem(), step_size=0.1)
    _, history = jm.run_flow(
        KEY, flow, flow.init(particles()), num_steps=200, record=10, metrics=jm.second_moment,
        stop=lambda record: (record.energy < 3.9) & (record.metrics > 0),
    )  # fmt: skip
    assert 1 < len(history.step) < 21
    assert (history.energy[:-1] >= 3.9).all()
    assert history.energy[-1] < 3.9


def test_callbacks_come_once_a_record_on_several_devices():
    flow, calls = perturbed(devices=jax.devices()), []
    state = flow.init(particles())
    state, history = jm.run_flow(
        KEY, flow, state, num_steps=20, record=7, on_record=lambda: calls.append(1)
    )
    assert len(calls) == len(history.step) == 4
    assert len(state.measure.theta.sharding.device_set) == 8


def diverging(*, safeguard: bool = False) -> tuple[jm.mean_field.Flow, jm.mean_field.FlowState]:
    steep = jm.two_layer_problem(10 * normal(6, 2), normal(6), "squared", lam=0.1)
    flow = jm.wasserstein_flow(steep, step_size=1.0, safeguard=safeguard)
    return flow, flow.init(particles())


def broken_at(flow: jm.mean_field.Flow, state: jm.mean_field.FlowState) -> int:
    t = 0
    while True:
        state, info = step(flow, KEY, state)
        if not np.isfinite(info.energy):
            return t
        t += 1


def test_a_diverged_run_says_where_and_what_to_do():
    flow, start = diverging()
    first = broken_at(flow, start)
    assert first > 1
    for num_steps, record in ((50, 10), (first, first), (first, 1)):
        with pytest.raises(jm.DivergenceError, match="lower step_size, take safeguard") as caught:
            jm.run_flow(KEY, flow, start, num_steps=num_steps, record=record)
        assert caught.value.step == first
        assert f"at step {first} of {num_steps}" in str(caught.value)
    state, history = jm.run_flow(KEY, flow, start, num_steps=first - 1)
    assert bool(jnp.isfinite(history.energy).all())
    with pytest.raises(jm.DivergenceError) as caught:
        jm.run_flow(KEY, flow, state, num_steps=5)
    assert caught.value.step == first


def test_a_start_without_a_finite_energy_is_step_0():
    flow, start = diverging()
    huge = start._replace(measure=start.measure._replace(theta=start.measure.theta * 1e15))
    with pytest.raises(jm.DivergenceError, match="not finite at step 0 of 5") as caught:
        jm.run_flow(KEY, flow, huge, num_steps=5)
    assert caught.value.step == 0


def test_the_safeguard_saves_a_run_that_diverges():
    flow, start = diverging(safeguard=True)
    _, history = jm.run_flow(KEY, flow, start, num_steps=200, record=20)
    energy = np.asarray(history.energy)
    assert (np.diff(energy) <= 1e-5 * energy[:-1]).all()
    assert energy[-1] < 0.1 * energy[0]


class Counted:
    """A phi that counts its traces; one instance is one function, whatever its data."""

    def __init__(self):
        self.traces = 0

    def __call__(self, x, theta):
        self.traces += 1
        return theta[0] * jax.nn.relu(x @ theta[1:])


def sum_of_squares(y, outputs):
    return jnp.sum((outputs - y) ** 2)


def norm_squared(theta):
    return 0.1 * jnp.sum(theta**2)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_other_data_step_sizes_noises_and_lengths_compile_nothing(scheme: str):
    phi = Counted()

    def run(seed: int, step_size: float, noise: float, num_steps: int):
        one = jm.MeanField(
            jax.tree_util.Partial(phi, normal(6, 2, seed=seed)),
            jax.tree_util.Partial(sum_of_squares, normal(6, seed=seed)),
            norm_squared,
        )
        flow = jm.perturbed_flow(one, step_size=step_size, noise=noise, scheme=scheme)
        start = flow.init(particles())
        before = phi.traces
        state, history = jm.run_flow(KEY, flow, start, num_steps=num_steps, record=10)
        return phi.traces - before, state, history

    first, state, history = run(0, 0.02, 0.1, 15)
    assert first > 0
    again, other_state, other_history = run(1, 0.01, 0.5, 18)
    assert again == 0
    assert other_history.step.tolist() == [0, 10, 18]
    assert not np.allclose(history.energy, other_history.energy)
    assert not np.allclose(state.measure.theta[0], other_state.measure.theta[0])


def test_a_run_of_float32_keeps_it_under_x64_and_float64_works():
    with jax.enable_x64(True):
        for dtype in ("float32", "float64"):
            data = jax.tree.map(lambda leaf, to=dtype: leaf.astype(to), problem())
            flow = jm.perturbed_flow(data, step_size=0.1, noise=0.1)
            start = flow.init(Measure(*(leaf.astype(dtype) for leaf in particles())))
            state, history = jm.run_flow(KEY, flow, start, num_steps=12, record=10)
            floats = (*state.measure, state.step_size, history.energy, history.lowest)
            assert {str(leaf.dtype) for leaf in floats} == {dtype}


@pytest.mark.parametrize("m", [1, 7])
def test_any_number_of_particles_on_any_number_of_devices(m: int):
    flow = perturbed("weighted", devices=jax.devices()[:3])
    state, history = jm.run_flow(KEY, flow, flow.init(particles(m)), num_steps=20, record=20)
    assert len(state.measure.mass) % 3 == 0
    assert bool(jnp.isfinite(history.energy).all())
