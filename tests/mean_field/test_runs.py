"""Runs against a loop of `flow.step`: records, halves, stop, trials, divergence, compilation."""

import pickle
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
    whole = partial(jm.run_flow, KEY, flow, record=10, metrics=jm.second_moment)
    start = flow.init(particles())
    end, history = whole(start, num_steps=60)
    middle, first = whole(start, num_steps=30)
    again, second = whole(middle, num_steps=30, lowest=first.lowest[-1])
    assert_same(again, end)
    for name in ("step", "energy", "lowest", "metrics"):
        parts = [getattr(first, name), getattr(second, name)[1:]]
        assert_same(jnp.concatenate(parts), getattr(history, name))


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


class Told:
    """An `on_record` that keeps what it was told."""

    def __init__(self):
        self.steps: list[int] = []
        self.records: list[jm.mean_field.FlowHistory] = []

    def __call__(self, step: int, record: jm.mean_field.FlowHistory) -> None:
        assert type(step) is int
        assert all(isinstance(leaf, np.ndarray | np.generic) for leaf in jax.tree.leaves(record))
        self.steps.append(step)
        self.records.append(record)

    def assert_are(self, history: jm.mean_field.FlowHistory) -> None:
        assert self.steps == history.step.tolist()
        assert_same(jax.tree.map(lambda *leaves: np.stack(leaves), *self.records), history)


def test_records_at_listed_steps_are_those_of_all_steps():
    flow = perturbed()
    start = flow.init(particles())
    every = jm.run_flow(KEY, flow, start, num_steps=25, record=1, metrics=jm.second_moment)
    run = jm.run_flow(KEY, flow, start, num_steps=25, record=[3, 20, 4], metrics=jm.second_moment)
    assert run.history.step.tolist() == [0, 3, 4, 20, 25]
    assert_same(run.history, jax.tree.map(lambda leaf: leaf[run.history.step], every.history))
    assert_same(run.state, every.state)


def test_a_run_can_be_pickled():
    flow = perturbed()
    run = jm.run_flow(KEY, flow, flow.init(particles()), num_steps=5, metrics=jm.second_moment)
    again = pickle.loads(pickle.dumps(run))
    assert isinstance(again, jm.mean_field.FlowRun)
    assert_same(again, run)


def stop_at(step: int):
    return lambda record: record.step >= step


@pytest.mark.parametrize(("at", "steps"), [(0, [0]), (11, [0, 10, 20]), (99, [0, 10, 20, 25])])
def test_a_run_ends_at_the_first_record_that_says_so(at: int, steps: list[int]):
    flow, told = perturbed(), Told()
    start = flow.init(particles())
    state, history = jm.run_flow(
        KEY, flow, start, num_steps=25, record=10, metrics=jm.second_moment,
        stop=stop_at(at), on_record=told,
    )  # fmt: skip
    assert history.step.tolist() == steps
    assert {len(leaf) for leaf in jax.tree.leaves(history)} == {len(steps)}
    told.assert_are(history)
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
    flow, told = perturbed(devices=jax.devices()), Told()
    state = flow.init(particles())
    state, history = jm.run_flow(
        KEY, flow, state, num_steps=20, record=7, metrics=lambda measure: measure, on_record=told
    )
    assert len(history.step) == 4
    told.assert_are(history)
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
        assert caught.value.trial is None
        assert f"at step {first} of {num_steps}" in str(caught.value)
        state, history = caught.value.result
        assert int(state.step) == first == history.step[-1]
        assert np.isfinite(history.energy).tolist() == [True] * (len(history.step) - 1) + [False]
        assert np.isfinite(history.lowest).all()
    state, history = jm.run_flow(KEY, flow, start, num_steps=first - 1)
    assert bool(jnp.isfinite(history.energy).all())
    with pytest.raises(jm.DivergenceError, match=f"at step {first} of {first + 4}") as caught:
        jm.run_flow(KEY, flow, state, num_steps=5)
    assert caught.value.step == first
    again = pickle.loads(pickle.dumps(caught.value))
    assert_same(again.result, caught.value.result)


def test_a_start_without_a_finite_energy_is_step_0():
    flow, start = diverging()
    huge = start._replace(measure=start.measure._replace(theta=start.measure.theta * 1e15))
    with pytest.raises(jm.DivergenceError, match=r"step 0 of 5, .* no step was taken") as caught:
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


def stacked(trees: list):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def row(tree, i: int):
    return jax.tree.map(lambda leaf: leaf[i], tree)


def several(count: int, scheme: str = "reinitialize") -> tuple[list, list]:
    """Flows with data, step sizes and noises of their own, and the start of each."""
    flows = [
        jm.perturbed_flow(problem(i), step_size=0.02 + 0.01 * i, noise=0.2 * i, scheme=scheme)
        for i in range(count)
    ]
    starts = [flow.init(particles()._replace(theta=normal(5, 3, seed=i)))
              for i, flow in enumerate(flows)]  # fmt: skip
    return flows, starts


@pytest.mark.parametrize(("scheme", "count"), [("reinitialize", 1), ("weighted", 16)])
def test_trials_are_single_runs(scheme: str, count: int):
    """On 1 and 8 devices, with records at listed steps; the keys are split, or given."""
    flows, starts = several(count, scheme)
    settings: dict = {"num_steps": 20, "record": [1, 7], "metrics": jm.second_moment}
    told, keys = Told(), jax.random.split(KEY, count)
    run = jm.run_flow(KEY, stacked(flows), stacked(starts), trials=True, on_record=told, **settings)
    assert run.history.step.tolist() == [0, 1, 7, 20]
    assert run.history.energy.shape == run.history.metrics.shape == (count, 4)
    assert len(run.state.measure.theta.sharding.device_set) == min(count, 8)
    assert sorted(told.steps) == sorted(run.history.step.tolist() * count)
    energies = [float(record.energy) for record in told.records]
    assert sorted(energies) == sorted(run.history.energy.ravel().tolist())
    same = jm.run_flow(
        keys, stacked(flows), stacked(starts), trials=True, on_record=told, **settings
    )
    assert_same(same, run)
    for i in range(min(count, 3)):
        state, history = jm.run_flow(keys[i], flows[i], starts[i], **settings)
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5),
                     (row(run.state, i), row(run.history._replace(step=None), i)),
                     (state, history._replace(step=None)))  # fmt: skip


def test_trials_go_on_where_they_were():
    flows, starts = several(3)
    whole = partial(jm.run_flow, KEY, stacked(flows), trials=True, record=10)
    end, history = whole(stacked(starts), num_steps=40)
    middle, _ = whole(stacked(starts), num_steps=20)
    again, second = whole(middle, num_steps=20)
    assert_same(again, end)
    assert second.step.tolist() == [20, 30, 40]
    assert_same(second.energy, history.energy[:, 2:])


def test_a_trial_that_diverges_leaves_the_others_alone():
    flows = [
        jm.wasserstein_flow(
            jm.two_layer_problem(10 * normal(6, 2), normal(6), "squared", lam=0.1),
            step_size=step_size,
        )
        for step_size in (1e-4, 1.0, 2e-4, 2.0)
    ]
    starts = [flow.init(particles()) for flow in flows]
    first = [broken_at(flows[i], starts[i]) for i in (1, 3)]
    told = Told()
    with pytest.raises(jm.DivergenceError, match=r"in trial 1 \(2 of 4 did\)") as caught:
        jm.run_flow(KEY, stacked(flows), stacked(starts), num_steps=30, record=10, trials=True,
                    on_record=told)  # fmt: skip
    assert (caught.value.trial, caught.value.step) == (1, first[0])
    state, history = caught.value.result
    assert state.step.tolist() == [30, first[0], 30, first[1]]
    assert history.step.tolist() == [0, 10, 20, 30]
    assert np.isfinite(history.energy[np.array([0, 2])]).all()
    assert (np.isfinite(history.energy[1]) == (history.step < first[0])).all()
    assert np.isfinite(history.lowest).all()
    alone = jm.run_flow(KEY, flows[0], starts[0], num_steps=30, record=10)
    np.testing.assert_allclose(history.energy[0], alone.history.energy, rtol=1e-5)
    # One record more of each that diverged, at the step where it did.
    assert sorted(told.steps) == sorted(
        [0] * 4 + [10, 20, 30] * 2 + [s for at in first for s in (*range(10, at, 10), at)]
    )


def test_trials_need_a_common_axis_and_step():
    flows, starts = several(2)
    flow, state = stacked(flows), stacked(starts)
    run = partial(jm.run_flow, num_steps=2, trials=True)
    with pytest.raises(ValueError, match=r"^flow\.init.* leading trial axis t = 2, got shape \("):
        run(KEY, flows[0], state)
    shared_mass = state.measure._replace(mass=starts[0].measure.mass)
    with pytest.raises(ValueError, match=r"^state\.measure\.mass must .* t = 2, got shape \(5,\)"):
        run(KEY, flow, state._replace(measure=shared_mass))
    with pytest.raises(ValueError, match=r"must be at the same step, got \[0, 3\]"):
        run(KEY, flow, state._replace(step=jnp.array([0, 3])))
    with pytest.raises(
        ValueError, match=r"state\.step must be \(t,\) for t >= 1 trials, got shape"
    ):
        run(KEY, flow, starts[0])
    with pytest.raises(ValueError, match=r"key must be one key or t = 2 keys, got shape \(3,\)"):
        run(jax.random.split(KEY, 3), flow, state)
    with pytest.raises(ValueError, match="stop must be None with trials"):
        run(KEY, flow, state, stop=lambda record: record.energy < 0)
    with pytest.raises(ValueError, match=r"must be one step, got shape \(2,\): take trials=True"):
        jm.run_flow(KEY, flow, state, num_steps=2)
