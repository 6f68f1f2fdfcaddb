"""Runs of a flow: one compiled loop, with records, an early stop, and many trials at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from jaxmargin._arrays import as_jax
from jaxmargin._checks import require_callable
from jaxmargin._devices import sharing_mesh
from jaxmargin._records import recorded_steps
from jaxmargin._schedules import check_schedules
from jaxmargin.errors import DivergenceError
from jaxmargin.mean_field._particles import require_run
from jaxmargin.mean_field.flow import Flow, FlowState
from jaxmargin.mean_field.measure import Measure


class FlowHistory(NamedTuple):
    """Records of a run at s steps; with trials, all but `step` have a leading axis t.

    Attributes:
        step: (s,) steps, counted from the state's own.
        energy: (s,) L[rho] at these steps.
        lowest: (s,) the lowest energy at any step of the run so far, recorded or not. This is what
            Theorem 3.3 bounds.
        metrics: pytree of (s, ...) arrays, what `metrics` returned; None without it.
    """

    step: Int[Array, " s"]
    energy: Float[Array, "*t s"]
    lowest: Float[Array, "*t s"]
    metrics: PyTree


class FlowRun(NamedTuple):
    """A run of a flow.

    Attributes:
        state: the `FlowState` at its end; with trials, each array has a leading axis t.
        history: its records, a `FlowHistory`.
    """

    state: FlowState
    history: FlowHistory


def run_flow(
    key: PRNGKeyArray,
    flow: Flow,
    state: FlowState,
    *,
    num_steps: int,
    record: int | Sequence[int] = 100,
    metrics: Callable[[Measure], PyTree] | None = None,
    stop: Callable[[FlowHistory], Array] | None = None,
    trials: bool = False,
    lowest: float | Float[Array, " t"] = np.inf,
    on_record: Callable[[int, FlowHistory], None] | None = None,
) -> FlowRun:
    """Run a flow: one compiled loop that records now and then.

    Step t draws from `fold_in(key, t)`, where t is the state's own count of steps. Schedules of the
    flow are functions of the same count. A run in two halves is therefore the same as one run, if
    the second half is given the `lowest` energy of the first.

    With `trials`, t independent runs are made at once: each device takes an equal share of them,
    and advances its share together. Each trial may have its own problem, step size and noise.

    Args:
        key: random key of the whole run. With trials: t keys, or one key, which is split.
        flow: `wasserstein_flow`, `perturbed_flow`, or any `Flow` that is a pytree.
        state: where to start: `flow.init(measure)`, or the end of an earlier run.
        num_steps: number of steps, >= 1.
        record: record every so many steps, or at these steps, counted from the start of this run;
            the start and the end always.
        metrics: `metrics(measure) -> pytree` of arrays to record, such as a duality gap.
        stop: `stop(record) -> bool` of each record, a `FlowHistory` of scalars. The run ends at the
            first record for which it is true. Such as `lambda record: record.metrics.gap < 1e-3`.
            Trials have records in common, and cannot stop.
        trials: whether every array of flow and state has a leading trial axis t. The particles of
            one flow must then not be shared out to devices themselves.
        lowest: the lowest energy before this run, `history.lowest[-1]` of the run that it goes on;
            with trials, one number or t of them.
        on_record: `on_record(step, record)` is called on the host at each record (of each trial),
            with the step and a `FlowHistory` of NumPy scalars and arrays. For a progress bar.

    Returns:
        `FlowRun(state, history)`.

    Raises:
        DivergenceError: the energy stopped being finite. The error, which is a `ValueError`, tells
            the step, the trial and the size of the particles there; its `result` is the `FlowRun`
            up to there. Trials that went well are in it to their end; one that diverged stays where
            it was.
        ValueError: num_steps or record is out of range, or lowest has another shape; the value of a
            schedule is out of range at one of the num_steps steps, which the error names; an array
            lacks the trial axis, trials are not at the same step, or stop is given with trials.
        TypeError: a count is not an integer, or metrics, stop or on_record is not a function, or
            gives no numbers; key is no key, flow no `Flow` or state no `FlowState`, or it holds 64
            bits where they are not enabled.

    Example:
        >>> from jaxmargin import two_layer_problem, perturbed_flow, sample_sphere
        >>> problem = two_layer_problem(jnp.eye(2), jnp.array([1.0, -1.0]), "logistic", lam=0.1)
        >>> start = Measure(sample_sphere(jax.random.key(0), 8, 3), jnp.full(8, 1 / 8))
        >>> flow = perturbed_flow(problem, step_size=0.1, noise=1e-3)
        >>> state, history = run_flow(jax.random.key(1), flow, flow.init(start), num_steps=250)
        >>> history.step.tolist(), bool(history.energy[-1] < history.energy[0])
        ([0, 100, 200, 250], True)

        Three noises at once:

        >>> flows = jax.vmap(lambda noise: perturbed_flow(problem, step_size=0.1, noise=noise))(
        ...     jnp.array([0.0, 1e-3, 1e-2]))
        >>> states = jax.vmap(lambda flow: flow.init(start))(flows)
        >>> run = run_flow(
        ...     jax.random.key(1), flows, states, num_steps=250, record=[1, 10, 100], trials=True)
        >>> run.history.step.tolist(), run.history.energy.shape
        ([0, 1, 10, 100, 250], (3, 5))

    Reference:
        Wei, Lee, Liu, Ma (2019), Theorem E.21.
    """
    require_run(key, flow, state)
    steps = recorded_steps(num_steps, record, int(np.max(state.step)))
    for name, function, signature in (
        ("metrics", metrics, "metrics(measure)"),
        ("stop", stop, "stop(record)"),
        ("on_record", on_record, "on_record(step, record)"),
    ):
        require_callable(name, function, signature, optional=True)
    plan, counts = _Plan(metrics, stop, on_record, trials), jnp.asarray(np.diff(steps))
    _check_trial_axis(flow, state, trials)
    before = _lowest_before(lowest, state)
    check_schedules(flow, int(np.max(state.step)), num_steps, trials=trials)
    if trials:
        keys = _trial_keys(key, plan, len(state.step))
        found = _run_trials(
            plan, sharing_mesh("trials", len(keys)), counts, flow, keys, state, before
        )
    else:
        found = _run(plan, counts, flow, key, state, before)
    if on_record is not None:
        jax.effects_barrier()  # its last calls, before anyone closes the progress bar
    end, records, later = found
    kept = 1 + int(np.max(np.asarray(later)))
    history = jax.tree.map(lambda leaf: leaf[:, :kept] if trials else leaf[:kept], records)
    if trials:  # all have the same steps, but for those that diverged between two of them
        since_start = jnp.asarray(steps[:kept], state.step.dtype)
        history = history._replace(step=state.step[0] + since_start)
    run = FlowRun(end.state, history)
    _raise_if_diverged(run, np.asarray(end.broken), int(np.max(state.step)) + num_steps)
    return run


@dataclass(frozen=True)
class _Plan:
    """What a run does beside its steps. It is static, so that equal plans share a compilation."""

    metrics: Callable | None
    stop: Callable | None
    on_record: Callable | None
    trials: bool

    def over_trials(self, function: Callable) -> Callable:
        return jax.vmap(function) if self.trials else function

    def observe(self, flow: Flow, carry: "_Carry") -> tuple["_Carry", FlowHistory]:
        state = carry.state
        _, info = flow.step(jax.random.key(0), state)  # its energy alone: XLA drops the rest
        lowest = jnp.fmin(carry.lowest, info.energy)
        found = None if self.metrics is None else self.metrics(state.measure)
        record = FlowHistory(
            state.step,
            info.energy,
            lowest,
            jax.tree.map(partial(as_jax, "each of metrics"), found),
        )
        stopped = as_jax("stop(record)", False if self.stop is None else self.stop(record))
        if stopped.size != 1:
            raise TypeError(f"stop must give one truth value, got shape {stopped.shape}")
        carry = carry._replace(
            lowest=lowest, stopped=stopped.reshape(()), broken=~jnp.isfinite(info.energy)
        )
        return carry, record

    def report(self, due: Array, record: FlowHistory) -> None:
        """Call `on_record` on the host, once for each trial whose record is due."""
        if self.on_record is not None:
            jax.debug.callback(partial(_tell, self.on_record), due, record)


def _tell(on_record: Callable, due: Array, record: FlowHistory) -> None:
    on_host = jax.tree.map(np.asarray, record)
    for trial in np.argwhere(np.asarray(due)):  # of a single run: one empty index, or none
        one = jax.tree.map(lambda leaf, at=tuple(trial): leaf[at], on_host)
        on_record(int(one.step), one)


class _Carry(NamedTuple):
    """State of a run, which changes no more once it is broken or has stopped."""

    state: FlowState
    lowest: Float[Array, "*t"]
    broken: Bool[Array, "*t"]  # the energy of this very state is not finite
    stopped: Bool[Array, "*t"]


def _advance(flow: Flow, key: PRNGKeyArray, carry: _Carry) -> _Carry:
    state, info = flow.step(jax.random.fold_in(key, carry.state.step), carry.state)
    broken = carry.broken | ~jnp.isfinite(info.energy)
    ahead = carry._replace(state=state, lowest=jnp.minimum(carry.lowest, info.energy))
    kept = jax.tree.map(lambda old, new: jnp.where(broken, old, new), carry, ahead)
    return kept._replace(broken=broken)


@partial(jax.jit, static_argnums=0)
def _run(
    plan: _Plan, counts: Array, flow: Flow, key: PRNGKeyArray, state: FlowState, lowest: Array
) -> tuple[_Carry, FlowHistory, Array]:
    """The end, the records, and how many of them after the first belong to the run."""
    advance, observe = plan.over_trials(_advance), plan.over_trials(plan.observe)

    def segment(carry: _Carry, count: Array) -> tuple[_Carry, tuple[FlowHistory, Array]]:
        def unfinished(loop: tuple[Array, _Carry]) -> Array:
            return (loop[0] < count) & ~jnp.all(loop[1].broken)

        def step(loop: tuple[Array, _Carry]) -> tuple[Array, _Carry]:
            return loop[0] + 1, advance(flow, key, loop[1])

        def body(carry: _Carry) -> tuple[_Carry, FlowHistory]:
            _, carry = jax.lax.while_loop(unfinished, step, (jnp.zeros_like(count), carry))
            return observe(flow, carry)

        shapes = jax.eval_shape(observe, flow, carry)[1]
        empty = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        due = ~(carry.stopped | carry.broken)
        go_on = jnp.any(due) | plan.trials  # the trials of other devices may go on
        carry, record = jax.lax.cond(go_on, body, lambda c: (c, empty), carry)
        plan.report(due, record)
        return carry, (record, due)

    shape = state.step.shape
    none = jnp.zeros(shape, bool)
    start = _Carry(state, lowest, none, none)
    start, first = observe(flow, start)
    plan.report(~none, first)
    end, (rest, due) = jax.lax.scan(segment, start, counts)
    records = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), first, rest)
    if plan.trials:
        records = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, 1), records)
    return end, records, jnp.sum(due, axis=0)


@partial(jax.jit, static_argnums=(0, 1))
def _run_trials(
    plan: _Plan,
    mesh: Mesh,
    counts: Array,
    flow: Flow,
    keys: PRNGKeyArray,
    states: FlowState,
    lowest: Array,
) -> tuple[_Carry, FlowHistory, Array]:
    """Independent runs over the leading axis, in equal shares on the devices."""
    own = PartitionSpec(*mesh.axis_names)
    share = jax.shard_map(
        partial(_run, plan),
        mesh=mesh,
        in_specs=(PartitionSpec(), own, own, own, own),
        out_specs=own,
        check_vma=False,
    )
    return share(counts, flow, keys, states, lowest)


def _check_trial_axis(flow: Flow, state: FlowState, trials: bool) -> None:
    shape = jnp.shape(state.step)
    if not trials:
        if shape:
            raise ValueError(f"state.step must be one step, got shape {shape}: take trials=True")
        return
    if len(shape) != 1 or not shape[0]:
        raise ValueError(f"state.step must be (t,) for t >= 1 trials, got shape {shape}")
    for path, leaf in jax.tree_util.tree_leaves_with_path((flow, state)):
        if jnp.shape(leaf)[:1] != shape:
            name = ("flow", "state")[path[0].idx] + jax.tree_util.keystr(path[1:])
            raise ValueError(
                f"{name} must have the leading trial axis t = {shape[0]}, "
                f"got shape {jnp.shape(leaf)}"
            )
    different = np.unique(np.asarray(state.step))
    if len(different) > 1:
        raise ValueError(
            f"the states of all trials must be at the same step, got {different.tolist()}: "
            "start them together"
        )


def _lowest_before(lowest: float | Array, state: FlowState) -> Array:
    before, shape = np.asarray(lowest), jnp.shape(state.step)
    if before.shape not in ((), shape) or not jnp.issubdtype(before.dtype, np.number):
        each = f"one number or t = {shape[0]} of them" if shape else "a number"
        raise ValueError(f"lowest must be {each}, got {lowest!r}")
    return jnp.asarray(np.broadcast_to(before, shape), state.step_size.dtype)


def _trial_keys(key: PRNGKeyArray, plan: _Plan, count: int) -> PRNGKeyArray:
    if plan.stop is not None:
        raise ValueError(
            "stop must be None with trials: they are recorded at the same steps, and none can end "
            "before the others"
        )
    if key.shape not in ((), (count,)):
        raise ValueError(f"key must be one key or t = {count} keys, got shape {key.shape}")
    return key if key.shape else jax.random.split(key, count)


def _raise_if_diverged(run: FlowRun, broken: np.ndarray, last: int) -> None:
    trials = np.flatnonzero(broken)
    if not len(trials):
        return
    trial = int(trials[0]) if broken.ndim else None
    state = run.state if trial is None else jax.tree.map(lambda leaf: leaf[trial], run.state)
    which = "" if trial is None else f" in trial {trial} ({len(trials)} of {broken.size} did)"
    largest = float(jnp.max(jnp.abs(state.measure.theta)))
    moved = int(state.step) > int(run.history.step[0])
    advice = "lower step_size, take safeguard=True, or scale the data down"
    raise DivergenceError(
        f"the flow diverged{which}: the energy is not finite at step {int(state.step)} of {last}, "
        f"where the largest entry of theta is {largest:.2g}; "
        + (advice if moved else "no step was taken: scale the particles or the data down"),
        step=int(state.step),
        trial=trial,
        result=run,
    )
