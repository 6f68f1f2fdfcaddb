"""Gradient descent with any optax optimizer, recorded inside one compiled loop (section 5)."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree, Shaped

from jaxmargin._arrays import as_array, as_jax
from jaxmargin._checks import (
    is_concrete,
    require_callable,
    require_count,
    require_finite,
    require_parameters,
)
from jaxmargin._devices import sharing_mesh
from jaxmargin._records import kept_records, recorded_steps, run_in_segments
from jaxmargin.errors import DivergenceError, Interrupted
from jaxmargin.networks._descent import Carry, Data, Plan, Progress, advance, begin
from jaxmargin.networks._optimizers import measured, require_optimizer, skips_steps
from jaxmargin.networks.objective import Objective, Regularized

Metrics = Callable[..., PyTree]
"""What a user measures: `metrics(params, x, y, *metric_args)` gives a pytree of arrays."""


class History(NamedTuple):
    """What was recorded at s steps. With trials, all but `step` have a leading axis t.

    Attributes:
        step: (s,) steps taken before each record; those of earlier calls that `opt_state` knows of
            are counted too.
        objective: (s,) objective on the whole training set.
        metrics: what `metrics` returned, each leaf with a leading axis s; None without metrics.
    """

    step: Int[Array, " s"]
    objective: Float[Array, "*t s"]
    metrics: PyTree


class OptState(NamedTuple):
    """What a later call of `train` needs to go on as if there had been no break.

    Attributes:
        step: steps taken so far; it tells minibatches where their epoch stands.
        inner: the optax optimizer's own state (every leaf has a leading axis t with trials).
    """

    step: int
    inner: PyTree


class Trained(NamedTuple):
    """What `train` returns.

    Attributes:
        params: the final parameters; every leaf has a leading axis t with trials.
        history: what was recorded.
        opt_state: what `train(..., opt_state=...)` takes to continue the run.
    """

    params: PyTree
    history: History
    opt_state: OptState


class Minibatch(NamedTuple):
    """Descend on `size` samples a step.

    Each epoch visits the samples in a fresh random order. Its last batch is dropped if it is
    incomplete.

    Attributes:
        key: random key of the orders. With trials it is split, one key for each.
        size: samples a step, from 1 to n.
    """

    key: PRNGKeyArray
    size: int


def train(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    params: PyTree,
    x: Float[Array, "*t n d"],
    y: Shaped[Array, "*t n"],
    *,
    num_steps: int,
    opt_state: OptState | None = None,
    record: int | Sequence[int] = 100,
    metrics: Metrics | None = None,
    metric_args: tuple = (),
    minibatch: Minibatch | None = None,
    trials: bool = False,
    eval_params: Callable[[PyTree, PyTree], PyTree] | None = None,
    stop: Callable[[History], Any] | None = None,
    on_record: Callable[[int, History], Any] | None = None,
) -> Trained:
    """Minimise `objective(params, x, y)` by `num_steps` steps of any optax optimizer.

    The run is one compiled loop, and metrics are computed only at the recorded steps. With
    `trials`, every array has a leading axis t, and the runs are shared out over the devices: a CPU
    device makes its runs one after the other, an accelerator makes them as one batch. Calls with
    the same functions and shapes share one compilation.

    A run can be continued: pass the `params` and the `opt_state` of its result, and the same
    objective, optimizer, data and minibatch. Two such halves are one run. Schedules, averages and
    the order of the samples go on where they stopped, and `history.step` counts on.

    Args:
        objective: scalar function of (params, x, y), such as `regularized` makes; with an array of
            lam, one for each trial.
        optimizer: any `optax.GradientTransformation`.
        params: pytree of float arrays to start from, all of them trained; what is not, such as the
            running statistics of batch normalisation, stays outside. `optax.lookahead` starts from
            `optax.LookaheadParams.init_synced(params)`, and its slow parameters are recorded.
        x: (n, d) inputs.
        y: (n,) labels or targets.
        num_steps: number of steps of this call, >= 1.
        opt_state: `opt_state` of an earlier result, to continue it; None starts afresh.
        record: record every so many steps, or at these steps, counted from the start of this
            call. The start and the end are always recorded.
        metrics: `metrics(params, x, y, *metric_args) -> pytree` of scalars or arrays.
        metric_args: further arguments of `metrics`, such as a test set.
        minibatch: `Minibatch(key, size)` for stochastic descent; None descends on all samples.
        trials: whether every leaf of params, x, y and metric_args has a leading trial axis.
        eval_params: `eval_params(state, params) -> params` of the optimizer's own state gives the
            parameters that objective and metrics are recorded at, where these are not those that
            take the steps: an average, or `optax.contrib.schedule_free_eval_params`. Of a result:
            `eval_params(trained.opt_state.inner, trained.params)`.
        stop: `stop(record) -> bool` of each record, a `History` of scalars. The run ends at the
            first record for which it is true, such as `lambda record: record.objective < 0.1`.
            Trials have records in common, and cannot stop.
        on_record: `on_record(step, record)`, called on the host during the run, once for each
            record of each trial, about a second after it was made at the latest: a progress bar,
            or a log. `record` is a `History` of that step alone, in NumPy.

    Returns:
        `Trained(params, history, opt_state)`.

    Raises:
        DivergenceError: the objective stopped being finite (with `optax.apply_if_finite`, which
            skips such steps: the parameters did). The message tells the step, the trial
            and what to lower; `result` is the `Trained` of the whole run, in which a trial that
            diverged stands still from the next record on. (A `ValueError`.)
        Interrupted: Ctrl-C was pressed; it acts within about a second. `result` is the `Trained`
            up to there, with which the run can be continued. (A `KeyboardInterrupt`.)
        ValueError: NaN in the data, labels that the objective's loss does not take, shapes that
            do not fit, counts out of range, an opt_state of another optimizer, stop with trials,
            lookahead without its pairs of parameters, or params that hold batch statistics.
        TypeError: objective, metrics, eval_params, stop or on_record is not a function, optimizer
            is not a gradient transformation, a leaf of params does not hold floats, x or y is not
            of numbers, opt_state is not an `OptState`, a count or a class label is not an integer,
            the model returns more than its scores, or called under `jit`, `vmap` or `grad`.

    Example:
        >>> from jaxmargin import data, init_two_layer, normalized_margin, regularized, two_layer
        >>> x, y = data.two_axis(jax.random.key(0), 64, 6)
        >>> start = init_two_layer(jax.random.key(1), d=6, m=32)
        >>> objective = regularized(two_layer, "logistic", lam=1e-3)
        >>> optimizer = optax.sgd(0.1, momentum=0.5)
        >>> params, history, state = train(
        ...     objective, optimizer, start, x, y, num_steps=500,
        ...     metrics=lambda params, x, y: normalized_margin(two_layer, params, x, y))
        >>> history.step.tolist(), bool(history.metrics[-1] > 0)
        ([0, 100, 200, 300, 400, 500], True)

        The same run goes on for 300 steps:

        >>> more = train(objective, optimizer, params, x, y, num_steps=300, opt_state=state)
        >>> more.history.step.tolist(), more.opt_state.step
        ([500, 600, 700, 800], 800)

    Reference:
        Wei, Lee, Liu, Ma (2019), section 5.
    """
    _require_concrete(params, x, y, metric_args, opt_state)
    _check_functions(objective, optimizer, metrics, metric_args, eval_params, on_record)
    first = _first_step(opt_state)
    steps = first + recorded_steps(num_steps, record)
    x, y = _checked_data(objective, params, x, y, metric_args, trials)
    if opt_state is not None:
        _check_opt_state(optimizer, params, opt_state.inner, trials)
    objective, lam = _with_lam_of_trials(objective, len(x)) if trials else (objective, None)
    size, key = _batches(minibatch, x.shape[1 if trials else 0])
    mesh = sharing_mesh("t", len(x)) if trials else None
    ends = _checked_stop(stop, trials)
    plan = Plan(objective, optimizer, metrics, eval_params, ends, size, mesh)
    data = _on_devices(plan, Data(x, y, jax.tree.map(jnp.asarray, metric_args), lam, key))
    progress, recorded, interrupted = run_in_segments(
        lambda segment, steps, progress: advance(plan, segment, steps, progress, data),
        begin(plan, steps, params, None if opt_state is None else opt_state.inner, data),
        steps,
        partial(_report, on_record, steps, trials),
    )
    recorded = recorded[: int(np.max(progress.kept))]
    history = History(jnp.asarray(recorded), *kept_records(progress.records, len(recorded), trials))
    last = int(recorded[-1])
    trained = Trained(progress.carry.params, history, OptState(last, progress.carry.opt_state))
    if interrupted:
        raise Interrupted.at(last, first + num_steps, trained)
    _raise_if_diverged(progress.carry, trained)
    return trained


def _on_devices(plan: Plan, data: Data) -> Data:
    """The data, in shares on the devices of the trials, each of which has a key of its own."""
    if plan.mesh is None:
        return data
    own = NamedSharding(plan.mesh, PartitionSpec(*plan.mesh.axis_names))
    return jax.device_put(data._replace(key=jax.random.split(data.key, len(data.x))), own)


def _require_concrete(*trees: Any) -> None:
    if not is_concrete(*trees):
        raise TypeError(
            "train takes concrete numbers: call it outside jit, vmap and grad; many runs at once "
            "are train(..., trials=True)"
        )


def _report(
    on_record: Callable[[int, History], Any] | None,
    steps: np.ndarray,
    trials: bool,
    progress: Progress,
    begin: int,
    end: int,
) -> bool:
    """Call `on_record` with the records from begin to end of each trial; whether it has stopped."""
    _require_concrete(progress)  # an objective may close over traced numbers
    if on_record is not None:
        on_host = jax.tree.map(np.asarray, progress.records)
        count = len(on_host[0]) if trials else 1
        for i in range(begin, min(end, int(np.max(progress.kept)))):
            for trial in range(count):
                at = (trial, i) if trials else i
                found = jax.tree.map(lambda of, at=at: np.array(of[at]), on_host)
                record: Any = (np.asarray(steps[i]), *found)
                on_record(int(steps[i]), History(*record))
    return bool(np.all(progress.stopped))


@dataclass(frozen=True)
class _Stop:
    """Asks `stop` about what the compiled loop recorded."""

    stop: Callable[[History], Any]

    def __call__(self, step: Any, objective: Any, metrics: PyTree) -> Array:
        found = as_jax("stop(record)", self.stop(History(step, objective, metrics)))
        if found.size != 1:
            raise TypeError(f"stop must give one truth value, got shape {found.shape}")
        return found.reshape(()).astype(bool)


def _checked_stop(stop: Callable[[History], Any] | None, trials: bool) -> _Stop | None:
    require_callable("stop", stop, "stop(record)", optional=True)
    if stop is None:
        return None
    if trials:
        raise ValueError(
            "stop must be None with trials: they are recorded at the same steps, and none can end "
            "before the others"
        )
    return _Stop(stop)


def _with_lam_of_trials(
    objective: Objective, num_trials: int
) -> tuple[Callable[..., Array], Array | None]:
    """If each trial has a lam of its own: the objective as a function of it too, and the (t,)."""
    if not isinstance(objective, Regularized) or not np.ndim(objective.lam):
        return objective, None
    _check_trial_axis("lam", objective.lam, num_trials)
    return objective.with_lam, jnp.asarray(objective.lam)


def _first_step(opt_state: OptState | None) -> int:
    if opt_state is None:
        return 0
    if not isinstance(opt_state, OptState):
        raise TypeError(
            "opt_state must be that of an earlier result of train, got "
            f"{type(opt_state).__name__}: OptState(steps_taken, state) makes one of optax's state"
        )
    step = operator.index(opt_state.step)  # also of an array of one integer
    require_count("opt_state.step", step, least=0)
    return step


def _check_functions(objective, optimizer, metrics, metric_args, eval_params, on_record) -> None:
    require_callable("objective", objective, "objective(params, x, y)")
    require_optimizer("optimizer", optimizer)
    more = [f"metric_args[{i}]" for i in range(len(metric_args))]
    signature = f"metrics({', '.join(['params', 'x', 'y', *more])})"
    require_callable("metrics", metrics, signature, optional=True)
    require_callable("eval_params", eval_params, "eval_params(state, params)", optional=True)
    require_callable("on_record", on_record, "on_record(step, record)", optional=True)


def _checked_data(
    objective: Objective, params: PyTree, x: Any, y: Any, metric_args: tuple, trials: bool
) -> tuple[Array, Array]:
    """The arrays x and y, once they and the parameters fit."""
    _require_no_statistics(params)
    require_parameters("params", params)
    x, y = jnp.asarray(as_array("x", x)), jnp.asarray(as_array("y", y))
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
    require_finite("params", params)
    require_finite("x", x)
    require_finite("y", y)
    if isinstance(objective, Regularized):
        scores = jax.vmap(objective.scores) if trials else objective.scores
        objective.check_labels(jax.eval_shape(scores, measured(params), x), y)
    return x, y


def _require_no_statistics(params: PyTree) -> None:
    """Raise ValueError if flax's running statistics are among the parameters."""
    if isinstance(params, Mapping) and "batch_stats" in params:
        raise ValueError(
            "params['batch_stats'] holds running statistics, which are not trained: give "
            "params['params'] alone, and let apply add the statistics"
        )


def _check_trial_axis(name: str, tree: PyTree, num_trials: int) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if jnp.shape(leaf)[:1] != (num_trials,):
            raise ValueError(
                f"{name}{jax.tree_util.keystr(path)} must have the leading trial axis "
                f"t = {num_trials}, got shape {jnp.shape(leaf)}"
            )


def _check_opt_state(
    optimizer: optax.GradientTransformation, params: PyTree, inner: PyTree, trials: bool
) -> None:
    """Raise ValueError unless a state of the optimizer has the structure, shapes and dtypes."""
    expected = jax.eval_shape(jax.vmap(optimizer.init) if trials else optimizer.init, params)
    if jax.tree.structure(inner) != jax.tree.structure(expected):
        raise ValueError(
            "opt_state must be that of the same optimizer and params, but it has another structure"
        )
    for (path, leaf), other in zip(
        jax.tree_util.tree_leaves_with_path(inner), jax.tree.leaves(expected), strict=True
    ):
        found = (jnp.shape(leaf), str(jax.typeof(leaf).dtype))
        if found != (wanted := (other.shape, str(other.dtype))):
            raise ValueError(
                f"opt_state.inner{jax.tree_util.keystr(path)} must be {wanted[1]} of shape "
                f"{wanted[0]} for these params, got {found[1]} of shape {found[0]}"
            )


def _batches(minibatch: Minibatch | None, n: int) -> tuple[int | None, PRNGKeyArray]:
    """The number of samples a step, None for all n of them, and the key of their orders."""
    if minibatch is None:
        return None, jax.random.key(0)
    require_count("minibatch.size", minibatch.size)
    if minibatch.size > n:
        raise ValueError(f"minibatch.size must be at most n = {n}, got {minibatch.size}")
    return minibatch.size, minibatch.key


def _first_divergence(carry: Carry, history: History, opt_state: PyTree) -> np.ndarray:
    """The earlier of a step's own objective and a recorded one (all samples; the last step)."""
    diverged_at = np.asarray(carry.diverged_at)
    never = np.iinfo(diverged_at.dtype).max
    finite = np.isfinite(history.objective) | skips_steps(opt_state)
    recorded = np.where(finite.all(-1), never, np.asarray(history.step)[finite.argmin(-1)])
    first = np.minimum(np.where(diverged_at < 0, never, diverged_at), recorded)
    return np.where(first == never, -1, first)


def _raise_if_diverged(carry: Carry, trained: Trained) -> None:
    diverged_at = _first_divergence(carry, trained.history, carry.opt_state)
    trials = np.flatnonzero(diverged_at >= 0)
    if not len(trials):
        return
    trial = int(trials[0]) if diverged_at.ndim else None
    step = int(diverged_at.ravel()[trials[0]])
    which = "" if trial is None else f" in trial {trial} ({len(trials)} of {diverged_at.size} did)"
    raise DivergenceError(
        f"training diverged: the objective is not finite at step {step} of "
        f"{trained.opt_state.step}{which}; lower the learning rate, or the scale of the initial "
        "weights or of x",
        step=step,
        trial=trial,
        result=trained,
    )
