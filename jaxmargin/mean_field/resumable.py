"""Runs of a flow that outlive their process: saved as they go, and taken up where they were."""

import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jaxtyping import PRNGKeyArray, PyTree

from jaxmargin._checks import require_count
from jaxmargin._files import written_whole
from jaxmargin.mean_field.flow import Flow, FlowState
from jaxmargin.mean_field.measure import Measure
from jaxmargin.mean_field.runs import FlowHistory, run_flow


def resumable_run(
    path: str | Path,
    key: PRNGKeyArray,
    flow: Flow,
    state: FlowState,
    *,
    num_steps: int,
    save_every: int = 10_000,
    record: int = 100,
    metrics: Callable[[Measure], PyTree] | None = None,
    stop: Callable[[FlowHistory], Any] | None = None,
) -> tuple[FlowState, FlowHistory]:
    """`run`, with its state and history saved every so many steps.

    Killed at any moment, the same call goes on from the last save, and ends with the very bits of
    a call that ran through. The file stays when the run has ended; the same call then only reads
    it, and one with more steps goes on from there.

    With several processes (`jax.distributed`), all of them make the call; the first one writes, and
    all read `path`.

    Args:
        path: the archive (NumPy's .npz); its folder must exist.
        flow: as `run` takes it.
        key: as `run` takes it.
        state: where the whole run starts, `flow.init(measure)`; also when it is taken up.
        num_steps: number of steps of the whole run, >= 1.
        save_every: save after every so many steps, a multiple of `record`.
        record: record every so many steps.
        metrics: as `run` takes it.
        stop: as `run` takes it.

    Returns:
        The final state and the history of the whole run.

    Raises:
        ValueError: `path` holds another run or is no such archive; save_every is no multiple of
            record; and as `run` does.
        FileNotFoundError: the folder of `path` does not exist.
        TypeError: as `run` does.

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
    require_count("num_steps", num_steps)
    require_count("record", record)
    require_count("save_every", save_every)
    if save_every % record:
        raise ValueError(f"save_every must be a multiple of record = {record}, got {save_every}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} for {path.name}: make it first")
    identity = _identity(flow, key, state)
    first = int(state.step)
    history = None
    if path.exists():
        state, history = _load(path, identity, state, metrics)
    while history is None or int(state.step) < first + num_steps:
        done = int(state.step) - first
        steps = min(save_every - done % save_every, num_steps - done)
        state, more = run_flow(
            key, flow, state, num_steps=steps, record=record, metrics=metrics, stop=stop
        )
        history = more if history is None else _joined(history, more)
        _save(path, identity, state, history)
        if int(state.step) < first + done + steps:
            break  # stopped
    return state, history


def _joined(history: FlowHistory, more: FlowHistory) -> FlowHistory:
    """Both, without the start of the second, which is the end of the first."""
    lowest = jnp.minimum(more.lowest, history.lowest[-1])
    rest = jax.tree.map(lambda leaf: leaf[1:], more._replace(lowest=lowest))
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), history, rest)


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


def _save(path: Path, identity: str, state: FlowState, history: FlowHistory) -> None:
    leaves = [_on_host(leaf) for leaf in jax.tree.leaves((state, history))]
    if jax.process_index() == 0:
        buffer = io.BytesIO()
        named = {f"leaf_{i}": leaf for i, leaf in enumerate(leaves)}
        np.savez(buffer, allow_pickle=False, identity=np.array(identity), **named)
        with written_whole(path) as temporary:
            temporary.write_bytes(buffer.getvalue())
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(f"saved {path}")


def _load(
    path: Path, identity: str, start: FlowState, metrics: Callable | None
) -> tuple[FlowState, FlowHistory]:
    """State, placed as the start is, and history."""
    try:
        with np.load(path) as stored:
            found = str(stored["identity"])
            leaves = [stored[f"leaf_{i}"] for i in range(len(stored.files) - 1)]
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not an archive of a run: choose another path") from error
    names = None if metrics is None else jax.eval_shape(metrics, start.measure)
    number: Any = 0
    shape = jax.tree.structure((start, FlowHistory(number, number, number, names)))
    if found != identity or shape.num_leaves != len(leaves):
        raise ValueError(
            f"{path} holds another run (other data, key, start, step size, noise or metrics): "
            "choose another path, or remove it"
        )
    state, history = jax.tree.unflatten(shape, leaves)
    placed = jax.tree.map(lambda new, old: jax.device_put(new, old.sharding), state, start)
    return placed, jax.tree.map(jnp.asarray, history)
