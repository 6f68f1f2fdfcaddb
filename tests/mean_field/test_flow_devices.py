"""Flows whose particles are shared out to devices, and the memory of a step."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from jaxmargin.mean_field.measure import Measure
from tests.mean_field.flows import logistic, measure, trajectory

SHARED: dict[str, Callable[..., jm.mean_field.Flow]] = {
    "plain": jm.wasserstein_flow,
    "safeguarded": partial(jm.wasserstein_flow, safeguard=True),
    "reinitialize": partial(jm.perturbed_flow, noise=0.05),
    "weighted": partial(jm.perturbed_flow, noise=0.05, scheme="weighted"),
}
by_flow = pytest.mark.parametrize("make", SHARED.values(), ids=SHARED.keys())


@by_flow
def test_devices_share_the_particles_and_agree_with_one(make: Callable[..., jm.mean_field.Flow]):
    """19 particles have 5 empty slots on 8 devices; "weighted" is given as many on one."""
    with jax.enable_x64(True):
        problem, start = logistic(12, dtype=float), measure(19, dtype=float)
        runs = []
        for devices in (None, jax.devices()):
            flow = make(problem, step_size=0.05, devices=devices)
            state = flow.init(start)
            if devices is None and make is SHARED["weighted"]:
                padding = ((0, -2 * 19 % 8), (0, 0))
                state = state._replace(
                    measure=Measure(
                        jnp.pad(state.measure.theta, padding),
                        jnp.pad(state.measure.mass, padding[0]),
                    )
                )
            runs.append(jm.run_flow(jax.random.key(2), flow, state, num_steps=300, record=100))
        (one, one_history), (eight, history) = runs
        slots = len(one.measure.mass)
        assert eight.measure.mass.shape == (slots + -slots % 8,)
        assert not eight.measure.mass[slots:].any()
        cut = jax.tree.map(lambda leaf: leaf[:slots], eight.measure)
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-8, atol=1e-9), cut, one.measure)
        np.testing.assert_allclose(history.energy, one_history.energy, rtol=1e-9)
        for leaf in eight.measure:
            assert len({shard.device for shard in leaf.addressable_shards}) == 8
            assert not leaf.is_fully_replicated


def test_a_problem_on_one_device_can_be_shared_out():
    problem = jax.device_put(logistic(), jax.devices()[3])
    flow = SHARED["plain"](problem, step_size=0.05, devices=jax.devices()[:2])
    state, _ = trajectory(flow, flow.init(measure(4)))
    assert state.measure.theta.sharding.device_set == set(jax.devices()[:2])


COLLECTIVES = r"(all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)(?:-start)?\("


@pytest.mark.parametrize("name", ["plain", "reinitialize"])
def test_a_step_communicates_once(name: str):
    flow = SHARED[name](logistic(), step_size=0.05, devices=jax.devices())
    state = flow.init(measure(32))
    text = jax.jit(flow.step).lower(jax.random.key(0), state).compile().as_text()
    assert re.findall(COLLECTIVES, text or "") == ["all-reduce"]


@pytest.mark.parametrize("name", ["plain", "reinitialize", "weighted"])
def test_a_step_keeps_no_array_of_particles_by_samples(name: str):
    """16384 x 4000 numbers would be 262 MB."""
    problem = jm.two_layer_problem(jnp.ones((4000, 20)), jnp.ones(4000), "logistic", lam=0.1)
    options = {"reserve": 0} if name == "weighted" else {}
    flow = SHARED[name](problem, step_size=0.05, **options)
    state = flow.init(Measure(jnp.ones((16384, 21)), jnp.full(16384, 2.0**-14)))
    compiled = jax.jit(flow.step).lower(jax.random.key(0), state).compile()
    analysis: Any = compiled.memory_analysis()
    assert analysis.temp_size_in_bytes < 64e6
