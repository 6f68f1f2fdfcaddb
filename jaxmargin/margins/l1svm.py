"""The l1-SVM: on given features, and over all ReLU units at once (appendix B.4).

The largest normalised margin of a two-layer network of any width is half the margin of the l1-SVM
over the features relu(u . x), one for each unit vector u (Proposition B.11).
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.spatial.distance import cdist

from jaxmargin._checks import (
    require_concrete,
    require_count,
    require_finite,
    require_floats,
    require_positive,
    require_signs,
)
from jaxmargin._sphere_search import EXACT_DIMENSION
from jaxmargin.errors import ConvergenceError
from jaxmargin.margins._cutting_planes import (
    NOTHING,
    Search,
    feature_rows,
    merged,
    search,
    solve_program,
)
from jaxmargin.networks.models import TwoLayer

_ROUNDING = 1e-9  # a margin below it, relative to the largest feature, is none
_SMALL = 1e-3  # a margin below it is solved for again, in units of itself
_PARALLEL = 4  # units of rounding below which two samples lie on one ray
_SHOWN = 8  # samples that a message lists


class L1SVM(NamedTuple):
    """Solution of eq. B.15 on p given features.

    Attributes:
        margin: min_i y_i <w, phi_i>, in units of the features.
        weights: w (p,), ||w||_1 = 1, at most n of them not 0.
        dual: (n,) probabilities q of the samples, with
            max_j |sum_i q_i y_i phi_ij| = margin; not 0 only where the margin is attained.
    """

    margin: float
    weights: Float[np.ndarray, " p"]
    dual: Float[np.ndarray, " n"]


class MaxMargin(NamedTuple):
    """A two-layer network of the largest normalised margin over all widths, with a bound.

    Attributes:
        margin: what `params` attains, min_i y_i f(x_i) / ||Theta||^2.
        params: `TwoLayer` of at most n units, |w_j| = |u_j|, and ||Theta|| = 1.
        upper_bound: half of max_u |sum_i dual_i y_i relu(u . x_i)| over |u| = 1. No network of any
            width has a larger margin.
        exact: whether that maximum was enumerated (d <= 3), so that the bound is a proof up to
            rounding. Else it was searched, and the bound is an estimate.
        dual: (n,) probabilities of the samples behind the bound.
        rounds: how many it took.
    """

    margin: float
    params: TwoLayer
    upper_bound: float
    exact: bool
    dual: Float[np.ndarray, " n"]
    rounds: int

    def __repr__(self) -> str:
        how = (
            "exact: the maximum over the sphere was enumerated"
            if self.exact
            else "estimate: the maximum over the sphere was searched, not enumerated"
        )
        return (
            f"MaxMargin(margin={self.margin}, upper_bound={self.upper_bound}, "
            f"units={len(self.params.w)}, rounds={self.rounds}, {how})"
        )


def l1_svm(features: Float[Array | np.ndarray, "n p"], y: Float[Array | np.ndarray, " n"]) -> L1SVM:
    """The l1-SVM on given features: max_w min_i y_i <w, phi_i> subject to ||w||_1 <= 1 (eq. B.15).

    A linear program, solved by HiGHS in float64, whatever the dtype of the features. There is no
    intercept: give a constant feature. Its dual is min_q max_j |sum_i q_i y_i phi_ij| over
    probabilities q, with the same value.

    Args:
        features: (n, p) features phi_i, one row a sample.
        y: (n,) labels -1, +1, both of them present.

    Returns:
        `L1SVM(margin, weights=(p,), dual=(n,))` of float64.

    Raises:
        ValueError: no w separates the labels (the message has the samples whose convex
            combination of y_i phi_i vanishes, or two equal rows with different labels); one class
            only; labels that are not -1, +1; NaN; shapes that do not fit.
        TypeError: features that are not floats; called under `jit`.

    Example:
        >>> found = l1_svm(jnp.array([[2.0, 1.0], [1.0, -2.0]]), jnp.array([1.0, -1.0]))
        >>> round(found.margin, 6), found.weights.round(6).tolist(), found.dual.round(6).tolist()
        (1.25, [0.25, 0.75], [0.75, 0.25])

    Reference:
        Wei, Lee, Liu, Ma (2019), eq. B.15. Zhu, Rosset, Hastie, Tibshirani (2003), "1-norm support
        vector machines".
    """
    phi, signs = _check("l1_svm", "features", features, y)
    pair = _first_pair(np.where(signs[:, None] == signs, np.inf, cdist(phi, phi)), 0.0)
    if pair is not None:
        raise ValueError(
            f"features cannot be separated: rows {pair[0]} and {pair[1]} are equal and have labels "
            f"{signs[pair[0]]:+g} and {signs[pair[1]]:+g}: relabel or drop one"
        )
    scale = np.abs(phi).max()
    rows = phi.T / max(scale, np.finfo(float).tiny) * signs
    found = solve_program(rows, 1.0)
    if not found.margin > _ROUNDING:
        raise ValueError(
            f"features cannot be separated: the margin is {found.margin:.2g} of the largest "
            f"feature, as the convex combination of y_i phi_i over {_samples(found.dual)} is 0 up "
            "to rounding: add features, or relabel or drop one of these samples"
        )
    if found.margin < _SMALL:
        found = solve_program(rows, found.margin)
    return L1SVM(float(scale * found.margin), found.weights, found.dual)


def max_margin(
    x: Float[Array | np.ndarray, "n d"],
    y: Float[Array | np.ndarray, " n"],
    *,
    tol: float = 1e-6,
    max_rounds: int = 200,
    starts: Float[Array | np.ndarray, "m d"] | None = None,
) -> MaxMargin:
    """The largest normalised margin of two-layer ReLU networks of any width, and one that has it.

    gamma* = max_Theta min_i y_i f(x_i; Theta) / ||Theta||^2 = gamma_l1 / 2, with gamma_l1 the
    margin of the l1-SVM over all units (eq. B.15, Proposition B.11). Every probability vector p
    over the samples bounds it, (1/2) max_{|u| = 1} |sum_i p_i y_i relu(u . x_i)| >= gamma*. For
    d <= 3 features (a bias, by `append_one`, is one) that maximum is enumerated. Beyond, it is
    searched from many directions: the margin is attained all the same, but the bound is an
    estimate, and may be too low.

    Rounds of cutting planes: a linear program over the units met so far, whose weights are the
    network, and the most violating units at a centre of the p that it allows. For d > 3 the units
    also slide. Nothing is random. The network is in float64 NumPy.

    Args:
        x: (n, d) inputs, no row 0.
        y: (n,) labels -1, +1, both of them present.
        tol: the distance to reach between margin and bound, relative to the margin.
        max_rounds: rounds after which to give up, or for d > 3 to return what there is.
        starts: (m, d) directions to begin with, such as the first layer of a trained network.

    Returns:
        `MaxMargin`. For d <= 3 its bound is within tol. For d > 3 it also ends when the margin has
        not grown by tol in five rounds; compare `margin` with `upper_bound`.

    Raises:
        ValueError: no network separates the labels (the message names two samples on one ray, or
            those on which sum_i p_i y_i relu(u . x_i) is 0 for every u); a row of zeros; one
            class only; labels that are not -1, +1; NaN; shapes that do not fit; tol not positive.
        TypeError: x that is not of floats; max_rounds not an integer; called under `jit`.
        ConvergenceError: d <= 3 and a bound above the tolerance after max_rounds. Its `fit` is the
            `MaxMargin` so far.

    Example:
        >>> x, y = jnp.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]]), jnp.array([1.0, 1.0, -1.0])
        >>> found = max_margin(x, y)
        >>> round(found.margin, 6), len(found.params.w), found.exact
        (0.166667, 3, True)

    Reference:
        Wei, Lee, Liu, Ma (2019), appendix B.4. Neyshabur, Tomioka, Srebro (2015); Bach (2017),
        "Breaking the curse of dimensionality with convex neural networks". For the centres, Goffin,
        Haurie, Vial (1992); for the sliding units, Denoyelle, Duval, Peyré, Soubies (2020).
    """
    require_positive("tol", tol)
    require_count("max_rounds", max_rounds)
    points, signs = _check("max_margin", "x", x, y)
    begin = _check_starts(starts, points.shape[1])
    _check_separable(points, signs, _PARALLEL * float(jnp.finfo(np.asarray(x).dtype).eps))
    scale = np.linalg.norm(points, axis=1).max()
    found = search(points / scale, signs, tol, max_rounds, begin)
    result = _result(points, signs, found, scale)
    if not result.margin > NOTHING * scale:
        raise ValueError(
            "no network separates x and y by more than the rounding of float64: the bound of the "
            f"margin is {result.upper_bound:.2g}, by {_samples(found.dual)}: relabel or drop one"
        )
    if result.exact and not found.converged:
        raise ConvergenceError(
            f"max_margin stopped with margin {result.margin:.9g} and bound "
            f"{result.upper_bound:.9g} after {max_rounds} rounds, further apart than tol = "
            f"{tol:g}: raise max_rounds or tol; the error's `fit` has the network",
            fit=result,
        )
    return result


def _result(x: np.ndarray, y: np.ndarray, found: Search, scale: float) -> MaxMargin:
    z, signs = merged(x, found.units, found.weights)
    length = np.linalg.norm(z, axis=1)
    # |w_j| = |u_j| = sqrt(|z_j| / 2) once the lengths of the z_j sum to 1.
    total = length.sum()
    u = z / np.sqrt(2 * total * length)[:, None]
    w = signs * np.sqrt(length / (2 * total))
    margin = float((w @ feature_rows(x, y, u)).min())
    exact = x.shape[1] <= EXACT_DIMENSION
    bound = float(scale * found.upper_bound / 2)
    return MaxMargin(
        margin,
        TwoLayer(u, w),
        bound if exact else max(bound, margin),
        exact,
        found.dual,
        found.rounds,
    )


def _check(
    function: str, name: str, rows: Array | np.ndarray, y: Array | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The samples and labels in float64, or an error that names the fault."""
    require_concrete(function, rows, y)
    rows, y = np.asarray(rows), np.asarray(y)
    if rows.ndim != 2 or 0 in rows.shape or y.shape != rows.shape[:1]:
        raise ValueError(
            f"{name} must be (n, {'d' if name == 'x' else 'p'}) and y (n,), got {rows.shape} and "
            f"{y.shape}"
        )
    require_floats(name, rows)
    require_finite(name, rows)
    require_finite("y", y)
    require_signs(y)
    if len(np.unique(y)) < 2:
        raise ValueError(
            f"y must have both labels, but all {len(y)} are {y[0]:+g}: a margin separates classes"
        )
    return rows.astype(float), y.astype(float)


def _check_starts(starts: Array | np.ndarray | None, d: int) -> np.ndarray:
    if starts is None:
        return np.empty((0, d))
    starts = np.asarray(starts, float)
    if starts.ndim != 2 or starts.shape[1] != d:
        raise ValueError(f"starts must be (m, d = {d}) directions, got {starts.shape}")
    require_finite("starts", starts)
    return starts


def _check_separable(x: np.ndarray, y: np.ndarray, rounding: float) -> None:
    """Raise ValueError if there is p with sum_i p_i y_i relu(u . x_i) = 0 for every u.

    relu(z) = (|z| + z) / 2, and the |u . e| of different lines R e are linearly independent: the
    sum is 0 just where sum_i p_i y_i |x_i| is 0 on each line through samples and sum_i p_i y_i x_i
    is 0. Samples that are alone on their line cannot take part.
    """
    length = np.linalg.norm(x, axis=1)
    if np.any(length == 0):
        raise ValueError(
            f"x has a row of zeros, sample {int(np.argmin(length))}, where every network without "
            "bias is 0: drop it, or give x a bias by append_one"
        )
    unit = x / length[:, None]
    pair = _first_pair(np.where(y[:, None] == y, np.inf, cdist(unit, unit)), rounding)
    if pair is not None:
        raise ValueError(
            f"no network separates x and y: samples {pair[0]} and {pair[1]} lie on one ray from 0 "
            f"and have labels {y[pair[0]]:+g} and {y[pair[1]]:+g}: relabel or drop one"
        )
    opposite = cdist(unit, -unit) <= rounding
    involved = np.flatnonzero(opposite.any(axis=1))
    if not len(involved):
        return
    line = (opposite | (cdist(unit, unit) <= rounding))[involved][:, involved]
    lengths = line * (length[involved] / length.max())
    first = lengths[np.unique(line.argmax(axis=1))]  # a row for each line
    rows = np.concatenate([first, x[involved].T / length.max()]) * y[involved]
    found = solve_program(rows, 1.0)
    if found.margin > _ROUNDING:
        return
    raise ValueError(
        "no network separates x and y: sum_i p_i y_i relu(u . x_i) is 0 for every u, with p on "
        f"{_samples(found.dual, involved)}: relabel or drop one of them, or give x a bias by "
        "append_one"
    )


def _first_pair(distance: np.ndarray, limit: float) -> tuple[int, int] | None:
    near = np.argwhere(distance <= limit)
    return (int(near[0][0]), int(near[0][1])) if len(near) else None


def _samples(p: np.ndarray, names: np.ndarray | None = None) -> str:
    """The samples of largest weight, "samples 0 (p = 0.5), 3 (0.25), ..."."""
    order = np.argsort(-p, kind="stable")
    order = order[p[order] > NOTHING]
    shown = [
        f"{order[i] if names is None else names[order[i]]} ({p[order[i]]:.3g})"
        for i in range(min(len(order), _SHOWN))
    ]
    return f"samples {', '.join(shown)}"
