"""The l1-SVM: on given features, and over all ReLU units at once (appendix B.4).

The largest normalised margin of a two-layer network of any width is half the margin of the l1-SVM
over the features relu(u . x), one for each unit vector u (Proposition B.11).
"""

from collections.abc import Callable
from itertools import islice
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxmargin._checks import (
    require_callable,
    require_concrete,
    require_count,
    require_finite,
    require_floats,
    require_positive,
    require_signs,
)
from jaxmargin._sphere_search import EXACT_DIMENSION
from jaxmargin.errors import ConvergenceError
from jaxmargin.margins._cutting_planes import Round, cutting_planes
from jaxmargin.margins._finite_game import NOTHING, solve_program
from jaxmargin.margins._separability import (
    ROUNDING,
    listed_samples,
    require_distinct_features,
    require_separable,
)
from jaxmargin.margins._units import feature_rows, merged
from jaxmargin.networks.models import TwoLayer

_SMALL = 1e-3  # a margin below it is solved for again, in units of itself
_PARALLEL = 4  # units of rounding below which two samples lie on one ray


class L1SVM(NamedTuple):
    """Solution of the l1-SVM (eq. B.15) on p given features.

    Attributes:
        margin: min_i y_i <w, phi_i>, in units of the features.
        weights: (p,) the w, with ||w||_1 = 1; at most n of them are not 0.
        dual: (n,) probabilities q of the samples, for which max_j |sum_i q_i y_i phi_ij| = margin.
            They are 0 for every sample whose own margin is larger.
    """

    margin: float
    weights: Float[np.ndarray, " p"]
    dual: Float[np.ndarray, " n"]


class MaxMarginHistory(NamedTuple):
    """What each round of `max_margin` reached; arrays of NumPy.

    Attributes:
        step: (s,) index of the round, 0, 1, ...
        margin: (s,) the normalised margin of the network of that round.
        upper_bound: (s,) the lowest bound so far. Where it is an estimate (d > 3), a later round
            may correct it upwards.
    """

    step: Int[np.ndarray, " s"]
    margin: Float[np.ndarray, " s"]
    upper_bound: Float[np.ndarray, " s"]


class MaxMargin(NamedTuple):
    """A two-layer network of the largest normalised margin over all widths, with a bound.

    Attributes:
        margin: what `params` attains, min_i y_i f(x_i) / ||Theta||^2.
        params: `TwoLayer` of at most n units, with |w_j| = |u_j| and ||Theta|| = 1.
        upper_bound: half of max_u |sum_i dual_i y_i relu(u . x_i)| over |u| = 1. No network of any
            width has a larger margin.
        exact: whether that maximum was enumerated (d <= 3). Then the bound is a proof up to
            rounding. Otherwise it was searched, and the bound is an estimate.
        dual: (n,) probabilities of the samples behind the bound.
        history: `MaxMarginHistory` of the rounds, (s,) each.
    """

    margin: float
    params: TwoLayer
    upper_bound: float
    exact: bool
    dual: Float[np.ndarray, " n"]
    history: MaxMarginHistory

    def __repr__(self) -> str:
        how = (
            "exact: the maximum over the sphere was enumerated"
            if self.exact
            else "estimate: the maximum over the sphere was searched, not enumerated"
        )
        return (
            f"MaxMargin(margin={self.margin}, upper_bound={self.upper_bound}, "
            f"units={np.size(self.params.w)}, rounds={np.size(self.history.step)}, {how})"
        )


def l1_svm(features: Float[Array | np.ndarray, "n p"], y: Float[Array | np.ndarray, " n"]) -> L1SVM:
    """The l1-SVM on given features: max_w min_i y_i <w, phi_i> subject to ||w||_1 <= 1 (eq. B.15).

    This is a linear program. HiGHS solves it in float64, whatever the dtype of the features. There
    is no intercept: add a constant feature if you want one. The dual of the program is
    min_q max_j |sum_i q_i y_i phi_ij| over probabilities q of the samples, and has the same value.

    Args:
        features: (n, p) features phi_i, one row a sample.
        y: (n,) labels -1, +1, both of them present.

    Returns:
        `L1SVM(margin, weights=(p,), dual=(n,))` of float64.

    Raises:
        ValueError: no w separates the labels (the message names the samples whose convex
            combination of y_i phi_i vanishes, or two equal rows with different labels). Or there
            is one class only, a label that is not -1 or +1, a NaN, or a shape that does not fit.
        TypeError: features that are not floats; called under `jit`.
        ConvergenceError: HiGHS did not solve the program at any of its tolerances.

    Example:
        >>> found = l1_svm(jnp.array([[2.0, 1.0], [1.0, -2.0]]), jnp.array([1.0, -1.0]))
        >>> round(found.margin, 6), found.weights.round(6).tolist(), found.dual.round(6).tolist()
        (1.25, [0.25, 0.75], [0.75, 0.25])

    Reference:
        Wei, Lee, Liu, Ma (2019), eq. B.15. Zhu, Rosset, Hastie, Tibshirani (2003), "1-norm support
        vector machines".
    """
    phi, signs = _check("l1_svm", "features", features, y)
    require_distinct_features(phi, signs)
    scale = np.abs(phi).max()
    rows = phi.T / max(scale, np.finfo(float).tiny) * signs
    found = solve_program(rows, 1.0)
    if not found.margin > ROUNDING:
        raise ValueError(
            f"features cannot be separated: the margin is {found.margin:.2g} of the largest "
            f"feature, as the convex combination of y_i phi_i over {listed_samples(found.dual)} is "
            "0 up to rounding: add features, or relabel or drop one of these samples"
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
    on_record: Callable[[int, MaxMarginHistory], object] | None = None,
) -> MaxMargin:
    """The largest normalised margin of two-layer ReLU networks of any width, and one that has it.

    gamma* = max_Theta min_i y_i f(x_i; Theta) / ||Theta||^2 is half the margin of the l1-SVM over
    all units (eq. B.15, Proposition B.11). Every vector p of probabilities of the samples bounds
    it: (1/2) max_{|u| = 1} |sum_i p_i y_i relu(u . x_i)| >= gamma*. For d <= 3 features (a bias
    that `append_one` adds is one of them) that maximum is enumerated, and the bound is a proof. For
    d > 3 it is searched from many directions. The margin is attained all the same, but the bound is
    an estimate, which may be too low.

    The method is one of cutting planes. Each round solves a linear program over the units met so
    far, whose weights are the network. Then it adds the units that a centre of the remaining p
    violates most. For d > 3 the units also slide to better directions. Two calls give the same
    result. The network is in float64 NumPy.

    Args:
        x: (n, d) inputs, no row 0.
        y: (n,) labels -1, +1, both of them present.
        tol: the distance to reach between margin and bound, relative to the margin.
        max_rounds: rounds after which to give up, or for d > 3 to return what there is.
        starts: (m, d) directions to begin with, such as the first layer of a trained network.
        on_record: `on_record(step, record)`, called after each round with its index 0, 1, ... and
            a `MaxMarginHistory` of that round alone (arrays without axes).

    Returns:
        `MaxMargin`. For d <= 3 its bound is within tol of its margin. For d > 3 the rounds also end
        when the margin has not grown by tol in five of them: compare `margin` with `upper_bound`.

    Raises:
        ValueError: no network separates the labels (the message names two samples on one ray, or
            those on which sum_i p_i y_i relu(u . x_i) is 0 for every u). Or there is a row of
            zeros, one class only, a label that is not -1 or +1, a NaN, a shape that does not fit,
            max_rounds < 1, or a tol that is not positive.
        TypeError: x that is not of floats, max_rounds not an integer, on_record not a
            function; or called under `jit`.
        ConvergenceError: for d <= 3, a bound that is not within tol after max_rounds; or HiGHS did
            not solve a linear program. The error's `result` is the `MaxMargin` so far, or None.

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
    if on_record is not None:
        require_callable("on_record", on_record, "on_record(step, record)")
    points, signs = _check("max_margin", "x", x, y)
    begin = _check_starts(starts, points.shape[1])
    require_separable(points, signs, _PARALLEL * float(jnp.finfo(np.asarray(x).dtype).eps))
    scale = np.linalg.norm(points, axis=1).max()
    rounds: list[Round] = []
    try:
        planes = cutting_planes(points / scale, signs, tol, begin)
        for step, found in enumerate(islice(planes, max_rounds)):
            rounds.append(found)
            if on_record is not None:
                on_record(step, _record(step, found, scale))
    except ConvergenceError as error:
        error.result = _result(points, signs, rounds, scale) if rounds else None
        raise
    result = _result(points, signs, rounds, scale)
    _require_reached(result, rounds[-1], tol, NOTHING * scale)
    return result


def _require_reached(result: MaxMargin, last: Round, tol: float, least: float) -> None:
    """Raise unless the margin is more than `least` and, where it is exact, the bound within tol."""
    if not result.margin > least:
        raise ValueError(
            "no network separates x and y by more than the rounding of float64: the bound of the "
            f"margin is {result.upper_bound:.2g}, by {listed_samples(last.dual)}: relabel or drop "
            "one"
        )
    if result.exact and not last.converged:
        raise ConvergenceError(
            f"max_margin stopped with margin {result.margin:.9g} and bound "
            f"{result.upper_bound:.9g} after {len(result.history.step)} rounds, further apart than "
            f"tol = {tol:g}: raise max_rounds or tol; the error's `result` has the network",
            result=result,
        )


def _record(step: int, found: Round, scale: float) -> MaxMarginHistory:
    return MaxMarginHistory(
        np.asarray(step),
        np.asarray(scale * found.margin / 2),
        np.asarray(scale * found.upper_bound / 2),
    )


def _result(x: np.ndarray, y: np.ndarray, rounds: list[Round], scale: float) -> MaxMargin:
    """The last network, of merged and balanced units, with the bound; x before its scaling."""
    last = rounds[-1]
    z, signs = merged(x, last.units, last.weights)
    length = np.linalg.norm(z, axis=1)
    # |w_j| = |u_j| = sqrt(|z_j| / 2) once the lengths of the z_j sum to 1.
    total = length.sum()
    u = z / np.sqrt(2 * total * length)[:, None]
    w = signs * np.sqrt(length / (2 * total))
    margin = float((w @ feature_rows(x, y, u)).min())
    exact = x.shape[1] <= EXACT_DIMENSION
    bound = float(scale * last.upper_bound / 2)
    records = [_record(step, found, scale) for step, found in enumerate(rounds)]
    return MaxMargin(
        margin=margin,
        params=TwoLayer(u, w),
        upper_bound=bound if exact else max(bound, margin),
        exact=exact,
        dual=last.dual,
        history=jax.tree.map(lambda *values: np.stack(values), *records),
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
