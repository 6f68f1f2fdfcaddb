"""Long runs of a flow, saved as they go, so that a new process can go on where one was ended."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jaxtyping import PRNGKeyArray, PyTree

from jaxmargin._checks import require_callable, require_count
from jaxmargin._files import load_arrays, save_arrays
from jaxmargin._records import recorded_steps
from jaxmargin._schedules import check_schedules, sums_of_schedules
from jaxmargin.errors import DivergenceError
from jaxmargin.mean_field.flow import Flow, FlowState
from jaxmargin.mean_field.measure import Measure
from jaxmargin.mean_field.runs import FlowHistory, FlowRun, run_flow


def resumable_run(
    path: str | Path,
    key: PRNGKeyArray,
    flow: Flow,
    state: FlowState,
    *,
    num_steps: int,
    save_every: int = 10_000,
    record: int | Sequence[int] = 100,
    metrics: Callable[[Measure], PyTree] | None = None,
    stop: Callable[[FlowHistory], Any] | None = None,
    on_record: Callable[[int, FlowHistory], None] | None = None,
) -> FlowRun:
    """`run_flow`, with state and history saved at the first record after every so many steps.

    If the process is killed at any moment, the same call goes on from the last save, and its result
    is the same to the last bit as that of a call that was never interrupted. The file stays when
    the run has ended. The same call then only reads it, and a call with more steps goes on from
    there. Schedules of the flow must be those of the file up to where it is, and may differ later.

    With several processes (`jax.distributed`), all of them make the call. The first one writes the
    file, and all of them read it.

    Args:
        path: the archive (NumPy's .npz); its folder must exist.
        key: random key of the whole run.
        flow: `wasserstein_flow`, `perturbed_flow`, or any `Flow` that is a pytree.
        state: where the whole run starts, `flow.init(measure)`; the same again when it is resumed.
        num_steps: number of steps of the whole run, >= 1.
        save_every: save after every so many steps, at the next record.
        record: record every so many steps, or at these steps; the start and the end always.
        metrics: `metrics(measure) -> pytree` of arrays to record.
        stop: `stop(record) -> bool` of each record; the run ends at the first that is true.
        on_record: `on_record(step, record)` is called on the host once for each record of the whole
            run, also for those that an earlier process had stored: a progress bar with one tick a
            record starts where the run was.

    Returns:
        `FlowRun(state, history)` of the whole run.

    Raises:
        ValueError: `path` holds another run or a longer one, or is no such archive; a count is out
            of range, or a schedule's value is at one of the steps of the whole run.
        FileNotFoundError: the folder of `path` does not exist.
        DivergenceError: as `run_flow` raises it; its `result` has the history of the whole run. The
            last save stays in the file.
        TypeError: a count is not an integer, or metrics, stop or on_record is not a function.

    Example:
        >>> import tempfile
        >>> from jaxmargin import Measure, two_layer_problem, perturbed_flow, sample_sphere
        >>> problem = two_layer_problem(jnp.eye(2), jnp.array([1.0, -1.0]), "logistic", lam=0.1)
        >>> flow = perturbed_flow(problem, step_size=0.1, noise=1e-3)
        >>> start = flow.init(Measure(sample_sphere(jax.random.key(0), 8, 3), jnp.full(8, 1 / 8)))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     call = lambda steps: resumable_run(
        ...         f"{folder}/flow.npz", jax.random.key(1), flow, start,
        ...         num_steps=steps, save_every=200)
        ...     half, _ = call(200)
        ...     state, history = call(400)
        >>> history.step.tolist()
        [0, 100, 200, 300, 400]

    Reference:
        Wei, Lee, Liu, Ma (2019), Theorem E.21.
    """
    path = Path(path)
    steps = recorded_steps(num_steps, record)
    require_count("save_every", save_every)
    if on_record is not None:
        require_callable("on_record", on_record, "on_record(step, record)")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} for {path.name}: make it first")
    check_schedules(flow, int(state.step), num_steps, trials=False)  # not only of the next piece
    saved = _Saved(path, _identity(flow, key, state), int(state.step), steps, flow)
    run = saved.load(state, metrics) if path.exists() else None
    told = None if on_record is None else _Told(on_record)
    if told is not None and run is not None:
        told.replay(saved.on_grid(run).history)
    while run is None or int(run.state.step) < saved.first + num_steps:
        begin, end = saved.next_piece(run, save_every)
        if told is not None and run is not None:
            told.known = int(run.state.step)
        try:
            piece = run_flow(
                key, flow, state if run is None else run.state, num_steps=end - begin,
                record=[int(step) - begin for step in steps if begin <= step <= end],
                metrics=metrics, stop=stop, on_record=told,
            )  # fmt: skip
        except DivergenceError as error:
            error.result = saved.on_grid(_joined(run, error.result))
            raise
        run = _joined(run, piece)
        saved.save(run)
        if int(run.state.step) < saved.first + end:
            break  # stopped
    return saved.on_grid(run)


class _Told:
    """`on_record` for runs in pieces, of which each begins at a record that is known already."""

    def __init__(self, on_record: Callable[[int, FlowHistory], None]):
        self.on_record = on_record
        self.known: int | None = None

    def __call__(self, step: int, record: FlowHistory) -> None:
        if step != self.known:
            self.on_record(step, record)

    def replay(self, history: FlowHistory) -> None:
        on_host = jax.tree.map(np.asarray, history)
        for i, step in enumerate(on_host.step):
            self.on_record(int(step), jax.tree.map(lambda leaf, i=i: leaf[i], on_host))


def _joined(run: FlowRun | None, more: FlowRun) -> FlowRun:
    """Both, without the first record of the second, which is the last of the first."""
    if run is None:
        return more
    lowest = jnp.minimum(more.history.lowest, run.history.lowest[-1])
    rest = jax.tree.map(lambda leaf: leaf[1:], more.history._replace(lowest=lowest))
    history = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), run.history, rest)
    return FlowRun(more.state, history)


def _identity(flow: Flow, key: PRNGKeyArray, state: FlowState) -> str:
    """A digest of all numbers that a run depends on."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves((flow, jax.random.key_data(key), state)):
        array = _on_host(leaf)
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _on_host(leaf: Any) -> np.ndarray:
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
        return np.asarray(multihost_utils.process_allgather(leaf, tiled=True))
    return np.asarray(leaf)


class _Saved(NamedTuple):
    """A run in a file.

    Attributes:
        path: the file.
        identity: a digest of all numbers that the run depends on.
        first: the step at which the run starts.
        steps: (s,) steps after the first at which it is recorded.
        flow: what runs. Its schedules are no numbers, and thus not in the identity: the file holds
            their sums between the records, so far.
    """

    path: Path
    identity: str
    first: int
    steps: np.ndarray
    flow: Flow

    def save(self, run: FlowRun) -> None:
        leaves = [_on_host(leaf) for leaf in jax.tree.leaves(run)]
        if jax.process_index() == 0:
            named = {f"leaf_{i}": leaf for i, leaf in enumerate(leaves)}
            sums = sums_of_schedules(self.flow, np.asarray(run.history.step))
            named |= {} if sums is None else {"schedules": sums}
            save_arrays(self.path, {"identity": np.array(self.identity), **named})
        if jax.process_count() > 1:
            multihost_utils.sync_global_devices(f"saved {self.path}")

    def load(self, start: FlowState, metrics: Callable | None) -> FlowRun:
        """The run so far, its state placed on the devices as the start is."""
        try:
            stored = load_arrays(self.path)
            found = str(stored.pop("identity"))
            sums = stored.pop("schedules", None)
            leaves = [stored[f"leaf_{i}"] for i in range(len(stored))]
        except (KeyError, ValueError) as error:
            raise ValueError(
                f"{self.path} is not an archive of a run: choose another path"
            ) from error
        names = None if metrics is None else jax.eval_shape(metrics, start.measure)
        number: Any = 0
        shape = jax.tree.structure(FlowRun(start, FlowHistory(number, number, number, names)))
        same = found == self.identity and shape.num_leaves == len(leaves)
        if same and sums is not None:
            step = jax.tree.unflatten(shape, leaves).history.step
            again = sums_of_schedules(self.flow, step)
            same = again is not None and np.allclose(sums, again, rtol=1e-5, atol=0)
        if not same:
            raise ValueError(
                f"{self.path} holds another run (other data, key, start, step size, noise or "
                "metrics): choose another path, or remove it"
            )
        state, history = jax.tree.unflatten(shape, leaves)
        placed = jax.tree.map(lambda new, old: jax.device_put(new, old.sharding), state, start)
        run = FlowRun(placed, jax.tree.map(jnp.asarray, history))
        self._check_steps(np.asarray(history.step) - self.first)
        return run

    def _check_steps(self, stored: np.ndarray) -> None:
        last = self.steps[-1]
        if stored[-1] > last:
            raise ValueError(
                f"{self.path} holds a run of {stored[-1]} steps, more than num_steps = {last}: "
                "ask for as many, or choose another path"
            )
        missing = np.setdiff1d(self.steps[self.steps <= stored[-1]], stored)
        if len(missing):
            raise ValueError(
                f"{self.path} holds a run without a record of step {missing[0]}: "
                "take the record= that it was made with, choose another path, or remove it"
            )

    def next_piece(self, run: FlowRun | None, save_every: int) -> tuple[int, int]:
        """Where the run is, and the record up to which it goes before it is saved again."""
        begin = 0 if run is None else int(run.state.step) - self.first
        due = (begin // save_every + 1) * save_every
        return begin, int(self.steps[min(np.searchsorted(self.steps, due), len(self.steps) - 1)])

    def on_grid(self, run: FlowRun) -> FlowRun:
        """The run without the records that are there only because an earlier call ended there."""
        kept = np.isin(np.asarray(run.history.step) - self.first, self.steps)
        kept[-1] = True  # where it stopped
        return run._replace(history=jax.tree.map(lambda leaf: leaf[kept], run.history))
