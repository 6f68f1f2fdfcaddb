"""Runs that are killed and taken up, and runs of several processes."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from tests.mean_field import flow_process

KEY = jax.random.key(2)


def process(archive: Path, steps: int, *distributed: str) -> subprocess.Popen:
    script = Path(flow_process.__file__)
    path = os.pathsep.join([str(script.parents[2]), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, str(script), str(archive), str(steps), *distributed],
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(one: subprocess.Popen) -> str:
    output, _ = one.communicate(timeout=120)
    assert one.returncode == 0, output
    return output


def arrays(archive: Path) -> dict[str, np.ndarray]:
    with np.load(archive) as stored:
        return dict(stored)


def wait_for(archive: Path, one: subprocess.Popen) -> None:
    deadline = time.monotonic() + 60
    while not archive.exists():
        assert one.poll() is None, one.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_killed_run_ends_with_the_same_bits(tmp_path: Path):
    steps = 200_000
    killed, whole = tmp_path / "killed.npz", tmp_path / "whole.npz"
    first = process(killed, steps)
    wait_for(killed, first)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert first.returncode == -signal.SIGKILL
    reached = int(arrays(killed)["leaf_2"])
    assert 0 < reached < steps
    assert reached % flow_process.SAVE_EVERY == 0
    # Not to the end, which would take a while: to some saves beyond the kill.
    goal = reached + 3 * flow_process.SAVE_EVERY
    finish(process(killed, goal))
    finish(process(whole, goal))
    resumed, unbroken = arrays(killed), arrays(whole)
    assert resumed.keys() == unbroken.keys()
    for name, expected in unbroken.items():
        assert resumed[name].tobytes() == expected.tobytes(), name


def test_two_processes_are_one_run(tmp_path: Path):
    """60 particles on two processes of two devices each, against one process here."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        coordinator = f"localhost:{free.getsockname()[1]}"
    archive = tmp_path / "two.npz"
    both = [process(archive, 500, coordinator, "2", str(i)) for i in range(2)]
    printed = [finish(one).splitlines()[-1].split() for one in both]
    assert printed[0] == printed[1]
    assert printed[0][2] == "4"
    state, history = flow_process.run(str(tmp_path / "one.npz"), 500)
    assert float(printed[0][1]) == pytest.approx(float(history.lowest[-1]), rel=1e-5)
    np.testing.assert_allclose(arrays(archive)["leaf_0"], state.measure.theta, atol=1e-4)


def test_saved_history_is_that_of_a_run(tmp_path: Path):
    flow = flow_process.flow()
    start = flow.init(flow_process.start())

    def second_moment(measure: jm.Measure):
        return {"W^2": jm.second_moment(measure)}

    def saved(steps: int):
        return jm.resumable_run(
            tmp_path / "flow.npz", KEY, flow, start,
            num_steps=steps, save_every=100, record=50, metrics=second_moment,
        )  # fmt: skip

    saved(100)
    saved(130)  # its end is no record of the longer run
    found, again = saved(330), saved(330)
    whole = jm.run_flow(KEY, flow, start, num_steps=330, record=50, metrics=second_moment)
    assert found.history.step.tolist() == [0, 50, 100, 150, 200, 250, 300, 330]
    for run in (found, again):
        assert isinstance(run, jm.mean_field.FlowRun)
        jax.tree.map(np.testing.assert_array_equal, run, whole)


def test_progress_is_told_once_a_record_also_of_those_stored(tmp_path: Path):
    """At listed steps: it is saved at the first record after every 100 steps, 120 and 250."""
    flow = flow_process.flow()
    start = flow.init(flow_process.start())
    listed = [3, 40, 120, 130, 250]
    told: list[int] = []
    energies: list[float] = []

    def on_record(step: int, record: jm.mean_field.FlowHistory) -> None:
        told.append(step)
        energies.append(float(record.energy))
        if stopping and step == 130:
            raise RuntimeError("killed")

    def run():
        return jm.resumable_run(
            tmp_path / "flow.npz", KEY, flow, start,
            num_steps=300, save_every=100, record=listed, on_record=on_record,
        )  # fmt: skip

    stopping = True
    with pytest.raises(Exception, match="killed"):
        run()
    assert arrays(tmp_path / "flow.npz")["leaf_4"].tolist() == [0, 3, 40, 120]
    stopping = False
    told.clear()
    energies.clear()
    history = run().history
    assert told == history.step.tolist() == [0, *listed, 300]
    np.testing.assert_array_equal(np.array(energies, "float32"), history.energy)


def test_a_stopped_run_stays_stopped(tmp_path: Path):
    flow = flow_process.flow()
    start = flow.init(flow_process.start())

    def saved():
        return jm.resumable_run(
            tmp_path / "flow.npz", KEY, flow, start,
            num_steps=1000, save_every=200, stop=lambda record: record.step >= 300,
        )  # fmt: skip

    for _ in range(2):
        state, history = saved()
        assert int(state.step) == 300
        assert history.step.tolist() == [0, 100, 200, 300]


def test_sharded_state_is_saved_and_placed_again(tmp_path: Path):
    devices = jax.devices()[:4]
    for steps in (500, 1000):
        state, _ = flow_process.run(str(tmp_path / "flow.npz"), steps, devices)
        assert state.measure.theta.sharding.device_set == set(devices)
    expected, _ = flow_process.run(str(tmp_path / "whole.npz"), 1000, devices)
    np.testing.assert_array_equal(state.measure.theta, expected.measure.theta)


def call(path: Path, *, key=KEY, **settings):
    flow = flow_process.flow()
    state = flow.init(flow_process.start())
    options: dict[str, Any] = {"num_steps": 100} | settings
    return jm.resumable_run(path, key, flow, state, **options)


def test_another_run_is_refused(tmp_path: Path):
    path = tmp_path / "flow.npz"
    call(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="holds a run of 100 steps, more than num_steps = 50"):
        call(path, num_steps=50)
    with pytest.raises(ValueError, match="holds a run without a record of step 30: take the"):
        call(path, record=30)
    with pytest.raises(
        ValueError, match=r"holds another run, with other key: choose another path, or remove it"
    ):
        call(path, key=jax.random.key(3))
    with pytest.raises(ValueError, match="holds another run, with other metrics: choose"):
        call(path, metrics=jm.second_moment)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def own_loss(target: float, a: jax.Array) -> jax.Array:
    return jnp.sum((a - target) ** 2)


def own_problem(loss: Callable, closed_over: float = 1.0) -> jm.MeanField:
    """The closure is behind a loop, where its array is a constant of an inner program."""
    table = jnp.full(2, closed_over)

    def phi(theta: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, 2, lambda _, total: total + table, jnp.zeros(2)) * theta[0] ** 2

    return jm.MeanField(phi, loss, lambda theta: 0.1 * jnp.sum(theta**2))


OTHER_FUNCTIONS = {
    "loss": lambda: own_problem(jax.tree_util.Partial(own_loss, 1.0)),
    "loss function": lambda: own_problem(
        jax.tree_util.Partial(lambda target, a: 2 * own_loss(target, a), 0.0)
    ),
    "closure": lambda: own_problem(jax.tree_util.Partial(own_loss, 0.0), closed_over=2.0),
}


@pytest.mark.parametrize("changed", OTHER_FUNCTIONS)
def test_a_run_of_another_problem_is_refused(tmp_path: Path, changed: str):
    """The loss, its numbers in a `Partial`, and what a function closes over, all count."""

    def run(problem: jm.MeanField) -> jm.mean_field.FlowRun:
        flow = jm.wasserstein_flow(problem, step_size=0.01)
        start = flow.init(jm.Measure(jnp.ones((1, 2)), jnp.ones(1)))
        return jm.resumable_run(tmp_path / "flow.npz", KEY, flow, start, num_steps=2)

    run(own_problem(jax.tree_util.Partial(own_loss, 0.0)))
    run(own_problem(jax.tree_util.Partial(own_loss, 0.0)))  # the same, made anew
    with pytest.raises(ValueError, match=r"holds another run, with other (data|features)"):
        run(OTHER_FUNCTIONS[changed]())


@pytest.mark.parametrize(
    "changed",
    [
        {"loss": "squared"},
        {"safeguard": True},
        {"scheme": "weighted", "reserve": 0},
        {"metrics": lambda measure: 2 * jm.second_moment(measure)},
    ],
    ids=["loss", "safeguard", "scheme", "metrics"],
)
def test_settings_that_are_no_numbers_count(tmp_path: Path, changed: dict):
    def run(*, loss: Any = "logistic", metrics: Any = jm.second_moment, **options: Any) -> None:
        problem = jm.two_layer_problem(jnp.eye(2), jnp.array([1.0, -1.0]), loss, lam=0.1)
        flow = jm.perturbed_flow(problem, step_size=0.01, noise=0.1, **options)
        start = flow.init(jm.Measure(jnp.ones((2, 3)), jnp.ones(2)))
        jm.resumable_run(tmp_path / "flow.npz", KEY, flow, start, num_steps=2, metrics=metrics)

    run()
    with pytest.raises(ValueError, match=r"holds another run, with other (features|metrics)"):
        run(**changed)


def test_a_stop_that_reads_the_lowest_energy_is_that_of_one_run(tmp_path: Path):
    """It ends where no energy of the last 50 steps was the lowest so far, in pieces as in one."""
    flow = jm.perturbed_flow(flow_process.problem(), step_size=0.05, noise=1.0)
    start = flow.init(flow_process.start())

    def risen(record: jm.mean_field.FlowHistory) -> jax.Array:
        return record.energy > 1.05 * record.lowest

    whole = jm.run_flow(KEY, flow, start, num_steps=300, record=10, stop=risen)
    told: list[float] = []
    pieces = jm.resumable_run(
        tmp_path / "flow.npz", KEY, flow, start,
        num_steps=300, save_every=20, record=10, stop=risen,
        on_record=lambda _, record: told.append(float(record.lowest)),
    )  # fmt: skip
    assert 40 < int(whole.state.step) < 300
    jax.tree.map(np.testing.assert_array_equal, pieces, whole)
    np.testing.assert_array_equal(np.array(told, "float32"), whole.history.lowest)


def test_bad_archives_and_folders(tmp_path: Path):
    path = tmp_path / "flow.npz"
    for content in (b"", b"not an archive"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is not an archive of a run: choose another path"):
            call(path)
    np.savez(path, theta=np.zeros(3))
    with pytest.raises(ValueError, match="is not an archive of a run"):
        call(path)
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*missing .*: make it first"):
        call(tmp_path / "missing" / "flow.npz")
    with pytest.raises(ValueError, match="save_every must be at least 1, got 0"):
        call(tmp_path / "other.npz", save_every=0)
    with pytest.raises(TypeError, match="num_steps must be an integer"):
        call(tmp_path / "other.npz", num_steps=1.5)


def test_a_diverged_run_keeps_its_history_and_its_last_save(tmp_path: Path):
    steep = jm.two_layer_problem(
        4 * jax.random.normal(KEY, (6, 2)), jnp.arange(-2.5, 3.0), "squared", lam=0.1
    )
    flow = jm.wasserstein_flow(steep, step_size=0.1)
    start = flow.init(jm.Measure(jm.sample_sphere(KEY, 4, 3), jnp.full(4, 0.25)))
    path = tmp_path / "flow.npz"
    with pytest.raises(jm.DivergenceError) as whole:
        jm.run_flow(KEY, flow, start, num_steps=100, record=1)
    last = whole.value.step
    assert last > 2
    with pytest.raises(jm.DivergenceError, match=f"not finite at step {last} of") as caught:
        jm.resumable_run(path, KEY, flow, start, num_steps=100, save_every=2, record=1)
    jax.tree.map(np.testing.assert_array_equal, caught.value.result, whole.value.result)
    assert arrays(path)["leaf_2"] == (last - 1) // 2 * 2
