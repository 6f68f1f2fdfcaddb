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
PROBLEM = jm.logistic_two_layer(X, SIGNS, lam=0.1)
PARTICLES = jm.Measure(jnp.ones((4, 4)), jnp.ones(4))


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
training = partial(wrong, train)

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
    *[
        Fault(function.__name__, wrong(function, problem, measure), error, match)
        for function in (jm.duality_gap, jm.polish)
        for problem, measure, error, match in (
            (PROBLEM, PARTICLES._replace(mass=-PARTICLES.mass), ValueError,
             "measure.mass must be >= 0, got -1"),
            (PROBLEM, PARTICLES._replace(theta=jnp.full((4, 4), NAN)), ValueError,
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


MODULES = {"norms", "networks", "homogeneity", "losses", "margins", "data", "training"}
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
