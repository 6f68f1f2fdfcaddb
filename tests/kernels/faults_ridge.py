"""Wrong input: interpolation and ridge regression."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

import jaxmargin as jm
from tests.fault import CLASSES, NAN, SIGNS, Fault, X, wrong

GRAM = jnp.eye(6) + 0.5
TWICE = GRAM.at[0, 1].set(1.5).at[1, 0].set(1.5)  # the first two inputs are equal, their labels not
BIASED = jm.relu_ntk(jnp.array([[1.0], [2.0], [3.0], [-1.0], [-2.5]]))  # relu on a line: rank 2
PAIR = (jnp.stack([GRAM, jnp.ones((6, 6))]), jnp.stack([SIGNS, SIGNS]))
interpolant = partial(wrong, jm.fit_interpolant)
ridge_with = partial(wrong, jm.fit_ridge)
path = partial(wrong, jm.fit_ridge_path, GRAM, SIGNS)

FAULTS: list[Fault] = [
    Fault("fit_ridge", wrong(jax.vmap(lambda r: jm.fit_ridge(np.eye(6), SIGNS, ridge=r)), X[:, 0]),
          TypeError, "gram is float64, which JAX does not have inside jit, vmap and grad without"),
    Fault("fit_interpolant", interpolant(BIASED, SIGNS[:5]), ValueError,
          "gram: its rank is 2 for 5 different inputs: .* append a constant feature"),
    Fault("fit_interpolant", interpolant(TWICE, SIGNS), ValueError,
          "gram: its rows 0 and 1 are equal, as for equal inputs: drop one of them"),
    Fault("fit_interpolant", interpolant(GRAM, CLASSES), TypeError,
          "y must have the dtype of gram, float32, got int32"),
    Fault("fit_interpolant", interpolant(jnp.ones((6, 6)), SIGNS), ValueError,
          "the matrix to invert is .*: use fit_ridge with a positive ridge; gram: the inputs d"),
    Fault("fit_interpolant", interpolant(*PAIR), ValueError, "trial 1: the matrix to invert is"),
    Fault("fit_ridge", ridge_with(GRAM, CLASSES, ridge=1.0), TypeError,
          "y must have the dtype of gram, float32, got int32"),
    Fault("fit_ridge", ridge_with(-GRAM, SIGNS, ridge=0.1), ValueError,
          "the matrix to invert is not positive definite, .* use a larger ridge"),
    *(
        Fault("fit_ridge", ridge_with(GRAM, SIGNS, ridge=ridge), ValueError,
              f"ridge must be a finite number > 0, got {ridge}")
        for ridge in (0.0, -1.0, NAN)
    ),
    Fault("fit_ridge", ridge_with(GRAM, SIGNS, ridge=None), TypeError, "ridge must be a number"),
    *(
        Fault("fit_ridge_path", path(ridges=ridges), ValueError, match)
        for ridges, match in (
            (1.0, r"ridges must be \(r,\) with r >= 1, got shape \(\)"),
            ([], r"ridges must be \(r,\) with r >= 1, got shape \(0,\)"),
            ([1.0, 0.0], "ridges must be a finite number > 0, got 0.0"),
            ([1.0, NAN], "ridges must be a finite number > 0, got nan"),
        )
    ),
    Fault("fit_ridge_path", path(ridges="abc"), TypeError, "ridges must be an array of numbers"),
    Fault("fit_ridge_path", wrong(jm.fit_ridge_path, -GRAM, SIGNS, ridges=[9.0, 0.1]), ValueError,
          "the matrix to invert is not positive definite, .* use larger ridges; gram: entry 0"),
    Fault("fit_ridge_path", wrong(jm.fit_ridge_path, *PAIR, ridges=[1.0, 1e-9]), ValueError,
          "trial 1: the matrix to invert is .* use larger ridges; gram: the inputs differ"),
]  # fmt: skip
