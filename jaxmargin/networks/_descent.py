"""The compiled loop of `train`: one run, or many that share the devices."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Int, PyTree


class Plan(NamedTuple):
    """What a compiled run depends on beside its data.

    Attributes:
        objective: `objective(params, x, y)`.
        optimizer: the optax optimizer.
        metrics: `metrics(params, x, y, *metric_args)`, or None.
        batch_size: samples a step, or None for all of them.
        report: called on the host with the step, the objective and the metrics of each record, or
            None.
    """

    objective: Callable[..., Array]
    optimizer: optax.GradientTransformation
    metrics: Callable[..., PyTree] | None
    batch_size: int | None
    report: Callable[[Any, Any, PyTree], None] | None


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


@partial(jax.jit, static_argnums=0)
def run(
    plan: Plan, steps: Array, params, opt_state, x, y, metric_args, key
) -> tuple[Carry, tuple[Array, PyTree]]:
    """One run through the recorded steps (s,); objective (s,) and metrics at each.

    `opt_state` is None at the start of a run.
    """

    def segment(carry: Carry, bounds: tuple[Array, Array]) -> tuple[Carry, tuple[Array, PyTree]]:
        carry = jax.lax.cond(
            carry.diverged_at < 0,
            lambda c: jax.lax.fori_loop(*bounds, partial(_step, plan, x, y, key), c),
            lambda c: c,
            carry,
        )
        value = plan.objective(carry.params, x, y)
        found = None if plan.metrics is None else plan.metrics(carry.params, x, y, *metric_args)
        found = jax.tree.map(jnp.asarray, found)
        if plan.report is not None:
            jax.debug.callback(plan.report, bounds[1], value, found)
        return carry, (value, found)

    if opt_state is None:
        opt_state = plan.optimizer.init(params)
    start = Carry(params, opt_state, _order(plan, x, key, steps[0]), jnp.array(-1))
    before = jnp.concatenate([steps[:1], steps[:-1]])  # no step precedes the first record
    return jax.lax.scan(segment, start, (before, steps))


def _order(plan: Plan, x: Array, key: Array, step: Array) -> Array:
    """The order of the samples in the epoch of a step; every epoch has a key of its own."""
    n = x.shape[0]
    if plan.batch_size is None:
        return jnp.arange(n)
    return jax.random.permutation(jax.random.fold_in(key, step // (n // plan.batch_size)), n)


def _step(plan: Plan, x: Array, y: Array, key: Array, i: Array, carry: Carry) -> Carry:
    """Step i, from 0: a gradient of the objective on all samples or on the next batch."""
    order = carry.order
    if plan.batch_size is None:
        x_batch, y_batch = x, y
    else:
        batch = i % (x.shape[0] // plan.batch_size)
        order = jax.lax.cond(batch == 0, lambda: _order(plan, x, key, i), lambda: order)
        chosen = jax.lax.dynamic_slice_in_dim(order, batch * plan.batch_size, plan.batch_size)
        x_batch, y_batch = x[chosen], y[chosen]

    def value_fn(params: PyTree) -> Array:
        return plan.objective(params, x_batch, y_batch)

    value, grad = jax.value_and_grad(value_fn)(carry.params)
    updates, opt_state = optax.with_extra_args_support(plan.optimizer).update(
        grad, carry.opt_state, carry.params, value=value, grad=grad, value_fn=value_fn
    )
    params = optax.apply_updates(carry.params, updates)
    broken = ~jnp.isfinite(value) & (carry.diverged_at < 0)
    if skips_steps(opt_state):
        broken &= ~_all_finite(params)
    return Carry(params, opt_state, order, jnp.where(broken, i, carry.diverged_at))


def skips_steps(opt_state: PyTree) -> bool:
    """Whether it is the optimizer's business what to do with objectives that are not finite."""

    def skips(state: Any) -> bool:
        return isinstance(state, optax.ApplyIfFiniteState)

    return any(map(skips, jax.tree.leaves(opt_state, is_leaf=skips)))


def _all_finite(params: PyTree) -> Array:
    return jnp.all(jnp.array([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(params)]))


@partial(jax.jit, static_argnums=(0, 1))
def run_trials(plan: Plan, mesh: Mesh, steps: Array, *args) -> tuple[Carry, tuple]:
    """Independent runs over the leading axis of args, in equal shares on the devices."""
    one_run = partial(run, plan, steps)
    if mesh.devices.flat[0].platform == "cpu":

        def share(*args):  # 400 units on one core: faster than a batched product
            return jax.lax.map(lambda one: one_run(*one), args)

    else:
        share = jax.vmap(one_run)
    spec = PartitionSpec(*mesh.axis_names)
    return jax.shard_map(share, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)(*args)
