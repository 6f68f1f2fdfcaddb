"""Wrong input: predictors in the span of a kernel's training data."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from scipy.sparse import csr_matrix

import jaxmargin as jm
from tests.fault import CLASSES, NAN, SIGNS, Fault, wrong

GRAM = jnp.eye(6) + 0.5
TWICE = GRAM.at[0, 1].set(1.5).at[1, 0].set(1.5)  # the first two inputs are equal, their labels not
ROUNDED = jnp.ones((6, 6)) - 1e-7 * jnp.eye(6)  # its lowest eigenvalue is -1e-7
FITS = {
    "fit_interpolant": jm.fit_interpolant,
    "fit_ridge": partial(jm.fit_ridge, ridge=1.0),
    "fit_ridge_path": partial(jm.fit_ridge_path, ridges=[1.0]),
    "fit_svm": jm.fit_svm,
    "fit_kernel_logistic": partial(jm.fit_kernel_logistic, lam=1.0),
}
svm = partial(wrong, jm.fit_svm)
logistic = partial(wrong, jm.fit_kernel_logistic)


def inseparable_with_a_huge_price():
    """Inputs on a line, of labels +, -, +, -, +: rounding times c exceeds the gap that is asked.

    How a draw rounds depends on how XLA compiles; one of eight always rounds badly.
    """
    with jax.enable_x64(True):
        x = jnp.asarray(np.random.default_rng(0).uniform(1, 5, size=(8, 5, 1)))
        y = jnp.tile(jnp.array([1.0, -1.0, 1.0, -1.0, 1.0]), (8, 1))
        return jm.fit_svm(x @ jnp.swapaxes(x, 1, 2), y, c=1e30)


FAULTS: list[Fault] = [
    *(
        fault
        for name, fit in FITS.items()
        for fault in (
            Fault(name, wrong(fit, GRAM[:3], SIGNS), ValueError,
                  r"gram must be \(n, n\) or \(t, n, n\) with n >= 1, got shape \(3, 6\)"),
            Fault(name, wrong(fit, GRAM[0], SIGNS), ValueError, r"got shape \(6,\)"),
            Fault(name, wrong(fit, GRAM[:0, :0], SIGNS[:0]), ValueError, r"got shape \(0, 0\)"),
            Fault(name, wrong(fit, GRAM, SIGNS[:5]), ValueError, r"y must be \(6,\).* got \(5,\)"),
            Fault(name, wrong(fit, GRAM.at[1, 2].set(NAN), SIGNS), ValueError,
                  r"gram must be finite, .* nan at index \(1, 2\)"),
            Fault(name, wrong(fit, GRAM.at[1, 2].set(jnp.inf), SIGNS), ValueError,
                  r"gram must be finite, .* inf at index \(1, 2\)"),
            Fault(name, wrong(fit, GRAM.at[1, 2].add(0.1), SIGNS), ValueError,
                  r"gram must be symmetric, .* by 0.1: pass kernel\(x\), not kernel\(x, z\)"),
            Fault(name, wrong(fit, GRAM, SIGNS.at[3].set(NAN)), ValueError, "y must be finite"),
            Fault(name, wrong(fit, GRAM.astype(int), SIGNS), TypeError,
                  "gram must hold floats, got int32: cast it, say to float32"),
            Fault(name, wrong(fit, GRAM[..., None, None], SIGNS), ValueError,
                  r"got shape \(6, 6, 1, 1\), a kernel of several outputs: take one of them"),
            Fault(name, wrong(fit, csr_matrix(GRAM), SIGNS), TypeError,
                  r"gram must be dense, got a sparse csr_matrix: pass gram.todense\(\)"),
            Fault(name, wrong(fit, {"gram": GRAM}, SIGNS), TypeError,
                  "gram must be an array of numbers, got dict"),
            Fault(name, wrong(fit, GRAM, [[1.0], [1.0, 2.0]]), TypeError,
                  "y must be an array of numbers, got list with rows"),
        )
    ),
    *(
        Fault(name, wrong(fit, tiny * GRAM, targets), ValueError,
              "beta has size .*, outside the range of float32 .*: scale y, gram or the penalty")
        for name, fit, tiny, targets in (
            ("fit_interpolant", jm.fit_interpolant, 0.1, 3e38 * SIGNS),
            ("fit_ridge", partial(jm.fit_ridge, ridge=1e-3), 0.1, 3e38 * SIGNS),
            ("fit_ridge", partial(jm.fit_ridge, ridge=1.0), 1e20, 1e-30 * SIGNS),
            ("fit_svm", partial(jm.fit_svm, c=1e-39), 1.0, SIGNS),
            ("fit_kernel_logistic", partial(jm.fit_kernel_logistic, lam=1e39), 1.0, SIGNS),
        )
    ),
    *(
        fault
        for name, fit in FITS.items() if name in ("fit_svm", "fit_kernel_logistic")
        for fault in (
            Fault(name, wrong(fit, GRAM, (SIGNS + 1) / 2), ValueError,
                  r"binary labels must be -1 or \+1, got 0, 1: .* by 2 \* y - 1"),
            Fault(name, wrong(fit, GRAM, SIGNS + 2), ValueError,
                  r"must be -1 or \+1, got 1, 3: make them so by np.where\(y == 3, 1.0, -1.0\)"),
            Fault(name, wrong(fit, GRAM, jnp.arange(6.0)), ValueError,
                  r"got 0, 1, 2, 3, 4, ... \(6 values\): number the classes by np.unique\(y, ret"),
            Fault(name, wrong(fit, GRAM, SIGNS.astype(int)), ValueError,
                  r"got -1, 1: labels -1, \+1 must be floats: y.astype\(float\)"),
            Fault(name, wrong(fit, GRAM, jnp.zeros(6, int)), ValueError, "k >= 2, .* got 0: one"),
            *(
                Fault(name, wrong(fit, GRAM, np.array([low, high] * 3, dtype)), ValueError,
                      rf"the classes 0, .* got {low}, {high}: number them by np.unique\(y, return_")
                for low, high, dtype in (
                    (1, 2, int), (3, 8, int), (1987, 2019, int), (0, 2**31 - 1, int),
                    (0, 255, "uint8"),
                )
            ),
            Fault(name, wrong(fit, GRAM, ["cat", "dog"] * 3), TypeError,
                  r"y must hold numbers, got 'cat', 'dog': number the classes by np.unique\(y"),
            Fault(name, wrong(fit, GRAM, jnp.eye(2)[CLASSES]), ValueError,
                  r"got \(6, 2\): rows of one-hot labels become classes by y.argmax\(axis=-1\)"),
            Fault(name, wrong(jax.jit(fit), GRAM, SIGNS), TypeError, "cannot run inside jit, vmap"),
            Fault(name, wrong(fit, GRAM, SIGNS > 0), TypeError,
                  r"y must hold floats -1, \+1 or integers in \[0, k\), got bool"),
            Fault(name, wrong(fit, GRAM, SIGNS[:, None]), ValueError,
                  r"y must be \(6,\), one label a sample, got \(6, 1\): pass y\[..., 0\]"),
            Fault(name, wrong(fit, GRAM - 2 * jnp.eye(6), SIGNS), ValueError,
                  "gram is not positive semidefinite beyond its rounding in float32: entry 0 of"),
        )
    ),
    *(
        Fault("fit_svm", svm(GRAM, SIGNS, c=c), ValueError, "c must be a finite number > 0")
        for c in (0.0, -1.0, jnp.inf)
    ),
    Fault("fit_svm", svm(GRAM, SIGNS, c="hard"), TypeError, "c must be a number, got 'hard'"),
    Fault("fit_svm", svm(0 * GRAM, SIGNS, c=1.0), ValueError, "gram is not positive semidefinite"),
    Fault("fit_svm", svm(TWICE, SIGNS), ValueError,
          "no f separates the labels by more than the rounding of float32: give c for a soft"),
    Fault("fit_svm", svm(ROUNDED, SIGNS, c=1e6), jm.ConvergenceError,
          "the rounding of gram in float32 may decide .* give a smaller c, or mend gram: "),
    Fault("fit_kernel_logistic", logistic(ROUNDED, SIGNS, lam=1e-9), jm.ConvergenceError,
          "the rounding of gram in float32 may decide .* give a larger lam, or mend gram: "),
    *(
        fault
        for name, fit in FITS.items() if name in ("fit_ridge", "fit_kernel_logistic")
        for fault in (
            Fault(name, wrong(fit, GRAM, SIGNS, sample_weight=SIGNS), ValueError,
                  "sample_weight must be finite numbers > 0, got -1: leave samples without weight"),
            Fault(name, wrong(fit, GRAM, SIGNS, sample_weight=SIGNS[:2]), ValueError,
                  r"sample_weight must be \(6,\), one number a sample, got \(2,\)"),
            Fault(name, wrong(fit, GRAM, SIGNS, sample_weight={0: 1.0}), TypeError,
                  "sample_weight must be an array of numbers, got dict"),
        )
    ),
    Fault("fit_svm", svm(GRAM, SIGNS, sample_weight=SIGNS**2), ValueError,
          "sample_weight needs a price c: the hard margin holds for every sample"),
    Fault("fit_svm", svm(GRAM, SIGNS, c=1.0, sample_weight=0 * SIGNS), ValueError,
          "sample_weight must be finite numbers > 0, got 0: leave samples without weight out"),
    Fault("fit_svm", svm(GRAM, SIGNS, c=1.0, sample_weight={0: 1.0}), TypeError,
          "sample_weight must be an array of numbers, got dict"),
    Fault("fit_kernel_logistic", logistic(GRAM, SIGNS, lam=0.1, sample_weight="even"), ValueError,
          "sample_weight must be numbers or 'balanced', got 'even'"),
    Fault("fit_svm", inseparable_with_a_huge_price, jm.ConvergenceError,
          "the support vector machine did not converge: .* give c, or a smaller c"),
    *(
        Fault("fit_kernel_logistic", logistic(GRAM, SIGNS, lam=lam), ValueError,
              f"lam must be a finite number > 0, got {lam}")
        for lam in (0.0, -1.0, NAN)
    ),
    Fault("fit_kernel_logistic", logistic(GRAM, SIGNS, lam="0.1"), TypeError,
          "lam must be a number, got '0.1'"),
    Fault("fit_kernel_logistic", logistic(GRAM, SIGNS, lam=1e-300), jm.ConvergenceError,
          "Newton's method did not converge in float64 for lam = 1e-300: raise lam"),
    Fault("kernel_predict", wrong(jm.kernel_predict, GRAM[:, :3], SIGNS), ValueError,
          r"got \(6, 3\) and \(6,\): cross_gram is kernel\(test, train\)"),
    Fault("kernel_predict", wrong(jm.kernel_predict, GRAM, None), TypeError,
          "beta must be an array of numbers, got NoneType"),
    Fault("kernel_predict", wrong(jm.kernel_predict, GRAM[0], SIGNS), ValueError,
          r"cross_gram \(n', n\) needs beta \(n,\) or \(n, k\), .* got \(6,\) and \(6,\)"),
    Fault("kernel_predict", wrong(jm.kernel_predict, GRAM[None], SIGNS), ValueError,
          r"got \(1, 6, 6\) and \(6,\)"),
    Fault("kernel_classify", wrong(jm.kernel_classify, GRAM[:, :3], SIGNS), ValueError,
          r"got \(6, 3\) and \(6,\): cross_gram is kernel\(test, train\)"),
    Fault("kernel_classify", wrong(jm.kernel_classify, GRAM, SIGNS, ["a"]), ValueError,
          r"classes must be 2 names or numbers, got shape \(1,\)"),
    Fault("kernel_classify", wrong(jm.kernel_classify, NAN * GRAM, SIGNS), ValueError,
          "cross_gram @ beta must be finite"),
    Fault("kernel_classify", wrong(jm.kernel_classify, GRAM, None), TypeError,
          "beta must be an array of numbers, got NoneType"),
    Fault("kernel_classify",
          wrong(jax.jit(lambda beta: jm.kernel_classify(GRAM, beta, ["a", "b"])), SIGNS),
          TypeError, "kernel_classify with classes of text takes concrete numbers: call it out"),
]  # fmt: skip
