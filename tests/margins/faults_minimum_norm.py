"""Wrong input: the minimum-norm interpolant."""

import jax
import jax.numpy as jnp
import numpy as np

import jaxmargin as jm
from tests.fault import NAN, Fault, wrong
from tests.interrupts import pressed

ROWS = jnp.asarray(np.random.default_rng(0).normal(size=(6, 3)))
TARGETS = jnp.array([1.0, -2.0, 0.5, 3.0, -1.0, 2.0])
PAIR = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
HEXAGON = jnp.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])

FAULTS: list[Fault] = [
    *[
        Fault("min_norm_interpolant", wrong(jm.min_norm_interpolant, rows, y), error, match)
        for rows, y, error, match in (
            (ROWS[0], TARGETS, ValueError,
             r"x must be \(n, d\) and y \(n,\), got \(3,\) and \(6,\)"),
            (ROWS, TARGETS[:5], ValueError, r"and y \(n,\), got \(6, 3\) and \(5,\)"),
            (ROWS.at[2, 1].set(NAN), TARGETS, ValueError, "x must be finite, but 1 of 18"),
            (ROWS, NAN * TARGETS, ValueError, "y must be finite"),
            (jnp.ones((6, 3), int), TARGETS, TypeError, "x must hold floats, got int32"),
            (ROWS, jnp.arange(6), TypeError, "y must hold floats, got int32"),
            (ROWS.at[3].set(0), TARGETS, ValueError,
             "no network fits y: sample 3 is a row of zeros, .* and its target is 3"),
            (PAIR, TARGETS[:3], ValueError,
             "samples 0 and 1 lie on one ray from 0, .* targets 1 and -2 are not proportional"),
            (jnp.concatenate([HEXAGON, -HEXAGON]), TARGETS, ValueError,
             r"contradicts the targets of the opposite samples among samples 4 \(0.207\)"),
        )
    ],
    Fault("min_norm_interpolant", wrong(jax.jit(jm.min_norm_interpolant), ROWS, TARGETS),
          TypeError, "min_norm_interpolant takes concrete numbers: call it outside jit"),
    *[
        Fault("min_norm_interpolant", wrong(jm.min_norm_interpolant, ROWS, TARGETS, **options),
              error, match)
        for options, error, match in (
            ({"tol": 0.0}, ValueError, "tol must be a finite number > 0, got 0.0"),
            ({"budget": -1.0}, ValueError, "budget must be a finite number >= 0, got -1.0"),
            ({"time_limit": 0.0}, ValueError, "time_limit must be a finite number > 0, got 0.0"),
            ({"max_rounds": 0}, ValueError, "max_rounds must be at least 1, got 0"),
            ({"max_rounds": 1.5}, TypeError, "max_rounds must be an integer, got 1.5"),
            ({"on_record": 1}, TypeError,
             r"on_record must be a function on_record\(step, record\), got int"),
            ({"starts": jnp.ones((2, 2))}, ValueError,
             r"starts must be \(m, d = 3\) directions, got \(2, 2\)"),
            ({"max_rounds": 1, "tol": 1e-14}, jm.ConvergenceError,
             "after 1 rounds, further apart than tol = 1e-14: raise max_rounds"),
            ({"on_record": pressed}, jm.Interrupted,
             "min_norm_interpolant was interrupted with norm_squared .* after 1 rounds"),
        )
    ],
]  # fmt: skip
