"""Rounds towards the optimum of a two-layer relu network, over cells of activation patterns.

This joins a mean-field problem to `jaxmargin._cells`. The samples are scaled to length at most 1,
and samples of zeros, where every network is 0, are left out.
"""

import math
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxmargin._cells.first import first_units
from jaxmargin._cells.fits import Fit, Risk, Targets
from jaxmargin._cells.rounds import Round, rounds
from jaxmargin._cells.slide import slide
from jaxmargin._cells.units import Units
from jaxmargin.mean_field._search.violation import bound_of_dual
from jaxmargin.mean_field.certificates import certify
from jaxmargin.mean_field.measure import Measure
from jaxmargin.mean_field.problem import MeanField
from jaxmargin.mean_field.risks import MeanRisk, SquaredRisk

_POLISH = 200  # steps of the descents between rounds
_FAR, _STRIDE = 1e6, 100.0  # of prices below that at which 0 is optimal, and of their steps
_NEAR, _MOST_ROUNDS = 1e-2, 8  # gap, relative to the value, and rounds at a price on the way
_MOST = 256  # units of a given measure to begin with, the heaviest


class Reached(NamedTuple):
    """What a round reached: the best measure so far, its energy, and its estimated gap.

    The dual is the point behind the gap, or None for the slope of R at the measure.
    """

    measure: Measure
    energy: float
    gap: float
    dual: np.ndarray | None


def network_rounds(
    problem: MeanField,
    network: tuple[Array, Array],
    measure: Measure,
    starts: Array | None,
    tol: float,
) -> Generator[Reached, np.ndarray | None, None]:
    """Rounds for a two-layer relu network under SquaredNorm; particles sent are given cells.

    Args:
        problem: the problem, in float64.
        network: its samples and its lam.
        measure: to begin with; one without weight begins from nothing.
        starts: (p, D) further particles to search from, or None.
        tol: accuracy to aim at, relative to the energy.
    """
    x, lam = np.asarray(network[0]), float(network[1])
    shape = jax.eval_shape(problem.phi, measure.theta[0]).shape
    nothing = jax.tree.map(lambda leaf: jnp.zeros_like(leaf[:1]), measure)
    found = certify(problem, nothing, starts=starts)
    while found.violations[0] <= 1:
        yield Reached(nothing, float(found.energy), float(found.estimated_gap), None)
    rows = np.any(x != 0, axis=1)
    scale = float(np.linalg.norm(x / np.abs(x).max(), axis=1).max() * np.abs(x).max())
    scaled, price = x[rows] / scale, 2 * lam / scale
    fit, both = _fit(problem, shape, rows)
    resting = np.asarray(_value_and_slope(problem, np.zeros(shape))[1])
    first = _given_units(int(np.prod(shape[1:])), measure, scale)
    if not len(first[0]):
        first = first_units(scaled, resting[rows].reshape(len(scaled), -1))
    prices = _prices(price, float(found.violations[0]))
    start = slide(scaled, both, prices[0], *first)

    def spread(dual: np.ndarray) -> np.ndarray:
        """The dual on all samples; on those of zeros, the slope of R at their outputs."""
        full = resting.copy()
        full[rows] = dual.reshape(-1, *shape[1:])
        return full

    def bound(dual: np.ndarray, ratio: float) -> float:
        return bound_of_dual(problem, spread(dual), max(ratio, 1e-300))

    for higher in prices[:-1]:
        start = _nearly(rounds(scaled, fit, higher, start, bound=bound, tol=_NEAR))
    polish = partial(_polished, scaled, both, price)
    search = rounds(scaled, fit, price, start, bound=bound, tol=tol, polish=polish)
    directions = None
    while True:
        now = search.send(directions)
        reached = _measure(now.units, scale), now.value, now.value - now.bound
        sent = yield Reached(*reached, spread(now.dual))
        directions = None if sent is None else sent[:, -x.shape[1] :]


def _polished(x: np.ndarray, risk: Callable, price: float, units: Units) -> Units:
    root = np.sqrt(units.length)[:, None]
    return slide(x, risk, price, root * units.w, units.v / root, steps=_POLISH)


def _prices(price: float, ratio: float) -> list[float]:
    """The price last, and before it higher ones, from which the optimum is followed down.

    A network that nearly interpolates has more cells than a descent from nothing meets.
    """
    steps = math.ceil(math.log(ratio / _FAR) / math.log(_STRIDE)) if ratio > _FAR else 0
    return [price * _STRIDE**step for step in range(steps, -1, -1)]


def _nearly(path: Generator[Round, Any, None]) -> Units:
    """Units of a gap that is small enough on the way, or those after several rounds."""
    now = next(path)
    for _ in range(_MOST_ROUNDS):
        if now.value - now.bound <= _NEAR * now.value:
            break
        now = next(path)
    return now.units


def _measure(units: Units, scale: float) -> Measure:
    """Unit particles (w, u) / sqrt(2) of the units on samples before their scaling."""
    length = units.length
    theta = np.concatenate([units.w, units.v / length[:, None]], axis=1) / np.sqrt(2)
    return Measure(jnp.asarray(theta), jnp.asarray(2 * length / scale))


def _given_units(k: int, measure: Measure, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """W (m, k) and u (m, d) of the measure's heaviest units."""
    weights = np.asarray(measure.weights)
    heaviest = np.argsort(-weights, kind="stable")[:_MOST]
    heaviest = heaviest[weights[heaviest] > 0]
    theta = np.asarray(measure.theta)[heaviest]
    units = theta * np.sqrt(np.asarray(measure.mass)[heaviest] * scale)[:, None]
    return units[:, :k], units[:, k:]


def _fit(problem: MeanField, shape: tuple[int, ...], rows: np.ndarray) -> tuple[Fit, Callable]:
    """R of the flat outputs on the given rows, and as (value, slope); the others have outputs 0."""
    full = np.zeros(shape)

    def outputs(flat: np.ndarray) -> np.ndarray:
        full[rows] = flat.reshape(-1, *shape[1:])
        return full.copy()

    def value(flat: np.ndarray) -> float:
        return float(_value_and_slope(problem, outputs(flat))[0])

    def slope(flat: np.ndarray) -> np.ndarray:
        return np.asarray(_value_and_slope(problem, outputs(flat))[1])[rows].ravel()

    def both(flat: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = _value_and_slope(problem, outputs(flat))
        return float(value), np.asarray(slope)[rows].ravel()

    def curvature(flat: np.ndarray) -> np.ndarray:
        return _sparse(np.asarray(_curvature(problem, outputs(flat))), rows, shape)

    found = _squared(problem.loss)
    if found is None:
        return Risk(value, slope, curvature), both
    y, give = found
    rest = float(np.sum(y[~rows] ** 2)) / (2 * give)
    return Targets(y[rows].ravel(), give, rest), both


def _squared(loss: Callable) -> tuple[np.ndarray, float] | None:
    """The targets y and c of R(a) = |a - y|^2 / (2 c), if that is what the loss is."""
    if isinstance(loss, SquaredRisk):
        return np.asarray(loss.y), 0.5
    if isinstance(loss, MeanRisk) and isinstance(loss.total, SquaredRisk):
        return np.asarray(loss.total.y), len(loss.total.y) / 2
    return None


@jax.jit
def _value_and_slope(problem: MeanField, outputs: Array) -> tuple[Array, Array]:
    return jax.value_and_grad(problem.loss)(outputs)


@jax.jit
def _curvature(problem: MeanField, outputs: Array) -> Array:
    return jax.hessian(problem.loss)(outputs)


def _sparse(hessian: np.ndarray, rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The Hessian on the rows: its diagonal or its blocks (n, k, k), where there is no more."""
    n, k = int(rows.sum()), int(np.prod(shape[1:]))
    table = hessian.reshape(len(rows), k, len(rows), k)[rows][:, :, rows]
    blocks = np.einsum("iaib->iab", table)
    if np.count_nonzero(table) > np.count_nonzero(blocks):
        return table.reshape(n * k, n * k)
    return blocks.ravel() if k == 1 else blocks
