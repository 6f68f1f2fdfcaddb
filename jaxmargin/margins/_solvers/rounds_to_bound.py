"""The cheapest two-layer network that satisfies constraints, with a bound for every network.

The problem is min sum_j |w_j| |u_j| over two-layer relu networks of any width, subject to what a
`fit` asks of the outputs. Rounds over cells (`jaxmargin._cells`) end when the dual bound meets the
cost, and a thorough search over the sphere confirms the bound. Everything here is float64 NumPy.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxmargin._cells.first import first_units, spikes
from jaxmargin._cells.fits import Margins, Targets
from jaxmargin._cells.limits import Limits
from jaxmargin._cells.rounds import Round, rounds
from jaxmargin._cells.slide import slide
from jaxmargin._cells.units import Units, together
from jaxmargin._sphere.unit_maximum import unit_maximum
from jaxmargin.errors import ConvergenceError, Interrupted

_NEW, _APART = 16, 1e-3  # directions that refute a bound, and the least angle between them
_STRONGER = 10.0  # by which a penalty grows until the network nearly satisfies the constraints
_STAGES, _STEPS = 4, 100  # descents, and the most of their steps

Misfit = Callable[[np.ndarray], tuple[float, np.ndarray]]
"""`misfit(outputs) -> (value, slope)` of flat outputs, 0 where the constraints hold."""


class Reached(NamedTuple):
    """The best network, and what is known of all others.

    Attributes:
        units: the network.
        cost: sum_j |w_j| |u_j|, once it is scaled to satisfy the constraints.
        estimate: a lower bound of every cost, if the search has met the highest unit.
        lower: a proven lower bound.
        exact: whether the highest unit was enumerated, so that both bounds are one.
        dual: (n, k) behind the bounds.
        interrupted: whether Ctrl-C ended the rounds.
    """

    units: Units
    cost: float
    estimate: float
    lower: float
    exact: bool
    dual: np.ndarray
    interrupted: bool = False

    def within(self, tol: float) -> bool:
        """Whether the estimate meets the cost."""
        return self.estimate >= (1 - tol) * self.cost


def rounds_to_bound(
    x: np.ndarray,
    fit: Margins | Targets,
    start: Units,
    *,
    bound: Callable[[np.ndarray, float], float],
    limits: Limits,
    on_round: Callable[[float, float], None],
) -> Reached:
    """Rounds until the bound meets the cost, a limit is reached, or several in a row gain nothing.

    After Ctrl-C, the last whole round is proven as well as that goes at once.

    Args:
        x: (n, d) samples, no row 0, the longest of length 1.
        fit: the constraints.
        start: units to begin with.
        bound: `bound(dual, height)`, the lower bound of a dual (n, k) whose highest unit has
            |sum_i dual_i relu(u . x_i)| = height.
        limits: when to end.
        on_round: called with the cost and the estimated bound after each round.
    """
    steps = rounds(x, fit, 1.0, start, bound=bound, tol=limits.tol)
    refuting, reached, now = None, [], None
    try:
        while True:
            now = steps.send(refuting)
            reached.append((now.value, now.bound))
            on_round(*reached[-1])
            last = limits.ended(reached)
            refuting = None
            if last or now.bound >= (1 - limits.tol) * now.value:
                found, refuting = _proof(x, now, bound, limits)
                if last or found.within(limits.tol):
                    return found
    except KeyboardInterrupt:
        if now is None:
            raise
        return _proof(x, now, bound, limits._replace(budget=0.0))[0]._replace(interrupted=True)


def _proof(
    x: np.ndarray, now: Round, bound: Callable[[np.ndarray, float], float], limits: Limits
) -> tuple[Reached, np.ndarray]:
    """What a thorough search confirms, with a proof; and the directions that refute it."""
    enough = bound(now.dual, 1.0) / ((1 - limits.tol) * now.value)  # higher ones refute it
    top = unit_maximum(
        x, now.dual, starts=now.units.v, count=_NEW, separation=_APART, budget=limits.budget,
        enough=enough,
    )  # fmt: skip
    estimate = bound(now.dual, float(top.values[0]))
    found = Reached(now.units, now.value, estimate, bound(now.dual, top.bound), top.exact, now.dual)
    return found, top.directions[top.values > 1]


def finished(name: str, told: str, result: Any, found: Reached, limits: Limits) -> Any:
    """The result of a driver, or the error of rounds that ended before.

    Args:
        name: the driver.
        told: what the network reached, for the message.
        result: what the driver returns; its `estimate` is the bound, and `history` its rounds.
        found: what the rounds returned.
        limits: when they were to end.
    """
    rounds = len(result.history.step)
    told = f"{told} and estimated bound {result.estimate:.9g} after {rounds} rounds"
    if found.interrupted:
        raise Interrupted(
            f"{name} was interrupted with {told}; the error's `result` has the network",
            step=rounds,
            result=result,
        )
    if not found.within(limits.tol):
        raise ConvergenceError(
            f"{name} stopped with {told}, further apart than tol = {limits.tol:g}: "
            f"{limits.advice(rounds)}; the error's `result` has the network",
            result=result,
        )
    return result


def first_network(
    x: np.ndarray,
    k: int,
    misfit: Misfit,
    satisfied: Callable[[np.ndarray], np.ndarray],
    starts: np.ndarray,
    *,
    scales: bool,
) -> Units:
    """A network that nearly satisfies the constraints, by descents with a growing penalty.

    Where they do not come near at some samples, there are units of little weight beside it that
    can; at all samples if no scaling of the network makes up for the rest.

    Args:
        x: (n, d) samples.
        k: number of outputs.
        misfit: the penalty.
        satisfied: (n,) whether flat outputs are near enough at each sample.
        starts: (m, d) directions to begin with, besides others.
        scales: whether a network that is near satisfies the constraints once it is scaled.
    """
    slope = misfit(np.zeros(len(x) * k))[1].reshape(-1, k)
    w, u = first_units(x, slope, starts)
    strength = _STRONGER / np.linalg.norm(np.maximum(u @ x.T, 0) @ slope, axis=1).max()
    units = slide(x, _times(strength, misfit), 1.0, w, u, steps=_STEPS)
    near = satisfied(units.outputs(x).ravel())
    for _ in range(_STAGES):
        if near.all():
            break
        root = np.sqrt(units.length)[:, None]
        strength *= _STRONGER
        u = units.v / root
        units = slide(x, _times(strength, misfit), 1.0, root * units.w, u, steps=_STEPS)
        near = satisfied(units.outputs(x).ravel())
    far = np.flatnonzero(~near) if scales else np.arange(len(x))
    return together(units, spikes(x, slope, float(np.mean(units.length)), far))


def _times(strength: float, misfit: Misfit) -> Misfit:
    def scaled(outputs: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = misfit(outputs)
        return strength * value, strength * slope

    return scaled
