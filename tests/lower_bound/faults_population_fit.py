"""Wrong input: the best fit in the span of the samples, and held-out errors."""

from functools import partial

import jax
import jax.numpy as jnp

import jaxmargin as jm
from jaxmargin import data, lower_bound
from tests.fault import KEY, Fault, wrong

X = data.embed(jnp.array([[1.0, 1.0, -1.0, 1.0], [1.0, -1.0, 1.0, 1.0], [-1.0] * 4]), 1, 0)
BETA = jnp.ones(3)
best = partial(wrong, lower_bound.best_in_span)
held_out = partial(wrong, lower_bound.held_out_error, KEY)


FAULTS: list[Fault] = [
    Fault("best_in_span", best(2 * X), ValueError,
          r"x must be samples of D, .* but row 0 begins \[2.0, 0.0, 2.0\]: draw them by"),
    Fault("best_in_span", best(X.at[1, 3].set(jnp.nan)), ValueError,
          "x must be samples of D, .* but row 1 begins"),
    Fault("best_in_span", best(X[:, :2]), ValueError,
          r"x must be \(n, d\) with n >= 1 and d >= 3, got shape \(3, 2\)"),
    Fault("best_in_span", best(X[:0]), ValueError, r"got shape \(0, 6\)"),
    Fault("best_in_span", best(X, target="xor"), ValueError,
          "target must be one of label, half_space, got 'xor'"),
    Fault("best_in_span", best(X, kernel=jm.k2), ValueError,
          "kernel must be positive semidefinite, and its Gram matrix of x is not"),
    Fault("best_in_span", lambda: jax.jit(lower_bound.best_in_span)(X), TypeError,
          "best_in_span takes concrete numbers: call it outside jit, vmap and grad"),
    Fault("best_in_span", best(X, kernel=3), TypeError,
          r"kernel must be a function kernel\(x, z\), got int"),
    Fault("held_out_error", held_out(X, BETA[:2]), ValueError,
          r"x and beta must be \(n, d\) and \(n,\), got \(3, 6\) and \(2,\)"),
    Fault("held_out_error", held_out(X[0], BETA), ValueError, r"got \(6,\) and \(3,\)"),
    Fault("held_out_error", held_out(X, BETA * jnp.nan), ValueError,
          "beta must be finite"),
    Fault("held_out_error", held_out(X * jnp.inf, BETA), ValueError, "x must be finite"),
    Fault("held_out_error", held_out(X, BETA, num_test=0), ValueError,
          "num_test must be at least 1, got 0"),
    Fault("held_out_error", held_out(X, BETA, num_test=1.5), TypeError,
          "num_test must be an integer, got 1.5"),
    Fault("held_out_error", held_out(X, BETA, num_test=10**12), ValueError,
          r"num_test \* d must be at most .*, the most entries of the fresh samples, got "),
    Fault("best_in_span", wrong(lower_bound.best_in_span, X, kernel=lambda x, z: x), ValueError,
          r"kernel\(x, z\) of 1 and \d rows must be \(1, \d\), got \(1, \d\)"),
    Fault("held_out_error", held_out(X, BETA, kernel="ntk"), TypeError,
          r"kernel must be a function kernel\(x, z\), got str"),
    Fault("held_out_error", held_out(X, BETA.astype("float16")), TypeError,
          "x and beta must have one dtype, got float32 and float16"),
    Fault("held_out_error", wrong(lower_bound.held_out_error, 0, X, BETA), TypeError,
          "key must be a random key"),
    Fault("least_squares_limit", wrong(lower_bound.least_squares_limit, -0.1), ValueError,
          r"ratio must be n / d\^2 >= 0, got -0.1"),
    Fault("least_squares_limit", wrong(lower_bound.least_squares_limit, None), TypeError,
          "ratio must be an array of numbers, got NoneType"),
]  # fmt: skip
