"""Long runs of a flow, saved as they go, so that a new process can go on where one was ended."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal
from jaxtyping import PRNGKeyArray, PyTree

from jaxmargin._arrays import as_jax
from jaxmargin._checks import require_callable, require_count
from jaxmargin._files import as_path, load_arrays, require_writable, save_arrays
from jaxmargin._records import recorded_steps
from jaxmargin._schedules import Rates, check_schedules, sums_of_schedules
from jaxmargin.errors import DivergenceError, Interrupted
from jaxmargin.mean_field._particles.checks import checked_run, step_of_one_run
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
    is the same to the last bit as that of a call that was never interrupted. Ctrl-C saves the step
    that was reached; a call that goes on from there may differ in `lowest` by rounding. The file
    stays when the run has ended. The same call then only reads it, and a call with more steps goes
    on from there.

    A file of another run is refused: one of another key, start, problem, step size, noise, scheme,
    safeguard, number of devices, or of other metrics. Functions are compared as JAX traces them,
    with all that they close over, so that a new version of JAX may tell them apart. Schedules must
    be those of the file up to where it is, and may differ later, as num_steps and stop may.

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
        ValueError: `path` holds another run, of which the error tells the difference, or a longer
            one, or is no such archive; a count is out of range, or a schedule's value is at one of
            the steps of the whole run.
        FileNotFoundError: the folder of `path` does not exist.
        PermissionError: it may not be written to.
        IsADirectoryError: `path` is a folder itself.
        DivergenceError: as `run_flow` raises it; its `result` has the history of the whole run. The
            last save stays in the file.
        Interrupted: Ctrl-C was pressed; the file and the `result`, a `FlowRun`, hold the run up to
            there. (A `KeyboardInterrupt`.)
        TypeError: a count is not an integer, or metrics, stop or on_record is not a function, or
            gives no numbers; key is no key, flow no `Flow` or state no `FlowState`, or it holds 64
            bits where they are not enabled.

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
    path, state = as_path("path", path), checked_run(key, flow, state)
    first = step_of_one_run(key, state)
    steps = recorded_steps(num_steps, record, first)
    require_count("save_every", save_every)
    require_callable("metrics", metrics, "metrics(measure)", optional=True)
    require_callable("on_record", on_record, "on_record(step, record)", optional=True)
    require_writable(path)
    check_schedules(flow, first, num_steps, trials=False)  # not only of the next piece
    saved = _Saved(path, _identity(flow, key, state, metrics), first, steps, flow)
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
                lowest=np.inf if run is None else run.history.lowest[-1],
            )  # fmt: skip
        except (DivergenceError, Interrupted) as error:
            saved.complete(error, run)
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
    rest = jax.tree.map(lambda leaf: leaf[1:], more.history)
    history = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), run.history, rest)
    return FlowRun(more.state, history)


def _identity(
    flow: Flow, key: PRNGKeyArray, state: FlowState, metrics: Callable | None
) -> dict[str, str]:
    """A digest of each part of what the numbers and the records of a run depend on."""

    def observed(measure: Measure) -> PyTree:
        found = None if metrics is None else metrics(measure)
        return jax.tree.map(partial(as_jax, "each of metrics"), found)

    step = jax.tree.map(
        _without_schedules,
        flow.step,
        is_leaf=lambda part: isinstance(part, Rates),
    )
    return {
        "key": _digest([jax.random.key_data(key)]),
        "start": _digest(jax.tree.leaves(state)),
        "data, step size, noise or lam": _digest(jax.tree.leaves(step)),
        "features, loss, scheme, safeguard or devices": _digest(
            _traced(lambda step, key, state: step(key, state), step, key, state)
        ),
        "metrics": _digest(() if metrics is None else _traced(observed, state.measure)),
    }


def _without_schedules(part: Any) -> Any:
    if not isinstance(part, Rates):
        return part
    return Rates(*(jnp.asarray(jnp.nan, float) if callable(rate) else rate for rate in part))


def _digest(parts: Iterable[Any]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        array = _on_host(part)
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _traced(function: Callable, *arguments: Any) -> Iterator[Any]:
    """What JAX traces of a function: its text without addresses, and all its constants."""
    traced = jax.make_jaxpr(function)(*arguments)
    yield re.sub(r"0x[0-9a-f]+", "", str(traced))
    yield from _constants(traced)


def _constants(part: Any) -> Iterator[Any]:
    """The arrays that a program closes over, and its literals, at any depth."""
    if isinstance(part, ClosedJaxpr):
        yield from part.consts
        yield from _constants(part.jaxpr)
    elif isinstance(part, Jaxpr):
        for equation in part.eqns:
            yield from (of.val for of in equation.invars if isinstance(of, Literal))
            yield from _constants(list(equation.params.values()))
    elif isinstance(part, list | tuple):
        for one in part:
            yield from _constants(one)


def _on_host(leaf: Any) -> np.ndarray:
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
        return np.asarray(multihost_utils.process_allgather(leaf, tiled=True))
    return np.asarray(leaf)


class _Saved(NamedTuple):
    """A run in a file.

    Attributes:
        path: the file.
        identity: a digest of each part of what the run depends on.
        first: the step at which the run starts.
        steps: (s,) steps after the first at which it is recorded.
        flow: what runs. Its schedules may differ later, and are not in the identity: the file holds
            their sums between the records, so far.
    """

    path: Path
    identity: dict[str, str]
    first: int
    steps: np.ndarray
    flow: Flow

    def save(self, run: FlowRun) -> None:
        leaves = [_on_host(leaf) for leaf in jax.tree.leaves(run)]
        if jax.process_index() == 0:
            named = {f"leaf_{i}": leaf for i, leaf in enumerate(leaves)}
            sums = sums_of_schedules(self.flow, np.asarray(run.history.step))
            named |= {} if sums is None else {"schedules": sums}
            save_arrays(self.path, {"identity": np.array(list(self.identity.values())), **named})
        if jax.process_count() > 1:
            multihost_utils.sync_global_devices(f"saved {self.path}")

    def complete(self, error: DivergenceError | Interrupted, run: FlowRun | None) -> None:
        """Give an error the result of the whole run; save where an interrupt came."""
        reached = _joined(run, error.result)
        if isinstance(error, Interrupted):
            self.save(reached)
        error.result = self.on_grid(reached)

    def load(self, start: FlowState, metrics: Callable | None) -> FlowRun:
        """The run so far, its state placed on the devices as the start is."""
        try:
            stored = load_arrays(self.path)
            digests = stored.pop("identity").tolist()
            sums = stored.pop("schedules", None)
            leaves = [stored[f"leaf_{i}"] for i in range(len(stored))]
            own = self.identity.items()
            other = [part for (part, of), its in zip(own, digests, strict=True) if of != its]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{self.path} is not an archive of a run: choose another path"
            ) from error
        self._refuse(other)
        names = None if metrics is None else jax.eval_shape(metrics, start.measure)
        number: Any = 0
        like = FlowRun(start, FlowHistory(number, number, number, names))
        state, history = jax.tree.unflatten(jax.tree.structure(like), leaves)
        self._refuse(["schedules"] if self._other_schedules(history.step, sums) else [])
        placed = jax.tree.map(lambda new, old: jax.device_put(new, old.sharding), state, start)
        run = FlowRun(placed, jax.tree.map(jnp.asarray, history))
        self._check_steps(np.asarray(history.step) - self.first)
        return run

    def _refuse(self, other: list[str]) -> None:
        if other:
            raise ValueError(
                f"{self.path} holds another run, with other {' and other '.join(other)}: choose "
                "another path, or remove it"
            )

    def _other_schedules(self, steps: np.ndarray, sums: np.ndarray | None) -> bool:
        again = sums_of_schedules(self.flow, steps)
        if sums is None or again is None:
            return sums is not again
        return not np.allclose(sums, again, rtol=1e-5, atol=0)

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
        due = min((begin // save_every + 1) * save_every, int(self.steps[-1]))
        return begin, int(self.steps[np.searchsorted(self.steps, due)])

    def on_grid(self, run: FlowRun) -> FlowRun:
        """The run without the records that are there only because an earlier call ended there."""
        kept = np.isin(np.asarray(run.history.step) - self.first, self.steps)
        kept[-1] = True  # where it stopped
        return run._replace(history=jax.tree.map(lambda leaf: leaf[kept], run.history))
