"""A proven upper bound of |sum_i r_i relu(u . x_i)| over unit vectors u, by a semidefinite dual.

The function is the largest w . sum_i r_i relu(u . x_i) over unit vectors w of R^k. For scalar r,
w is a sign that is put into r, and w = 1. Every term is at most a quadratic form of w and u:

    (w . r_i) relu(u . x_i) <= (w . r_i)(u . x_i) / 2 + |w . r_i| |u . x_i| / 2
                            <= (w . r_i)(u . x_i) / 2 + (w . r_i)^2 / (4 c_i) + c_i (u . x_i)^2 / 4

for any c_i > 0. Where k = 1 and r_i < 0, relu(z) is at least a z for any a in [0, 1], and for
unit rows also (z + z^2) / 2, since then |z| >= z^2. So for any b_i in [0, 1] it is at least
(1 - b_i) a_i z + b_i (z + z^2) / 2. On a part of the sphere where the sign s_i of u . x_i is
known the term is linear in u, and s_i u . x_i >= 0, s_i u . x_i - (u . x_i)^2 >= 0 and the products
of two of the former may be added with multipliers >= 0. All in all the function is at most
(w, u) H (w, u)^T, which is at most 2 lambda_max(H + t diag(-1, 1)) for every t, since
|w| = |u| = 1. This is a bound for all choices of the multipliers; L-BFGS looks for good ones on a
smooth maximum.

At c_i proportional to |r_i|, a_i = 1/2, b_i = 0 and no known sign it is, for k = 1,

    |X^T r| / 2 + sqrt(sum_+ |r_i|) sqrt(lambda_max(sum_+ |r_i| x_i x_i^T)) / 2,

with the sums over r_i > 0. So the bound is never above this number.
"""

from typing import NamedTuple

import numpy as np

from jaxmargin._sphere.relu_sum import ReluSum

# Of the smooth maximum: its sharpness relative to the bound, and the steps of L-BFGS there.
_THOROUGH = ((3e-2, 60), (3e-3, 60), (3e-4, 60))
_QUICK = ((3e-3, 12),)  # from multipliers that are good on a larger part of the sphere
_ROUNDING = 1e-13
_SPREAD = 30.0  # of log c_i


class Multipliers(NamedTuple):
    """The choices that make a bound.

    Attributes:
        log_c: (n,) logarithm of c_i / |r_i|.
        part: (n,) the a_i, from 0 to 1.
        square: (n,) the b_i, from 0 to 1; that of s_i u . x_i - (u . x_i)^2 where s_i is known.
        push: (n,) of s_i u . x_i >= 0, where s_i is known and k = 1.
        pairs: (f, f) of the products of the f known signs.
        shift: () the t.
    """

    log_c: np.ndarray
    part: np.ndarray
    square: np.ndarray
    push: np.ndarray
    pairs: np.ndarray
    shift: np.ndarray


class Relaxation:
    """The bound on the part of the sphere where s_i u . x_i >= 0 for the known signs s_i."""

    def __init__(self, function: ReluSum, known: dict[int, int]):
        self.rows, self.weights = function.rows, function.weights
        self.k = self.weights.shape[1]
        self.sizes = np.linalg.norm(self.weights, axis=1)
        self.fixed = np.array(list(known), int)
        sides = np.array(list(known.values()), float)
        free = np.ones(len(self.rows), bool)
        free[self.fixed] = False
        rises = (self.weights[:, 0] > 0) | (self.k > 1)
        self.curved, self.bent = free & rises, free & ~rises
        self.walls = sides[:, None] * self.rows[self.fixed]
        self.side = np.zeros(len(self.rows))
        self.side[self.fixed] = sides
        # What b_i takes off u . (u . x_i)^2, so that it is -r_i / 2 where the sign is not known.
        self.squared = np.where(self.bent, self.sizes / 2, np.abs(self.side))

    def plain(self) -> Multipliers:
        """Those of the formula of the module, without the known signs."""
        n, f = len(self.rows), len(self.fixed)
        size, rows = self.sizes[self.curved], self.rows[self.curved]
        units = self.weights[self.curved] / size[:, None]
        of_w = np.linalg.norm((size[:, None] * units).T @ units, 2) if len(rows) else 1.0
        of_u = np.linalg.norm((size[:, None] * rows).T @ rows, 2) if len(rows) else 1.0
        log_c = np.full(n, np.log(of_w / of_u) / 2)
        zeros = np.zeros(n)
        return Multipliers(log_c, zeros + 0.5, zeros, zeros, np.zeros((f, f)), np.zeros(()))

    def matrix(self, at: Multipliers) -> np.ndarray:
        """H + t diag(-1, 1), (k + d, k + d)."""
        k, rows, weights = self.k, self.rows, self.weights
        on = self.curved
        size, ratio = self.sizes[on], np.exp(at.log_c[on])
        units = weights[on] / size[:, None]
        h = np.empty((k + rows.shape[1],) * 2)
        h[:k, :k] = ((size / ratio / 4)[:, None] * units).T @ units - at.shift * np.eye(k)
        h[k:, k:] = ((size * ratio / 4)[:, None] * rows[on]).T @ rows[on]
        h[k:, k:] += self.walls.T @ ((at.pairs + at.pairs.T) / 2) @ self.walls
        h[k:, k:] += at.shift * np.eye(rows.shape[1])
        bent = (1 - at.square) * at.part + at.square / 2
        share = np.where(on, 0.5, np.where(self.bent, bent, self.side > 0))
        cross = (share[:, None] * weights).T @ rows
        if k == 1:
            cross = cross + ((at.push + at.square) * self.side) @ rows
            h[k:, k:] -= ((at.square * self.squared)[:, None] * rows).T @ rows
        h[:k, k:], h[k:, :k] = cross / 2, cross.T / 2
        return h

    def bound(self, at: Multipliers) -> float:
        """The proven bound, with the rounding errors of its own computation added."""
        h = self.matrix(at)
        slack = len(h) * np.linalg.norm(h) + len(self.rows) * self.sizes.sum()
        return float(2 * np.linalg.eigvalsh(h)[-1] + _ROUNDING * slack)

    def slopes(self, at: Multipliers, z: np.ndarray) -> Multipliers:
        """Derivatives of tr(z matrix) by the multipliers."""
        k, on = self.k, self.curved
        of_w, of_wu, of_u = z[:k, :k], z[:k, k:], z[k:, k:]
        up, down = self.spread(at, z)
        along = np.sum((self.weights @ of_wu) * self.rows, axis=1)
        push = square = np.zeros(len(self.rows))
        if k == 1:
            push = self.side * (self.rows @ of_wu[0])
            lost = self.squared * _forms(self.rows, of_u)
            square = np.where(self.bent, (0.5 - at.part) * along, push) - lost
        return Multipliers(
            np.where(on, down - up, 0),
            np.where(self.bent, (1 - at.square) * along, 0),
            square,
            push,
            self.walls @ of_u @ self.walls.T,
            np.trace(of_u) - np.trace(of_w),
        )

    def spread(self, at: Multipliers, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The two quadratic terms of each sample with unknown sign: (n,) that of w, that of u."""
        k = self.k
        units = self.weights / self.sizes[:, None]
        ratio = np.exp(at.log_c)
        of_w = _forms(units, z[:k, :k]) * self.sizes / ratio / 4
        of_u = _forms(self.rows, z[k:, k:]) * self.sizes * ratio / 4
        return np.where(self.curved, of_w, 0), np.where(self.curved, of_u, 0)

    def slack_of_samples(self, at: Multipliers) -> np.ndarray:
        """How much of the bound the unknown sign of each sample is the cause of, (n,).

        It is -inf where the sign is known or the term concave: with such terms alone the bound is
        the maximum itself.
        """
        z = _density(self.matrix(at), 1e-3)[1]
        of_w, of_u = self.spread(at, z)
        along = np.sum((self.weights @ z[: self.k, self.k :]) * self.rows, axis=1)
        return np.where(self.curved, of_w + of_u - np.abs(along) / 2, -np.inf)

    def improved(self, at: Multipliers, *, quick: bool = False) -> tuple[float, Multipliers]:
        """A better bound than at these multipliers, where L-BFGS finds one, and where it is."""
        if self.k == 1 and not self.curved.any():
            return self._shortest(at)
        from scipy.optimize import minimize  # slow to import

        best, best_at = self.bound(at), at
        limits = self._limits()
        for sharpness, steps in _QUICK if quick else _THOROUGH:
            smooth = sharpness * max(best, 1e-9 * self.sizes.sum())

            def of(flat: np.ndarray, smooth: float = smooth) -> tuple[float, np.ndarray]:
                here = _unflattened(flat, at)
                value, z = _density(self.matrix(here), smooth, absolute=True)
                return value, _flattened(self.slopes(here, z))

            found = minimize(
                of, _flattened(best_at), jac=True, method="L-BFGS-B", bounds=limits,
                options={"maxiter": steps, "maxcor": 20},
            )  # fmt: skip
            here = _unflattened(found.x, at)
            value = self.bound(here)
            if value < best:
                best, best_at = value, here
        return best, best_at

    def _shortest(self, at: Multipliers) -> tuple[float, Multipliers]:
        """Where H is linear, its multipliers form the shortest vector of a box: least squares."""
        from scipy.optimize import lsq_linear  # slow to import

        free, fixed, f = np.flatnonzero(self.bent), self.fixed, len(self.fixed)
        signed = self.weights * self.rows
        columns = np.concatenate([signed[free], self.walls]).T
        none = np.zeros(len(self.rows))
        at = at._replace(square=none, push=none, pairs=np.zeros((f, f)), shift=np.zeros(()))
        if columns.size:
            most = np.r_[np.ones(len(free)), np.full(f, np.inf)]
            always = signed[fixed[self.side[fixed] > 0]].sum(axis=0)
            found = lsq_linear(columns, -always, bounds=(0, most), method="bvls").x
            part, push = at.part.copy(), none.copy()
            part[free], push[fixed] = np.clip(found[: len(free)], 0, 1), found[len(free) :]
            at = at._replace(part=part, push=np.maximum(push, 0))
        return self.bound(at), at

    def _limits(self) -> np.ndarray:
        """(p, 2) the least and the largest value of each multiplier."""
        n, f = len(self.rows), len(self.fixed)
        middle = self.plain().log_c
        zero, most, pairs = np.zeros(n), np.full(n, np.inf), np.full((f, f), np.inf)
        squares = np.where(self.side != 0, np.inf, 1.0)
        low = Multipliers(middle - _SPREAD, zero, zero, zero, np.zeros((f, f)), np.array(-np.inf))
        high = Multipliers(middle + _SPREAD, zero + 1, squares, most, pairs, np.array(np.inf))
        return np.column_stack([_flattened(low), _flattened(high)])


def _forms(rows: np.ndarray, z: np.ndarray) -> np.ndarray:
    """x_i . z x_i for each row."""
    return np.sum((rows @ z) * rows, axis=1)


def _flattened(at: Multipliers) -> np.ndarray:
    return np.concatenate([np.ravel(part) for part in at])


def _unflattened(flat: np.ndarray, like: Multipliers) -> Multipliers:
    ends = np.cumsum([np.size(part) for part in like])[:-1]
    parts = np.split(flat, ends)
    return Multipliers(
        *(part.reshape(np.shape(old)) for part, old in zip(parts, like, strict=True))
    )


def _density(h: np.ndarray, smooth: float, absolute: bool = False) -> tuple[float, np.ndarray]:
    """Twice a smooth largest eigenvalue of h, and its derivative by h (of trace 2)."""
    eigenvalues, vectors = np.linalg.eigh(h)
    top = eigenvalues[-1]
    if not absolute:
        smooth = smooth * max(abs(top), np.finfo(float).tiny)
    parts = np.exp((eigenvalues - top) / smooth)
    total = parts.sum()
    z = (vectors * (2 * parts / total)) @ vectors.T
    return float(2 * (top + smooth * np.log(total))), z
