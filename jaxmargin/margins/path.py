"""The path of regularized optima as lambda -> 0, and its normalised margins (Theorems 4.1, C.1).

Below lambda = 2^-20 the objective L is about as small as lambda, and almost flat. Its logarithm is
of order one for every lambda. So the path descends log L, and begins for each lambda at the optimum
of the lambda before. A unit that a larger lambda has set to 0 gets no gradient. To bring it back, a
little of the first parameters is added. A second descent starts afresh from the first parameters,
and the better of the two ends is kept.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, PyTree, Shaped

from jaxmargin._arithmetic import as_float64
from jaxmargin._arrays import as_array, as_floats, result_shape
from jaxmargin._checks import (
    require_callable,
    require_concrete,
    require_finite,
    require_parameters,
    require_positive,
    require_separable_labels,
)
from jaxmargin._records import Segment, recorded_steps, run_in_segments
from jaxmargin.errors import DivergenceError, Interrupted
from jaxmargin.margins._inputs import hashable
from jaxmargin.margins.normalized import normalized_margin
from jaxmargin.networks import norms
from jaxmargin.networks.homogeneity import homogeneity_degree
from jaxmargin.networks.losses import log_margin
from jaxmargin.networks.models import Apply
from jaxmargin.networks.norms import Norm
from jaxmargin.networks.objective import Regularized, regularized

_REVIVAL = 0.01  # of the first parameters, added to the optimum before
_LARGE = 30.0  # margins from which log(1 + e^-z) is e^-z in float64
_HOMOGENEOUS = 1e-4  # largest residual, of a model that computes in float32


class MarginPath(NamedTuple):
    """The optima for s strengths of the regularizer, in float64 arrays of NumPy.

    A record of one strength, which `on_record` gets, is the same without the axis s.

    Attributes:
        lam: (s,) strengths, descending.
        params: parameters Theta; each leaf has a leading axis s.
        norm: (s,) norm of Theta.
        margin: (s,) normalised margin; <= 0 where Theta does not separate the samples.
        objective: (s,) mean loss + lam * norm**r.
        gradient_norm: (s,) |g| |Theta|, both Euclidean. Here g is the mean of the gradients of
            log objective over the last half of the steps, weighted by the lengths of the steps. At
            an optimum that lies at a kink single gradients do not vanish, but their mean does.
        converged: (s,) whether gradient_norm <= tol.
    """

    lam: Float[np.ndarray, " s"]
    params: PyTree
    norm: Float[np.ndarray, " s"]
    margin: Float[np.ndarray, " s"]
    objective: Float[np.ndarray, " s"]
    gradient_norm: Float[np.ndarray, " s"]
    converged: Bool[np.ndarray, " s"]


def margin_path(
    apply: Apply,
    params: PyTree,
    x: Float[Array, "n d"],
    y: Shaped[Array, " n"],
    lams: Sequence[float] | np.ndarray,
    *,
    r: float = 2.0,
    norm: Norm = norms.l2,
    num_steps: int = 5000,
    learning_rate: float = 0.02,
    tol: float = 0.05,
    on_record: Callable[[int, MarginPath], object] | None = None,
) -> MarginPath:
    """Minimise the mean loss + lam * norm(Theta)**r for each of a descending list of lam.

    The loss is logistic for scores (n,) and cross-entropy for (n, k). As lam -> 0 the normalised
    margin of the global optimum tends to the largest one, at the rate 1 / log(1/lam). What is
    found is a local optimum. Wide networks with random weights rarely have bad ones (m = 50 units
    were enough for 10 points on a line), and steps of lam by a factor 4 to 16 help. Where lam is so
    large that Theta = 0 is optimal, the margin says nothing.

    Each lam takes two descents of `num_steps` steps of Adam with a cosine schedule, in float64
    whatever the dtype of the arguments. They are compiled once for all lam.

    Args:
        apply: `apply(params, x)` giving (n,) or (n, k), positively homogeneous in params (it has
            no biases; add a constant feature instead).
        params: pytree of float arrays, random, where the path begins; from 0.1 to 1 times the
            size of usual initial weights.
        x: (n, d) inputs.
        y: (n,) labels: floats -1, +1, or integers in [0, k).
        lams: strengths, positive and descending, such as `2.0 ** -np.arange(8, 91, 2)`.
        r: exponent of the norm, > 0.
        norm: a norm of the parameters.
        num_steps: steps of each descent.
        learning_rate: largest step of an entry of params; lower it if the path diverges.
        tol: of gradient_norm, for `converged`.
        on_record: `on_record(step, record)`, called after each lam with its index 0, 1, ... and
            its entry of the `MarginPath`.

    Returns:
        `MarginPath`, an entry for each lam.

    Raises:
        ValueError: lams that are not positive and descending; an apply that is not homogeneous;
            labels of one class only, or different labels at one point; NaN in params, x or y;
            shapes that do not fit; r, tol or learning_rate not positive; num_steps < 1.
        TypeError: apply, norm or on_record is not a function; num_steps is not an integer; class
            labels are not integers; called under `jit`.
        DivergenceError: an objective that is not finite. Its `step` is the index of that lam, its
            `result` the `MarginPath` of the lam before it, or None if there are none.
        Interrupted: Ctrl-C was pressed; it acts within about a second. Its `step` and `result` are
            those of a divergence at that lam. (A `KeyboardInterrupt`.)

    Example:
        >>> from jaxmargin import append_one, data, init_two_layer, two_layer
        >>> x, y = data.sinusoid(10)
        >>> start = init_two_layer(jax.random.key(0), d=2, m=50)
        >>> path = margin_path(two_layer, start, append_one(x), y, [2**-10, 2**-20], num_steps=2000)
        >>> path.margin.round(4).tolist()  # of at most 0.02503
        [0.024, 0.0248]

    Reference:
        Wei, Lee, Liu, Ma (2019), Theorems 4.1 and C.1, appendix F.3. The mean of gradients is an
        element of the subdifferential of Goldstein (1977), "Optimization of Lipschitz continuous
        functions".
    """
    require_concrete("margin_path", params, x, y)
    strengths = _check_lams(lams)
    recorded_steps(num_steps, num_steps)  # a number of steps that can be counted
    require_positive("learning_rate", learning_rate)
    require_positive("tol", tol)
    require_callable("on_record", on_record, "on_record(step, record)", optional=True)
    require_parameters("params", params)
    samples = as_array("x", x), as_array("y", y)
    with _float64():
        params, x, y = jax.tree.map(as_float64, (params, *samples))
        parts = _check_problem(apply, params, x, y, r, norm)
    found: list[MarginPath] = []
    for step, lam in enumerate(strengths):
        with _float64():
            warm = params if not found else _revived(found[-1].params, params)
            problem = (learning_rate, x, y, math.log(lam))
            end, interrupted = _descended(parts, num_steps, warm, params, problem)
        if interrupted:
            raise _interrupted(step, strengths, found)
        if not np.isfinite(end.log_objective):
            raise DivergenceError(
                f"the path diverged at lam = {lam:g}: lower learning_rate, or the scale of "
                "params or x",
                step=step,
                result=_stacked(found) if found else None,
            )
        found.append(_entry(lam, end, tol))
        if on_record is not None:
            on_record(step, found[-1])
    return _stacked(found)


# as one program, since the descent compiles its own for a new model anyway
_measured_degree = jax.jit(homogeneity_degree, static_argnums=0)


@contextmanager
def _float64() -> Iterator[None]:
    """Compute in float64, with the promotion of dtypes that optax needs."""
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        yield


class _Parts(NamedTuple):
    """The objective without lam. It can be hashed, so that equal calls share a compilation."""

    apply: Apply
    loss: str
    r: float
    norm: Norm


class _End(NamedTuple):
    """Where a descent ended."""

    params: PyTree
    log_objective: Array
    norm: Array
    margin: Array
    gradient_norm: Array


def _entry(lam: float, end: _End, tol: float) -> MarginPath:
    """The record of one lam."""
    gradient_norm = np.asarray(end.gradient_norm)
    return MarginPath(
        lam=np.asarray(lam),
        params=jax.tree.map(np.asarray, end.params),
        norm=np.asarray(end.norm),
        margin=np.asarray(end.margin),
        objective=np.asarray(np.exp(np.asarray(end.log_objective))),
        gradient_norm=gradient_norm,
        converged=np.asarray(gradient_norm <= tol),
    )


def _interrupted(step: int, strengths: np.ndarray, found: list[MarginPath]) -> Interrupted:
    """The error that brings what was found before the lam of this index."""
    return Interrupted(
        f"interrupted at lam = {strengths[step]:g}, the {step + 1}. of {len(strengths)}; those "
        "before it are the error's `result`",
        step=step,
        result=_stacked(found) if found else None,
    )


def _stacked(entries: list[MarginPath]) -> MarginPath:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *entries)


class _Descent(NamedTuple):
    """What a step of a descent hands to the next.

    Attributes:
        params: the parameters.
        state: that of Adam.
        mean: sum of the gradients of the last half of the steps, times the lengths of the steps.
        total: sum of these lengths.
    """

    params: PyTree
    state: PyTree
    mean: PyTree
    total: Array


_ADAM = optax.scale_by_adam(b2=0.99)


def _descended(
    parts: "_Parts", num_steps: int, warm: PyTree, fresh: PyTree, problem: tuple
) -> tuple[_End, bool]:
    """The better of two descents, from the optimum of the lam before and from the start.

    Also whether Ctrl-C was pressed on the way.
    """
    ended = run_in_segments(
        lambda segment, _, now: _descend(parts, num_steps, segment, now[0], *problem),
        (_start(warm, fresh), None),
        np.array([0, num_steps]),
        lambda *_: False,
    )
    return ended.progress[1], ended.interrupted


@jax.jit
def _start(warm: PyTree, fresh: PyTree) -> _Descent:
    """Both descents, along a leading axis."""
    params = jax.tree.map(lambda a, b: jnp.stack([a, b]), warm, fresh)
    zero = jax.tree.map(jnp.zeros_like, params)
    return _Descent(params, jax.vmap(_ADAM.init)(params), zero, jnp.zeros(2))


@partial(jax.jit, static_argnums=(0, 1))
def _descend(
    parts: "_Parts",
    num_steps: int,
    segment: Segment,
    both: _Descent,
    learning_rate: Array,
    x: Array,
    y: Array,
    log_lam: Array,
) -> tuple[_Descent, _End]:
    """A segment of both descents, and the better one of their ends."""
    objective = regularized(parts.apply, parts.loss, lam=1.0, r=parts.r, norm=parts.norm)
    log_value = partial(_log_objective, objective, x, y, log_lam)

    def step(i: Array, now: _Descent) -> _Descent:
        grad = jax.grad(log_value)(now.params)
        direction, state = _ADAM.update(grad, now.state)
        rate = learning_rate * (1 + jnp.cos(jnp.pi * i.astype(jnp.float64) / num_steps)) / 2
        params = jax.tree.map(lambda p, d: p - rate * d, now.params, direction)
        weight = jnp.where(i >= num_steps // 2, rate, 0.0)
        mean = jax.tree.map(lambda m, g: m + weight * g, now.mean, grad)
        return _Descent(params, state, mean, now.total + weight)

    def descent(start: _Descent) -> tuple[_Descent, _End]:
        now = jax.lax.fori_loop(segment.since, segment.until, step, start)
        return now, _End(
            now.params,
            log_value(now.params),
            objective.norm(now.params),
            normalized_margin(objective.apply, now.params, x, y, norm=objective.norm),
            norms.l2(now.mean) / now.total * norms.l2(now.params),
        )

    both, ends = jax.lax.map(descent, both)
    best = jnp.nanargmin(ends.log_objective)
    return both, jax.tree.map(lambda leaf: leaf[best], ends)


def _log_objective(
    objective: Regularized, x: Array, y: Array, log_lam: Array, params: PyTree
) -> Array:
    """log(mean loss + lam * penalty), exact where either is far below the least float."""
    log_loss = _log_mean_loss(objective.apply(params, x), y)
    scale = jax.lax.stop_gradient(jnp.maximum(log_loss, log_lam))
    parts = jnp.exp(log_loss - scale) + jnp.exp(log_lam - scale) * objective.penalty(params)
    return scale + jnp.log(parts)


def _log_mean_loss(scores: Array, y: Array) -> Array:
    """Log of the mean logistic or cross-entropy loss, both log(1 + e^-z) of a margin z."""
    z = log_margin(scores, y)
    near = jnp.log(jax.nn.softplus(-jnp.minimum(z, _LARGE)))
    return jax.nn.logsumexp(jnp.where(z < _LARGE, near, -z)) - math.log(len(y))


@jax.jit
def _revived(optimum: PyTree, first: PyTree) -> PyTree:
    """The optimum, with a little of the first parameters at the larger one's scale."""
    ratio = jnp.fmax(1.0, norms.l2(optimum) / norms.l2(first))
    return jax.tree.map(lambda a, b: a + _REVIVAL * ratio * b, optimum, first)


def _check_lams(lams: Sequence[float] | np.ndarray) -> np.ndarray:
    with _float64():
        strengths = np.asarray(as_floats("lams", lams), np.float64)
    if strengths.ndim != 1 or not len(strengths):
        raise ValueError(f"lams must be a list of numbers, got shape {strengths.shape}")
    for lam in strengths:
        require_positive("each of lams", float(lam))
    rising = np.flatnonzero(np.diff(strengths) >= 0)
    if len(rising):
        i = rising[0]
        raise ValueError(
            f"lams must descend, got {strengths[i]:g} before {strengths[i + 1]:g}: sort them, "
            "largest first"
        )
    return strengths


def _check_problem(
    apply: Apply, params: PyTree, x: Array, y: Array, r: float, norm: Norm
) -> "_Parts":
    """The parts of the objective, once everything fits them."""
    require_callable("apply", apply, "apply(params, x)")
    apply = hashable(apply)
    require_finite("params", params)
    require_finite("x", x)
    scores = result_shape("apply(params, x)", apply, params, x)
    loss = "logistic" if scores.ndim == 1 else "cross_entropy"
    objective = regularized(apply, loss, lam=1.0, r=r, norm=norm)
    if y.shape != x.shape[:1] or scores.ndim not in (1, 2) or scores.shape[:1] != y.shape:
        raise ValueError(
            "x must be (n, d), y (n,) and apply(params, x) (n,) or (n, k), got "
            f"{x.shape}, {y.shape} and {scores.shape}"
        )
    objective.check_labels(scores, y)
    require_separable_labels(x, y)
    degree, residual = _measured_degree(apply, params, x)
    if not residual <= _HOMOGENEOUS:
        raise ValueError(
            "apply must be positively homogeneous and not 0 at params, f(x; c Theta) = c^a f(x; "
            f"Theta), but its best degree is {float(degree):.3g} with an error of "
            f"{float(residual):.2g}: remove biases (append_one(x) gives one) and normalisation"
        )
    return _Parts(apply, loss, float(r), norm)
