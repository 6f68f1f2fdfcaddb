"""Wrong input: the l1-SVM on given features."""

from types import SimpleNamespace
from unittest.mock import patch

import jax
import jax.numpy as jnp
import numpy as np

import jaxmargin as jm
from tests.fault import KEY, NAN, SIGNS, Fault, wrong

ROWS = jnp.asarray(np.random.default_rng(0).normal(size=(6, 3)))
AXES = jnp.array([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]])

FAILURE = SimpleNamespace(success=False, message="no progress")


def l1_svm_without_solver() -> jm.margins.L1SVM:
    """A call during which HiGHS fails at every tolerance."""
    with patch("scipy.optimize.linprog", return_value=FAILURE):
        return jm.l1_svm(ROWS, SIGNS)


FAULTS: list[Fault] = [
    *[
        Fault("l1_svm", wrong(jm.l1_svm, rows, y), error, match)
        for rows, y, error, match in (
            (ROWS[0], SIGNS, ValueError,
             r"features must be \(n, p\) and y \(n,\), got \(3,\) and \(6,\)"),
            (ROWS, SIGNS[:5], ValueError, r"and y \(n,\), got \(6, 3\) and \(5,\)"),
            (ROWS[:, :0], SIGNS, ValueError, r"got \(6, 0\) and \(6,\)"),
            (ROWS.at[2, 1].set(NAN), SIGNS, ValueError,
             r"features must be finite, but 1 of 18 .* at index \(2, 1\)"),
            (ROWS, NAN * SIGNS, ValueError, "y must be finite"),
            (ROWS, (SIGNS + 1) / 2, ValueError, "binary labels must be -1 or [+]1, got 0"),
            (ROWS, jnp.ones(6), ValueError, r"y must have both labels, but all 6 are \+1"),
            (None, SIGNS, TypeError, "features must be an array of numbers, got NoneType"),
            ([[1.0], [1.0, 2.0]], SIGNS, TypeError,
             "features must be an array of numbers, got list with rows of several lengths"),
            (np.ma.masked_less(np.asarray(ROWS), 0), SIGNS, TypeError,
             "features must not have masked entries: fill them, or drop their rows"),
            (ROWS, ["a", "b"] * 3, TypeError, "y must be an array of numbers, got text"),
            (jax.random.split(KEY, (6, 3)), SIGNS, TypeError,
             "features must be an array of numbers, got random keys"),
            (jnp.ones((6, 3), int), SIGNS, TypeError, "features must hold floats, got int32"),
        )
    ],
    Fault("l1_svm", wrong(jm.l1_svm, ROWS, SIGNS, c=0.0), ValueError, "c must be .* > 0, got 0"),
    Fault("l1_svm", wrong(jm.l1_svm, ROWS, SIGNS, c="1"), TypeError, "c must be a number, got '1'"),
    Fault("l1_svm", wrong(jm.l1_svm, 2 * AXES, SIGNS[jnp.array([0, 0, 1])], c=0.5), ValueError,
          "c = 0.5 is so small that weights of 0 are optimal, .* at most 2: take c above 0.5"),
    Fault("l1_svm", wrong(jm.l1_svm, jnp.ones((2, 3)), SIGNS[:2], c=9.0), ValueError,
          r"at most 0: no c is large enough, add features"),
    Fault("l1_svm", wrong(jax.jit(jm.l1_svm), ROWS, SIGNS), TypeError,
          "l1_svm takes concrete numbers: call it outside jit"),
    Fault("l1_svm", wrong(jm.l1_svm, AXES[jnp.array([0, 1, 0])], SIGNS[jnp.array([0, 0, 1])]),
          ValueError, r"rows 0 and 2 are equal and have labels \+1 and -1: relabel or drop one"),
    Fault("l1_svm", wrong(jm.l1_svm, AXES, SIGNS[jnp.array([0, 0, 1])]), ValueError,
          r"over samples 0 \(0.667\), 2 \(0.333\) is 0 up to rounding: add features, or relabel"),
    Fault("l1_svm", l1_svm_without_solver, jm.ConvergenceError,
          "HiGHS did not solve the linear program: no progress"),
]  # fmt: skip
