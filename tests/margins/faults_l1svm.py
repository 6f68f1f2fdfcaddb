"""Wrong input: the l1-SVM on given features and over all units."""

from types import SimpleNamespace
from unittest.mock import patch

import jax
import jax.numpy as jnp
import numpy as np

import jaxmargin as jm
from tests.fault import NAN, SIGNS, Fault, wrong

ROWS = jnp.asarray(np.random.default_rng(0).normal(size=(6, 3)))
NAMES = {jm.l1_svm: ("features", "p"), jm.max_margin: ("x", "d")}
AXES = jnp.array([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]])
HEXAGON = jnp.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])

FAILURE = SimpleNamespace(success=False, message="no progress")


def l1_svm_without_solver() -> jm.margins.L1SVM:
    """A call during which HiGHS fails at every tolerance."""
    with patch("scipy.optimize.linprog", return_value=FAILURE):
        return jm.l1_svm(ROWS, SIGNS)


FAULTS: list[Fault] = [
    *[
        Fault(function.__name__, wrong(function, rows, y), error, match)
        for function, (name, axis) in NAMES.items()
        for rows, y, error, match in (
            (ROWS[0], SIGNS, ValueError,
             rf"{name} must be \(n, {axis}\) and y \(n,\), got \(3,\) and \(6,\)"),
            (ROWS, SIGNS[:5], ValueError, r"and y \(n,\), got \(6, 3\) and \(5,\)"),
            (ROWS[:, :0], SIGNS, ValueError, r"got \(6, 0\) and \(6,\)"),
            (ROWS.at[2, 1].set(NAN), SIGNS, ValueError,
             rf"{name} must be finite, but 1 of 18 .* at index \(2, 1\)"),
            (ROWS, NAN * SIGNS, ValueError, "y must be finite"),
            (ROWS, (SIGNS + 1) / 2, ValueError, "binary labels must be -1 or [+]1, got 0"),
            (ROWS, jnp.ones(6), ValueError, r"y must have both labels, but all 6 are \+1"),
            (jnp.ones((6, 3), int), SIGNS, TypeError, f"{name} must hold floats, got int32"),
        )
    ],
    Fault("l1_svm", wrong(jax.jit(jm.l1_svm), ROWS, SIGNS), TypeError,
          "l1_svm takes concrete numbers: call it outside jit"),
    Fault("l1_svm", wrong(jm.l1_svm, AXES[jnp.array([0, 1, 0])], SIGNS[jnp.array([0, 0, 1])]),
          ValueError, r"rows 0 and 2 are equal and have labels \+1 and -1: relabel or drop one"),
    Fault("l1_svm", wrong(jm.l1_svm, AXES, SIGNS[jnp.array([0, 0, 1])]), ValueError,
          r"over samples 0 \(0.667\), 2 \(0.333\) is 0 up to rounding: add features, or relabel"),
    Fault("l1_svm", l1_svm_without_solver, jm.ConvergenceError,
          "HiGHS did not solve the linear program: no progress"),
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
    Fault("max_margin", wrong(jm.max_margin, ROWS, SIGNS, max_rounds=1), jm.ConvergenceError,
          "after 1 rounds, further apart than tol = 1e-06: raise max_rounds or tol"),
]  # fmt: skip
