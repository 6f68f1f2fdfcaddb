"""Runs of a flow: one compiled loop, with records, an early stop, and many trials at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from jaxmargin._arrays import as_array, as_jax
from jaxmargin._checks import require_callable, shown
from jaxmargin._devices import sharing_mesh
from jaxmargin._records import Segment, kept_records, recorded_steps, run_in_segments
from jaxmargin._schedules import check_schedules
from jaxmargin.errors import DivergenceError, Interrupted
from jaxmargin.mean_field._particles.checks import checked_run, step_of_one_run
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
        on_record: `on_record(step, record)` is called on the host for each record (of each trial),
            about a second after it was made at the latest, with the step and a `FlowHistory` of
            NumPy scalars and arrays. For a progress bar.

    Returns:
        `FlowRun(state, history)`.

    Raises:
        DivergenceError: the energy stopped being finite. The error, which is a `ValueError`, tells
            the step, the trial and the size of the particles there; its `result` is the `FlowRun`
            up to there. Trials that went well are in it to their end; one that diverged stays where
            it was.
        Interrupted: Ctrl-C was pressed; it acts within about a second. Its `result` is the
            `FlowRun` up to there, with which the run can be continued. (A `KeyboardInterrupt`.)
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

        Three seeds of one flow, of the particles and of the run:

        >>> keys = jax.random.split(jax.random.key(2), 3)
        >>> flows = jax.vmap(lambda _: flow)(keys)
        >>> states = jax.vmap(
        ...     lambda key: flow.init(Measure(sample_sphere(key, 8, 3), jnp.full(8, 1 / 8))))(keys)
        >>> run = run_flow(keys, flows, states, num_steps=250, record=[1, 10, 100], trials=True)
        >>> run.history.energy.shape
        (3, 5)

    Reference:
        Wei, Lee, Liu, Ma (2019), Theorem E.21.
    """
    state = checked_run(key, flow, state)
    steps = recorded_steps(num_steps, record, int(np.max(state.step)))
    for name, function, signature in (
        ("metrics", metrics, "metrics(measure)"),
        ("stop", stop, "stop(record)"),
        ("on_record", on_record, "on_record(step, record)"),
    ):
        require_callable(name, function, signature, optional=True)
    first = int(np.max(state.step))
    _check_trial_axis(key, flow, state, trials)
    before = _lowest_before(lowest, state)
    check_schedules(flow, first, num_steps, trials=trials)
    plan = _Plan(metrics, stop, trials, _mesh(state, trials))
    keys = _trial_keys(key, plan, len(state.step)) if trials else key
    (carry, kept, records), recorded, interrupted = run_in_segments(
        lambda segment, steps, progress: _advance(plan, segment, steps, flow, keys, progress),
        _begin(plan, steps, flow, keys, state, before),
        steps,
        partial(_tell, on_record),
    )
    count = int(np.max(np.asarray(kept)))
    history = kept_records(records, count, trials)
    if trials:  # all have the same steps, but for those that diverged between two of them
        since_start = jnp.asarray(recorded[:count], state.step.dtype)
        history = history._replace(step=state.step[0] + since_start)
    run = FlowRun(carry.state, history)
    if interrupted:
        raise Interrupted.at(int(np.max(carry.state.step)), first + num_steps, run)
    _raise_if_diverged(run, np.asarray(carry.broken), first + num_steps)
    return run


def _mesh(state: FlowState, trials: bool) -> Mesh | None:
    """The devices of the trials, or of the particles of one run."""
    if trials:
        return sharing_mesh("trials", len(state.step))
    mesh = getattr(getattr(state.measure.theta, "sharding", None), "mesh", None)
    return mesh if isinstance(mesh, Mesh) else None


@dataclass(frozen=True)
class _Plan:
    """What a run does beside its steps. It is static, so that equal plans share a compilation."""

    metrics: Callable | None
    stop: Callable | None
    trials: bool
    mesh: Mesh | None

    def over_trials(self, function: Callable) -> Callable:
        return jax.vmap(function) if self.trials else function

    def shared_out(self, function: Callable) -> Callable:
        """`function(shared, *own)`, for equal shares of the trials on the devices."""
        mesh = self.mesh
        if not self.trials or mesh is None:
            return function
        everywhere, own = PartitionSpec(), PartitionSpec(*mesh.axis_names)

        def share(shared: PyTree, *each: PyTree) -> PyTree:
            specs = (everywhere, *(own for _ in each))
            return jax.shard_map(
                function, mesh=mesh, in_specs=specs, out_specs=own, check_vma=False
            )(shared, *each)

        return share

    def settled(self, progress: "_Progress") -> "_Progress":
        """The same, where all but the particles of one run is on each of their devices."""
        if self.trials or self.mesh is None:
            return progress
        everywhere = NamedSharding(self.mesh, PartitionSpec())
        rest = progress._replace(carry=progress.carry._replace(state=None))
        rest = jax.lax.with_sharding_constraint(rest, everywhere)
        return rest._replace(carry=rest.carry._replace(state=progress.carry.state))

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
        broken = ~jnp.isfinite(info.energy)
        over = broken | stopped.reshape(()).astype(bool)
        return carry._replace(lowest=lowest, broken=broken, over=over), record


class _Carry(NamedTuple):
    """State of a run, which changes no more once it is broken or over."""

    state: Any
    lowest: Float[Array, "*t"]
    broken: Bool[Array, "*t"]  # the energy of this very state is not finite
    over: Bool[Array, "*t"]  # its last record is made


class _Progress(NamedTuple):
    """A run so far, its records included."""

    carry: _Carry
    kept: Int[Array, "*t"]  # records that are made
    records: Any  # a `FlowHistory`, whose axis of s records comes after that of the trials


@partial(jax.jit, static_argnums=0)
def _begin(
    plan: _Plan, steps: Array, flow: Flow, key: PRNGKeyArray, state: FlowState, lowest: Array
) -> _Progress:
    """The start of a run, before its first record."""

    def begin(steps: Array, flow: Flow, key: Any, state: FlowState, lowest: Array) -> _Progress:
        del key  # given so that the programs of a run take all their arguments from one place
        none = jnp.zeros(state.step.shape, bool)
        carry = _Carry(state, lowest, none, none)
        shapes = jax.eval_shape(plan.over_trials(plan.observe), flow, carry)[1]
        axis = state.step.ndim
        records = jax.tree.map(
            lambda of: jnp.zeros((*of.shape[:axis], len(steps), *of.shape[axis:]), of.dtype), shapes
        )
        return plan.settled(_Progress(carry, none.astype(int), records))

    return plan.shared_out(begin)(steps, flow, key, state, lowest)


@partial(jax.jit, static_argnums=0)
def _advance(
    plan: _Plan,
    segment: Segment,
    steps: Array,
    flow: Flow,
    key: PRNGKeyArray,
    progress: _Progress,
) -> _Progress:
    """A segment of a run: its steps, and those of the records at `steps` (s,) that lie in it."""
    move, observe = plan.over_trials(_step), plan.over_trials(plan.observe)
    axis = int(plan.trials)
    take_first = partial(jax.lax.index_in_dim, index=0, axis=axis, keepdims=False)

    def advance(bounds: tuple, flow: Flow, key: Any, progress: _Progress) -> _Progress:
        segment, steps = bounds

        def unfinished(loop: tuple[Array, Array, _Carry]) -> Array:
            at, end, carry = loop
            return (at < end) & ~jnp.all(carry.broken | carry.over)

        def step(loop: tuple[Array, Array, _Carry]) -> tuple[Array, Array, _Carry]:
            at, end, carry = loop
            return at + 1, end, move(flow, key, carry)

        def piece(i: Array, now: _Progress) -> _Progress:
            first, end = segment.stretch(steps, i)
            _, _, carry = jax.lax.while_loop(unfinished, step, (first, end, now.carry))
            due = (end == steps[i]) & ~carry.over
            # The trials of other devices may go on where those of this one are over.
            go_on = (end == steps[i]) & (jnp.any(due) | plan.trials)
            blank = jax.tree.map(lambda of: jnp.zeros_like(take_first(of)), now.records)
            carry, found = jax.lax.cond(
                go_on, partial(observe, flow), lambda carry: (carry, blank), carry
            )
            write = partial(jax.lax.dynamic_update_index_in_dim, index=i, axis=axis)
            records = jax.tree.map(write, now.records, found)
            return _Progress(carry, now.kept + due.astype(now.kept.dtype), records)

        return jax.lax.fori_loop(segment.begin, segment.end, piece, progress)

    return plan.settled(plan.shared_out(advance)((segment, steps), flow, key, progress))


def _step(flow: Flow, key: PRNGKeyArray, carry: _Carry) -> _Carry:
    state, info = flow.step(jax.random.fold_in(key, carry.state.step), carry.state)
    broken = carry.broken | ~jnp.isfinite(info.energy)
    ahead = carry._replace(state=state, lowest=jnp.minimum(carry.lowest, info.energy))
    kept = jax.tree.map(lambda old, new: jnp.where(broken, old, new), carry, ahead)
    return kept._replace(broken=broken)


def _tell(
    on_record: Callable[[int, FlowHistory], None] | None,
    progress: _Progress,
    begin: int,
    end: int,
) -> bool:
    """Call `on_record` with the records from begin to end; whether all runs are over."""
    if on_record is not None:
        kept = np.asarray(progress.kept)
        on_host = jax.tree.map(np.asarray, progress.records)
        for i in range(begin, end):
            for trial in np.argwhere(kept > i):  # of a single run: one empty index, or none
                at = (*trial, i)
                one = jax.tree.map(lambda of, at=at: of[at].copy(), on_host)
                on_record(int(one.step), one)
    return bool(np.all(np.asarray(progress.carry.over)))


def _check_trial_axis(key: PRNGKeyArray, flow: Flow, state: FlowState, trials: bool) -> None:
    if not trials:
        step_of_one_run(key, state)
        return
    shape = state.step.shape
    if len(shape) != 1 or not shape[0]:
        raise ValueError(f"state.step must be (t,) for t >= 1 trials, got shape {shape}")
    for path, leaf in jax.tree_util.tree_leaves_with_path((flow, state)):
        if jnp.shape(leaf)[:1] != shape:
            name = ("flow", "state")[path[0].idx] + jax.tree_util.keystr(path[1:])
            raise ValueError(
                f"{name} must have the leading trial axis t = {shape[0]}, "
                f"got shape {jnp.shape(leaf)}"
            )
    jax.eval_shape(jax.vmap(Measure.checked), state.measure)
    different = np.unique(np.asarray(state.step))
    if len(different) > 1:
        raise ValueError(
            f"the states of all trials must be at the same step, got {different.tolist()}: "
            "start them together"
        )


def _lowest_before(lowest: float | Array, state: FlowState) -> Array:
    before, shape = np.asarray(as_array("lowest", lowest)), jnp.shape(state.step)
    if before.shape not in ((), shape) or before.dtype == bool:
        each = f"one number or t = {shape[0]} of them" if shape else "a number"
        raise ValueError(f"lowest must be {each}, got {shown(lowest)}")
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
