"""Wrong input: the regularized objective."""

from functools import partial
from typing import Any

import jax.numpy as jnp

import jaxmargin as jm
from tests.fault import (
    CLASS_NET,
    CLASSES,
    CROSS_ENTROPY,
    LOGISTIC,
    NAN,
    SCALAR_NET,
    SIGNS,
    Fault,
    X,
    wrong,
)


def with_updates(params, x) -> Any:
    """A model that returns new statistics beside its scores."""
    return x @ params, {"mean": x.mean(0)}


NOTHING: Any = lambda params, x: None  # noqa: E731
regularized_by = partial(wrong, jm.regularized)


FAULTS: list[Fault] = [
    Fault("regularized", regularized_by(jm.two_layer, "hinge", lam=0.1), ValueError,
          r"loss must be one of logistic, cross_entropy, squared or a function .* got 'hinge'"),
    Fault("regularized", regularized_by(jm.two_layer, "logistic", lam=-1.0), ValueError,
          "lam must be a finite number >= 0, got -1.0"),
    Fault("regularized", regularized_by(jm.two_layer, "logistic", lam=NAN), ValueError,
          "lam must be a finite number >= 0, got nan"),
    Fault("regularized", regularized_by(jm.two_layer, "logistic", lam=jnp.array([0.1, -1.0])),
          ValueError, "each of lam must be a finite number >= 0, got -1.0"),
    Fault("regularized", regularized_by(jm.two_layer, "logistic", lam=jnp.ones((2, 2))), TypeError,
          "lam must be a number, got an array of shape"),
    Fault("regularized", wrong(jm.regularized(jm.two_layer, "logistic", lam=jnp.ones(3)),
          SCALAR_NET, X, SIGNS), ValueError, r"lam has shape \(3,\), one strength for each trial"),
    Fault("regularized", wrong(jm.regularized(with_updates, "squared", lam=0.1), jnp.ones(3), X,
          SIGNS), TypeError, r"apply must return its scores alone, got a tuple: .* take \[0\]"),
    Fault("regularized", regularized_by(jm.two_layer, "logistic", lam=None), TypeError,
          "lam must be a number, got None"),
    Fault("regularized", regularized_by(jm.two_layer, "logistic", lam=0.1, r=0.0), ValueError,
          "r must be a finite number > 0, got 0.0"),
    Fault("regularized", regularized_by(SCALAR_NET, "logistic", lam=0.1), TypeError,
          r"apply must be a function apply\(params, x\), got TwoLayer"),
    Fault("regularized", regularized_by(jm.two_layer, "logistic", lam=0.1, norm=2), TypeError,
          r"norm must be a function norm\(params\), got int"),
    Fault("regularized", regularized_by(jm.two_layer, ["logistic"], lam=0.1), ValueError,
          r"loss must be one of .* or a function \(scores, y\), got \['logistic'\]"),
    Fault("regularized", regularized_by(jm.two_layer, lambda scores: scores, lam=0.1), TypeError,
          r"loss must be a function loss\(scores, y\), got one that cannot be called with 2 argu"),
    Fault("regularized", wrong(jm.regularized(NOTHING, "squared", lam=0.1),
                               SCALAR_NET, X, SIGNS), TypeError,
          r"apply\(params, x\) must return an array of floats, got NoneType"),
    Fault("regularized", wrong(jm.regularized(jm.two_layer, "squared", lam=0.1, norm=lambda p: p.w),
                               SCALAR_NET, X, SIGNS), ValueError,
          r"norm\(params\) must be a scalar, got shape \(4,\)"),
    Fault("regularized", wrong(LOGISTIC, SCALAR_NET, X[:0], SIGNS[:0]), ValueError,
          r"x must have at least one sample, got losses of shape \(0,\)"),
    Fault("regularized", wrong(LOGISTIC, CLASS_NET, X, SIGNS), ValueError,
          r"same shape, got \(6, 2\) and \(6,\)"),
    Fault("regularized", wrong(CROSS_ENTROPY, SCALAR_NET, X, CLASSES), ValueError,
          r"labels must have shape \(\), one for each row of logits, got \(6,\)"),
]  # fmt: skip
