"""Which labels no network separates, which targets none fits, and which samples show it."""

import numpy as np
import scipy  # its parts load on first use

from jaxmargin._checks import require_floats
from jaxmargin.margins._solvers.finite_game import NOTHING, Scaled, scaled, solve_program

_ROUNDING = 1e-9  # a margin below it counts as none, where features and samples have sizes near 1

_ROUGH = 1e-5  # of the largest target, which targets may be apart that should agree
_SHOWN = 8  # samples that a message lists


def require_distinct_features(phi: np.ndarray, y: np.ndarray) -> None:
    """Raise ValueError if two equal rows of phi have opposite labels."""
    _, first, group = np.unique(phi + 0.0, axis=0, return_index=True, return_inverse=True)
    first = first[group.ravel()]  # of the samples with this row
    others = np.flatnonzero(y != y[first])
    if len(others):
        i, j = min(zip(first[others], others, strict=True))
        raise ValueError(
            f"features cannot be separated: rows {i} and {j} are equal and have labels {y[i]:+g} "
            f"and {y[j]:+g}: relabel or drop one"
        )


def require_separable_features(rows: np.ndarray) -> Scaled:
    """The rows y_i phi_ij (p, n), scaled; ValueError if no w makes all margins > 0.

    Neither the size of a feature nor that of a sample matters for that.
    """
    by, margin, p = _scaled_margin(rows)
    if margin > _ROUNDING:
        return by
    raise ValueError(
        f"features cannot be separated: with each feature and each sample scaled to size 1, the "
        f"margin is {margin:.2g}, as the convex combination of y_i phi_i over {listed_samples(p)} "
        "is 0 up to rounding: add features, or relabel or drop one of these samples"
    )


def _scaled_margin(rows: np.ndarray) -> tuple[Scaled, float, np.ndarray]:
    """The scaled table, its margin, and the weights of the unscaled samples that show it."""
    by = scaled(rows)
    found = solve_program(by.table, 1.0)
    p = found.dual / by.sample
    return by, found.margin, p / p.sum()


def require_separable(
    x: np.ndarray, labels: np.ndarray, differences: np.ndarray, rounding: float
) -> None:
    """Raise ValueError if there are p with sum_ic p_ic g_ic relu(u . x_i) = 0 for every u.

    Here g_ic is the row of outputs that makes a margin: y_i, or e_{y_i} - e_j. Since
    relu(z) = (|z| + z) / 2, and since the functions |u . e| of different lines R e are linearly
    independent, the sum is 0 for every u exactly if sum_ic p_ic g_ic |x_i| is 0 on each line
    through samples, and sum_ic p_ic g_ic x_i^T is 0. A sample that is alone on its line has p = 0.

    Args:
        x: (n, d) samples.
        labels: (n,) of any kind.
        differences: (n, c, k) the rows g.
        rounding: distance of unit vectors below which they count as equal.
    """
    length = np.linalg.norm(x, axis=1)
    if np.any(length == 0):
        raise ValueError(
            f"x has a row of zeros, sample {int(np.argmin(length))}, where every network without "
            "bias is 0: drop it, or give x a bias by append_one"
        )
    unit = x / length[:, None]
    pair = _first_opposite_pair(unit, labels, rounding)
    if pair is not None:
        i, j = pair
        raise ValueError(
            f"no network separates x and y: samples {i} and {j} lie on one ray from 0 and have "
            f"labels {_shown(labels[i])} and {_shown(labels[j])}: relabel or drop one"
        )
    _require_separable_lines(differences, unit, length, rounding)


def _shown(label: float | np.integer) -> str:
    return f"{label:+g}" if isinstance(label, float) else str(label)


def lines_of(unit: np.ndarray, rounding: float) -> tuple[np.ndarray, np.ndarray]:
    """Which samples have one opposite to them, and (m, m) which of these lie on one line."""
    met = scipy.spatial.KDTree(unit).query_ball_point(-unit, rounding, return_length=True)
    involved = np.flatnonzero(met)
    some = unit[involved]
    distance = scipy.spatial.distance.cdist
    return involved, (distance(some, -some) <= rounding) | (distance(some, some) <= rounding)


def _require_separable_lines(
    differences: np.ndarray, unit: np.ndarray, length: np.ndarray, rounding: float
) -> None:
    """The rest of `require_separable`, for samples of which some lie opposite to one another."""
    involved, line = lines_of(unit, rounding)
    if not len(involved):
        return
    first = line[np.unique(line.argmax(axis=1))].astype(float)  # a row for each line
    features = np.concatenate([first, unit[involved].T])
    rows = np.einsum("fn,nck->fknc", features, differences[involved])
    _, margin, p = _scaled_margin(rows.reshape(-1, rows.shape[2] * rows.shape[3]))
    if margin > _ROUNDING:
        return
    weights = p.reshape(len(involved), -1).sum(axis=1) / length[involved]
    weights = weights / weights.sum()
    raise ValueError(
        "no network separates x and y: sum_i p_i y_i relu(u . x_i) is 0 for every u, with p on "
        f"{listed_samples(weights, involved)}: relabel or drop one of them, or give x a bias by "
        "append_one"
    )


def require_interpolable(x: np.ndarray, y: np.ndarray, rounding: float) -> np.ndarray:
    """Targets in float64, or ValueError if no two-layer network has f(x_i) = y_i for all i.

    On the lines through the samples a network is sum_lines a_line |x| + b . x with any a and b, as
    relu(z) = (|z| + z) / 2. A sample that is alone on its line fits any target.

    Args:
        x: (n, d) samples.
        y: (n,) targets.
        rounding: distance of unit vectors below which they count as equal.
    """
    require_floats("y", y)
    y = y.astype(float)
    length = np.linalg.norm(x, axis=1)
    zero = np.flatnonzero((length == 0) & (y != 0))
    if len(zero):
        raise ValueError(
            f"no network fits y: sample {zero[0]} is a row of zeros, where every network without "
            f"bias is 0, and its target is {y[zero[0]]:g}: drop it, or give x a bias by append_one"
        )
    used = np.flatnonzero(length > 0)
    if not len(used):
        return y
    unit, slope = x[used] / length[used, None], y[used] / length[used]
    close = scipy.spatial.KDTree(unit).query_pairs(rounding, output_type="ndarray")
    differ = np.abs(slope[close[:, 0]] - slope[close[:, 1]]) > _ROUGH * np.abs(slope).max()
    if differ.any():
        i, j = used[list(min(map(tuple, close[differ])))]
        raise ValueError(
            f"no network fits y: samples {i} and {j} lie on one ray from 0, on which a network is "
            f"linear, and their targets {y[i]:g} and {y[j]:g} are not proportional to their "
            f"lengths {length[i]:g} and {length[j]:g}: drop one or change its target"
        )
    _require_fitting_lines(unit, slope, used, rounding)
    return y


def _require_fitting_lines(
    unit: np.ndarray, slope: np.ndarray, names: np.ndarray, rounding: float
) -> None:
    """The rest of `require_interpolable`, for samples of which some lie opposite to one another."""
    involved, line = lines_of(unit, rounding)
    if not len(involved):
        return
    even = np.unique(line, axis=0).T.astype(float)  # a column for each line
    table = np.concatenate([even, unit[involved]], axis=1)
    target = slope[involved]
    missed = target - table @ np.linalg.lstsq(table, target, rcond=None)[0]
    if np.abs(missed).max() > _ROUGH * np.abs(target).max():
        weights = np.abs(missed) / np.abs(missed).sum()
        raise ValueError(
            "no network fits y: on a line through 0 it is |x| times a number plus a linear "
            "function, which contradicts the targets of the opposite samples among "
            f"{listed_samples(weights, names[involved])}: change the target of one of them, or "
            "give x a bias by append_one"
        )


def _first_opposite_pair(rows: np.ndarray, y: np.ndarray, limit: float) -> tuple[int, int] | None:
    """The first two samples of different labels whose rows are at most `limit` apart."""
    _, kept = np.unique(np.column_stack([rows, y]), axis=0, return_index=True)
    kept = np.sort(kept)  # of equal rows with one label, the first is enough
    near = kept[scipy.spatial.KDTree(rows[kept]).query_pairs(limit, output_type="ndarray")]
    pairs = near[y[near[:, 0]] != y[near[:, 1]]]
    return min(((int(i), int(j)) for i, j in np.sort(pairs, axis=1)), default=None)


def listed_samples(p: np.ndarray, names: np.ndarray | None = None) -> str:
    """The samples of largest weight, for a message: "samples 0 (0.5), 3 (0.25), ..."."""
    order = np.argsort(-p, kind="stable")
    order = order[p[order] > NOTHING]
    shown = [
        f"{order[i] if names is None else names[order[i]]} ({p[order[i]]:.3g})"
        for i in range(min(len(order), _SHOWN))
    ]
    return f"samples {', '.join(shown)}"
