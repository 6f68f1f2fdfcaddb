"""Units of a two-layer network as weighted directions: their features, merging and sliding.

A unit is a unit vector u_j with a weight c_j; together they give sum_j c_j relu(u_j . x). Units
that are active on the same samples can be added up to one. Units can also move. Beyond three
dimensions, where the best directions cannot be enumerated, all of them slide together with their
weights to where the margin is higher (Denoyelle, Duval, Peyré, Soubies 2020). Everything here is
float64 NumPy.
"""

import numpy as np
import scipy  # its parts load on first use

from jaxmargin.margins._finite_game import NOTHING, Program, solve_program

_SLIDE_STEPS = 200
_SHARPER = (1.0, 10.0, 100.0)  # stages: how far below the gap the smoothing of the minimum is
_LEAST_GAP = 1e-6  # that a smooth minimum resolves, relative to the margin


def directions(vectors: np.ndarray) -> np.ndarray:
    """The rows that are not 0, divided by their lengths."""
    length = np.linalg.norm(vectors, axis=1)
    return vectors[length > 0] / length[length > 0, None]


def feature_rows(x: np.ndarray, y: np.ndarray, units: np.ndarray) -> np.ndarray:
    """y_i relu(u_j . x_i): (k, n), a row for each unit."""
    return np.maximum(units @ x.T, 0) * y


def merged(x: np.ndarray, units: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fewer units with the same outputs on the samples: vectors z_j and signs s_j.

    Two units whose weights have the same sign, and between which no sample changes sides, add up:
    c relu(u . x) + c' relu(u' . x) = relu((c u + c' u') . x) there. The network of the result is
    sum_j s_j relu(z_j . x), and sum_j |z_j| <= sum_j |c_j|, so that its normalised margin is at
    least as large.
    """
    sums: list[np.ndarray] = []
    owners: list[float] = []
    vectors = np.abs(weights)[:, None] * units
    for vector, sign in zip(vectors, np.sign(weights), strict=True):
        side = _sides(x, vector)
        for j, other in enumerate(sums):
            if owners[j] == sign and np.all(side * _sides(x, other) >= 0):
                sums[j] = other + vector
                break
        else:
            sums.append(vector)
            owners.append(sign)
    return np.array(sums).reshape(-1, x.shape[1]), np.array(owners)


def _sides(x: np.ndarray, u: np.ndarray) -> np.ndarray:
    """The sign of u . x_i; 0 within rounding."""
    heights = x @ u
    far = np.abs(heights) > NOTHING * np.linalg.norm(x, axis=1) * np.linalg.norm(u)
    return np.where(far, np.sign(heights), 0)


def slide(
    x: np.ndarray, y: np.ndarray, units: np.ndarray, program: Program, upper: float
) -> tuple[np.ndarray, Program]:
    """Move the units that carry weight to where the margin is higher, and solve the program anew.

    Args:
        x: (n, d) samples, of length at most 1.
        y: (n,) labels -1, +1.
        units: (k, d) unit vectors.
        program: the solution of the linear program over these units, with a positive margin.
        upper: an upper bound of the margin over all units.

    Returns:
        The moved units that carry weight, (m, d), and the solution over both the given units and
        these.
    """
    kept = np.abs(program.weights) > NOTHING
    size = np.sqrt(np.abs(program.weights[kept]))[:, None]
    signs = np.sign(program.weights[kept])[:, None]
    flat = np.concatenate([signs * size, units[kept] * size], axis=1).ravel()
    gap = max(1 - program.margin / upper, _LEAST_GAP)
    for sharper in _SHARPER:
        sharpness = sharper * np.log(len(x)) / gap
        flat = scipy.optimize.minimize(
            smooth_minimum, flat, args=(x, y, sharpness, program.margin), jac=True,
            method="L-BFGS-B",
            options={"maxiter": _SLIDE_STEPS, "ftol": 1e-15, "gtol": 1e-12, "maxcor": 20},
        ).x  # fmt: skip
    slid = directions(flat.reshape(-1, x.shape[1] + 1)[:, 1:])
    both = solve_program(feature_rows(x, y, np.concatenate([units, slid])), upper)
    used = both.weights[len(units) :] != 0
    weights = both.weights[np.append(np.full(len(units), True), used)]
    return slid[used], both._replace(weights=weights)


def smooth_minimum(
    flat: np.ndarray, x: np.ndarray, y: np.ndarray, sharpness: float, margin: float
) -> tuple[float, np.ndarray]:
    """Minus a smooth minimum of the normalised margins of a network, and its gradient in Theta.

    The value is (1/s) log sum_i exp(-s q_i), with s the sharpness and q_i the normalised margin
    y_i f(x_i) / |Theta|^2 in units of half the given margin. It is at least -min_i q_i, and at most
    log(n) / s more.

    Args:
        flat: Theta, a row (w_j, u_j) for each unit, made one vector.
        x: (n, d) samples.
        y: (n,) labels -1, +1.
        sharpness: s, > 0.
        margin: twice the unit of the margins, > 0: that of the l1-SVM with these features.

    Returns:
        The value, and its gradient in the shape of `flat`.
    """
    theta = flat.reshape(-1, x.shape[1] + 1)
    w, u = theta[:, 0], theta[:, 1:]
    heights = u @ x.T
    hidden = np.maximum(heights, 0)
    size = margin * (flat @ flat) / 2
    q = y * (w @ hidden) / size
    least = q.min()
    p = np.exp(-sharpness * (q - least))
    total = p.sum()
    pull = y * p / total
    slope = np.empty_like(theta)
    slope[:, 0] = hidden @ pull
    slope[:, 1:] = w[:, None] * (np.where(heights > 0, pull, 0) @ x)
    inward = margin * float(p @ q) / total
    return float(np.log(total) / sharpness - least), (inward * theta - slope).ravel() / size
