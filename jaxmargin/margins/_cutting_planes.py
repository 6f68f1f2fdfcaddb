"""The game behind the maximum margin over all units: cutting planes, and units that slide.

max_mu min_i y_i int relu(u . x_i) dmu over signed measures of mass 1 on the sphere is also
min_p max_u |sum_i p_i y_i relu(u . x_i)| over probability vectors p (eq. B.15 and its dual). Over
finitely many units both sides are one linear program; its weights are a network, and every p, with
the maximum over all u that `sphere` finds, is an upper bound.

The program's own p is a vertex of a set of many, and its bound is poor. The rounds take the
analytic centre of all p that the units met so far allow below a level instead (Goffin, Haurie, Vial
1992): each either lowers the bound or cuts that set through its middle. Beyond three dimensions,
where the maximum over u is only searched, the units of the program also slide, together with their
weights, up the softmin of the margin (Denoyelle, Duval, Peyré, Soubies 2020). All in float64 NumPy,
but for the search.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.optimize import linprog, minimize

from jaxmargin._sphere_search import EXACT_DIMENSION, SphereMaximum
from jaxmargin.errors import ConvergenceError
from jaxmargin.sphere import maxima

NOTHING = 1e-12  # a margin or a weight below it is none, for rows of length <= 1

_ACCURACIES = (1e-10, 1e-9, 1e-8, 1e-7)  # of the linear program; HiGHS may miss the first
_NEW = 16  # units that a round adds
_STARTS, _FRESH = 64, 128  # units met before from which a search climbs, and others
_FEWEST, _POOL = 200, 10  # the units that are kept: a number, and more for each sample
_LEVEL = 0.2  # of the gap, above the margin, at which a centre is taken
_SEARCHES = 5  # from different directions, in which a bound must hold where it is an estimate
_PATIENCE = 5  # rounds without a gain after which an estimate is final
_NEWTON_STEPS = 60
_SLIDE_STEPS = 200
_SHARPER = (1.0, 10.0, 100.0)  # stages of a softmin, by which the gap is beyond its smoothing
_LEAST_GAP = 1e-6  # that a softmin resolves


class Program(NamedTuple):
    """Solution of max_{|c|_1 <= 1} min_i sum_j c_j rows_ji.

    Attributes:
        weights: c, (k,), at most n of them not 0.
        dual: p, (n,) probabilities of the samples.
        margin: the minimum that the weights attain.
    """

    weights: np.ndarray
    dual: np.ndarray
    margin: float


class Search(NamedTuple):
    """What the rounds found: for each c_j > 0 or < 0 a unit vector u_j, and the best p."""

    units: np.ndarray
    weights: np.ndarray
    upper_bound: float
    dual: np.ndarray
    rounds: int
    converged: bool


def solve_program(rows: np.ndarray, scale: float) -> Program:
    """The linear program over k rows (k, n), by the dual simplex method of HiGHS.

    The solver's tolerances are absolute: `scale` should be near the margin.
    """
    k, n = rows.shape
    table = np.ones((n + 1, 2 * k + 1))
    table[:n, :k], table[:n, k:-1] = -rows.T / scale, rows.T / scale
    table[n, -1] = 0
    solution, prices = _highs(np.r_[np.zeros(2 * k), -1], table, np.r_[np.zeros(n), 1])
    weights = solution[:k] - solution[k:-1]
    total = np.abs(weights).sum()
    weights = weights / total if total > 0 else weights
    dual = np.maximum(-prices[:n], 0)
    return Program(weights, dual / dual.sum(), float((weights @ rows).min()))


def _highs(cost: np.ndarray, table: np.ndarray, limit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The z >= 0 with table z <= limit of least cost, and the marginals, as accurate as it goes."""
    message = ""
    for accuracy in _ACCURACIES:
        tolerances = {f"{side}_feasibility_tolerance": accuracy for side in ("primal", "dual")}
        found = linprog(cost, A_ub=table, b_ub=limit, method="highs-ds", options=tolerances)
        if found.success:
            return found.x, found.ineqlin.marginals
        message = found.message
    raise ConvergenceError(f"HiGHS did not solve the linear program: {message}")


def search(x: np.ndarray, y: np.ndarray, tol: float, max_rounds: int, starts: np.ndarray) -> Search:
    """Rounds until the bound is within tol of the margin; x has rows of length at most 1."""
    exact = x.shape[1] <= EXACT_DIMENSION
    units = _unit(np.concatenate([x, -x, starts]))
    centres, bounds, upper = np.full((1, len(x)), 1 / len(x)), np.zeros(1), 1.0
    margins: list[float] = []
    confirmed, needed = 0, 1 if exact else _SEARCHES
    while True:
        new = _violating(x, y, centres[-1], units, len(margins))
        units = np.concatenate([units, new])
        program = solve_program(feature_rows(x, y, units), upper)
        if not exact and not confirmed and program.margin > NOTHING:
            slid, program = _slide(x, y, units, program, upper)
            new, units = np.concatenate([new, slid]), np.concatenate([units, slid])
        # A unit met later may show that an earlier search has missed a maximum.
        met = np.abs(centres @ feature_rows(x, y, new).T).max(axis=1)
        bounds = np.maximum(bounds, met)
        upper = float(bounds.min())
        margins.append(program.margin)
        confirmed = confirmed + 1 if upper - program.margin <= tol * program.margin else 0
        stalled = not exact and not confirmed and _stalled(margins, tol)
        if confirmed == needed or stalled or upper <= NOTHING or len(margins) == max_rounds:
            used, best = np.abs(program.weights) > NOTHING, centres[bounds.argmin()]
            weights = program.weights[used]
            return Search(units[used], weights, upper, best, len(margins), confirmed == needed)
        rows = feature_rows(x, y, units)
        if confirmed:
            centre = centres[bounds.argmin()]
        else:
            level = program.margin + _LEVEL * (upper - program.margin)
            centre = _centre(np.concatenate([rows, -rows]), program.dual, level)
        centres, bounds = np.vstack([centres, centre]), np.append(bounds, 0)
        units = units[_kept(rows, program.weights, centre)]


def feature_rows(x: np.ndarray, y: np.ndarray, units: np.ndarray) -> np.ndarray:
    """y_i relu(u_j . x_i), a row for each unit."""
    return np.maximum(units @ x.T, 0) * y


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=1)
    return vectors[length > 0] / length[length > 0, None]


def _stalled(margins: list[float], tol: float) -> bool:
    before = margins[-1 - _PATIENCE] if len(margins) > _PATIENCE else 0
    return margins[-1] <= (1 + tol) * before


def _violating(
    x: np.ndarray, y: np.ndarray, p: np.ndarray, units: np.ndarray, earlier: int
) -> np.ndarray:
    """Unit vectors at which |sum_i p_i y_i relu(u . x_i)| is highest, apart from one another.

    Where that is a search, it climbs from other directions each time, too.
    """
    best = np.argsort(-np.abs(feature_rows(x, y, units) @ p), kind="stable")
    known = units[np.resize(best, _STARTS)]  # of one shape, to compile once
    starts = np.concatenate(
        [known, np.random.default_rng(earlier).normal(size=(_FRESH, x.shape[1]))]
    )
    with jax.enable_x64(True):
        found = _maxima(jnp.asarray(x), jnp.asarray(p * y), jnp.asarray(starts))
    return np.asarray(found.direction)[np.asarray(found.value) > 0]


@jax.jit
def _maxima(x: Array, dual: Array, starts: Array) -> SphereMaximum:
    return maxima(x, dual, _NEW, starts=starts)


def _kept(rows: np.ndarray, weights: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Those of the units that carry weight or cut closest to the centre; the others go."""
    values = np.where(weights != 0, np.inf, np.abs(rows @ centre))
    return np.argsort(-values, kind="stable")[: _FEWEST + _POOL * rows.shape[1]]


# The dual ---------------------------------------------------------------------------------------


def _centre(cuts: np.ndarray, start: np.ndarray, level: float) -> np.ndarray:
    """The analytic centre of the probabilities p with cuts p < level.

    It maximises sum_j log(level - cuts_j . p) + sum_i log p_i, by Newton's method from `start`,
    which satisfies the cuts, moved inside.
    """
    n = len(start)
    uniform = np.full(n, 1 / n)
    low, high = (cuts @ start).max(), (cuts @ uniform).max()
    share = 0.5 * min(1, (level - low) / max(high - low, NOTHING))
    if share <= 0:
        return start
    p = (1 - share) * start + share * uniform
    for _ in range(_NEWTON_STEPS):
        room = level - cuts @ p
        lean = cuts / room[:, None]
        slope = lean.sum(axis=0) - 1 / p
        # In units of p, so that the probabilities that vanish do no harm.
        curvature = (lean.T @ lean) * np.outer(p, p) + np.eye(n)
        try:
            factor = cho_factor(curvature)
        except LinAlgError:
            return p
        solved = cho_solve(factor, np.stack([p * slope, p], axis=1)) * p[:, None]
        step = solved[:, 1] * (solved[:, 0].sum() / solved[:, 1].sum()) - solved[:, 0]
        fall = -float(slope @ step)
        length = _barrier_step(room, -cuts @ step, p, step, fall)
        p = p + length * step
        p = p / p.sum()
        if fall < 0.01 or length == 0:
            break
    return p


def _barrier_step(
    room: np.ndarray, growth: np.ndarray, p: np.ndarray, step: np.ndarray, fall: float
) -> float:
    """A length at which -sum log(room) - sum log(p) falls enough; 0 if rounding leaves none."""
    slack, change = np.concatenate([room, p]), np.concatenate([growth, step])
    length = min(1.0, 0.99 * float(np.min(-slack[change < 0] / change[change < 0], initial=np.inf)))
    before = np.log(slack).sum()
    for _ in range(30):
        after = slack + length * change
        if np.all(after > 0) and np.log(after).sum() >= before + 1e-4 * length * fall:
            return length
        length /= 2
    return 0.0


# The units --------------------------------------------------------------------------------------


def merged(x: np.ndarray, units: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums z of |c_j| u_j and their signs: same outputs, and sum |z| <= sum |c_j|.

    Units of one sign that are linear together on the samples add up.
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


def _slide(
    x: np.ndarray, y: np.ndarray, units: np.ndarray, program: Program, upper: float
) -> tuple[np.ndarray, Program]:
    """Units that climbed from those of the program together with their weights, and its new end.

    Of the new units only those that carry weight are given back.
    """
    kept = np.abs(program.weights) > NOTHING
    size = np.sqrt(np.abs(program.weights[kept]))[:, None]
    signs = np.sign(program.weights[kept])[:, None]
    flat = np.concatenate([signs * size, units[kept] * size], axis=1).ravel()
    gap = max(1 - program.margin / upper, _LEAST_GAP)
    for sharper in _SHARPER:
        sharpness = sharper * np.log(len(x)) / gap
        flat = minimize(
            _softmin, flat, args=(x, y, sharpness, program.margin), jac=True, method="L-BFGS-B",
            options={"maxiter": _SLIDE_STEPS, "ftol": 1e-15, "gtol": 1e-12, "maxcor": 20},
        ).x  # fmt: skip
    slid = _unit(flat.reshape(-1, x.shape[1] + 1)[:, 1:])
    both = solve_program(feature_rows(x, y, np.concatenate([units, slid])), upper)
    used = both.weights[len(units) :] != 0
    weights = both.weights[np.append(np.full(len(units), True), used)]
    return slid[used], both._replace(weights=weights)


def _softmin(
    flat: np.ndarray, x: np.ndarray, y: np.ndarray, sharpness: float, margin: float
) -> tuple[float, np.ndarray]:
    """Value log sum_i exp(-s q_i) / s, q = y f / (|Theta|^2 margin), and its gradient in Theta.

    Theta has a row (w_j, u_j) for each unit.
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
