"""Runs in segments are one run, and Ctrl-C keeps what a run had reached."""

from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxmargin as jm
from tests.interrupts import clock
from tests.mean_field.test_runs import (
    KEY,
    Told,
    assert_same,
    diverging,
    particles,
    perturbed,
    several,
    stacked,
    stop_at,
)


@pytest.mark.parametrize("count", [0, 3])
def test_a_run_in_short_segments_is_one_run(count: int):
    """Of one step or record each, against 1, 16, 256 steps."""
    told = Told()
    flow, start = perturbed(), perturbed().init(particles())
    if count:
        flow, start = map(stacked, several(count))
    run = partial(
        jm.run_flow, KEY, flow, start, num_steps=20, record=[3, 4, 15], metrics=jm.second_moment,
        trials=bool(count),
    )  # fmt: skip
    with clock(0.0):
        whole = run()
    with clock(1.0):
        assert_same(run(on_record=told), whole)
    assert told.steps == [step for step in [0, 3, 4, 15, 20] for _ in range(count or 1)]


def test_segments_of_shared_particles_are_one_run():
    flow = perturbed(devices=jax.devices()[:2])
    run = partial(
        jm.run_flow, KEY, flow, flow.init(particles(4)), num_steps=7, record=3,
        metrics=lambda measure: measure,
    )  # fmt: skip
    with clock(0.0):
        whole = run()
    with clock(1.0):
        assert_same(run(), whole)


def test_ctrl_c_keeps_what_the_run_had_reached():
    flow = perturbed()
    run = partial(jm.run_flow, KEY, flow, record=10)
    start = flow.init(particles())
    whole = run(start, num_steps=40)
    with clock(1.0, at=27), pytest.raises(jm.Interrupted, match="at step 13 of 40") as caught:
        run(start, num_steps=40)
    assert isinstance(caught.value.result, jm.mean_field.FlowRun)
    state, history = caught.value.result
    assert caught.value.step == int(state.step) == 13
    assert history.step.tolist() == [0, 10, 13]
    assert_same(history.energy[:2], whole.history.energy[:2])
    rest = run(state, num_steps=27, record=[7, 17], lowest=history.lowest[-1])
    assert_same(rest.state, whole.state)
    assert_same(rest.history.energy[1:], whole.history.energy[2:])


def test_ctrl_c_in_a_run_of_a_file_saves_the_step(tmp_path: Path):
    flow = perturbed()
    start = flow.init(particles())

    def run(path: str, **options):
        return jm.resumable_run(
            tmp_path / path, KEY, flow, start, num_steps=60, save_every=20, record=10, **options
        )

    whole = run("whole.npz")
    with clock(1.0, at=2 * 21 + 2 * 4 + 1), pytest.raises(jm.Interrupted) as caught:
        run("flow.npz")
    assert caught.value.step == int(caught.value.result.state.step) == 24
    assert caught.value.result.history.step.tolist() == [0, 10, 20, 24]
    told = Told()
    again = run("flow.npz", on_record=told)
    assert_same(again.state, whole.state)
    assert_same(again.history._replace(lowest=0), whole.history._replace(lowest=0))
    np.testing.assert_allclose(again.history.lowest, whole.history.lowest, rtol=1e-6)
    assert told.steps == [0, 10, 20, 24, 30, 40, 50, 60]


def test_a_run_that_stops_or_diverges_between_segments_ends_as_one_loop():
    flow = perturbed()
    run = partial(jm.run_flow, KEY, flow, flow.init(particles()), num_steps=25, record=10)
    whole = run(stop=stop_at(11))
    with clock(1.0):
        assert_same(run(stop=stop_at(11)), whole)
    flow, start = diverging()
    results = []
    for tick in (0.0, 1.0):
        with clock(tick), pytest.raises(jm.DivergenceError) as caught:
            jm.run_flow(KEY, flow, start, num_steps=50, record=10)
        results.append(caught.value.result)
    assert_same(*results)


@pytest.mark.parametrize("devices", [None, 2])
def test_all_segments_share_two_programs(devices: int | None, caplog):
    flow = perturbed(devices=None if devices is None else jax.devices()[:devices])
    start = flow.init(particles(6))
    with jax.log_compiles(), clock(1.0):
        jm.run_flow(KEY, flow, start, num_steps=9, record=4, metrics=jm.second_moment)
    compiled = [line for line in caplog.messages if line.startswith("Compiling")]
    assert sum("_advance" in line for line in compiled) == 1
    assert sum("_begin" in line for line in compiled) == 1
