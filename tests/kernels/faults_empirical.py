"""Wrong input: the tangent kernel of a finite network."""

from functools import partial

import jax.numpy as jnp

import jaxmargin as jm
from tests.fault import Fault, X, wrong

W = jnp.ones(3)
empirical = partial(wrong, jm.empirical_ntk)


def linear(w, x):
    return x @ w


FAULTS: list[Fault] = [
    Fault("empirical_ntk", empirical(linear, W, X[:0]), ValueError,
          r"x and z must be non-empty \(n, ...\), got \(0, 3\)"),
    Fault("empirical_ntk", empirical(linear, W, X, X[:, :1]), ValueError,
          r"rows of x and z must have one shape, got \(6, 3\) and \(6, 1\)"),
    Fault("empirical_ntk", empirical(lambda w, x: jnp.sum(x @ w), W, X), ValueError,
          r"apply\(params, x\) must be \(n,\) or \(n, k\) with n = 6, got \(\)"),
    Fault("empirical_ntk", empirical(lambda p, x: x @ p["w"], {"w": W, "k": jnp.arange(2)}, X),
          TypeError, r"params\['k'\] must hold floats, got int32: keep what is not trained"),
]  # fmt: skip
