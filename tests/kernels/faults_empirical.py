"""Wrong input: the tangent kernel of a finite network."""

from functools import partial

import jax.numpy as jnp

import jaxmargin as jm
from tests.fault import Fault, X, wrong

W = jnp.ones(3)
empirical = partial(wrong, jm.empirical_ntk)


def linear(w, x):
    return x @ w


def batch_normalised(w, x):
    return (x - jnp.mean(x, axis=0, keepdims=True) + jnp.eye(*x.shape)) @ w


FAULTS: list[Fault] = [
    Fault("empirical_ntk", empirical(linear, W, X[:0]), ValueError,
          r"x and z must be non-empty \(n, ...\), got \(0, 3\)"),
    Fault("empirical_ntk", empirical(linear, W, X, X[:, :1]), ValueError,
          r"rows of x and z must have one shape, got \(6, 3\) and \(6, 1\)"),
    Fault("empirical_ntk", empirical(lambda w, x: jnp.sum(x @ w), W, X), ValueError,
          r"apply\(params, x\) must be \(n,\) or \(n, k\) with n = 6, got \(\)"),
    Fault("empirical_ntk", empirical(lambda p, x: x @ p["w"], {"w": W, "k": jnp.arange(2)}, X),
          TypeError, r"params\['k'\] must hold floats, got int32: keep what is not trained"),
    Fault("empirical_ntk", empirical(batch_normalised, W, X), ValueError,
          "each row of scores from its own row of x, .* the scores of row 5 change by 1: put"),
    Fault("empirical_ntk", empirical(linear, W, {"image": X}), TypeError,
          "x must be an array of numbers, got dict"),
    Fault("empirical_ntk", empirical(linear, (W, jnp.tanh), X), TypeError,
          r"params\[1\] must hold floats, got a"),
    Fault("empirical_ntk", empirical(linear, W, X, outputs="mean"), ValueError,
          "outputs must be one of full, trace, diagonal, got 'mean'"),
    Fault("empirical_ntk", empirical(None, W, X), TypeError, "apply must be a function"),
    Fault("empirical_ntk", empirical(lambda w, x: (x @ w, w), W, X), TypeError,
          r"apply\(params, x\) must return an array of floats, got tuple"),
    Fault("empirical_ntk", empirical(lambda w, x: x @ w > 0, W, X), TypeError,
          r"apply\(params, x\) must return an array of floats, got bool"),
]  # fmt: skip
