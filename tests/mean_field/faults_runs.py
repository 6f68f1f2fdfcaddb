"""Wrong input: runs of flows, resumable ones among them."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import jax
import jax.numpy as jnp

import jaxmargin as jm
from tests.fault import KEY, SIGNS, Fault, X, wrong
from tests.interrupts import interrupted

MEAN_FIELD = jm.two_layer_problem(X[:, :2], SIGNS, "logistic", lam=0.1)


def run_flow(*, step_size: float = 0.1, key=KEY, **changed: Any) -> None:
    """A run of a flow without fault but for what is changed."""
    flow = jm.wasserstein_flow(MEAN_FIELD, step_size=step_size)
    state = flow.init(jm.Measure(X, jnp.full(6, 1 / 6)))
    settings: dict[str, Any] = {"num_steps": 2}
    jm.run_flow(key, flow, state, **(settings | changed))


def run_scheduled(*, trials: bool = False, resumed: bool = False, **rates: Any) -> None:
    """Twelve steps of a flow that has schedules, after a first one."""

    def make(_):
        chosen: dict[str, Any] = {"step_size": 0.1, "noise": 1.0} | rates
        return jm.perturbed_flow(MEAN_FIELD, **chosen)

    def start(flow):
        state = flow.init(jm.Measure(X, jnp.full(6, 1 / 6)))
        return state._replace(step=state.step + 1)

    if resumed:  # the first save would be before the fault
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "flow.npz")
            options: dict[str, Any] = {"num_steps": 12, "record": 2, "save_every": 2}
            jm.resumable_run(path, KEY, make(0), start(make(0)), **options)
    flow = jax.vmap(make)(jnp.arange(2)) if trials else make(0)
    state = jax.vmap(start)(flow) if trials else start(flow)
    jm.run_flow(KEY, flow, state, num_steps=12, trials=trials)


def wide(drive: Callable = jm.run_flow) -> None:
    """A run whose flow and state were made where float64 is enabled, and which is not there."""
    with jax.enable_x64(True):
        x, y = jnp.asarray(X[:, :2], float), jnp.asarray(SIGNS, float)
        flow = jm.wasserstein_flow(jm.two_layer_problem(x, y, "logistic", lam=0.1), step_size=0.1)
        state = flow.init(jm.Measure(jnp.asarray(X, float), jnp.ones(6)))
    drive(KEY, flow, state, num_steps=2)


def then(first: float, later: float) -> Callable:
    """A schedule whose values change after 9 steps."""
    return lambda count: jnp.where(count < 9, first, later)


def run_trials(*, key=KEY, steps=(0, 0), spared: str = "", **changed: Any) -> None:
    """Two runs at once without fault but for what is changed; what is spared has no trial axis."""
    flow = jm.wasserstein_flow(MEAN_FIELD, step_size=0.1)
    state = flow.init(jm.Measure(X, jnp.full(6, 1 / 6)))
    flows, states = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), (flow, state))
    states = states._replace(step=jnp.array(steps))
    chosen = (flow if spared == "flow" else flows, state if spared == "state" else states)
    jm.run_flow(key, *chosen, **({"num_steps": 2, "trials": True} | changed))


def run_resumably(
    *,
    content: bytes | None = None,
    missing: str = "",
    folder: bool = False,
    first: dict | None = None,
    **changed: Any,
) -> None:
    """A resumable run without fault but for what is changed; after a `first` one, if given."""
    with tempfile.TemporaryDirectory() as home:
        path = Path(home, missing, "flow.npz")
        if folder:
            path.mkdir()
        if content is not None:
            path.write_bytes(content)
        for settings in [changed] if first is None else [first, changed]:
            options: dict[str, Any] = {"num_steps": 4, "record": 2, "step_size": 0.1} | settings
            flow = jm.wasserstein_flow(MEAN_FIELD, step_size=options.pop("step_size"))
            state = flow.init(jm.Measure(X, jnp.full(6, 1 / 6)))
            jm.resumable_run(path, KEY, flow, state, **options)


running = partial(wrong, run_flow)
trying = partial(wrong, run_trials)
resuming = partial(wrong, run_resumably)
scheduled = partial(wrong, run_scheduled)

FAULTS: list[Fault] = [
    Fault("run_flow", interrupted(run_flow), jm.Interrupted, "interrupted at step 0 of 2; what it"),
    Fault("resumable_run", interrupted(run_resumably), jm.Interrupted,
          "interrupted at step 0 of 4"),
    Fault("run_flow", running(num_steps=0), ValueError, "num_steps must be at least 1, got 0"),
    Fault("run_flow", running(num_steps=2.0), TypeError, "num_steps must be an integer, got 2.0"),
    Fault("run_flow", running(record=0), ValueError, "record must be at least 1, got 0"),
    Fault("run_flow", running(record=[3]), ValueError,
          r"record must hold steps from 0 to num_steps = 2, got \[3\]"),
    Fault("run_flow", running(record=[1.0]), TypeError,
          "each step of record must be an integer, got 1.0"),
    Fault("run_flow", running(metrics=3), TypeError,
          r"metrics must be a function metrics\(measure\)"),
    Fault("run_flow", running(stop=True), TypeError, r"stop must be a function stop\(record\)"),
    Fault("run_flow", running(on_record=[]), TypeError,
          r"on_record must be a function on_record\(step, record\), got list"),
    Fault("run_flow", running(step_size=1e30), jm.DivergenceError,
          "the flow diverged: .* at step 1 of 2, .* lower step_size, take safeguard=True"),
    Fault("run_flow", scheduled(step_size=then(0.1, -0.1)), ValueError,
          "step_size must be a finite number >= 0 at each step, got -0.1 at step 9"),
    Fault("run_flow", scheduled(noise=then(1.0, jnp.nan)), ValueError,
          "noise must be a finite number >= 0 at each step, got nan at step 9"),
    Fault("run_flow", scheduled(step_size=then(0.1, 0.5), noise=then(1.0, 2.5)), ValueError,
          r"step_size \* noise must be at most 1, got 0.5 \* 2.5 at step 9: it is the share"),
    Fault("run_flow", scheduled(trials=True, noise=then(1.0, 11.0)), ValueError,
          r"step_size \* noise must be at most 1, got 0.1 \* 11 at step 9"),
    Fault("run_flow", running(num_steps=3 * 10**9, record=10**9), ValueError,
          "num_steps must be at most 2147483647, .* a number of 32 bits, got 3000000000"),
    Fault("run_flow", running(num_steps=2 * 10**9), ValueError,
          "asks for 20,000,000 records of 2,000,000,000 steps, .*: record less often"),
    *(
        Fault(name, call(**{"metrics": lambda _: "a"}), TypeError,
              "each of metrics must be an array of numbers, got str")
        for name, call in (("run_flow", running), ("resumable_run", resuming))
    ),
    Fault("run_flow", running(stop=lambda _: None), TypeError,
          r"stop\(record\) must be an array of numbers, got NoneType"),
    Fault("run_flow", running(stop=lambda _: jnp.ones(3)), TypeError,
          r"stop must give one truth value, got shape \(3,\)"),
    Fault("run_flow", running(key=3), TypeError, "key must be a random key, .* got int"),
    Fault("run_flow", wrong(jm.run_flow, KEY, None, None, num_steps=2), TypeError,
          "flow must be a Flow, got NoneType"),
    Fault("run_flow", wrong(jm.run_flow, KEY, jm.wasserstein_flow(MEAN_FIELD, step_size=0.1),
                            jm.Measure(X, jnp.ones(6)), num_steps=2), TypeError,
          r"state must be a FlowState, such as flow.init\(measure\), got Measure"),
    Fault("run_flow", running(record=None), TypeError,
          "record must be an integer or a list of steps, got None"),
    Fault("run_flow", running(lowest=jnp.ones(2)), ValueError, "lowest must be a number, got"),
    Fault("run_flow", running(lowest="low"), TypeError, "lowest must be an array of numbers, got"),
    Fault("run_flow", trying(lowest=jnp.ones(3)), ValueError,
          "lowest must be one number or t = 2 of them"),
    Fault("run_flow", wide, TypeError,
          r"flow.*holds float64, which is not enabled here: call inside jax.enable_x64\(True\)"),
    Fault("run_flow", running(trials=True), ValueError,
          r"state.step must be \(t,\) for t >= 1 trials, got shape \(\)"),
    Fault("run_flow", trying(trials=False), ValueError,
          r"state.step must be one step, got shape \(2,\): take trials=True"),
    Fault("run_flow", trying(spared="flow"), ValueError,
          r"flow.init.* must have the leading trial axis t = 2, got shape \(6, 2\)"),
    Fault("run_flow", trying(steps=(0, 3)), ValueError,
          r"the states of all trials must be at the same step, got \[0, 3\]"),
    Fault("run_flow", trying(key=jax.random.split(KEY, 3)), ValueError,
          r"key must be one key or t = 2 keys, got shape \(3,\)"),
    Fault("run_flow", trying(stop=lambda record: record.energy < 0), ValueError,
          "stop must be None with trials: .* none can end before the others"),
    Fault("resumable_run", resuming(num_steps=0), ValueError,
          "num_steps must be at least 1, got 0"),
    Fault("resumable_run", resuming(record=0), ValueError, "record must be at least 1, got 0"),
    Fault("resumable_run", resuming(num_steps=10**12, record=10**10), ValueError,
          "num_steps must be at most 2147483647"),
    Fault("resumable_run", resuming(save_every=0), ValueError,
          "save_every must be at least 1, got 0"),
    Fault("resumable_run", resuming(save_every=0.5), TypeError, "save_every must be an integer"),
    Fault("resumable_run", resuming(metrics=3), TypeError, "metrics must be a function"),
    Fault("resumable_run", resuming(stop=3), TypeError, "stop must be a function"),
    Fault("resumable_run", resuming(on_record=3), TypeError,
          r"on_record must be a function on_record\(step, record\), got int"),
    Fault("resumable_run", resuming(missing="absent"), FileNotFoundError,
          "there is no folder .*absent for flow.npz: make it first"),
    Fault("resumable_run", patch("os.access", lambda *_: False)(resuming()), PermissionError,
          "may not be written to: choose another folder"),
    Fault("resumable_run", resuming(folder=True), IsADirectoryError,
          "flow.npz is a folder: give the name of a file"),
    Fault("resumable_run", wrong(wide, partial(jm.resumable_run, "flow.npz")), TypeError,
          "flow.*holds float64, which is not enabled"),
    Fault("resumable_run", resuming(content=b"text"), ValueError,
          "flow.npz is not an archive of a run: choose another path"),
    Fault("resumable_run", resuming(first={"step_size": 0.2}), ValueError,
          "flow.npz holds another run, with other start and other data, step size, noise or lam"),
    Fault("resumable_run", resuming(first={"num_steps": 6}), ValueError,
          "flow.npz holds a run of 6 steps, more than num_steps = 4: ask for as many, or choose"),
    Fault("resumable_run", resuming(first={"record": 3}), ValueError,
          "flow.npz holds a run without a record of step 2: take the record= that it was"),
    Fault("resumable_run", scheduled(resumed=True, noise=then(1.0, -1.0)), ValueError,
          "noise must be a finite number >= 0 at each step, got -1 at step 9"),
    Fault("resumable_run", resuming(step_size=1e30), jm.DivergenceError,
          "the flow diverged: .* at step 1 of"),
]  # fmt: skip
