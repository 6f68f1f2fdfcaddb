"""Units of two-layer relu networks in the cells of their activation patterns.

The hyperplanes u . x_i = 0 cut the space of u into cells. Inside a cell the outputs of a unit
w relu(u . x_i) are linear in v = |w| u for fixed w / |w|, and its cost is |v|. A unit on a
hyperplane belongs to the cells on both sides. Everything here is float64 NumPy.
"""

from typing import NamedTuple

import numpy as np

_STRICTLY = 1e-9  # the least distance from the walls of its cell, at which a unit may begin
_PUSHES = 30
_PARALLEL = 1e-7  # 1 - cosine, below which two directions are one
_WEIGHTLESS = 1e-5  # share of the typical length below which a unit is dropped
_MOST_ACROSS = 200  # cells behind walls that a round adds
_NO_WEIGHT = 1e-6


class Units(NamedTuple):
    """Units w_j relu(v_j . x) of unit vectors w_j, each in one cell.

    Attributes:
        w: (m, k) unit vectors; signs for k = 1.
        v: (m, d).
        active: (m, n) bool, the samples on which the unit's cell is active.
    """

    w: np.ndarray
    v: np.ndarray
    active: np.ndarray

    def where(self, keep: np.ndarray) -> "Units":
        """Some of the units, by a mask or by indices."""
        return Units(self.w[keep], self.v[keep], self.active[keep])

    @property
    def length(self) -> np.ndarray:
        """|v_j|, (m,)."""
        return np.linalg.norm(self.v, axis=1)

    def outputs(self, x: np.ndarray) -> np.ndarray:
        """(n, k) outputs of the network on samples (n, d), whatever the cells are."""
        return np.maximum(x @ self.v.T, 0) @ self.w


def units_at(x: np.ndarray, w: np.ndarray, v: np.ndarray) -> Units:
    """The units with the patterns that they have; those of no weight are left out."""
    length = np.linalg.norm(w, axis=1)
    kept = (length > 0) & (np.linalg.norm(v, axis=1) > 0)
    w, v, length = w[kept], v[kept], length[kept, None]
    return Units(w / length, length * v, v @ x.T > 0)


def together(*parts: Units) -> Units:
    """The units of all parts."""
    return Units(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def distinct(units: Units) -> Units:
    """One unit for each cell with each w, the sum of those that share them."""
    keys = [active.tobytes() + w.tobytes() for active, w in zip(units.active, units.w, strict=True)]
    if not keys:
        return units
    _, first, group = np.unique(np.array(keys, object), return_index=True, return_inverse=True)
    v = np.zeros((len(first), units.v.shape[1]))
    np.add.at(v, group, units.v)
    order = np.argsort(first)
    return units.where(first[order])._replace(v=v[order])


def inside(x: np.ndarray, units: Units, least: float, deep: float = 3e-3) -> Units:
    """The units moved strictly inside of their cells; those are dropped that find no way in.

    Args:
        x: (n, d) unit rows.
        units: the units.
        least: the length that shorter units are given.
        deep: the distance of their directions from walls, where the cell is wide enough.
    """
    directions = units.v / units.length[:, None]
    signs = np.where(units.active, 1.0, -1.0)
    for j in np.flatnonzero(np.any(signs * (directions @ x.T) < deep / 2, axis=1)):
        directions[j] = _pushed(x, signs[j], directions[j], deep)
    found = np.min(signs * (directions @ x.T), axis=1, initial=1) > _STRICTLY
    length = np.maximum(units.length, least)[:, None]
    return units._replace(v=length * directions).where(found)


def _pushed(x: np.ndarray, signs: np.ndarray, u: np.ndarray, deep: float) -> np.ndarray:
    """The unit vector u pushed off the walls, as far as the cell is wide enough for."""
    distance = deep
    while distance > _STRICTLY:
        pushed = u
        for _ in range(_PUSHES):
            heights = signs * (x @ pushed)
            near = np.flatnonzero(heights < distance / 2)
            if not len(near):
                return pushed / np.linalg.norm(pushed)
            # By the shortest move that gives those too near their distance.
            missing = signs[near] * (distance - heights[near])
            pushed = pushed + np.linalg.lstsq(x[near], missing, rcond=None)[0]
        distance /= 10
    return u


def merged(units: Units, parallel: float = _PARALLEL, weightless: float = _WEIGHTLESS) -> Units:
    """Units of weight only; those with one direction and one w are made one unit.

    Args:
        units: the units.
        parallel: 1 - cosine, below which two directions are one.
        weightless: share of a typical length below which a unit is dropped.
    """
    length = units.length
    order = np.argsort(-length, kind="stable")
    order = order[length[order] * length.sum() > weightless * float(length @ length)]
    sorted_units = units.where(order)
    directions = sorted_units.v / sorted_units.length[:, None]
    same = (directions @ directions.T > 1 - parallel) & (
        sorted_units.w @ sorted_units.w.T > 1 - parallel
    )
    v, kept, free = [], [], np.full(len(order), True)
    for j in range(len(order)):
        if free[j]:
            group = same[j] & free
            free &= ~group
            kept.append(j)
            v.append(sorted_units.v[group].sum(axis=0))
    return sorted_units.where(np.array(kept, int))._replace(v=np.reshape(v, (-1, units.v.shape[1])))


def across(units: Units, leaning: np.ndarray) -> Units:
    """The neighbours of cells across all the walls that their units lean against, of no weight.

    Args:
        units: the units.
        leaning: (m, n) how much a unit leans against the wall of a sample; 0 where it does not.
    """
    strength = np.sqrt(units.length) * leaning.sum(axis=1)
    rows = np.argsort(-strength, kind="stable")[: np.count_nonzero(strength)][:_MOST_ACROSS]
    new = units.where(rows)
    return new._replace(active=new.active ^ (leaning[rows] > 0), v=_NO_WEIGHT * new.v)
