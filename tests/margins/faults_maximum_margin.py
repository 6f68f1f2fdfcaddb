"""Wrong input: the maximum margin over all widths."""

import jax
import jax.numpy as jnp
import numpy as np

import jaxmargin as jm
from tests.fault import NAN, SIGNS, Fault, wrong
from tests.interrupts import pressed

ROWS = jnp.asarray(np.random.default_rng(0).normal(size=(6, 3)))
CLASSES = np.array([0, 1, 2, 0, 1, 2])
AXES = jnp.array([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]])
HEXAGON = jnp.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])

FAULTS: list[Fault] = [
    *[
        Fault("max_margin", wrong(jm.max_margin, rows, y), error, match)
        for rows, y, error, match in (
            (ROWS[0], SIGNS, ValueError,
             r"x must be \(n, d\) and y \(n,\), got \(3,\) and \(6,\)"),
            (ROWS, SIGNS[:5], ValueError, r"and y \(n,\), got \(6, 3\) and \(5,\)"),
            (ROWS[:, :0], SIGNS, ValueError, r"got \(6, 0\) and \(6,\)"),
            (ROWS.at[2, 1].set(NAN), SIGNS, ValueError,
             r"x must be finite, but 1 of 18 .* at index \(2, 1\)"),
            (ROWS, NAN * SIGNS, ValueError, "y must be finite"),
            (ROWS, (SIGNS + 1) / 2, ValueError, "binary labels must be -1 or [+]1, got 0"),
            (ROWS, jnp.ones(6), ValueError, r"y must have both labels, but all 6 are \+1"),
            (jnp.ones((6, 3), int), SIGNS, TypeError, "x must hold floats, got int32"),
            (ROWS, 0 * CLASSES, ValueError,
             "y must have two classes or more, but all 6 labels are 0"),
            (ROWS, 2 * CLASSES, ValueError,
             "y has classes up to 4 but none of its samples is of class 1: number the classes"),
            (AXES, CLASSES[:3], ValueError,
             "samples 0 and 2 lie on one ray from 0 and have labels 0 and 2: relabel or drop one"),
        )
    ],
    Fault("max_margin", wrong(jax.jit(jm.max_margin), ROWS, SIGNS), TypeError,
          "max_margin takes concrete numbers: call it outside jit"),
    Fault("max_margin", wrong(jm.max_margin, AXES, SIGNS[jnp.array([0, 0, 1])]), ValueError,
          r"samples 0 and 2 lie on one ray from 0 and have labels \+1 and -1: relabel or drop one"),
    Fault("max_margin", wrong(jm.max_margin, ROWS.at[3].set(0), SIGNS), ValueError,
          "x has a row of zeros, sample 3, where every network without bias is 0"),
    Fault("max_margin", wrong(jm.max_margin, jnp.concatenate([HEXAGON, -HEXAGON]), SIGNS),
          ValueError, r"is 0 for every u, with p on samples 0 \(0.167\), 1 \(0.167\)"),
    Fault("max_margin", wrong(jm.max_margin, ROWS, SIGNS, tol=0.0), ValueError,
          "tol must be a finite number > 0, got 0.0"),
    Fault("max_margin", wrong(jm.max_margin, ROWS, SIGNS, budget=-1.0), ValueError,
          "budget must be a finite number >= 0, got -1.0"),
    Fault("max_margin", wrong(jm.max_margin, ROWS, SIGNS, time_limit=0.0), ValueError,
          "time_limit must be a finite number > 0, got 0.0"),
    Fault("max_margin", wrong(jm.max_margin, ROWS, SIGNS, max_rounds=0), ValueError,
          "max_rounds must be at least 1, got 0"),
    Fault("max_margin", wrong(jm.max_margin, ROWS, SIGNS, max_rounds=1.5), TypeError,
          "max_rounds must be an integer, got 1.5"),
    Fault("max_margin", wrong(jm.max_margin, ROWS, SIGNS, on_record=1), TypeError,
          r"on_record must be a function on_record\(step, record\), got int"),
    Fault("max_margin", wrong(jm.max_margin, ROWS, SIGNS, starts=jnp.ones((2, 2))), ValueError,
          r"starts must be \(m, d = 3\) directions, got \(2, 2\)"),
    Fault("max_margin", wrong(jm.max_margin, ROWS, SIGNS, starts=jnp.full((2, 3), NAN)),
          ValueError, "starts must be finite"),
    Fault("max_margin", wrong(jm.max_margin, ROWS, SIGNS, max_rounds=1, tol=1e-14),
          jm.ConvergenceError, "after 1 rounds, further apart than tol = 1e-14: raise max_rounds"),
    Fault("max_margin", wrong(jm.max_margin, ROWS, SIGNS, on_record=pressed), jm.Interrupted,
          "max_margin was interrupted with margin .* after 1 rounds"),
]  # fmt: skip
