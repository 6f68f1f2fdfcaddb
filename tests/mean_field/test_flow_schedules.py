"""Flows whose step size and noise are schedules, against flows with numbers."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmargin as jm
from tests.mean_field.flows import logistic, measure, moved, trajectory

SCHEMES = ["reinitialize", "weighted"]
KEY = jax.random.key(3)
FALLING: dict[str, Any] = {
    "step_size": optax.exponential_decay(0.2, 20, 0.5),
    "noise": optax.exponential_decay(2.0, 10, 0.3),
}


def perturbed(scheme: str = "reinitialize", seed: int = 0, **options) -> jm.mean_field.Flow:
    chosen: dict[str, Any] = {"step_size": 0.1, "noise": 1.5} | options
    return jm.perturbed_flow(logistic(seed=seed), scheme=scheme, **chosen)


def run(flow: jm.mean_field.Flow, state=None, *, num_steps: int = 60, **options):
    state = flow.init(measure(7)) if state is None else state
    return jm.run_flow(KEY, flow, state, num_steps=num_steps, record=10, **options)


def assert_same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("safeguard", [False, True])
def test_a_constant_schedule_is_the_number_to_the_last_bit(scheme: str, safeguard: bool):
    expected = run(perturbed(scheme, safeguard=safeguard))
    steady, same = optax.constant_schedule(0.1), lambda count: jnp.where(count < 0, 7.0, 1.5)
    schedules: list[dict[str, Any]] = [{"step_size": steady}, {"noise": same}]
    for rates in (*schedules, schedules[0] | schedules[1]):
        assert_same(run(perturbed(scheme, safeguard=safeguard, **rates)), expected)


def test_a_constant_schedule_of_the_plain_flow_is_the_number():
    number, schedule = 0.1, optax.constant_schedule(0.1)
    flows = [jm.wasserstein_flow(logistic(), step_size=eta) for eta in (number, schedule)]
    assert_same(*[run(flow) for flow in flows])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_two_halves_under_schedules_are_the_whole(scheme: str):
    flow = perturbed(scheme, safeguard=scheme == "weighted", **FALLING)
    end, history = run(flow)
    middle, first = run(flow, num_steps=20)
    again, second = run(flow, middle, num_steps=40)
    assert_same(again, end)
    assert_same(jnp.concatenate([first.energy, second.energy[1:]]), history.energy)
    anew = run(flow, middle._replace(step=jnp.zeros_like(middle.step)), num_steps=40)
    assert not np.allclose(anew.history.energy[1:], second.energy[1:], rtol=1e-3)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_piecewise_schedule_is_two_runs_in_a_row(scheme: str):
    pieces: dict[str, Any] = {"step_size": (0.02, 0.1), "noise": (3.0, 0.5)}
    first, second = (
        perturbed(scheme, **{name: values[i] for name, values in pieces.items()}) for i in (0, 1)
    )
    middle = run(first, num_steps=25).state
    expected = run(second, middle, num_steps=35).state
    joined: dict[str, Any] = {
        name: optax.join_schedules([optax.constant_schedule(value) for value in values], [25])
        for name, values in pieces.items()
    }
    assert_same(run(perturbed(scheme, **joined)).state, expected)


def test_a_step_has_the_length_of_its_count():
    """Against the public velocity; the state's own step size does not matter."""
    schedule = optax.linear_schedule(0.0, 0.4, 10)
    flow = jm.wasserstein_flow(logistic(), step_size=schedule)
    start = flow.init(measure(5))
    assert float(start.step_size) == 0
    for count, eta in ((0, 0.0), (5, 0.2), (10, 0.4), (50, 0.4)):
        state, info = flow.step(KEY, start._replace(step=jnp.asarray(count)))
        expected = moved(logistic(), start.measure, eta)
        np.testing.assert_allclose(state.measure.theta, expected.theta, rtol=1e-5)
        np.testing.assert_allclose(info.step_size, eta, rtol=1e-6)
        np.testing.assert_allclose(state.step_size, min(0.04 * (count + 1), 0.4), rtol=1e-6)


def test_the_safeguard_follows_a_schedule_that_rises_and_recovers_after_a_halving():
    flow = jm.wasserstein_flow(
        logistic(40, lam=0.5, smoothing=0.5), safeguard=True,
        step_size=lambda count: jnp.where(count < 5, 1e-4, jnp.where(count < 10, 1e-2, 5e-3)),
    )  # fmt: skip
    start = flow.init(measure(10))
    sizes = np.asarray(trajectory(flow, start, 15)[1].step_size)
    np.testing.assert_allclose(sizes, [1e-4] * 5 + [1e-2] * 5 + [5e-3] * 5, rtol=1e-5)
    halved = start._replace(step=jnp.asarray(6), step_size=jnp.float32(1e-3))
    sizes = np.asarray(trajectory(flow, halved, 15)[1].step_size)
    most = np.where(np.arange(15) < 4, 1e-2, 5e-3)
    np.testing.assert_allclose(sizes, np.minimum(1e-3 * 1.2 ** np.arange(15), most), rtol=1e-4)


def test_trials_may_have_schedules_of_their_own():
    """Mapped over what a schedule closes over, and stacked over the leaves of a pytree."""
    noises = jnp.array([0.0, 0.5, 4.0])

    def annealed(noise):
        return perturbed(noise=optax.exponential_decay(noise, 10, 0.5))

    def sloped(noise):
        return perturbed(noise=jax.tree_util.Partial(slope, noise))

    def slope(start, count):
        return start / (1 + count.astype(float))

    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[sloped(noise) for noise in noises])
    for flows, one in ((jax.vmap(annealed)(noises), annealed), (stacked, sloped)):
        states = jax.vmap(lambda flow: flow.init(measure(7)))(flows)
        together = run(flows, states, trials=True)
        for i, key in enumerate(jax.random.split(KEY, 3)):
            flow = one(float(noises[i]))
            alone = jm.run_flow(key, flow, flow.init(measure(7)), num_steps=60, record=10)
            found = together.history.energy[i]
            np.testing.assert_allclose(found, alone.history.energy, rtol=1e-4)


def test_devices_share_out_a_flow_with_schedules():
    expected = run(perturbed(**FALLING)).history.energy
    shared = run(perturbed(devices=jax.devices()[:7], **FALLING)).history.energy
    np.testing.assert_allclose(shared, expected, rtol=1e-4)


def test_other_data_under_the_same_schedule_compile_nothing():
    traced = []

    def noise(count):
        traced.append(count)
        return 1 / (1 + count.astype(float))

    run(perturbed(noise=noise))
    before = len(traced)
    other = perturbed(seed=1, noise=noise)
    checked = len(traced)
    assert checked > before  # where it is made, its shape and its first value are looked at
    run(other)
    assert len(traced) == checked


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_interrupted_run_under_schedules_ends_with_the_same_bits(scheme: str, tmp_path):
    flow = perturbed(scheme, **FALLING)
    whole = run(flow)
    resumed = partial(
        jm.resumable_run, tmp_path / "flow.npz", KEY, flow, flow.init(measure(7)),
        num_steps=60, save_every=20, record=10,
    )  # fmt: skip

    def killed(step: int, record: jm.mean_field.FlowHistory) -> None:
        if step == 50:
            raise RuntimeError("killed")

    with pytest.raises(Exception, match="killed"):
        resumed(on_record=killed)
    with np.load(tmp_path / "flow.npz") as stored:
        assert stored["leaf_2"] == 40
    assert_same(resumed(), whole)


def test_a_file_is_refused_if_its_schedule_was_another_one(tmp_path):
    path = tmp_path / "flow.npz"

    def resumed(noise, num_steps: int):
        flow = perturbed(noise=noise)
        start = flow.init(measure(7))
        return jm.resumable_run(path, KEY, flow, start, num_steps=num_steps, record=10)

    first = optax.linear_schedule(2.0, 1.0, 100)
    resumed(first, 20)
    for other in (
        optax.linear_schedule(2.0, 1.0, 101),
        optax.constant_schedule(2.0),
        2.0,
        lambda count: first(count) + jnp.where(count == 13, 0.01, 0.0),  # between two records
    ):
        with pytest.raises(ValueError, match=r"holds another run, with other (schedules|data)"):
            resumed(other, 40)
    later = lambda count: jnp.where(count < 20, first(count), 0.5)  # noqa: E731
    flow = perturbed(noise=later)
    assert_same(resumed(later, 40), run(flow, num_steps=40))
