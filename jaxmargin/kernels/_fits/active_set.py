"""The dual of a support vector machine by block pivoting, on the host.

The problem is that of `svm`: min b'Qb / 2 - 1'b subject to 0 <= b <= c. Once it is known which
entries of b are free, at 0 or at c, a linear system gives the free ones. Block pivoting starts with
all of them free, moves every entry that is wrong (a free one outside the box; one at a side whose
slope points inside), and solves again. It ends after 5 to 10 rounds as a rule, exactly. It may
cycle; then only the last wrong entry is moved, which cannot, until fewer are wrong.
"""

from typing import Any, NamedTuple

import numpy as np

from jaxmargin.kernels._fits.host import OnHost, cholesky, solved, symmetric

MAX_ROUNDS = 60
TOLERANCE = 1e-7  # of the relative duality gap, which rounding alone keeps from 0
_PATIENCE = 5  # rounds of full exchanges in which the number of wrong entries need not fall
_INSIDE = 1e-12  # how far outside the box a free entry may lie, over the largest
_FLAT = 1e-11  # how far the margin of an entry at a side may be on the wrong side of 1


class Pivoted(NamedTuple):
    """Coefficients, and what is proven about them, as in `svm.Solution`.

    Attributes:
        beta: (n,) coefficients y_i b_i.
        gap: (P - D) / D for the primal and dual objectives at beta.
        dual: the dual objective D.
        square: ||f||_K^2.
    """

    beta: np.ndarray
    gap: float
    dual: float
    square: float


def pivot(gram: np.ndarray, factor: np.ndarray, y: np.ndarray, upper: np.ndarray) -> Pivoted | None:
    """Solve for the labels y (n,) of -1 and +1; None if no certificate closes the gap.

    Args:
        gram: (n, n) positive definite matrix of float64.
        factor: its `cholesky`.
        y: (n,) labels.
        upper: (n,) the price c of each sample; infinite for the hard margin.
    """
    side = np.zeros(len(y), np.int8)
    free, beta = np.arange(len(y)), solved(factor, y)
    fewest, patience = len(y) + 1, _PATIENCE
    for _ in range(MAX_ROUNDS):
        scores = gram @ beta
        aim = _aim(side, y * beta, y * scores, upper)
        wrong = np.flatnonzero(aim != side)
        if not len(wrong):
            break
        fewer = len(wrong) < fewest
        fewest = min(fewest, len(wrong))
        patience = _PATIENCE if fewer else patience - 1
        moved = wrong if patience > 0 else wrong[-1:]
        side[moved] = aim[moved]
        free = np.flatnonzero(side == 0)
        beta = y * np.where(side > 0, upper, 0.0)
        if len(free):
            own = cholesky(gram[np.ix_(free, free)], overwrite=True)
            if own is None:
                return None
            factor = own
            pull = y - gram @ beta if np.any(side > 0) else y
            beta[free] = solved(factor, pull[free])
    if len(free):
        beta[free] += solved(factor, (y - gram @ beta)[free])
    found = _certified(gram, y, np.clip(y * beta, 0, upper), upper)
    return found if found.gap <= TOLERANCE else None


def svm_on_host(gram: Any, y: Any, rounding: float, c: Any = np.inf) -> OnHost | None:
    """The machine of each class against the rest, or of labels -1 and +1.

    Args:
        gram: (n, n) Gram matrix.
        y: (n,) labels, or (n, k) rows of bools, one of them true.
        rounding: of the matrix, over its largest diagonal entry.
        c: price, one or (n,) of them.

    Returns:
        With the quality that the compiled solver tells: sound, gap, radius over margin, doubt.
    """
    del rounding  # a matrix that has a factor is taken as it is
    gram = symmetric(gram)
    factor = cholesky(gram)
    if factor is None:
        return None
    upper = np.broadcast_to(np.asarray(c, np.float64), len(gram))
    signs = np.where(y, 1.0, -1.0).T if y.dtype == bool else np.asarray(y, np.float64)[None]
    found = []
    for labels in signs:
        one = pivot(gram, factor, labels, upper)
        if one is None:
            return None
        found.append(one)
    beta, gap, dual, square = map(np.array, zip(*found, strict=True))
    radius_margin = 2 * np.max(dual) * np.max(np.diagonal(gram))
    beta, norm = (beta.T, np.sqrt(square)) if y.ndim == 2 else (beta[0], np.sqrt(square[0]))
    quality = np.array(True), np.max(gap), radius_margin, np.zeros(())
    return OnHost(beta, norm, np.max(np.abs(beta), axis=0), quality)


def _aim(side: np.ndarray, b: np.ndarray, margins: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """The side on which each entry should be: -1 at 0, +1 at c, or 0 for free."""
    slack = _INSIDE * np.max(np.abs(b))
    outside = (b > upper + slack).astype(np.int8) - (b < -slack).astype(np.int8)
    stays = np.where(side < 0, margins >= 1 - _FLAT, margins <= 1 + _FLAT)
    return np.where(side == 0, outside, np.where(stays, side, 0)).astype(np.int8)


def _certified(gram: np.ndarray, y: np.ndarray, b: np.ndarray, upper: np.ndarray) -> Pivoted:
    """The duality gap of 0 <= b <= c, as `svm` computes it."""
    beta = np.where(b > 0, y * b, 0.0)
    margins = y * (gram @ beta)
    energy = float(b @ margins) / 2
    dual = float(np.sum(b)) - energy
    smallest = float(np.min(margins))
    primal = energy / smallest**2 if smallest > 0 else np.inf
    if np.isfinite(upper).all():
        primal = min(primal, energy + float(upper @ np.maximum(0, 1 - margins)))
    gap = (primal - dual) / dual if dual > 0 else np.inf
    return Pivoted(beta, gap, dual, 2 * energy)
