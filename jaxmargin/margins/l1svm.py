"""The l1-SVM on given features (eq. B.15)."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float

from jaxmargin._arrays import as_jax
from jaxmargin._checks import require_concrete, require_positive
from jaxmargin.margins._finite_game import solve_program, solve_scaled, solve_soft
from jaxmargin.margins._inputs import check_rows, check_signs
from jaxmargin.margins._separability import (
    require_distinct_features,
    require_separable_features,
)

_SMALL = 1e-3  # of the largest feature, a margin below which is solved for again with other units


class L1SVM(NamedTuple):
    """Solution of the l1-SVM (eq. B.15) on p given features.

    Attributes:
        margin: min_i y_i <w, phi_i>, in units of the features. If it is soft: the margin from
            which on a sample costs nothing.
        weights: (p,) the w, with ||w||_1 = 1; at most n of them are not 0.
        dual: (n,) probabilities q of the samples, for which max_j |sum_i q_i y_i phi_ij| is as
            small as can be; it is the margin, if that is not soft. They are 0 for every sample
            whose own margin is larger. Samples that miss a soft margin have the largest q of all.
    """

    margin: float
    weights: Float[np.ndarray, " p"]
    dual: Float[np.ndarray, " n"]


def l1_svm(
    features: Float[Array | np.ndarray, "n p"],
    y: Float[Array | np.ndarray, " n"],
    *,
    c: float | None = None,
) -> L1SVM:
    """The l1-SVM on given features: max_w min_i y_i <w, phi_i> subject to ||w||_1 <= 1 (eq. B.15).

    With c the margin is soft. Some v minimises ||v||_1 + c sum_i max(0, 1 - y_i <v, phi_i>), and
    the weights are v / ||v||_1, the margin is 1 / ||v||_1. A large c gives the hard margin, if
    there is one.

    This is a linear program. HiGHS solves it in float64, whatever the dtype of the features. There
    is no intercept: add a constant feature if you want one. The dual of the program is
    min_q max_j |sum_i q_i y_i phi_ij| over probabilities q of the samples, and has the same value.

    Args:
        features: (n, p) features phi_i, one row a sample.
        y: (n,) labels -1, +1, both of them present.
        c: price of a unit of margin that is missing, > 0; None for the hard margin.

    Returns:
        `L1SVM(margin, weights=(p,), dual=(n,))` of float64.

    Raises:
        ValueError: no w separates the labels (the message names the samples whose convex
            combination of y_i phi_i vanishes, or two equal rows with different labels), or c is not
            positive or so small that v = 0 is optimal. Or there is one class only, a label that is
            not -1 or +1, a NaN, or a shape that does not fit.
        TypeError: features that are not floats, y that holds no numbers, a c that is no number;
            called under `jit`.
        ConvergenceError: HiGHS did not solve the program at any of its tolerances, or the features
            have more sizes than float64 can hold.

    Example:
        >>> found = l1_svm(np.array([[2.0, 1.0], [1.0, -2.0]]), np.array([1.0, -1.0]))
        >>> round(found.margin, 6), found.weights.round(6).tolist(), found.dual.round(6).tolist()
        (1.25, [0.25, 0.75], [0.75, 0.25])

    Reference:
        Wei, Lee, Liu, Ma (2019), eq. B.15. Zhu, Rosset, Hastie, Tibshirani (2003), "1-norm support
        vector machines".
    """
    require_concrete("l1_svm", features, y, c)
    if c is not None:
        require_positive("c", c)
    with jax.enable_x64(True):  # arrays of NumPy keep float64
        features, y = as_jax("features", features), as_jax("y", y)
    phi, signs = check_rows("l1_svm", "features", np.asarray(features), np.asarray(y))
    signs = check_signs(signs)
    if c is None:
        require_distinct_features(phi, signs)
    largest = max(np.abs(phi).max(), np.finfo(float).tiny)
    rows = phi.T / largest * signs
    if c is not None:
        return _soft(rows, float(c), largest)
    found = solve_program(rows, 1.0)
    if found.margin < _SMALL:
        found = solve_scaled(rows, require_separable_features(rows))
    return L1SVM(float(largest * found.margin), found.weights, found.dual)


def _soft(rows: np.ndarray, c: float, size: float) -> L1SVM:
    """The soft margin of features that were divided by their size."""
    pull = size * np.abs(rows.sum(axis=1)).max()
    if c * pull <= 1:
        advice = (
            f"take c above {1 / pull:.3g}" if pull > 0 else "no c is large enough, add features"
        )
        raise ValueError(
            f"c = {c:g} is so small that weights of 0 are optimal, since |sum_i y_i phi_ij| is at "
            f"most {pull:.3g}: {advice}"
        )
    weights, dual = solve_soft(rows, c * size)
    length = np.abs(weights).sum()
    return L1SVM(float(size / length), weights / length, dual / dual.sum())
