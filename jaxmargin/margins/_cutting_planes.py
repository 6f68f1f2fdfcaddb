"""Rounds of cutting planes: the game of the maximum margin over all units of the sphere.

A round solves the linear program over the units met so far, whose weights are a network, and looks
for the unit vectors u at which |sum_i p_i y_i relu(u . x_i)| is largest, for probabilities p of the
samples. Every p gives an upper bound of the margin, since that maximum over all u is one; the units
that attain it join the program, and cut p off.

The p of a round is the analytic centre of all that the units so far allow below a level (Goffin,
Haurie, Vial 1992), so that each round either lowers the bound or cuts their set through its middle.
Beyond three dimensions the maximum over u is only searched. There the units of the program also
slide. Everything is float64 NumPy except for the search.
"""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxmargin._sphere_search import EXACT_DIMENSION, SphereMaximum
from jaxmargin.margins._finite_game import NOTHING, analytic_centre, solve_program
from jaxmargin.margins._units import directions, feature_rows, slide
from jaxmargin.sphere import maxima

_NEW = 16  # units that a round adds
_STARTS, _FRESH = 64, 128  # units met before from which a search climbs, and new starts
_FEWEST, _POOL = 200, 10  # the units that are kept: a number, and more for each sample
_LEVEL = 0.2  # of the gap, above the margin, at which a centre is taken
_SEARCHES = 5  # from different starts, in which a bound must hold where it is an estimate
_PATIENCE = 5  # rounds without a gain after which an estimate is final


class Round(NamedTuple):
    """Where a round ended: a network, and the best bound so far.

    Attributes:
        units: (k, d) unit vectors u_j.
        weights: (k,) their weights c_j, none of them 0, with sum_j |c_j| <= 1.
        margin: min_i y_i sum_j c_j relu(u_j . x_i).
        upper_bound: of the margin that any units and weights attain.
        dual: (n,) the probabilities of the samples behind the bound.
        converged: whether the bound is within the tolerance of the margin.
    """

    units: np.ndarray
    weights: np.ndarray
    margin: float
    upper_bound: float
    dual: np.ndarray
    converged: bool


def cutting_planes(x: np.ndarray, y: np.ndarray, tol: float, starts: np.ndarray) -> Iterator[Round]:
    """Play rounds until the bound is within tol of the margin, or no more gain is to be expected.

    For d <= 3 they end with a bound within tol, or one that is 0. For d > 3, where a bound is an
    estimate, it must hold in five searches; the rounds also end when five have gained nothing.

    Args:
        x: (n, d) samples, of length at most 1.
        y: (n,) labels -1, +1.
        tol: distance between bound and margin, relative to the margin.
        starts: (m, d) directions of units to begin with, besides both signs of the samples.
    """
    exact = x.shape[1] <= EXACT_DIMENSION
    units = directions(np.concatenate([x, -x, starts]))
    centres, bounds, upper = np.full((1, len(x)), 1 / len(x)), np.zeros(1), 1.0
    margins: list[float] = []
    confirmed, needed = 0, 1 if exact else _SEARCHES
    while True:
        new = _violating(x, y, centres[-1], units, len(margins))
        units = np.concatenate([units, new])
        program = solve_program(feature_rows(x, y, units), upper)
        if not exact and not confirmed and program.margin > NOTHING:
            slid, program = slide(x, y, units, program, upper)
            new, units = np.concatenate([new, slid]), np.concatenate([units, slid])
        # A unit met later may show that an earlier search has missed a maximum.
        met = np.abs(centres @ feature_rows(x, y, new).T).max(axis=1, initial=0)
        bounds = np.maximum(bounds, met)
        upper = float(bounds.min())
        margins.append(program.margin)
        confirmed = confirmed + 1 if upper - program.margin <= tol * program.margin else 0
        used, best = np.abs(program.weights) > NOTHING, centres[bounds.argmin()]
        weights, converged = program.weights[used], confirmed == needed
        yield Round(units[used], weights, program.margin, upper, best, converged)
        stalled = not exact and not confirmed and _stalled(margins, tol)
        if converged or stalled or upper <= NOTHING:
            return
        rows = feature_rows(x, y, units)
        if confirmed:
            centre = best
        else:
            level = program.margin + _LEVEL * (upper - program.margin)
            centre = analytic_centre(np.concatenate([rows, -rows]), program.dual, level)
        centres, bounds = np.vstack([centres, centre]), np.append(bounds, 0)
        units = units[_kept(rows, program.weights, centre)]


def _stalled(margins: list[float], tol: float) -> bool:
    before = margins[-1 - _PATIENCE] if len(margins) > _PATIENCE else 0
    return margins[-1] <= (1 + tol) * before


def _violating(
    x: np.ndarray, y: np.ndarray, p: np.ndarray, units: np.ndarray, earlier: int
) -> np.ndarray:
    """Unit vectors at which |sum_i p_i y_i relu(u . x_i)| is highest, apart from one another.

    Where the maximum is searched, `earlier` rounds choose from which other directions it climbs.
    """
    best = np.argsort(-np.abs(feature_rows(x, y, units) @ p), kind="stable")
    known = units[np.resize(best, _STARTS)]  # always as many, so that the search compiles once
    fresh = np.random.default_rng(earlier).normal(size=(_FRESH, x.shape[1]))
    starts = np.concatenate([known, fresh])
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
