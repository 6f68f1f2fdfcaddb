"""Which labels no network separates, and which samples show it (appendix B.4)."""

import numpy as np
import scipy  # its parts load on first use

from jaxmargin.margins._finite_game import NOTHING, solve_program

ROUNDING = 1e-9  # a margin below it, relative to the largest feature, counts as none

_SHOWN = 8  # samples that a message lists


def require_distinct_features(phi: np.ndarray, y: np.ndarray) -> None:
    """Raise ValueError if two equal rows of phi have opposite labels."""
    pair = _first_opposite_pair(phi, y, 0.0)
    if pair is not None:
        i, j = pair
        raise ValueError(
            f"features cannot be separated: rows {i} and {j} are equal and have labels {y[i]:+g} "
            f"and {y[j]:+g}: relabel or drop one"
        )


def require_separable(x: np.ndarray, y: np.ndarray, rounding: float) -> None:
    """Raise ValueError if there is p with sum_i p_i y_i relu(u . x_i) = 0 for every u.

    Since relu(z) = (|z| + z) / 2, and since the functions |u . e| of different lines R e are
    linearly independent, the sum is 0 for every u exactly if sum_i p_i y_i |x_i| is 0 on each line
    through samples, and sum_i p_i y_i x_i is 0. A sample that is alone on its line has p_i = 0.

    Args:
        x: (n, d) samples.
        y: (n,) labels -1, +1.
        rounding: distance of unit vectors below which they count as equal.
    """
    length = np.linalg.norm(x, axis=1)
    if np.any(length == 0):
        raise ValueError(
            f"x has a row of zeros, sample {int(np.argmin(length))}, where every network without "
            "bias is 0: drop it, or give x a bias by append_one"
        )
    unit = x / length[:, None]
    pair = _first_opposite_pair(unit, y, rounding)
    if pair is not None:
        i, j = pair
        raise ValueError(
            f"no network separates x and y: samples {i} and {j} lie on one ray from 0 and have "
            f"labels {y[i]:+g} and {y[j]:+g}: relabel or drop one"
        )
    _require_separable_lines(x, y, unit, length, rounding)


def _require_separable_lines(
    x: np.ndarray, y: np.ndarray, unit: np.ndarray, length: np.ndarray, rounding: float
) -> None:
    """The rest of `require_separable`, for samples of which some lie opposite to one another."""
    opposite = scipy.spatial.distance.cdist(unit, -unit) <= rounding
    involved = np.flatnonzero(opposite.any(axis=1))
    if not len(involved):
        return
    same = scipy.spatial.distance.cdist(unit, unit) <= rounding
    line = (opposite | same)[involved][:, involved]
    lengths = line * (length[involved] / length.max())
    first = lengths[np.unique(line.argmax(axis=1))]  # a row for each line
    rows = np.concatenate([first, x[involved].T / length.max()]) * y[involved]
    found = solve_program(rows, 1.0)
    if found.margin > ROUNDING:
        return
    raise ValueError(
        "no network separates x and y: sum_i p_i y_i relu(u . x_i) is 0 for every u, with p on "
        f"{listed_samples(found.dual, involved)}: relabel or drop one of them, or give x a bias by "
        "append_one"
    )


def _first_opposite_pair(rows: np.ndarray, y: np.ndarray, limit: float) -> tuple[int, int] | None:
    """The first two samples of different labels whose rows are at most `limit` apart."""
    distance = scipy.spatial.distance.cdist(rows, rows)
    near = np.argwhere(np.where(y[:, None] == y, np.inf, distance) <= limit)
    return (int(near[0][0]), int(near[0][1])) if len(near) else None


def listed_samples(p: np.ndarray, names: np.ndarray | None = None) -> str:
    """The samples of largest weight, for a message: "samples 0 (0.5), 3 (0.25), ..."."""
    order = np.argsort(-p, kind="stable")
    order = order[p[order] > NOTHING]
    shown = [
        f"{order[i] if names is None else names[order[i]]} ({p[order[i]]:.3g})"
        for i in range(min(len(order), _SHOWN))
    ]
    return f"samples {', '.join(shown)}"
