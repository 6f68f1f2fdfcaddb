"""Gradient descent with any optax optimizer, recorded inside one compiled loop (section 5)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, Mesh, PartitionSpec
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree, Shaped

from jaxmargin._checks import require_callable, require_count, require_finite
from jaxmargin.errors import DivergenceError
from jaxmargin.networks.objective import Regularized

Objective = Callable[[PyTree, Array, Array], Array]
Metrics = Callable[..., PyTree]


class History(NamedTuple):
    """What was recorded; with trials, all but `step` have a leading axis t.

    Attributes:
        step: (s,) steps taken before each record, from 0 to num_steps.
        objective: (s,) objective on the whole training set.
        metrics: what `metrics` returned, each leaf with a leading axis s.
    """

    step: Int[Array, " s"]
    objective: Float[Array, "*t s"]
    metrics: PyTree


class Trained(NamedTuple):
    """Final parameters (leading axis t with trials) and the history."""

    params: PyTree
    history: History


class Minibatch(NamedTuple):
    """Descend on `size` samples a step: a fresh order each epoch, an incomplete batch dropped.

    Attributes:
        key: random key of the orders; with trials it is split.
        size: samples a step, from 1 to n.
    """

    key: PRNGKeyArray
    size: int


class _Plan(NamedTuple):
    """What a compiled run depends on beside the data."""

    objective: Objective
    optimizer: optax.GradientTransformation
    metrics: Metrics | None
    batch_size: int | None
    on_record: Callable[[], None] | None


class _Carry(NamedTuple):
    params: PyTree
    opt_state: PyTree
    order: Int[Array, " n"]  # of the samples in this epoch
    diverged_at: Int[Array, ""]  # -1 while the objective is finite


def train(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    params: PyTree,
    x: Float[Array, "*t n d"],
    y: Shaped[Array, "*t n"],
    *,
    num_steps: int,
    record: int | Sequence[int] = 100,
    metrics: Metrics | None = None,
    metric_args: tuple = (),
    minibatch: Minibatch | None = None,
    trials: bool = False,
    on_record: Callable[[], None] | None = None,
) -> Trained:
    """Minimise `objective(params, x, y)` for `num_steps` steps of any optax optimizer.

    The whole run is one compiled loop; metrics are taken only at the recorded steps. With
    `trials`, every array has a leading axis t and the runs are spread over the devices (one
    after the other on a CPU device, batched on an accelerator). Calls with the same functions
    and shapes share one compilation.

    Args:
        objective: scalar function of (params, x, y), such as `regularized` makes.
        optimizer: any `optax.GradientTransformation`.
        params: pytree of float arrays to start from.
        x: (n, d) inputs.
        y: (n,) labels or targets.
        num_steps: number of steps, >= 1.
        record: record every so many steps, or at these steps; 0 and num_steps always.
        metrics: `metrics(params, x, y, *metric_args) -> pytree` of scalars or arrays.
        metric_args: further arguments of `metrics`, such as a test set.
        minibatch: `Minibatch(key, size)` for stochastic descent; None descends on all samples.
        trials: whether every leaf of params, x, y and metric_args has a leading trial axis.
        on_record: called without arguments once for each record of each trial (a progress bar).

    Returns:
        `Trained(params, history)`.

    Raises:
        DivergenceError: the objective stopped being finite; tells the step, the trial and what
            to lower. (A `ValueError`.)
        ValueError: NaN in the data, labels that the objective's loss does not take, shapes that
            do not fit, counts out of range.
        TypeError: objective, metrics or on_record is not a function, optimizer no gradient
            transformation, a count no integer; class labels that are not integers.

    Example:
        >>> from jaxmargin import data, init_two_layer, normalized_margin, regularized, two_layer
        >>> x, y = data.two_axis(jax.random.key(0), 64, 6)
        >>> start = init_two_layer(jax.random.key(1), d=6, m=32)
        >>> params, history = train(
        ...     regularized(two_layer, "logistic", lam=1e-3), optax.sgd(0.1), start, x, y,
        ...     num_steps=500, metrics=partial(normalized_margin, two_layer))
        >>> history.step.tolist(), bool(history.metrics[-1] > 0)
        ([0, 100, 200, 300, 400, 500], True)

    Reference:
        Wei, Lee, Liu, Ma (2019), section 5.
    """
    steps = _recorded_steps(num_steps, record)
    _check_functions(objective, optimizer, metrics, on_record)
    _check_data(objective, params, x, y, metric_args, trials)
    n = x.shape[1 if trials else 0]
    if minibatch is not None:
        require_count("minibatch.size", minibatch.size)
        if minibatch.size > n:
            raise ValueError(f"minibatch.size must be at most n = {n}, got {minibatch.size}")
    plan = _Plan(
        objective,
        optimizer,
        metrics,
        None if minibatch is None else minibatch.size,
        on_record,
    )
    key = jax.random.key(0) if minibatch is None else minibatch.key
    args = (params, x, y, metric_args)
    if trials:
        args = (*args, jax.random.split(key, x.shape[0]))
        carry, records = _run_trials(plan, _trial_mesh(x.shape[0]), steps, *args)
    else:
        carry, records = _run(plan, steps, *args, key)
    history = History(steps, *records)
    if on_record is not None:
        jax.effects_barrier()  # its last calls, before anyone closes the progress bar
    _raise_if_diverged(_first_divergence(np.asarray(carry.diverged_at), history), num_steps)
    return Trained(carry.params, history)


@partial(jax.jit, static_argnums=0)
def _run(plan: _Plan, steps: Array, params, x, y, metric_args, key) -> tuple[_Carry, tuple]:
    """One run, from one recorded step to the next."""

    def take_record(params: PyTree) -> tuple[Array, PyTree]:
        if plan.on_record is not None:
            jax.debug.callback(plan.on_record)
        found = {} if plan.metrics is None else plan.metrics(params, x, y, *metric_args)
        return plan.objective(params, x, y), jax.tree.map(jnp.asarray, found)

    def segment(carry: _Carry, bounds: tuple[Array, Array]):
        step = partial(_step, plan, x, y, key)
        carry = jax.lax.cond(
            carry.diverged_at < 0,
            lambda c: jax.lax.fori_loop(*bounds, step, c),
            lambda c: c,
            carry,
        )
        return carry, take_record(carry.params)

    start = _Carry(params, plan.optimizer.init(params), jnp.arange(x.shape[0]), jnp.array(-1))
    first = take_record(params)
    carry, rest = jax.lax.scan(segment, start, (steps[:-1], steps[1:]))
    return carry, jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), first, rest)


def _step(plan: _Plan, x: Array, y: Array, key: Array, i: Array, carry: _Carry) -> _Carry:
    """Step i, from 0: a gradient of the objective on all samples or on the next batch."""
    order = carry.order
    if plan.batch_size is None:
        x_batch, y_batch = x, y
    else:
        batches = x.shape[0] // plan.batch_size
        epoch, batch = i // batches, i % batches
        order = jax.lax.cond(
            batch == 0,
            lambda: jax.random.permutation(jax.random.fold_in(key, epoch), x.shape[0]),
            lambda: order,
        )
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
    return _Carry(params, opt_state, order, jnp.where(broken, i, carry.diverged_at))


@partial(jax.jit, static_argnums=(0, 1))
def _run_trials(plan: _Plan, mesh: Mesh, steps: Array, *args) -> tuple[_Carry, tuple]:
    """Independent runs over the leading axis of args, in equal shares on the devices."""
    run = partial(_run, plan, steps)
    if mesh.devices.flat[0].platform == "cpu":

        def share(*args):  # 400 units on one core: faster than a batched product
            return jax.lax.map(lambda one: run(*one), args)

    else:
        share = jax.vmap(run)
    spec = PartitionSpec(*mesh.axis_names)
    return jax.shard_map(share, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)(*args)


def _trial_mesh(num_trials: int) -> Mesh:
    """As many devices as can take equal shares of the trials."""
    devices = jax.devices()
    shares = next(k for k in range(len(devices), 0, -1) if num_trials % k == 0)
    return jax.make_mesh((shares,), ("t",), (AxisType.Auto,), devices=devices[:shares])


def _recorded_steps(num_steps: int, record: int | Sequence[int]) -> Int[Array, " s"]:
    require_count("num_steps", num_steps)
    if isinstance(record, int | np.integer):
        require_count("record", record)
        inner = list(range(record, num_steps, record))
    else:
        for step in record:
            require_count("each step of record", step, least=0)
        inner = sorted({int(step) for step in record} - {0, num_steps})
        if inner and inner[-1] > num_steps:
            raise ValueError(
                f"record must hold steps from 0 to num_steps = {num_steps}, got {list(record)}"
            )
    return jnp.array([0, *inner, num_steps])


def _check_functions(objective, optimizer, metrics, on_record) -> None:
    require_callable("objective", objective, "objective(params, x, y)")
    if not isinstance(optimizer, optax.GradientTransformation):
        raise TypeError(
            "optimizer must be an optax.GradientTransformation such as optax.sgd(0.1), "
            f"got {type(optimizer).__name__}"
        )
    if metrics is not None:
        require_callable("metrics", metrics, "metrics(params, x, y, *metric_args)")
    if on_record is not None:
        require_callable("on_record", on_record, "on_record()")


def _check_trial_axis(name: str, tree: PyTree, num_trials: int) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if jnp.shape(leaf)[:1] != (num_trials,):
            raise ValueError(
                f"{name}{jax.tree_util.keystr(path)} must have the leading trial axis "
                f"t = {num_trials}, got shape {jnp.shape(leaf)}"
            )


def _check_data(
    objective: Objective, params: PyTree, x: Any, y: Any, metric_args: tuple, trials: bool
) -> None:
    axes = 2 if trials else 1
    if x.ndim < axes or y.ndim < axes or x.shape[:axes] != y.shape[:axes] or 0 in x.shape[:axes]:
        names = "(t, n, ...)" if trials else "(n, ...)"
        raise ValueError(
            f"x and y must be {names} with the same non-empty leading axes, "
            f"got {x.shape} and {y.shape}"
        )
    if trials:
        _check_trial_axis("params", params, x.shape[0])
        _check_trial_axis("metric_args", metric_args, x.shape[0])
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        require_finite("params" + jax.tree_util.keystr(path), leaf)
    require_finite("x", x)
    require_finite("y", y)
    if isinstance(objective, Regularized):
        apply = jax.vmap(objective.apply) if trials else objective.apply
        objective.check_labels(jax.eval_shape(apply, params, x), y)


def _first_divergence(diverged_at: np.ndarray, history: History) -> np.ndarray:
    """The earlier of a step's own objective and a recorded one (all samples; the last step)."""
    never = np.iinfo(diverged_at.dtype).max
    finite = np.isfinite(history.objective)
    recorded = np.where(finite.all(-1), never, np.asarray(history.step)[finite.argmin(-1)])
    first = np.minimum(np.where(diverged_at < 0, never, diverged_at), recorded)
    return np.where(first == never, -1, first)


def _raise_if_diverged(diverged_at: np.ndarray, num_steps: int) -> None:
    trials = np.flatnonzero(diverged_at >= 0)
    if not len(trials):
        return
    trial = int(trials[0]) if diverged_at.ndim else None
    step = int(diverged_at.ravel()[trials[0]])
    which = "" if trial is None else f" in trial {trial} ({len(trials)} of {diverged_at.size} did)"
    raise DivergenceError(
        f"training diverged: the objective is not finite at step {step} of {num_steps}{which}; "
        "lower the learning rate, or the scale of the initial weights or of x",
        step=step,
        trial=trial,
    )
