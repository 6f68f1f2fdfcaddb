"""Wrong input: each fault, its exception, and one line that names it and says what is expected."""

import inspect
import math
import re
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
import optax
import pytest
from test_contracts import public_names

import jaxmargin as jm
from jaxmargin import data, norms

KEY = jax.random.key(0)
NAN = float("nan")
SCALAR_NET = jm.TwoLayer(u=jnp.ones((4, 3)), w=jnp.ones(4))
CLASS_NET = jm.TwoLayer(u=jnp.ones((4, 3)), w=jnp.ones((4, 2)))
DEEP = (jnp.ones((4, 3)), jnp.ones((5, 4)), jnp.ones((1, 5)))
X = jnp.ones((6, 3))
SIGNS = jnp.array([1.0, -1.0] * 3)
CLASSES = jnp.array([0, 1] * 3)
LOGISTIC = jm.regularized(jm.two_layer, "logistic", lam=0.1)
CROSS_ENTROPY = jm.regularized(jm.two_layer, "cross_entropy", lam=0.1)
SQUARED = jm.regularized(jm.two_layer, "squared", lam=0.1)
PARTICLES = jm.Measure(theta=jnp.ones((5, 4)), mass=jnp.ones(5))
PROBLEM = jm.logistic_two_layer(X, SIGNS, lam=0.1)


def train(**changed: Any) -> jm.Trained:
    """A run without fault but for what is changed."""
    right = {
        "objective": LOGISTIC,
        "optimizer": optax.sgd(0.1),
        "params": SCALAR_NET,
        "x": X,
        "y": SIGNS,
        "num_steps": 2,
    }
    return jm.train(**(right | changed))


MEAN_FIELD = jm.logistic_two_layer(X[:, :2], SIGNS, lam=0.1)


def start_flow(**changed: Any) -> jm.FlowState:
    """The start of a flow, without fault but for what is changed of the measure."""
    measure = jm.Measure(**({"theta": X, "mass": jnp.full(6, 1 / 6)} | changed))
    with jax.numpy_dtype_promotion("standard"):  # as users have it
        return jm.wasserstein_flow(MEAN_FIELD, step_size=0.1).init(measure)


def run_flow(*, step_size: float = 0.1, **changed: Any) -> None:
    """A run of a flow without fault but for what is changed."""
    flow = jm.wasserstein_flow(MEAN_FIELD, step_size=step_size)
    state = flow.init(jm.Measure(X, jnp.full(6, 1 / 6)))
    settings: dict[str, Any] = {"num_steps": 2}
    jm.run(flow, KEY, state, **(settings | changed))


def without(module: str, call: Callable) -> None:
    with mock.patch.dict(sys.modules, {module: None}):
        call()


class Fault(NamedTuple):
    """A call of the public function `name` that must raise `error` with a message like `match`."""

    name: str
    call: Callable
    error: type[Exception]
    match: str


def wrong(function: Callable, *args, **options) -> Callable:
    """The call, not yet made, hidden from the type checker that would refuse it."""
    return partial(function, *args, **options)


two_layer_of = partial(wrong, jm.init_two_layer, KEY)
mlp_of = partial(wrong, jm.init_mlp, KEY)
teacher_of = partial(wrong, data.teacher, KEY)
regularized_by = partial(wrong, jm.regularized)
logistic_of = partial(wrong, jm.logistic_two_layer)
classes_of = partial(wrong, jm.cross_entropy_two_layer)
squared_of = partial(wrong, jm.squared_two_layer)
training = partial(wrong, train)
plain = partial(wrong, partial(jm.wasserstein_flow, MEAN_FIELD))
starting = partial(wrong, start_flow)
running = partial(wrong, run_flow)


def perturbed(**changed: Any) -> Callable:
    return wrong(jm.perturbed_flow, MEAN_FIELD, **({"step_size": 0.1, "noise": 1.0} | changed))


def homogeneous(**changed: Callable) -> Callable:
    """The check of a problem without fault but for what is changed."""
    right = {
        "phi": lambda theta: theta**2,
        "loss": jnp.sum,
        "potential": lambda theta: jnp.sum(theta**2),
    }
    parts = right | changed
    return wrong(jm.check_two_homogeneous, KEY, jm.MeanField(**parts), 3)


OWN_MEAN_FIELD = jm.MeanField(lambda theta: theta**2, jnp.sum, lambda theta: jnp.sum(theta**2))


Axes: Any = jm.TwoLayer


def _unit_update(params=SCALAR_NET, updates=None, known=True, **changed) -> None:
    """One update by perturb_units, without fault but for what is changed."""
    optimizer = jm.perturb_units(**({"noise": 0.5, "key": KEY, "unit_axis": 0} | changed))
    updates = params if updates is None else updates
    optimizer.update(updates, optimizer.init(params), params if known else None)


def _rate(**changed) -> jm.TheoreticalRate:
    measure = jm.Measure(jnp.ones((2, 4)), jnp.ones(2) / 2)
    right = {"problem": PROBLEM, "measure": measure, "epsilon": 0.1}
    return jm.theoretical_rate(**(right | changed))


unit_update = partial(wrong, _unit_update)
rate = partial(wrong, _rate)

FAULTS = [
    *(
        Fault(f"norms.{name}", wrong(norm, {"a": None}), ValueError, "params has no array leaves")
        for name, norm in [
            ("l1", norms.l1),
            ("l2", norms.l2),
            ("linf", norms.linf),
            ("sum_of_squares", norms.sum_of_squares),
        ]
    ),
    Fault("norms.lp", wrong(norms.lp, 0.5), ValueError, r"p must be in \[1, inf\] .* got 0.5"),
    Fault("norms.lp", wrong(norms.lp, NAN), ValueError, r"p must be in \[1, inf\] .* got nan"),
    Fault("init_two_layer", two_layer_of(0, 4), ValueError, "d must be at least 1, got 0"),
    Fault("init_two_layer", two_layer_of(3, -1), ValueError, "m must be at least 1, got -1"),
    Fault("init_two_layer", two_layer_of(3, 4, k=0), ValueError, "k must be at least 1, got 0"),
    Fault("init_two_layer", two_layer_of(3, 4.0), TypeError, "m must be an integer, got 4.0"),
    Fault("init_two_layer", two_layer_of(True, 4), TypeError, "d must be an integer, got True"),
    Fault("init_two_layer", two_layer_of(3, 4, std=0.0), ValueError, "std must .* > 0, got 0.0"),
    Fault("init_two_layer", two_layer_of(3, 4, std="1"), TypeError, "std must be a number"),
    Fault("two_layer", wrong(jm.two_layer, SCALAR_NET, jnp.ones((6, 2))), ValueError,
          r"x must have the d = 3 features that params.u \(4, 3\) takes, got x of shape \(6, 2\)"),
    Fault("two_layer", wrong(jm.two_layer, SCALAR_NET, jnp.array(1.0)), ValueError,
          r"the last axis of x .* got x of shape \(\)"),
    Fault("two_layer", wrong(jm.two_layer, SCALAR_NET._replace(w=jnp.ones(5)), X), ValueError,
          r"params.w must be \(m,\) or \(m, k\) for the m = 4 units .* got shape \(5,\)"),
    Fault("two_layer", wrong(jm.two_layer, SCALAR_NET._replace(w=jnp.ones((1, 4))), X), ValueError,
          r"params.w must be .* got shape \(1, 4\)"),
    Fault("init_mlp", mlp_of((3,)), ValueError, r"widths must be .* at least two .* got \(3,\)"),
    Fault("init_mlp", mlp_of((3, 0, 1)), ValueError, "each of widths must be at least 1, got 0"),
    Fault("init_mlp", mlp_of((3, 2.5, 1)), TypeError, "each of widths must be an integer"),
    Fault("init_mlp", mlp_of((3, 4, 1), std=(1.0,)), ValueError, r"one entry a layer \(2\), got 1"),
    Fault("init_mlp", mlp_of((3, 4, 1), std=-1.0), ValueError, "std must .* > 0, got -1.0"),
    Fault("mlp", wrong(jm.mlp, (), X), ValueError, "params must hold at least one matrix"),
    Fault("mlp", wrong(jm.mlp, DEEP, jnp.ones((6, 4))), ValueError,
          r"x must have the d = 3 features that params\[0\] \(4, 3\) takes"),
    Fault("mlp", wrong(jm.mlp, (DEEP[0], DEEP[2]), X), ValueError,
          r"params\[1\] must take the 4 outputs of params\[0\], got shape \(1, 5\)"),
    Fault("activation_pattern", wrong(jm.activation_pattern, SCALAR_NET, jnp.ones((6, 2))),
          ValueError, "x must have the d = 3 features"),
    Fault("pattern_change", wrong(jm.pattern_change, SCALAR_NET, jm.widen(SCALAR_NET, 7), X),
          ValueError, "before and after must have the same units, got 4 and 7"),
    Fault("pattern_change", wrong(jm.pattern_change, DEEP, DEEP, jnp.ones((6, 2))), ValueError,
          "x must have the d = 3 features"),
    Fault("widen", wrong(jm.widen, SCALAR_NET, 3), ValueError,
          r"widths must be 1 hidden widths of at least \(4,\), got 3"),
    Fault("widen", wrong(jm.widen, DEEP, (9,)), ValueError, r"2 hidden widths .* \(4, 5\)"),
    Fault("widen", wrong(jm.widen, SCALAR_NET, 7.0), TypeError, "each of widths must be an int"),
    Fault("append_one", wrong(jm.append_one, jnp.array(1.0)), ValueError,
          r"x must be \(..., d\), got a scalar"),
    Fault("cross_entropy_loss", wrong(jm.cross_entropy_loss, jnp.ones((6, 2)), SIGNS), TypeError,
          r"labels must be integers in \[0, k\), got dtype float32: use labels.astype\(int\)"),
    Fault("cross_entropy_loss", wrong(jm.cross_entropy_loss, jnp.ones((6, 1)), CLASSES), ValueError,
          r"logits must be \(..., k\) with k >= 2 .* \(6, 1\): .* the logistic loss"),
    Fault("cross_entropy_loss", wrong(jm.cross_entropy_loss, jnp.ones((5, 2)), CLASSES), ValueError,
          r"labels must have shape \(5,\), one for each row of logits, got \(6,\)"),
    *(
        Fault(loss.__name__, wrong(loss, jnp.ones((6, 1)), SIGNS), ValueError,
              r"same shape, got \(6, 1\) and \(6,\): .* needs apply\(params, x\)\[..., 0\]")
        for loss in (jm.squared_loss, jm.truncated_squared_loss)
    ),
    Fault("regularized", regularized_by(jm.two_layer, "hinge", lam=0.1), ValueError,
          r"loss must be one of logistic, cross_entropy, squared or a function .* got 'hinge'"),
    Fault("regularized", regularized_by(jm.two_layer, "logistic", lam=-1.0), ValueError,
          "lam must be a finite number >= 0, got -1.0"),
    Fault("regularized", regularized_by(jm.two_layer, "logistic", lam=NAN), ValueError,
          "lam must be a finite number >= 0, got nan"),
    Fault("regularized", regularized_by(jm.two_layer, "logistic", lam=None), TypeError,
          "lam must be a number, got None"),
    Fault("regularized", regularized_by(jm.two_layer, "logistic", lam=0.1, r=0.0), ValueError,
          "r must be a finite number > 0, got 0.0"),
    Fault("regularized", regularized_by(SCALAR_NET, "logistic", lam=0.1), TypeError,
          r"apply must be a function apply\(params, x\), got TwoLayer"),
    Fault("regularized", regularized_by(jm.two_layer, "logistic", lam=0.1, norm=2), TypeError,
          r"norm must be a function norm\(params\), got int"),
    Fault("regularized", wrong(LOGISTIC, CLASS_NET, X, SIGNS), ValueError,
          r"same shape, got \(6, 2\) and \(6,\)"),
    Fault("regularized", wrong(CROSS_ENTROPY, SCALAR_NET, X, CLASSES), ValueError,
          r"labels must have shape \(\), one for each row of logits, got \(6,\)"),
    Fault("margins", wrong(jm.margins, SIGNS, SIGNS[:5]), ValueError,
          r"scores and y must match, got \(6,\) and \(5,\)"),
    Fault("margins", wrong(jm.margins, jnp.ones((6, 1)), SIGNS), ValueError,
          r"k >= 2 classes, got shape \(6, 1\): one score a sample has shape \(n,\)"),
    Fault("margins", wrong(jm.margins, jnp.ones((6, 2)), SIGNS), TypeError,
          r"use labels.astype\(int\)"),
    *(
        Fault(function.__name__, wrong(function, jm.two_layer, SCALAR_NET, X, SIGNS[:5]),
              ValueError, r"got \(6,\) and \(5,\)")
        for function in (jm.margin_distribution, jm.normalized_margin)
    ),
    Fault("data.two_axis", wrong(data.two_axis, KEY, 0, 5), ValueError, "n must be at least 1"),
    Fault("data.two_axis", wrong(data.two_axis, KEY, 5, 1), ValueError, "d must be at least 2"),
    Fault("data.two_axis", wrong(data.two_axis, KEY, 5.0, 3), TypeError, "n must be an integer"),
    Fault("data.teacher", teacher_of(9, d=3.0, hidden=2), TypeError, "d must be an integer"),
    Fault("data.sinusoid", wrong(data.sinusoid, "5"), TypeError, "n must be an integer, got '5'"),
    Fault("data.teacher", teacher_of(0, d=3, hidden=2), ValueError, "n must be at least 1, got 0"),
    Fault("data.teacher", teacher_of(9, d=3, hidden=0), ValueError, "hidden must be at least 1"),
    Fault("data.teacher", teacher_of(9, d=3, hidden=2, margin=-0.1), ValueError,
          "margin must be a finite number >= 0, got -0.1"),
    Fault("data.teacher", teacher_of(9, d=3, hidden=2, inputs="cube"), ValueError,
          'inputs must be "gaussian" or "sphere", got \'cube\''),
    Fault("data.teacher", teacher_of(9, d=3, hidden=2, max_majority=0.4), ValueError,
          r"max_majority must be in \[0.5, 1\], got 0.4"),
    Fault("data.teacher", teacher_of(9, d=3, hidden=2, margin=1e3), ValueError,
          "only 0 of 2560 inputs have a margin of at least 1000.0 .* lower the margin"),
    Fault("data.teacher", mock.patch.object(data, "MAX_TEACHERS", 3)(
              teacher_of(9, d=3, hidden=2, max_majority=0.5)), ValueError,
          "none of 3 teachers .* max_majority = 0.5 of 9 samples: raise max_majority, or n"),
    Fault("data.sinusoid", wrong(data.sinusoid, 1), ValueError, "n must be at least 2, got 1"),
    Fault("data.sinusoid", wrong(data.sinusoid, 5, cycles=0.0), ValueError, "cycles must .* > 0"),
    Fault("data.sinusoid", wrong(data.sinusoid, 5, low=1.0), ValueError,
          "low must be below high, both finite, got 1.0 and 1.0"),
    Fault("data.sinusoid", wrong(data.sinusoid, 5, high=math.inf), ValueError, "both finite"),
    Fault("data.mnist", wrong(data.mnist, "/no/such"), FileNotFoundError,
          r"/no/such has no train-images.* give the folder with MNIST's four IDX files"),
    Fault("data.mnist", wrong(data.mnist, split="valid"), ValueError,
          'split must be "train" or "test", got \'valid\''),
    Fault("data.read_idx", wrong(data.read_idx, __file__), ValueError, "is not an IDX file of un"),
    Fault("data.digits", wrong(without, "sklearn.datasets", data.digits), ImportError,
          "the digits come with scikit-learn: pip install"),
    Fault("train", training(num_steps=0), ValueError, "num_steps must be at least 1, got 0"),
    Fault("train", training(num_steps=2.0), TypeError, "num_steps must be an integer, got 2.0"),
    Fault("train", training(record=0), ValueError, "record must be at least 1, got 0"),
    Fault("train", training(record=True), TypeError, "record must be an integer, got True"),
    Fault("train", training(record=[1, 3]), ValueError,
          r"record must hold steps from 0 to num_steps = 2, got \[1, 3\]"),
    Fault("train", training(record=[-1]), ValueError, "each step of record must be at least 0"),
    Fault("train", training(record=[0.5]), TypeError, "each step of record must be an integer"),
    Fault("train", training(objective="logistic"), TypeError,
          r"objective must be a function objective\(params, x, y\), got str"),
    Fault("train", training(optimizer=optax.sgd), TypeError,
          r"optimizer must be an optax.GradientTransformation such as optax.sgd\(0.1\), got func"),
    Fault("train", training(metrics=3), TypeError, r"metrics must be a function .* got int"),
    Fault("train", training(on_record=[]), TypeError, r"on_record must be a function .* got list"),
    Fault("train", training(y=SIGNS[:5]), ValueError,
          r"x and y must be \(n, ...\) with the same .* leading axes, got \(6, 3\) and \(5,\)"),
    Fault("train", training(x=X[:0], y=SIGNS[:0]), ValueError, r"non-empty .* got \(0, 3\)"),
    Fault("train", training(x=X[:, :2]), ValueError, "x must have the d = 3 features"),
    Fault("train", training(x=X.at[4, 1].set(jnp.nan)), ValueError,
          r"x must be finite, but 1 of 18 .* nan at index \(4, 1\)\): remove or impute them"),
    Fault("train", training(objective=SQUARED, y=SIGNS * jnp.inf), ValueError,
          r"y must be finite, but 6 of 6 entries are not"),
    Fault("train", training(params=SCALAR_NET._replace(w=jnp.full(4, jnp.nan))), ValueError,
          r"params\.w must be finite"),
    Fault("train", training(y=(SIGNS + 1) / 2), ValueError,
          r"labels must be -1 or \+1, got 0: labels 0 and 1 become -1 and \+1 by 2 \* y - 1"),
    Fault("train", training(objective=CROSS_ENTROPY, params=CLASS_NET), TypeError,
          r"labels must be integers in \[0, k\), got dtype float32"),
    Fault("train", training(objective=CROSS_ENTROPY, params=CLASS_NET, y=CLASSES + 1), ValueError,
          r"class labels must lie in \[0, 2\), as the network has 2 outputs, got 2: number the"),
    Fault("train", training(objective=CROSS_ENTROPY, params=CLASS_NET, y=CLASSES - 1), ValueError,
          r"class labels must lie in \[0, 2\), as the network has 2 outputs, got -1"),
    Fault("train", training(minibatch=jm.Minibatch(KEY, 0)), ValueError,
          "minibatch.size must be at least 1, got 0"),
    Fault("train", training(minibatch=jm.Minibatch(KEY, 7)), ValueError,
          "minibatch.size must be at most n = 6, got 7"),
    Fault("train", training(trials=True), ValueError, r"x and y must be \(t, n, ...\)"),
    Fault("train", training(x=X[None], y=SIGNS[None], trials=True), ValueError,
          r"params\.u must have the leading trial axis t = 1, got shape \(4, 3\)"),
    Fault("train", training(x=X[None], y=SIGNS[None], params=jax.tree.map(lambda a: a[None],
          SCALAR_NET), metric_args=(X,), trials=True), ValueError,
          r"metric_args\[0\] must have the leading trial axis t = 1, got shape \(6, 3\)"),
    Fault("train", training(optimizer=optax.sgd(1e30)), jm.DivergenceError,
          "training diverged: .* at step [12] of 2; lower the learning rate"),
    *(
        Fault(name, wrong(call, measure), error, match)
        for name, call in [
            ("energy", partial(jm.energy, PROBLEM)),
            ("first_variation", lambda rho: jm.first_variation(PROBLEM, rho, jnp.ones((2, 4)))),
            ("velocity", lambda rho: jm.velocity(PROBLEM, rho, jnp.ones((2, 4)))),
            ("second_moment", jm.second_moment),
            ("as_network", jm.as_network),
        ]
        for measure, error, match in [
            (PARTICLES._replace(mass=jnp.ones(4)), ValueError,
             r"measure must hold theta \(m, D\) and mass \(m,\) .* got \(5, 4\) and \(4,\)"),
            (jm.Measure(jnp.ones((0, 4)), jnp.ones(0)), ValueError, r"m >= 1 .* got \(0, 4\)"),
            (PARTICLES._replace(theta=jnp.ones(5)), ValueError, r"got \(5,\) and \(5,\)"),
            (PARTICLES._replace(mass=jnp.ones(5, int)), TypeError,
             "measure must hold floats of one dtype, got float32 and int32"),
        ]
    ),
    *(
        Fault(function.__name__, wrong(function, PROBLEM, measure, theta), error, match)
        for function in (jm.first_variation, jm.velocity)
        for measure, theta, error, match in [
            (PARTICLES, jnp.ones((2, 5)), ValueError,
             r"theta must be \(p, D\) with D = 4 as the particles of measure, got \(2, 5\)"),
            (PARTICLES, jnp.ones(4), ValueError, r"theta must be \(p, D\) .* got \(4,\)"),
            (PARTICLES, jnp.ones((2, 4), int), TypeError,
             "theta must hold float32 as the particles of measure, got int32"),
            (PARTICLES._replace(theta=jnp.ones((5, 3))), jnp.ones((2, 3)), ValueError,
             r"theta must be \(..., d \+ k\) = \(w, u\) with d = 3 features .* got shape \(3,\)"),
        ]
    ),
    Fault("energy", wrong(jm.energy, PROBLEM, PARTICLES._replace(theta=jnp.ones((5, 5)))),
          ValueError, r"have shape \(6, 2\), and not \(6,\): a particle must be \(w, u\) with one"),
    Fault("energy", wrong(jm.energy, jm.cross_entropy_two_layer(X, CLASSES, k=3, lam=0.1),
          PARTICLES._replace(theta=jnp.ones((5, 5)))), ValueError,
          r"have shape \(6, 2\), and not \(6, 3\)"),
    Fault("as_network", wrong(jm.as_network, PARTICLES, k=4), ValueError,
          r"measure.theta must be \(m, d \+ 4\) = \(w, u\) with d >= 1, got \(5, 4\)"),
    Fault("as_network", wrong(jm.as_network, PARTICLES, k=0), ValueError, "k must be at least 1"),
    Fault("as_network", wrong(jm.as_network, PARTICLES, k=1.0), TypeError, "k must be an integer"),
    Fault("from_network", wrong(jm.from_network, SCALAR_NET._replace(w=jnp.ones(5))), ValueError,
          r"for one m >= 1, got \(4, 3\) and \(5,\)"),
    Fault("from_network", wrong(jm.from_network, jm.TwoLayer(jnp.ones((0, 3)), jnp.ones(0))),
          ValueError, r"for one m >= 1, got \(0, 3\) and \(0,\)"),
    Fault("sample_sphere", wrong(jm.sample_sphere, KEY, 0, 3), ValueError, "m must be at least 1"),
    Fault("sample_sphere", wrong(jm.sample_sphere, KEY, 3, 0), ValueError, "dim must be at least"),
    Fault("sample_sphere", wrong(jm.sample_sphere, KEY, 3, 2.0), TypeError, "dim must be an int"),
    Fault("check_two_homogeneous", wrong(jm.check_two_homogeneous, KEY, PROBLEM, 4.0), TypeError,
          "dim must be an integer, got 4.0"),
    Fault("check_two_homogeneous", homogeneous(phi=lambda theta: theta**3), ValueError,
          r"problem.phi must be 2-homogeneous, .* but c = 3 multiplied it by 27: a network's unit"),
    Fault("check_two_homogeneous", homogeneous(potential=lambda t: jnp.sum(t**2) + 1), ValueError,
          r"problem.potential must be 2-homogeneous, .* c = 3 multiplied it by 5:"),
    Fault("check_two_homogeneous", homogeneous(potential=lambda t: -jnp.sum(t**2)), ValueError,
          r"problem.potential must be > 0 away from theta = 0, got -1 on the sphere"),
    *(
        fault
        for of, name, y in [
            (logistic_of, "logistic_two_layer", SIGNS),
            (partial(classes_of, k=2), "cross_entropy_two_layer", CLASSES),
            (squared_of, "squared_two_layer", SIGNS),
        ]
        for fault in [
            Fault(name, of(X, y[:5], lam=0.1), ValueError, r"got \(6, 3\) and \(5,\)"),
            Fault(name, of(X[0], y, lam=0.1), ValueError, r"x must be \(n, d\) .* got \(3,\)"),
            Fault(name, of(X[:0], y[:0], lam=0.1), ValueError, r"n, d >= 1 .* got \(0, 3\)"),
            Fault(name, of(X.at[2, 1].set(NAN), y, lam=0.1), ValueError, "x must be finite"),
            Fault(name, of(X.astype(int), y, lam=0.1), TypeError, "x must hold floats, got int32"),
            Fault(name, of(X, y, lam=0.0), ValueError, "lam must be a finite number > 0, got 0.0"),
            Fault(name, of(X, y, lam=None), TypeError, "lam must be a number, got None"),
            Fault(name, of(X, y, lam=1, smoothing=-1.0), ValueError, "smoothing must .* >= 0, got"),
        ]
    ),
    Fault("logistic_two_layer", logistic_of(X, CLASSES, lam=0.1), TypeError,
          "x and y must hold floats of one dtype, got float32 and int32"),
    Fault("logistic_two_layer", logistic_of(X, (SIGNS + 1) / 2, lam=0.1), ValueError,
          r"labels must be -1 or \+1, got 0"),
    Fault("cross_entropy_two_layer", classes_of(X, CLASSES + 1, k=2, lam=0.1), ValueError,
          r"class labels must lie in \[0, 2\), as the network has 2 outputs, got 2"),
    Fault("cross_entropy_two_layer", classes_of(X, SIGNS, k=2, lam=0.1), TypeError,
          r"labels must be integers in \[0, k\), got dtype float32"),
    Fault("cross_entropy_two_layer", classes_of(X, CLASSES, k=1, lam=0.1), ValueError,
          "k must be at least 2, got 1"),
    Fault("cross_entropy_two_layer", classes_of(X, CLASSES, k=2.0, lam=0.1), TypeError,
          "k must be an integer, got 2.0"),
    Fault("squared_two_layer", squared_of(X, SIGNS[:, None], lam=0.1), ValueError,
          r"y must be \(n,\), or .* for k >= 2 outputs, got \(6, 1\): one column is y\[:, 0\]"),
    Fault("squared_two_layer", squared_of(X, SIGNS * jnp.inf, lam=0.1), ValueError,
          "y must be finite, but 6 of 6"),
    Fault("perturb_units", unit_update(noise=-0.1), ValueError, "noise must be .* >= 0, got -0.1"),
    Fault("perturb_units", unit_update(noise=1.5), ValueError,
          r"noise must be a probability in \[0, 1\], got 1.5"),
    Fault("perturb_units", unit_update(noise=NAN), ValueError, "noise must be .* got nan"),
    Fault("perturb_units", unit_update(noise="1"), TypeError, "noise must be a number, got '1'"),
    Fault("perturb_units", unit_update(radius=0.0), ValueError, "radius must be .* > 0, got 0.0"),
    Fault("perturb_units", unit_update(unit_axis=(0, 0)), ValueError,
          "unit_axis must be a pytree prefix of params: "),
    Fault("perturb_units", unit_update(unit_axis=Axes(u=None, w=None)), ValueError,
          "unit_axis must give at least one leaf of params an axis, got only None"),
    Fault("perturb_units", unit_update(unit_axis=Axes(u=0, w=1)), ValueError,
          r"unit_axis of params\.w must be an axis of \(4,\), got 1"),
    Fault("perturb_units", unit_update(unit_axis=Axes(u=0, w="0")), TypeError,
          r"unit_axis of params\.w must be an integer or None, got '0'"),
    Fault("perturb_units", unit_update(unit_axis=Axes(u=1, w=0)), ValueError,
          r"leaves with units must agree on their number, got {'params\.u': 3, 'params\.w': 4}"),
    Fault("perturb_units", unit_update(params=jax.tree.map(lambda a: a.astype(int), SCALAR_NET)),
          TypeError, r"params\.u has units and must hold floats, got int32"),
    Fault("perturb_units", unit_update(params=jax.tree.map(lambda a: a[:0], SCALAR_NET)),
          ValueError, "params must have at least one unit"),
    Fault("perturb_units", unit_update(unit_axis=Axes(u=None, w=0)), ValueError,
          r"one unit, of two weights or more, got {'params\.w': 4}"),
    Fault("perturb_units", unit_update(known=False), ValueError,
          r"perturb_units needs params: call optimizer.update\(grads, state, params\)"),
    Fault("perturb_units", unit_update(updates=(X, X)), ValueError,
          "updates must have the structure of params, got PyTreeDef"),
    Fault("regularity", wrong(jm.regularity, PROBLEM, 3), ValueError,
          "theta must be .* d = 3 features and k >= 1 outputs"),
    Fault("regularity", wrong(jm.regularity, PROBLEM, 4.0), TypeError, "dim must be an integer"),
    Fault("regularity", wrong(jm.regularity, jm.squared_two_layer(X, SIGNS, lam=0.1), 4),
          ValueError, "squared loss is Lipschitz only .* give level"),
    Fault("regularity", wrong(jm.regularity, OWN_MEAN_FIELD, 4), TypeError,
          "problem must be one of logistic_two_layer, .* give theoretical_rate a Regularity"),
    Fault("theoretical_rate", rate(epsilon=0.0), ValueError, "epsilon must be .* > 0, got 0.0"),
    Fault("theoretical_rate", rate(epsilon=9.0), ValueError,
          r"epsilon must be below L\[rho_0\] / 2 = .*, got 9.0"),
    Fault("theoretical_rate", rate(noise=0.1), ValueError,
          r"noise must be at most \d.\de-\d+ for the proof to hold, got 0.1"),
    Fault("theoretical_rate", rate(constants=jm.Regularity(6, 1, 1, 1, 1, 0, 1, 1)), ValueError,
          "constants.b_V must be .* > 0, got 0"),
    Fault("theoretical_rate", rate(problem=OWN_MEAN_FIELD), TypeError,
          "problem must be one of logistic_two_layer"),
    Fault("wasserstein_flow", plain(step_size=0.0), ValueError,
          "step_size must be a finite number > 0, got 0.0"),
    Fault("wasserstein_flow", plain(step_size="0.1"), TypeError, "step_size must be a number"),
    Fault("wasserstein_flow", plain(step_size=0.1, devices=[]), ValueError,
          "the number of devices must be at least 1, got 0"),
    Fault("polish", wrong(jm.polish, jm.logistic_two_layer(jnp.eye(3), SIGNS[:3], lam=1e-3),
          PARTICLES, tol=1e-15, max_rounds=1), jm.ConvergenceError,
          "gap of .* of the energy after 1 rounds, above tol = 1e-15: raise max_rounds or tol"),
    Fault("wasserstein_flow", starting(theta=X[:0], mass=SIGNS[:0]), ValueError,
          r"for m >= 1 particles, got \(0, 3\) and \(0,\)"),
    Fault("wasserstein_flow", starting(mass=SIGNS[:5]), ValueError,
          r"got \(6, 3\) and \(5,\)"),
    Fault("wasserstein_flow", starting(theta=X.at[4, 1].set(jnp.nan)), ValueError,
          r"measure.theta must be finite, but 1 of 18 .* nan at index \(4, 1\)"),
    Fault("wasserstein_flow", starting(mass=SIGNS), ValueError,
          "measure.mass must be >= 0, got -1: a sign belongs into theta"),
    Fault("wasserstein_flow", starting(theta=X[:, :2]), ValueError,
          r"theta must be .* d = 2 features .* got shape \(2,\)"),
    Fault("wasserstein_flow", starting(mass=CLASSES), TypeError,
          "floats of one dtype, got float32 and int"),
    Fault("wasserstein_flow", starting(theta=X.astype("float16"), mass=jnp.ones(6, "float16")),
          TypeError, "problem and measure must .* got float32 and float16"),
    Fault("perturbed_flow", perturbed(step_size=-1.0), ValueError, "step_size must .* got -1.0"),
    Fault("perturbed_flow", perturbed(noise=-1.0), ValueError,
          "noise must be a finite number >= 0, got -1.0"),
    Fault("perturbed_flow", perturbed(noise=None), TypeError, "noise must be a number, got None"),
    Fault("perturbed_flow", perturbed(noise=11.0), ValueError,
          r"step_size \* noise must be at most 1, got 0.1 \* 11.0: it is the share"),
    Fault("perturbed_flow", perturbed(scheme="drop"), ValueError,
          "scheme must be one of reinitialize, weighted, got 'drop'"),
    Fault("perturbed_flow", perturbed(reserve=3), ValueError,
          'reserve belongs to scheme "weighted", got scheme \'reinitialize\''),
    Fault("perturbed_flow", perturbed(scheme="weighted", reserve=-1), ValueError,
          "reserve must be at least 0, got -1"),
    Fault("perturbed_flow", perturbed(scheme="weighted", reserve=1.0), TypeError,
          "reserve must be an integer, got 1.0"),
    Fault("perturbed_flow", wrong(lambda: jm.perturbed_flow(MEAN_FIELD, step_size=0.1, noise=1.0)
          .init(jm.Measure(X, jnp.zeros(6)))), ValueError, "measure.mass must not be all 0"),
    Fault("run", running(num_steps=0), ValueError, "num_steps must be at least 1, got 0"),
    Fault("run", running(num_steps=2.0), TypeError, "num_steps must be an integer, got 2.0"),
    Fault("run", running(record=0), ValueError, "record must be at least 1, got 0"),
    Fault("run", running(record=[1]), TypeError, r"record must be an integer, got \[1\]"),
    Fault("run", running(metrics=3), TypeError, r"metrics must be a function metrics\(measure\)"),
    Fault("run", running(stop=True), TypeError, r"stop must be a function stop\(record\)"),
    Fault("run", running(on_record=[]), TypeError, r"on_record must be a function on_record\(\)"),
    Fault("run", running(step_size=1e30), jm.DivergenceError,
          "the flow diverged: .* at step 1 of 2, .* lower step_size, take safeguard=True"),
    *[
        Fault(function.__name__, wrong(function, problem, measure), error, match)
        for function in (jm.duality_gap, jm.polish)
        for problem, measure, error, match in (
            (PROBLEM, PARTICLES._replace(mass=-PARTICLES.mass), ValueError,
             "measure.mass must be >= 0, got -1"),
            (PROBLEM, PARTICLES._replace(theta=NAN * PARTICLES.theta), ValueError,
             "measure.theta must be finite"),
            (PROBLEM, jm.Measure(jnp.ones((4, 5)), jnp.ones(4)), ValueError,
             r"outputs of the particles have shape \(6, 2\)"),
            (PROBLEM, jm.Measure(jnp.ones((0, 4)), jnp.ones(0)), ValueError, "m >= 1 particles"),
            (jm.MeanField(PROBLEM.phi, jnp.sum, PROBLEM.potential), PARTICLES, TypeError,
             r"problem.loss must have a method conjugate\(p\)"),
        )
    ],
    Fault("duality_gap", wrong(jm.duality_gap, PROBLEM, PARTICLES, starts=jnp.ones((2, 3))),
          ValueError, r"starts must be \(p, D = 4\) particles, got \(2, 3\)"),
    Fault("polish", wrong(jm.polish, PROBLEM, PARTICLES, tol=0.0), ValueError,
          "tol must be a finite number > 0, got 0.0"),
    Fault("polish", wrong(jm.polish, PROBLEM, PARTICLES, max_rounds=0), ValueError,
          "max_rounds must be at least 1, got 0"),
    Fault("polish", wrong(jax.jit(jm.polish), PROBLEM, PARTICLES), TypeError,
          "polish takes concrete numbers: call it outside jit, vmap and grad"),
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.name}: {fault.match[:40]}")
def test_a_fault_is_one_clear_line(fault: Fault):
    with pytest.raises(fault.error, match=fault.match) as caught:
        fault.call()
    assert "\n" not in str(caught.value)


MODULES = {
    "certificates",
    "convergence",
    "data",
    "flow",
    "homogeneity",
    "losses",
    "margins",
    "meanfield",
    "networks",
    "norms",
    "perturbation",
    "polishing",
    "runs",
    "training",
    "two_layer_problems",
}
CHECKED = sorted(
    name
    for name, value in public_names().items()
    if getattr(value, "__module__", "").removeprefix("jaxmargin.") in MODULES
)


def documented_errors(function) -> set[str]:
    """The exceptions that the Raises section of a docstring names."""
    text = inspect.getdoc(function) or ""
    section = re.search(r"^Raises:\n(.*?)(?=^\w|\Z)", text, re.MULTILINE | re.DOTALL)
    return set(re.findall(r"^ {4}(\w+):", section[1], re.MULTILINE)) if section else set()


@pytest.mark.parametrize("name", CHECKED)
def test_the_documented_errors_are_those_of_the_table(name: str):
    raised = {fault.error.__name__ for fault in FAULTS if fault.name == name}
    assert documented_errors(public_names()[name]) == raised
