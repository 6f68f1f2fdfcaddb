"""Runs of a flow: one compiled loop, with records, an early stop, and an error if it diverges."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from jaxmargin._checks import require_callable, require_count
from jaxmargin.errors import DivergenceError
from jaxmargin.mean_field.flow import Flow, FlowState
from jaxmargin.mean_field.measure import Measure


class FlowHistory(NamedTuple):
    """Records of a run at s steps.

    Attributes:
        step: (s,) steps, counted from the state's own.
        energy: (s,) L[rho] at these steps.
        lowest: (s,) the lowest energy at any step of the run so far, recorded or not: what Theorem
            3.3 bounds.
        metrics: pytree of (s, ...) arrays, what `metrics` returned; None without it.
    """

    step: Int[Array, " s"]
    energy: Float[Array, " s"]
    lowest: Float[Array, " s"]
    metrics: PyTree


def run_flow(
    key: PRNGKeyArray,
    flow: Flow,
    state: FlowState,
    *,
    num_steps: int,
    record: int = 100,
    metrics: Callable[[Measure], PyTree] | None = None,
    stop: Callable[[FlowHistory], Array] | None = None,
    on_record: Callable[[], None] | None = None,
) -> tuple[FlowState, FlowHistory]:
    """Run a flow: one compiled loop, with a record every so many steps.

    Step t draws from `fold_in(key, t)` for the t of the state, so that a run in two halves is the
    same as one run.

    Args:
        flow: `wasserstein_flow`, `perturbed_flow`, or any `Flow` that is a pytree.
        key: random key of the whole run.
        state: where to start: `flow.init(measure)`, or the end of an earlier run.
        num_steps: number of steps, >= 1.
        record: record every so many steps; the start and the end always.
        metrics: `metrics(measure) -> pytree` of arrays, such as a duality gap; recorded.
        stop: `stop(record) -> bool` of each record (a `FlowHistory` of scalars); the run ends at
            the first that is true. Such as `lambda record: record.metrics.gap < 1e-3`.
        on_record: called without arguments once for each record (a progress bar).

    Returns:
        The final state, and `FlowHistory(step, energy, lowest, metrics)`.

    Raises:
        DivergenceError: the energy stopped being finite; tells the step and the size of the
            particles there. (A `ValueError`.)
        ValueError: num_steps or record below 1.
        TypeError: a count that is not an integer, or a function that is none.

    Example:
        >>> from jaxmargin import two_layer_problem, perturbed_flow, sample_sphere
        >>> problem = two_layer_problem(jnp.eye(2), jnp.array([1.0, -1.0]), "logistic", lam=0.1)
        >>> flow = perturbed_flow(problem, step_size=0.1, noise=1e-3)
        >>> start = Measure(sample_sphere(jax.random.key(0), 8, 3), jnp.full(8, 1 / 8))
        >>> state, history = run_flow(jax.random.key(1), flow, flow.init(start), num_steps=250)
        >>> history.step.tolist(), bool(history.energy[-1] < history.energy[0])
        ([0, 100, 200, 250], True)

    Reference:
        Wei, Lee, Liu, Ma (2019), Theorem E.21.
    """
    require_count("num_steps", num_steps)
    require_count("record", record)
    for name, function, signature in (
        ("metrics", metrics, "metrics(measure)"),
        ("stop", stop, "stop(record)"),
        ("on_record", on_record, "on_record()"),
    ):
        if function is not None:
            require_callable(name, function, signature)
    counts = np.append(np.arange(0, num_steps, record), num_steps)
    end, records, taken = _run(
        _Recorder(metrics, stop, on_record), flow, key, state, jnp.asarray(np.diff(counts))
    )
    if on_record is not None:
        jax.effects_barrier()  # its last calls, before anyone closes the progress bar
    _raise_if_diverged(end, num_steps)
    kept = 1 + int(taken)
    return end.state, jax.tree.map(lambda leaf: leaf[:kept], records)


@dataclass(frozen=True)
class _Recorder:
    """What is done at each record; static, so that it compiles once for the same functions."""

    metrics: Callable | None
    stop: Callable | None
    on_record: Callable | None

    def without_callback(self) -> "_Recorder":
        return replace(self, on_record=None)

    def __call__(self, flow: Flow, carry: "_Carry") -> tuple["_Carry", FlowHistory]:
        state = carry.state
        _, info = flow.step(jax.random.key(0), state)  # its energy alone: XLA drops the rest
        lowest = jnp.minimum(carry.lowest, info.energy)
        found = None if self.metrics is None else self.metrics(state.measure)
        record = FlowHistory(state.step, info.energy, lowest, jax.tree.map(jnp.asarray, found))
        stopped = jnp.array(False) if self.stop is None else jnp.asarray(self.stop(record))
        if self.on_record is not None:
            jax.debug.callback(self.on_record)
        carry = carry._replace(
            lowest=lowest, stopped=stopped.reshape(()), broken=~jnp.isfinite(info.energy)
        )
        return carry, record


class _Carry(NamedTuple):
    """State of a run. Nothing moves any more once the energy was not finite, or it has stopped."""

    state: FlowState
    lowest: Float[Array, ""]
    broken: Bool[Array, ""]  # the energy of this very state is not finite
    stopped: Bool[Array, ""]


@partial(jax.jit, static_argnums=0)
def _run(
    recorder: _Recorder, flow: Flow, key: PRNGKeyArray, state: FlowState, counts: Array
) -> tuple[_Carry, FlowHistory, Array]:
    """The last carry, the records, and how many of them after the first belong to the run."""

    def advance(carry: _Carry) -> _Carry:
        state, info = flow.step(jax.random.fold_in(key, carry.state.step), carry.state)
        broken = ~jnp.isfinite(info.energy)
        kept = jax.tree.map(lambda old, new: jnp.where(broken, old, new), carry.state, state)
        return carry._replace(
            state=kept, lowest=jnp.minimum(carry.lowest, info.energy), broken=broken
        )

    def segment(carry: _Carry, count: Array) -> tuple[_Carry, tuple[FlowHistory, Array]]:
        end = carry.state.step + count
        done = carry.stopped | carry.broken

        def body(carry: _Carry) -> tuple[_Carry, FlowHistory]:
            carry = jax.lax.while_loop(lambda c: (c.state.step < end) & ~c.broken, advance, carry)
            return recorder(flow, carry)

        silent = recorder.without_callback()
        empty = jax.tree.map(
            lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(silent, flow, carry)[1]
        )
        carry, record = jax.lax.cond(done, lambda c: (c, empty), body, carry)
        return carry, (record, ~done)

    start = _Carry(state, jnp.full((), jnp.inf, state.step_size.dtype), *jnp.zeros(2, bool))
    start, first = recorder(flow, start)
    end, (rest, taken) = jax.lax.scan(segment, start, counts)
    records = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), first, rest)
    return end, records, jnp.sum(taken)


def _raise_if_diverged(end: _Carry, num_steps: int) -> None:
    if not bool(end.broken):
        return
    state = end.state
    largest = float(jnp.max(jnp.abs(state.measure.theta)))
    raise DivergenceError(
        f"the flow diverged: the energy is not finite at step {int(state.step)} of {num_steps}, "
        f"where the largest entry of theta is {largest:.2g}; lower step_size, take "
        "safeguard=True, or scale the data down",
        step=int(state.step),
    )
