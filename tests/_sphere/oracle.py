"""The largest |sum_i r_i relu(u . x_i)| over unit vectors u, from candidates in exact arithmetic.

Samples of rank d cut R^d into pointed cones. Each cone has an edge, and an edge lies across d - 1
independent samples. So every edge is computed as a vector of fractions. The samples that are
orthogonal to it are known exactly, and with all choices of which of them are active come the cones
around the edge. The peaks of these cones and of their faces are the candidates.
"""

from fractions import Fraction
from itertools import combinations, product

import numpy as np
from scipy.optimize import nnls


def exact_maximum(x: np.ndarray, dual: np.ndarray) -> float:
    """For samples (n, d) of rank d and a dual vector (n,) or (n, k), all of float64."""
    rows = [[Fraction(float(v)) for v in row] for row in x]
    weights = [[Fraction(float(v)) for v in row] for row in np.reshape(dual, (len(x), -1))]
    n, d = np.shape(x)
    found = 0.0
    seen = set()
    for chosen in combinations(range(n), d - 1):
        ray = _null_vector([rows[i] for i in chosen], d)
        if ray is None:
            continue
        for sign in (1, -1):
            edge = [sign * v for v in ray]
            heights = [_dot(row, edge) for row in rows]
            flat = [i for i in range(n) if heights[i] == 0]
            always = [i for i in range(n) if heights[i] > 0]
            found = max(found, _height(x, dual, [float(v / max(map(abs, edge))) for v in edge]))
            for choice in product((False, True), repeat=len(flat)):
                active = always + [i for i, on in zip(flat, choice, strict=True) if on]
                for size in range(d - 1):
                    for across in combinations(flat, size):
                        key = (tuple(sorted(active)), across)
                        if key not in seen:
                            seen.add(key)
                            u = _peak(rows, weights, active, across)
                            found = max(found, *(_height(x, dual, s * u) for s in (1, -1)))
    return found


def _dot(a, b):
    return sum((p * q for p, q in zip(a, b, strict=True)), Fraction(0))


def _height(x, dual, u) -> float:
    u = np.asarray(u, float)
    length = np.linalg.norm(u)
    if not length > 0:
        return 0.0
    return float(np.linalg.norm(np.maximum(x @ (u / length), 0) @ np.reshape(dual, (len(x), -1))))


def _null_vector(rows, d: int):
    """A vector orthogonal to d - 1 rows, by cofactors; None where they are dependent."""
    if d == 1:
        return [Fraction(1)]
    ray = [(-1) ** j * _determinant([row[:j] + row[j + 1 :] for row in rows]) for j in range(d)]
    return ray if any(ray) else None


def _determinant(rows):
    if len(rows) == 1:
        return rows[0][0]
    total = Fraction(0)
    for j, first in enumerate(rows[0]):
        if first:
            minor = _determinant([row[:j] + row[j + 1 :] for row in rows[1:]])
            total += (-1) ** j * first * minor
    return total


def _peak(rows, weights, active, across) -> np.ndarray:
    """Top right singular vector of sum_active r_i x_i^T, off the samples `across`."""
    walls = []
    for i in across:
        left = rows[i]
        for wall in walls:
            left = _off(left, wall)
        if any(left):
            walls.append(left)
    d, k = len(rows[0]), len(weights[0])
    moments = [[sum((weights[i][a] * rows[i][j] for i in active), Fraction(0)) for j in range(d)]
               for a in range(k)]  # fmt: skip
    for wall in walls:
        moments = [_off(row, wall) for row in moments]
    largest = max((abs(v) for row in moments for v in row), default=Fraction(0))
    if not largest:
        return np.zeros(d)
    matrix = np.array([[float(v / largest) for v in row] for row in moments])
    return matrix[0] if k == 1 else np.linalg.svd(matrix)[2][0]


def _off(row, wall):
    part = _dot(row, wall) / _dot(wall, wall)
    return [p - part * q for p, q in zip(row, wall, strict=True)]


def maximum_by_patterns(x: np.ndarray, dual: np.ndarray) -> float:
    """The same for (n,) r in any dimension, by one least squares problem for each of 2^n patterns.

    On the cone s_i u . x_i >= 0 the sum is m . u, and its maximum over the unit vectors of the cone
    is min |m + sum_i b_i s_i x_i| over b >= 0, if that is more than 0.
    """
    highest = 0.0
    for signs in product((1.0, -1.0), repeat=len(x)):
        s = np.array(signs)
        moment = (np.where(s > 0, dual, 0) @ x)[None]
        for target in (moment[0], -moment[0]):
            highest = max(highest, nnls((s[:, None] * x).T, -target)[1])
    return highest
