"""Sums of vectors from cones that fit outputs at the least total length, by an interior point.

The problem is

    min_v R(sum_j A_j v_j) + sum_j price_j |v_j|    subject to    S_ji (x_i . v_j) >= 0,

with vectors v_j in R^p, of which the constraints see the first d entries, and signs S_ji. A unit of
a two-layer relu network with a fixed activation pattern is such a vector: its outputs are linear in
v_j, and its pattern holds in the cone {S_ji (x_i . v_j) >= 0}.

The method is primal-dual. Each constraint has a slack s and a multiplier z with s z = mu; each
length has the dual vector q_j of |v_j| with t_j q_j = v_j and t_j = c + sqrt(c^2 + |v_j|^2), where
c = mu / price_j (Chan, Golub, Mulet 1999). Newton's method follows mu to 0. Its linear system is
reduced to one for each vector and one for the outputs.

Everything here is float64 NumPy.
"""

from typing import NamedTuple

import numpy as np
import scipy  # its parts load on first use

from jaxmargin._arithmetic import step_to_boundary
from jaxmargin._cells.fits import Fit
from jaxmargin._devices import cores, on_all_cores

_STEPS = 100  # of Newton's method
_JITTERS = (1e-15, 1e-13, 1e-11, 1e-8, 1e-4)  # added to Hessians of diagonal 1
_PATIENCE = 25  # steps without a gain
_HALVINGS = 30  # of a step at which R jumps
_SHARE_OF_DISTANCE = 0.1  # of a dual vector from the unit sphere on the path, that it keeps
_FASTEST = 0.2  # share of mu that a step leaves at least
_INFEASIBLE = 0.05  # share of what the constraints miss, below which mu does not go
_FREE = 1e4  # the share of a direction in the Newton system, above which it stays in it
_SLIGHT = 1e-3  # squared length of an output's column, below which the system does without it
_REFINED, _REFINEMENTS = 1e-8, 6  # what a solution may miss, and turns that mend it at most
_APART = 3.0  # ratio of the lengths of a primal and of a dual step
_BOUNDARY = 0.995  # share of the way to the boundary that a step may go


class Program(NamedTuple):
    """The data of the problem.

    Attributes:
        columns: A, (m, p, N).
        x: (n, d) rows of the constraints, d <= p.
        signs: S, (m, n).
        price: (m,) > 0.
    """

    columns: np.ndarray
    x: np.ndarray
    signs: np.ndarray
    price: np.ndarray

    def outputs(self, v: np.ndarray) -> np.ndarray:
        """sum_j A_j v_j."""
        return np.tensordot(v, self.columns, 2)

    def pull(self, dual: np.ndarray) -> np.ndarray:
        """A_j^T dual, (m, p)."""
        return self.columns @ dual

    def slacks(self, v: np.ndarray) -> np.ndarray:
        """S_ji (x_i . v_j), (m, n)."""
        return self.signs * (v[:, : self.x.shape[1]] @ self.x.T)

    def lift(self, multipliers: np.ndarray, width: int) -> np.ndarray:
        """sum_i multipliers_ji S_ji x_i with zeros up to p entries, (m, p)."""
        raised = np.zeros((len(multipliers), width))
        raised[:, : self.x.shape[1]] = (self.signs * multipliers) @ self.x
        return raised


class Solution(NamedTuple):
    """Where the interior point ended.

    Attributes:
        v: (m, p).
        outputs: (N,).
        dual: (N,) the slope of R there.
        multipliers: (m, n) of the constraints.
        value: R + sum_j price_j |v_j|.
        steps: how many it took.
        converged: whether the tolerance was reached.
    """

    v: np.ndarray
    outputs: np.ndarray
    dual: np.ndarray
    multipliers: np.ndarray
    value: float
    steps: int
    converged: bool


def solve(program: Program, fit: Fit, start: np.ndarray, tol: float) -> Solution:
    """Solve the problem from vectors (m, p) strictly inside of their cones.

    Args:
        program: the data.
        fit: what the outputs are to fit, R or constraints.
        start: (m, p).
        tol: the sum of all products s z at which to stop, relative to the value.
    """
    with np.errstate(all="ignore"):  # steps that diverge are seen and dropped
        return _InteriorPoint(program, fit, start).run(tol)


class _InteriorPoint:
    """The iterates: v with slacks, multipliers z and dual vectors q of the lengths."""

    def __init__(self, program: Program, fit: Fit, start: np.ndarray):
        self.program, self.fit, self.v = program, fit, start
        self.slack = program.slacks(start)
        self.outputs = program.outputs(start)
        length = np.linalg.norm(start, axis=1)
        cost = float(program.price @ length)
        value = fit.value(self.outputs) + cost
        self.mu = value / (self.slack.size + len(start))
        self.z = self.mu / self.slack
        c = self.mu / program.price
        self.q = start / (c + np.hypot(c, length))[:, None]
        fit.start(self.outputs, cost, self.mu)

    def run(self, tol: float) -> Solution:
        """Steps until the tolerance is reached, or no more is gained; the best of them."""
        first, least, nearest, since = self.mu, np.inf, np.inf, 0
        best = Solution(self.v, self.outputs, self.outputs, self.z, np.inf, 0, converged=False)
        for step in range(1, _STEPS + 1):
            length = np.linalg.norm(self.v, axis=1)
            value = self.fit.value(self.outputs) + float(self.program.price @ length)
            dual = self.fit.dual(self.outputs)
            total, count = self._complementarity(length)
            error = max(total, self._error(dual, length), self.fit.residual(self.outputs))
            if error < nearest:  # a gain, though the value may have fallen by as much
                nearest, since = error, 0
            if error / value < least:
                least, since = error / value, 0
                best = Solution(self.v, self.outputs, dual, self.z, value, step, False)
            if error <= tol * value:
                return best._replace(converged=True)
            since += 1
            if since == _PATIENCE:
                break
            try:
                shorter = self._step(length)
            except np.linalg.LinAlgError:  # rounding leaves no more to be gained
                break
            length = np.linalg.norm(self.v, axis=1)
            missed = self._error(self.fit.dual(self.outputs), length)
            missed += self.fit.residual(self.outputs)
            average = self._complementarity(length)[0] / count
            average = max(average, min(_INFEASIBLE * missed / count, first))
            share = max(_FASTEST, (1 - shorter) ** 3)
            self.mu = max(share * average, 0.1 * tol * abs(value) / count)
        return best

    def _error(self, dual: np.ndarray, length: np.ndarray) -> float:
        """What the point misses of stationarity, at its own lengths."""
        rest = self.program.pull(dual) + self.program.price[:, None] * self.q
        rest -= self.program.lift(self.z, self.v.shape[1])
        return float(np.linalg.norm(rest, axis=1) @ length)

    def _complementarity(self, length: np.ndarray) -> tuple[float, int]:
        total = float(np.sum(self.slack * self.z))
        total += float(self.program.price @ (length - np.sum(self.q * self.v, axis=1)))
        more, count = self.fit.complementarity()
        return total + more, count + self.slack.size + len(self.v)

    def _step(self, length: np.ndarray) -> float:
        program, v, q, mu = self.program, self.v, self.q, self.mu
        c = mu / program.price
        hypotenuse = np.hypot(c, length)
        t = c + hypotenuse
        slope, root = self.fit.model(self.outputs, mu)
        mirror = _Mirror(v, program.x.shape[1])
        newton = _Newton(program, root, self._hessian(mirror, hypotenuse, t), mirror)
        plain = program.pull(slope) + (program.price / t)[:, None] * v
        target = mu / self.slack
        mirrored = newton(program.lift(target, v.shape[1]) - plain)
        dv = mirror(mirrored)
        across = mirrored * (np.arange(v.shape[1]) > 0)  # growth along v keeps small slacks small
        ds = program.slacks(mirror(across)) + mirrored[:, :1] / mirror.height * self.slack
        dz = target - self.z - self.z / self.slack * ds
        if not (np.all(np.isfinite(dv)) and np.all(np.isfinite(dz))):
            raise np.linalg.LinAlgError("the step is not finite")
        along = np.sum(v * dv, axis=1) / hypotenuse
        dq = (dv - q * along[:, None] + v) / t[:, None] - q
        change = program.outputs(dv)
        far, far_dual = self.fit.reach(change)
        primal = min(1.0, _BOUNDARY * min(step_to_boundary(self.slack, ds, xp=np), far))
        primal = self._tamed(primal, change, length)
        turn = min(1.0, _BOUNDARY * min(step_to_boundary(self.z, dz, xp=np), far_dual))
        primal, turn = min(primal, _APART * turn), min(turn, _APART * primal)
        self.fit.advance(change, primal, turn)
        self.v = v + primal * dv
        self.slack = self.slack + primal * ds
        self.outputs = program.outputs(self.v)
        self.z = self.z + turn * dz
        self.q = _inside_ball(q + turn * dq, self.v, c)
        return min(primal, turn)

    def _tamed(self, primal: float, change: np.ndarray, length: np.ndarray) -> float:
        """A length at which R does not jump, as it may where it is far from quadratic."""
        most = 2 * (self.fit.value(self.outputs) + float(self.program.price @ length))
        for _ in range(_HALVINGS):
            if self.fit.value(self.outputs + primal * change) <= most:
                break
            primal /= 2
        return primal

    def _hessian(self, mirror: "_Mirror", hypotenuse: np.ndarray, t: np.ndarray) -> np.ndarray:
        """The blocks (m, p, p) of the constraints and of the lengths, in the mirrored basis."""
        x, price = self.program.x, self.program.price
        d, p = x.shape[1], self.v.shape[1]
        v, q = mirror(self.v), mirror(self.q)
        turned = q[:, :, None] * v[:, None, :]
        turned = (turned + turned.transpose(0, 2, 1)) / (2 * hypotenuse[:, None, None])
        blocks = (price / t)[:, None, None] * (np.eye(p) - turned)
        weighted = (self.z / self.slack)[:, :, None] * x
        walls = np.zeros_like(blocks)
        walls[:, :d, :d] = weighted.transpose(0, 2, 1) @ x
        walls = mirror(mirror(walls).transpose(0, 2, 1))
        # Along v the walls bend by their slacks, which rounding would drown.
        walls[:, 0] = walls[:, :, 0] = mirror(self.program.lift(self.z, p)) / mirror.height
        walls[:, 0, 0] = np.sum(self.z * self.slack, axis=1) / mirror.height[:, 0] ** 2
        return blocks + walls


class _Mirror:
    """Reflections that turn the first axis to each v_j, within the space of the constraints.

    Attributes:
        height: (m, 1) the length of v_j, with the sign that it has on the first axis.
    """

    def __init__(self, v: np.ndarray, d: int):
        self.axis = np.zeros_like(v)
        self.axis[:, :d] = v[:, :d]
        self.height = -np.copysign(np.linalg.norm(self.axis, axis=1), v[:, 0])[:, None]
        self.axis[:, 0] -= self.height[:, 0]
        self.axis /= np.linalg.norm(self.axis, axis=1, keepdims=True)

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """The reflections of (m, p) vectors, or of the columns of (m, p, N) matrices."""
        if vectors.ndim == 2:
            return vectors - 2 * np.sum(self.axis * vectors, axis=1, keepdims=True) * self.axis
        return vectors - 2 * self.axis[:, :, None] * (self.axis[:, None] @ vectors)


class _Newton:
    """Solves (H + A F F^T A^T) v = b, with H of blocks, by a system of the size of the outputs.

    A unit of weight can grow almost for free, so that H nearly vanishes in that direction: its
    inverse would drown all else. Such directions stay in the system beside the outputs. Most
    outputs that bind nothing have slight columns, which a few refinements make up for.
    """

    def __init__(self, program: Program, root: np.ndarray, blocks: np.ndarray, mirror: _Mirror):
        m, p = blocks.shape[:2]
        self.mirror, self.shape = mirror, (m, p)
        self.inverse = _inverse_factor(blocks)
        self.wide = _times_root(root, self.inverse @ mirror(program.columns)[:, ::-1])
        last = self.wide[:, -1]
        self.free = np.flatnonzero(np.sum(last**2, axis=1) > _FREE)
        self.pivot = 1 / self.inverse[self.free, -1, -1]
        self.grown = self.pivot[:, None] * last[self.free]
        self.wide[self.free, -1] = 0
        self.wide = self.wide.reshape(m * p, -1)
        size = np.einsum("rn,rn->n", self.wide, self.wide)
        large = size >= min(_SLIGHT, size.max())
        self.core = self.wide if large.all() else self.wide[:, large]
        self.system = _Symmetric(self._system(self.grown[:, large], self.grown[:, ~large]))

    def _system(self, grown: np.ndarray, rest: np.ndarray) -> np.ndarray:
        """The system of the free directions and of the outputs whose columns are not slight."""
        h = len(grown)
        system = np.zeros((h + self.core.shape[1],) * 2)
        system[:h, :h] = -np.diag(self.pivot**2) - rest @ rest.T
        system[:h, h:] = -grown
        system[h:, h:] = _gram(self.core)
        system[np.diag_indices(len(system))] += np.arange(len(system)) >= h
        return system

    def __call__(self, b: np.ndarray) -> np.ndarray:
        half = (self.inverse @ self.mirror(b)[:, ::-1, None])[:, :, 0]
        half, free = self._without_free(half), self.pivot * half[self.free, -1]
        solved, grown = self._solved(half, free)
        size = _REFINED * np.linalg.norm(half)
        for _ in range(_REFINEMENTS):
            change = self.wide.T @ solved.ravel() + grown @ self.grown
            missed = half - solved - (self.wide @ change).reshape(self.shape)
            more, longer = self._solved(missed, free - self.pivot**2 * grown - self.grown @ change)
            solved, grown = solved + more, grown + longer
            if np.linalg.norm(missed) <= size:
                break
        solved[self.free, -1] = self.pivot * grown
        return (self.inverse.transpose(0, 2, 1) @ solved[:, :, None])[:, ::-1, 0]

    def _without_free(self, half: np.ndarray) -> np.ndarray:
        half = half.copy()
        half[self.free, -1] = 0
        return half

    def _solved(self, half: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The step in all directions but the free ones, and in these."""
        found = self.system(np.concatenate([-free, self.core.T @ half.ravel()]))
        change = (self.core @ found[len(free) :]).reshape(self.shape)
        return half - change, found[: len(free)]


class _Symmetric:
    """Solves a symmetric system, indefinite, that is given by its upper triangle."""

    def __init__(self, upper: np.ndarray):
        largest = np.maximum(np.abs(upper).max(axis=0), np.abs(upper).max(axis=1))
        self.size = 1 / np.sqrt(largest)
        upper *= self.size[:, None] * self.size
        lapack, count = scipy.linalg.lapack, len(upper)
        self.factor, self.pivots, failed = lapack.dsytrf(upper, lwork=64 * count, overwrite_a=True)
        if failed:
            raise np.linalg.LinAlgError("the system of a step is singular")

    def __call__(self, b: np.ndarray) -> np.ndarray:
        return self.size * scipy.linalg.lapack.dsytrs(self.factor, self.pivots, self.size * b)[0]


def _gram(columns: np.ndarray) -> np.ndarray:
    """C^T C, of parts of the rows at once."""
    parts = np.array_split(columns, cores())
    return sum(on_all_cores(lambda part: part.T @ part, parts), np.zeros(()))


def _inverse_factor(blocks: np.ndarray) -> np.ndarray:
    """L^-1 of blocks L L^T, axes reversed, which rounding may have made slightly indefinite."""
    blocks = blocks[:, ::-1, ::-1]
    size = np.sqrt(np.diagonal(blocks, axis1=1, axis2=2))
    scaled = blocks / (size[:, :, None] * size[:, None, :])
    for jitter in _JITTERS:
        try:
            factor = np.linalg.cholesky(scaled + jitter * np.eye(blocks.shape[1]))
        except np.linalg.LinAlgError:
            continue
        return np.linalg.inv(factor) / size[:, None, :]
    raise np.linalg.LinAlgError("the Hessian of a block is far from positive definite")


def _times_root(root: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows (..., N) times F: a diagonal (N,), blocks (n, k, k) with N = n k, or a matrix (N, N)."""
    if root.ndim == 1:
        return rows * root
    if root.ndim == 2:
        return rows @ root
    split = rows.reshape(-1, *root.shape[:2]).transpose(1, 0, 2)
    return (split @ root).transpose(1, 0, 2).reshape(rows.shape)


def _inside_ball(q: np.ndarray, v: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Q, shortened where it comes nearer to the unit sphere than a share of what it is to keep."""
    length = np.linalg.norm(v, axis=1)
    distance = 1 - length / (c + np.hypot(c, length))
    most = 1 - _SHARE_OF_DISTANCE * distance
    return q * np.minimum(1, most / np.linalg.norm(q, axis=1))[:, None]
