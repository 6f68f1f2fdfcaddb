"""The compiled loop of `train`: one run, or many that share the devices."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Bool, Int, PyTree

from jaxmargin._arrays import as_jax, as_result
from jaxmargin._records import Segment
from jaxmargin.networks._optimizers import (
    descended,
    measured,
    require_pairs_for_lookahead,
    skips_steps,
)


class Plan(NamedTuple):
    """What a compiled run depends on beside its data.

    Attributes:
        objective: `objective(params, x, y)`; if the data have a lam, it is given to it first.
        optimizer: the optax optimizer.
        metrics: `metrics(params, x, y, *metric_args)`, or None.
        eval_params: `eval_params(opt_state, params)` gives the parameters that are recorded; None
            stands for the parameters themselves.
        stop: of the step, the objective and the metrics of a record, whether the run ends there;
            or None.
        batch_size: samples a step, or None for all of them.
        mesh: the devices that share the trials, which are the leading axis of all data; None for
            a single run.
    """

    objective: Callable[..., Array]
    optimizer: optax.GradientTransformation
    metrics: Callable[..., PyTree] | None
    eval_params: Callable[[PyTree, PyTree], PyTree] | None
    stop: Callable[[Any, Any, PyTree], Array] | None
    batch_size: int | None
    mesh: Mesh | None

    def over_trials(self, one_run: Callable) -> Callable:
        """`one_run(shared, *data)`, for each trial in equal shares on the devices."""
        mesh = self.mesh
        if mesh is None:
            return one_run

        def share(shared: Any, *data: Any) -> Any:
            each = partial(one_run, shared)
            if mesh.devices.flat[0].platform == "cpu":
                # 400 units on one core: faster than a batched product
                return jax.lax.map(lambda one: each(*one), data)
            return jax.vmap(each)(*data)

        everywhere, own = PartitionSpec(), PartitionSpec(*mesh.axis_names)

        def shared_out(shared: Any, *data: Any) -> Any:
            specs = (everywhere, *(own for _ in data))
            return jax.shard_map(share, mesh=mesh, in_specs=specs, out_specs=own, check_vma=False)(
                shared, *data
            )

        return shared_out


class Carry(NamedTuple):
    """What a step hands to the next.

    Attributes:
        params: the parameters.
        opt_state: the optimizer's state.
        order: of the samples in this epoch; of no meaning without batches.
        diverged_at: the first step whose objective was not finite, or -1; of an optimizer that
            skips such steps, the first that took the parameters with it.
    """

    params: PyTree
    opt_state: PyTree
    order: Int[Array, " n"]
    diverged_at: Int[Array, ""]


class Data(NamedTuple):
    """What a run descends on; with trials, every leaf has a leading axis t.

    Attributes:
        x: samples.
        y: their labels or targets.
        metric_args: further arguments of the metrics.
        lam: the strength of the regularizer, if each trial has its own; else None.
        key: of the order of the samples.
    """

    x: Array
    y: Array
    metric_args: tuple
    lam: Array | None
    key: Array

    def objective(self, plan: Plan) -> Callable[..., Array]:
        """The function of (params, x, y) that is minimised."""
        minimised = partial(plan.objective, *() if self.lam is None else (self.lam,))
        return partial(_scalar_of, minimised)


class Progress(NamedTuple):
    """A run so far; with trials, every leaf has a leading axis t.

    Attributes:
        carry: what the next step needs.
        records: objective and metrics at each of the s records, of which the first are made.
        kept: how many are made.
        stopped: whether `stop` was true of the last one.
    """

    carry: Carry
    records: tuple[Array, PyTree]
    kept: Int[Array, ""]
    stopped: Bool[Array, ""]


@partial(jax.jit, static_argnums=0)
def begin(plan: Plan, steps: Array, params: PyTree, opt_state: PyTree, data: Data) -> Progress:
    """The start of a run with records at `steps` (s,); `opt_state` None is that of no step."""

    def one_run(steps: Array, params: PyTree, opt_state: PyTree, data: Data) -> Progress:
        if opt_state is None:
            opt_state = plan.optimizer.init(params)
        require_pairs_for_lookahead(params, opt_state)
        order = _order(plan, data.x, data.key, steps[0])
        carry = Carry(params, opt_state, order, jnp.array(-1))
        shapes = jax.eval_shape(partial(_observe, plan), data, carry)
        records = jax.tree.map(lambda of: jnp.zeros((len(steps), *of.shape), of.dtype), shapes)
        return _strong(Progress(carry, records, jnp.array(0), jnp.array(False)))

    return plan.over_trials(one_run)(steps, params, opt_state, data)


@partial(jax.jit, static_argnums=0)
def advance(plan: Plan, segment: Segment, steps: Array, progress: Progress, data: Data) -> Progress:
    """A segment of the run: its steps, and those of the records `steps` (s,) that lie in it."""

    def one_run(bounds: tuple[Segment, Array], progress: Progress, data: Data) -> Progress:
        segment, steps = bounds

        def piece(i: Array, now: Progress) -> Progress:
            first, end = segment.stretch(steps, i)
            carry = jax.lax.cond(
                (now.carry.diverged_at < 0) & ~now.stopped,
                lambda c: jax.lax.fori_loop(first, end, partial(_step, plan, data), c),
                lambda c: c,
                now.carry,
            )
            due = (end == steps[i]) & ~now.stopped
            found = jax.lax.cond(
                due,
                partial(_observe, plan, data),
                lambda _: jax.tree.map(lambda of: jnp.zeros(of.shape[1:], of.dtype), now.records),
                carry,
            )
            stopped = now.stopped
            if plan.stop is not None:
                stopped |= due & plan.stop(steps[i], *found)
            write = partial(jax.lax.dynamic_update_index_in_dim, index=i, axis=0)
            records = jax.tree.map(write, now.records, found)
            return Progress(carry, records, now.kept + due.astype(now.kept.dtype), stopped)

        return _strong(jax.lax.fori_loop(segment.begin, segment.end, piece, progress))

    return plan.over_trials(one_run)((segment, steps), progress, data)


def _observe(plan: Plan, data: Data, carry: Carry) -> tuple[Array, PyTree]:
    """The objective on all samples, and the metrics."""
    params = measured(carry.params)
    if plan.eval_params is not None:
        params = plan.eval_params(carry.opt_state, carry.params)
    value = data.objective(plan)(params, data.x, data.y)
    metrics = plan.metrics
    found = None if metrics is None else metrics(params, data.x, data.y, *data.metric_args)
    return _strong((value, jax.tree.map(partial(as_jax, "each of metrics"), found)))


def _strong(tree: PyTree) -> PyTree:
    """Arrays without weak types, so that one program takes its own results."""

    def strong(leaf: Any) -> Array:
        array = jnp.asarray(leaf)
        weak = getattr(array, "weak_type", False)  # keys have no such thing
        return jax.lax.convert_element_type(array, array.dtype) if weak else array

    return jax.tree.map(strong, tree)


def _scalar_of(objective: Callable[..., Array], params: PyTree, x: Array, y: Array) -> Array:
    value = as_result("objective(params, x, y)", objective(params, x, y))
    if value.shape:
        raise ValueError(f"objective(params, x, y) must be a scalar, got shape {value.shape}")
    return value


def _order(plan: Plan, x: Array, key: Array, step: Array) -> Array:
    """The order of the samples in the epoch of a step; every epoch has a key of its own."""
    n = x.shape[0]
    if plan.batch_size is None:
        return jnp.arange(n)
    return jax.random.permutation(jax.random.fold_in(key, step // (n // plan.batch_size)), n)


def _step(plan: Plan, data: Data, i: Array, carry: Carry) -> Carry:
    """Step i, from 0: a gradient of the objective on all samples or on the next batch."""
    x, y, order = data.x, data.y, carry.order
    if plan.batch_size is None:
        x_batch, y_batch = x, y
    else:
        batch = i % (x.shape[0] // plan.batch_size)
        order = jax.lax.cond(batch == 0, lambda: _order(plan, x, data.key, i), lambda: order)
        chosen = jax.lax.dynamic_slice_in_dim(order, batch * plan.batch_size, plan.batch_size)
        x_batch, y_batch = x[chosen], y[chosen]

    def value_fn(params: PyTree) -> Array:
        return data.objective(plan)(params, x_batch, y_batch)

    value, grad = jax.value_and_grad(value_fn)(descended(carry.params))
    updates, opt_state = optax.with_extra_args_support(plan.optimizer).update(
        grad, carry.opt_state, carry.params, value=value, grad=grad, value_fn=value_fn
    )
    params = optax.apply_updates(carry.params, updates)
    broken = ~jnp.isfinite(value) & (carry.diverged_at < 0)
    if skips_steps(opt_state):
        broken &= ~_all_finite(params)
    return Carry(params, opt_state, order, jnp.where(broken, i, carry.diverged_at))


def _all_finite(params: PyTree) -> Array:
    return jnp.all(jnp.array([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(params)]))
