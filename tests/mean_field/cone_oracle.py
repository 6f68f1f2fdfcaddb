"""The least energy of all two-layer networks, enclosed from both sides: small data, any rank.

Within one cell between the hyperplanes u . x_i = 0 the outputs of a unit are linear in u, so that
the units of a cell and of one sign of w merge into one vector, and the problem becomes a cone
program over all cells (Pilanci and Ergen, 2020). Clarabel solves it. Neither of the two numbers
trusts the solver: `upper` is the energy of the network that it found, and `lower` is -R* of its
dual point, scaled by the largest response of a neuron on every face of every cell. So both hold up
to rounding in float64, and where they agree they are the optimum.

With k >= 3 outputs the units of a cell do not merge into vectors. There the program is over the
w in R^k of finitely many directions u, to which the strongest neurons are added until the two
numbers agree or the rounds are spent. The two numbers hold all the same.
"""

import itertools
import warnings
from typing import Any, NamedTuple

import cvxpy as cp
import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, softmax, xlogy

_PARALLEL = 1e-12  # sine of the angle below which two hyperplanes count as one
_CLOSE = 1e-9  # relative distance of the two numbers at which the search for better ones ends
_ROUNDS = 12  # of new directions, for k >= 3
_MOST = 400  # neurons whose constraints a Newton step of the dual sees, the strongest
_LONGEST = 1e3  # change of a dual entry in one Newton step, in units of lam


class Enclosure(NamedTuple):
    """Two numbers with the optimum between them, each up to rounding."""

    lower: float
    upper: float


class _Loss(NamedTuple):
    """R on outputs (n, k), in units in which the largest row of x has length 1."""

    kind: str
    y: np.ndarray

    def risk(self, outputs: np.ndarray) -> float:
        if self.kind == "squared":
            return float(np.sum((outputs[:, 0] - self.y) ** 2))
        if self.kind == "logistic":
            return float(np.sum(np.logaddexp(0, -self.y * outputs[:, 0])))
        own = np.arange(len(self.y)), self.y
        others = outputs - outputs[own][:, None]
        others[own] = -np.inf
        return float(np.sum(np.logaddexp(0, np.logaddexp.reduce(others, axis=1))))

    def slope(self, outputs: np.ndarray) -> np.ndarray:
        if self.kind == "squared":
            return 2 * (outputs - self.y[:, None])
        if self.kind == "logistic":
            return (-self.y * expit(-self.y * outputs[:, 0]))[:, None]
        found = softmax(outputs, axis=1)
        own = np.arange(len(self.y)), self.y
        found[own] = 0
        found[own] = -found.sum(axis=1)
        return found

    def bound(self, p: np.ndarray) -> float:
        """-R*(p), or -inf outside of the domain."""
        if self.kind == "squared":
            return -float(np.sum(p[:, 0] ** 2 / 4 + p[:, 0] * self.y))
        if self.kind == "logistic":
            t = -self.y * p[:, 0]
            inside = np.all((t >= 0) & (t <= 1))
            clipped = np.clip(t, 0, 1)
            value = xlogy(clipped, clipped) + xlogy_near_one(clipped)
        else:
            own = np.arange(len(self.y)), self.y
            t = -p[own]
            others = p.copy()
            others[own] = 0
            inside = np.all((t >= 0) & (t <= 1)) and np.all(others >= 0)
            value = xlogy(others, others).sum(axis=1) + xlogy_near_one(np.clip(t, 0, 1))
        return -float(np.sum(value)) if inside else -np.inf

    def at_dual(self, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradient and second derivatives of R* of one output, which are large at the boundary."""
        if self.kind == "squared":
            return p / 2 + self.y, np.full(len(p), 0.5)
        t = np.clip(-self.y * p, 1e-300, 1 - 1e-16)
        return -self.y * (np.log(t) - np.log1p(-t)), 1 / (t * (1 - t))

    def domain(self, p: np.ndarray, unit: float, step: Any) -> list[Any]:
        """That p + unit step stays well inside of the domain of R*, for one output."""
        if self.kind == "squared":
            return []
        t = -self.y * p
        change = cp.multiply(-self.y, step)
        most = np.minimum(0.9 * np.stack([t, 1 - t]) / unit, _LONGEST)
        return [change >= -most[0], change <= most[1]]

    def repaired(self, p: np.ndarray) -> np.ndarray:
        """A point of the domain of R* near p."""
        if self.kind == "squared":
            return p
        if self.kind == "logistic":
            return -self.y[:, None] * np.clip(-self.y[:, None] * p, 0, 1)
        own = np.arange(len(self.y)), self.y
        p = np.maximum(p, 0)
        p[own] = 0
        p /= np.maximum(p.sum(axis=1, keepdims=True), 1)
        p[own] = -np.minimum(p.sum(axis=1), 1)
        return p


def xlogy_near_one(t: np.ndarray) -> np.ndarray:
    """(1 - t) log(1 - t), with all its digits where t is small."""
    return np.where(t < 1, (1 - t) * np.log1p(-np.minimum(t, 1 - 1e-16)), 0.0)


def distinct_lines(x: np.ndarray) -> np.ndarray:
    """The rows with length 1, without zeros and without any that is parallel to an earlier one."""
    kept: list[np.ndarray] = []
    lengths = np.linalg.norm(x, axis=1)
    for row in x[lengths > _PARALLEL * max(lengths.max(initial=0), 1e-300)]:
        unit = row / np.linalg.norm(row)
        # The distance to the line, which has digits where 1 - cosine^2 has none.
        if all(np.linalg.norm(unit - (unit @ old) * old) > _PARALLEL for old in kept):
            kept.append(unit)
    return np.array(kept).reshape(len(kept), x.shape[1])


def cell_points(x: np.ndarray) -> np.ndarray:
    """A point inside every cell that the hyperplanes u . x_i = 0 cut R^d into, (cells, d).

    The hyperplanes come one at a time. A new one cuts those cells that it meets, and meets each in
    one cell of the arrangement that the others leave on it: a problem of one dimension less. A
    point in such a cell, moved a little to either side, is in each of the two new cells.
    """
    lines = distinct_lines(x)
    points = np.zeros((1, x.shape[1]))
    for i, line in enumerate(lines):
        on_plane = _complement(line[None])
        met = cell_points(lines[:i] @ on_plane) @ on_plane.T
        heights = met @ lines[:i].T
        step = np.min(
            np.abs(heights) / np.maximum(np.abs(lines[:i] @ line), 1e-300), axis=1, initial=1
        )
        sides = met + 0.5 * np.minimum(step, 1)[:, None] * np.array([[[1.0]], [[-1.0]]]) * line
        cut = {(row > 0).tobytes() for row in heights}
        whole = [point for point in points if (lines[:i] @ point > 0).tobytes() not in cut]
        points = np.concatenate([*sides, np.array(whole).reshape(len(whole), x.shape[1])])
        points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points


def patterns(x: np.ndarray) -> np.ndarray:
    """All activation patterns 1(u . x_i > 0) of u off the hyperplanes, (p, n)."""
    return np.unique(cell_points(x) @ x.T > 0, axis=0)


def _complement(rows: np.ndarray) -> np.ndarray:
    """An orthonormal basis (d, d - rank) of what is orthogonal to the rows."""
    _, sizes, right = np.linalg.svd(rows)
    return right[int(np.sum(sizes > _PARALLEL)) :].T


class _Face(NamedTuple):
    """The cells of one intersection of hyperplanes: its basis (d, e), their patterns (p, n)."""

    basis: np.ndarray
    active: np.ndarray


def faces_of(x: np.ndarray) -> list[_Face]:
    lines, d = distinct_lines(x), x.shape[1]
    found = []
    for size in range(d):
        for chosen in itertools.combinations(range(len(lines)), size):
            basis = _complement(lines[list(chosen)].reshape(-1, d))
            if basis.shape[1] == d - size:  # else fewer of these hyperplanes have the same face
                on_face = x @ basis
                on_face[np.abs(on_face) <= _PARALLEL * np.linalg.norm(x, axis=1)[:, None]] = 0
                found.append(_Face(basis, patterns(on_face)))
    return found


def strongest(x: np.ndarray, p: np.ndarray, faces: list[_Face]) -> tuple[np.ndarray, np.ndarray]:
    """Peaks of |sum_i relu(u . x_i) p_i| over unit vectors u, highest first: heights, units.

    On a cell of a face the sum is linear in u, M u, so that its largest length within the face is
    at the singular vector of M there, or on the boundary, which is another face.
    """
    units = []
    for face in faces:
        linear = np.einsum("an,nk,nd->akd", face.active, p, x) @ face.basis
        top = np.linalg.svd(linear)[2][:, 0] @ face.basis.T
        units += [top, -top]
    u = np.unique(np.concatenate(units), axis=0)
    heights = np.linalg.norm(np.maximum(u @ x.T, 0) @ p, axis=1)
    order = np.argsort(-heights)
    return heights[order], u[order]


def energy(
    x: np.ndarray, y: np.ndarray, loss: str, *, lam: float, u: np.ndarray, w: np.ndarray
) -> float:
    """R + 2 lam sum_j |w_j| |u_j| of the network with units u (m, d), w (m,) or (m, k)."""
    w = w.reshape(len(u), -1)
    return _Units(u, w).energy(x, _Loss(loss, np.asarray(y)), lam)


def slope(y: np.ndarray, loss: str, outputs: np.ndarray) -> np.ndarray:
    """The gradient of R at outputs (n, k), the dual point of a network."""
    return _Loss(loss, np.asarray(y)).slope(outputs)


def bound_of(y: np.ndarray, loss: str, p: np.ndarray, *, most: float) -> float:
    """The largest -R*(s p) over 0 <= s <= most: a bound if most * p satisfies the constraint."""
    return _best_multiple(_Loss(loss, np.asarray(y)), p, most=most)


def best_over_cells(
    x: np.ndarray, y: np.ndarray, loss: str, *, lam: float, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Units u (m, d) and w (m,) of the best scalar network in the cells of these points (p, d)."""
    solved = _solve(x, _Loss(loss, np.asarray(y)), lam, "plain", points, 1)
    if solved is None:
        raise RuntimeError("Clarabel did not solve the cone program")
    return solved[0].u, solved[0].w[:, 0]


class _Units(NamedTuple):
    """A network sum_j w_j relu(u_j . x): u (m, d), w (m, k)."""

    u: np.ndarray
    w: np.ndarray

    def outputs(self, x: np.ndarray) -> np.ndarray:
        return np.maximum(x @ self.u.T, 0) @ self.w

    def energy(self, x: np.ndarray, loss: _Loss, lam: float) -> float:
        norms = np.linalg.norm(self.u, axis=1) * np.linalg.norm(self.w, axis=1)
        return loss.risk(self.outputs(x)) + 2 * lam * float(np.sum(norms))


def optimum(x: np.ndarray, y: np.ndarray, loss: str, *, lam: float, k: int = 2) -> Enclosure:
    """The least energy of all measures for "logistic", "squared" or "cross_entropy", enclosed.

    Two classes are one output: the optimal w are multiples of (1, -1), so that the cross-entropy
    of two classes with lam is the logistic loss with lam / sqrt(2).
    """
    x, y = np.asarray(x, np.float64), np.asarray(y)
    if loss == "cross_entropy" and k == 2:
        return optimum(x, np.where(y == 1, 1.0, -1.0), "logistic", lam=lam / 2**0.5)
    y = y if loss == "cross_entropy" else y.astype(np.float64)
    size = np.linalg.norm(x, axis=1)
    scale = max(np.abs(y).max(), 1e-300) if loss == "squared" else 1.0
    outputs = k if loss == "cross_entropy" else 1
    y = y / scale if loss == "squared" else y
    rest = _Loss(loss, y[size == 0]).risk(np.zeros((int(np.sum(size == 0)), outputs)))
    found = Enclosure(0.0, 0.0)
    if np.any(size):
        kept = x[size > 0] / size.max()
        found = _enclosed(kept, _Loss(loss, y[size > 0]), lam / size.max() / scale, outputs)
    return Enclosure(*(float(scale**2 * (side + rest)) for side in found))


def _enclosed(x: np.ndarray, loss: _Loss, lam: float, outputs: int) -> Enclosure:
    faces = faces_of(x)
    nothing = loss.slope(np.zeros((len(x), outputs)))
    lower = _dual_bound(x, loss, lam, nothing, faces)
    upper = loss.risk(np.zeros((len(x), outputs)))
    candidates = strongest(x, nothing, faces)[1][:40] if outputs > 1 else cell_points(x)
    for _ in range(_ROUNDS if outputs > 1 else 1):
        for form in _FORMS:
            if upper - lower <= _CLOSE * upper:
                return Enclosure(lower, upper)
            solved = _solve(x, loss, lam, form, candidates, outputs)
            if solved is None:
                continue
            network, dual = solved
            upper = min(upper, network.energy(x, loss, lam))
            for p in (dual, loss.slope(network.outputs(x))):
                lower = max(lower, _dual_bound(x, loss, lam, p, faces))
            if outputs > 1:
                candidates = np.concatenate([candidates, _missing(x, dual, lam, faces)])
            elif upper - lower > _CLOSE * upper:
                lower = max(lower, _refined_bound(x, loss, lam, dual, faces))
    return Enclosure(lower, upper)


def _refined_bound(
    x: np.ndarray, loss: _Loss, lam: float, p: np.ndarray, faces: list[_Face]
) -> float:
    """The bound of p after Newton steps of the dual, each a quadratic program in units of lam.

    Where labels contradict each other, p is of order 1 and the constraint of order lam, so that the
    rounding of a solver that sees both is a large violation, and scaling p would lose everything.
    """
    p, best = loss.repaired(p), -np.inf
    for _ in range(6):
        units = strongest(x, p, faces)[1][:_MOST]
        responses = np.maximum(units @ x.T, 0)
        step = cp.Variable(len(x))
        outputs, bend = loss.at_dual(p[:, 0])
        gain = -outputs @ step - cp.sum(cp.multiply(lam * bend / 2, step**2))
        limits = cp.abs(responses @ p[:, 0] / lam + responses @ step) <= 2
        if not _ran(cp.Problem(cp.Maximize(gain), [limits, *loss.domain(p[:, 0], lam, step)])):
            break
        p = loss.repaired(p + lam * np.asarray(step.value)[:, None])
        best = max(best, _dual_bound(x, loss, lam, p, faces))
    return best


def _missing(x: np.ndarray, p: np.ndarray, lam: float, faces: list[_Face]) -> np.ndarray:
    """The strongest neurons beyond the constraint of the dual."""
    heights, units = strongest(x, p, faces)
    return units[heights > 2 * lam][:40]


def _dual_bound(x: np.ndarray, loss: _Loss, lam: float, p: np.ndarray, faces: list[_Face]) -> float:
    """The best -R*(s p) over the s >= 0 with max_u |sum_i s p_i relu(u . x_i)| <= 2 lam."""
    p = loss.repaired(p)
    return _best_multiple(loss, p, most=2 * lam / max(strongest(x, p, faces)[0][0], 1e-300))


def _best_multiple(loss: _Loss, p: np.ndarray, *, most: float) -> float:
    """The largest -R*(s p) over 0 <= s <= most."""
    if loss.kind != "squared":
        most = min(most, 1 / max(np.abs(p).max(), 1e-300))
    found: Any = minimize_scalar(
        lambda share: -loss.bound(share * most * p),
        bounds=(0, 1),
        method="bounded",
        options={"xatol": 1e-12},
    )
    return max(-found.fun, loss.bound(most * p * (1 - 1e-15)), loss.bound(0 * p))


_FORMS = ("plain", "in units of lam", "shifted")


def _program_risk(loss: _Loss, lam: float, form: str, a: cp.Variable) -> tuple[Any, float]:
    """R(a) over a unit, and the unit: 1, or lam, in which small energies have all their digits.

    Where the outputs separate the labels, the margins of the optimum are near log(1 / lam). The
    shifted form counts them from there and takes e^-m for log(1 + e^-m).
    """
    unit = 1.0 if form == "plain" else lam
    if loss.kind == "squared":
        return cp.sum_squares((a[:, 0] - loss.y) / unit**0.5), unit
    if loss.kind == "logistic":
        margins = [cp.multiply(loss.y, a[:, 0])]
    else:
        k = a.shape[1]
        own = np.eye(k)[loss.y]
        margins = [cp.sum(cp.multiply(own, a), axis=1) - a[:, j] for j in range(k)]
    if form == "shifted":
        shift = np.log(1 / lam)
        terms = [shift - margin for margin in margins]
        if loss.kind == "cross_entropy":  # not of the sample's own class
            terms = [term[np.flatnonzero(loss.y != j)] for j, term in enumerate(terms)]
        return cp.sum([cp.sum(cp.exp(term)) for term in terms]), unit
    if len(margins) == 1:
        return cp.sum(cp.logistic(-margins[0])) / unit, unit
    return cp.sum(cp.log_sum_exp(-cp.vstack(margins), axis=0)) / unit, unit


def _solve(
    x: np.ndarray, loss: _Loss, lam: float, form: str, points: np.ndarray, outputs: int
) -> tuple[_Units, np.ndarray] | None:
    """The network and the dual point of one cone program, or None where Clarabel gives up."""
    a = cp.Variable((len(x), outputs))
    risk, unit = _program_risk(loss, lam, form, a)
    if outputs == 1:
        lines = distinct_lines(x)
        active = points @ x.T > 0
        side = np.where(points @ lines.T > 0, 1.0, -1.0)
        parts = [cp.Variable(points.shape) for _ in range(2)]
        cones = [cp.multiply(side, part @ lines.T) >= 0 for part in parts]
        sums = cp.sum(cp.multiply(active, (parts[0] - parts[1]) @ x.T), axis=0)
        link = a[:, 0] == sums
    else:
        parts = [cp.Variable((len(points), outputs))]
        cones = []
        link = a == np.maximum(x @ points.T, 0) @ parts[0]
    norm = cp.sum([cp.sum(cp.norm(part, 2, axis=1)) for part in parts])
    program = cp.Problem(cp.Minimize(risk + 2 * lam / unit * norm), [link, *cones])
    if not _ran(program):
        return None
    if outputs == 1:
        u = np.concatenate([np.asarray(part.value) for part in parts])
        w = np.repeat([1.0, -1.0], len(points))[:, None]
    else:
        u, w = points, np.asarray(parts[0].value)
    return _Units(u, w), -unit * np.asarray(link.dual_value).reshape(len(x), outputs)


def _ran(program: cp.Problem) -> bool:
    """Whether Clarabel solves the program, at a tolerance that it can reach."""
    for tolerance in (1e-11, 1e-8):
        try:
            with warnings.catch_warnings():  # of inaccuracy, which the two numbers measure
                warnings.simplefilter("ignore", UserWarning)
                program.solve(
                    solver=cp.CLARABEL, equilibrate_max_iter=50,
                    static_regularization_constant=1e-10, max_step_fraction=0.9,
                    tol_gap_abs=tolerance, tol_gap_rel=tolerance, tol_feas=tolerance,
                )  # fmt: skip
        except cp.SolverError:
            continue
        if program.status in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE):
            return True
    return False
