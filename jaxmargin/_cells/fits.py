"""What the outputs of a network are to fit, as the interior point of `program` sees it.

A `Risk` is a convex function with two derivatives. `Margins` asks for margins of at least 1, which
cost nothing where they hold, and everything elsewhere. `Targets` asks for given outputs in the same
way, or has the squared distance to them as its risk.

Outputs are flat, (N,) = (n k,): one row of k outputs for each of n samples. The dual (N,) of a fit
is minus the force with which it pulls the outputs. Everything is float64 NumPy.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from jaxmargin._arithmetic import step_to_boundary

_SOFTNESS = 1e-8  # of constraints, in units of the problem
_FITTED = 1e-6  # distance to targets, relative to the largest, that counts as none
_FIRST_SLACK = 0.1  # of margins, at least


@runtime_checkable
class Fit(Protocol):
    """The part of the problem that depends on the outputs, with the iterates that belong to it.

    The interior point calls `start` once. In each step it asks for the `model`, how far the
    iterates may go in the direction of a change of the outputs (`reach`), and lets them `advance`.
    """

    def start(self, outputs: np.ndarray, cost: float, mu: float) -> None:
        """Begin at these outputs of a network that costs `cost`."""
        ...

    def value(self, outputs: np.ndarray, /) -> float:
        """What the outputs cost, as long as they satisfy the constraints."""
        ...

    def dual(self, outputs: np.ndarray, /) -> np.ndarray:
        """The dual (N,)."""
        ...

    def model(self, outputs: np.ndarray, mu: float) -> tuple[np.ndarray, np.ndarray]:
        """A slope (N,) and a root F of the quadratic model that a step minimises.

        F F^T is its Hessian: F is a diagonal (N,), blocks (n, k, k), or a matrix (N, N).
        """
        ...

    def reach(self, change: np.ndarray) -> tuple[float, float]:
        """The longest steps, of the outputs and of the dual, that keep the iterates positive."""
        ...

    def advance(self, change: np.ndarray, primal: float, turn: float) -> None:
        """Take steps of these lengths."""
        ...

    def complementarity(self) -> tuple[float, int]:
        """The sum of all products of slacks and multipliers, and their number."""
        ...

    def residual(self, outputs: np.ndarray, /) -> float:
        """What the constraints miss, at the price of their multipliers."""
        ...

    def total(self, outputs: np.ndarray, cost: float) -> float:
        """What a network with these outputs and this cost is worth, constraints included."""
        ...


@dataclass(frozen=True)
class Risk:
    """A convex function R of the flat outputs (N,).

    Attributes:
        value: `value(outputs) -> R`.
        slope: `slope(outputs) -> (N,)`, its gradient.
        curvature: `curvature(outputs)`, its Hessian: a diagonal (N,), blocks (n, k, k) with
            N = n k, or a matrix (N, N).
    """

    value: Callable[[np.ndarray], float]
    slope: Callable[[np.ndarray], np.ndarray]
    curvature: Callable[[np.ndarray], np.ndarray]

    def start(self, outputs: np.ndarray, cost: float, mu: float) -> None:
        """Nothing: a risk has no iterates of its own."""

    def dual(self, outputs: np.ndarray) -> np.ndarray:
        """The slope."""
        return self.slope(outputs)

    def model(self, outputs: np.ndarray, mu: float) -> tuple[np.ndarray, np.ndarray]:
        """The slope, and F with F F^T the Hessian, in the same form."""
        hessian = self.curvature(outputs)
        if hessian.ndim == 1:
            return self.slope(outputs), np.sqrt(np.maximum(hessian, 0))
        values, vectors = np.linalg.eigh(hessian)
        return self.slope(outputs), vectors * np.sqrt(np.maximum(values, 0))[..., None, :]

    def reach(self, change: np.ndarray) -> tuple[float, float]:
        """Any step will do."""
        return np.inf, np.inf

    def advance(self, change: np.ndarray, primal: float, turn: float) -> None:
        """Nothing."""

    def complementarity(self) -> tuple[float, int]:
        """Nothing."""
        return 0.0, 0

    def residual(self, outputs: np.ndarray) -> float:
        """Nothing."""
        return 0.0

    def total(self, outputs: np.ndarray, cost: float) -> float:
        """R and the cost."""
        return self.value(outputs) + cost


class Margins:
    """Margins of at least 1: y_i a_i >= 1, or a_{i, y_i} - a_ij >= 1 for the other classes j.

    Each of them has a slack s and a weight q >= 0 with s q = mu.

    Args:
        differences: (n, c, k) the rows that make the c margins of a sample of its k outputs.
    """

    def __init__(self, differences: np.ndarray):
        self.differences = differences
        self.slack = self.weight = np.ones(differences.shape[:2])
        self._softness = 1.0

    def margins(self, outputs: np.ndarray) -> np.ndarray:
        """(n, c) margins of flat outputs."""
        rows = outputs.reshape(len(self.differences), -1)
        return np.einsum("nck,nk->nc", self.differences, rows)

    def pull(self, weight: np.ndarray) -> np.ndarray:
        """The flat gradient of sum_ic weight_ic margin_ic."""
        return np.einsum("nck,nc->nk", self.differences, weight).ravel()

    def start(self, outputs: np.ndarray, cost: float, mu: float) -> None:
        """Slacks of the margins that exceed 1, or a first slack where they do not."""
        self.slack = np.maximum(self.margins(outputs) - 1, _FIRST_SLACK)
        self.weight = mu / self.slack
        self._softness = _SOFTNESS * self.slack.size / cost

    def value(self, outputs: np.ndarray) -> float:
        """Nothing."""
        return 0.0

    def dual(self, outputs: np.ndarray) -> np.ndarray:
        """Minus the pull of the weights."""
        return -self.pull(self.weight)

    def model(self, outputs: np.ndarray, mu: float) -> tuple[np.ndarray, np.ndarray]:
        """The barrier of the slacks, after they are eliminated."""
        self._missed = self.margins(outputs) - 1 - self.slack
        stiff = self.slack + self._softness * self.weight
        self._bend = self.weight / stiff
        self._target = (mu + self.weight * (self._softness * self.weight - self._missed)) / stiff
        slope = -self.pull(self._target)
        n, c, k = self.differences.shape
        if k == 1:
            return slope, np.sqrt(self._bend[:, 0]) * np.abs(self.differences[:, 0, 0])
        root = np.zeros((n, k, k))
        root[:, :, :c] = (self.differences * np.sqrt(self._bend)[:, :, None]).transpose(0, 2, 1)
        return slope, root

    def _turns(self, change: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Steps of slacks and weights; a weight is its target less bend times a margin's growth."""
        grown = self.margins(change)
        weight = self._target - self._bend * grown - self.weight
        return grown + self._missed + self._softness * weight, weight

    def reach(self, change: np.ndarray) -> tuple[float, float]:
        """To the first slack and to the first weight that would be 0."""
        slack, weight = self._turns(change)
        far = step_to_boundary(self.slack, slack, xp=np)
        return far, step_to_boundary(self.weight, weight, xp=np)

    def advance(self, change: np.ndarray, primal: float, turn: float) -> None:
        """Move slacks and weights."""
        slack, weight = self._turns(change)
        self.slack = self.slack + primal * slack
        self.weight = self.weight + turn * weight

    def complementarity(self) -> tuple[float, int]:
        """The sum of s q."""
        return float(np.sum(self.slack * self.weight)), self.slack.size

    def residual(self, outputs: np.ndarray) -> float:
        """By how much slacks and margins disagree."""
        return float(np.sum(self.weight * np.abs(self.margins(outputs) - 1 - self.slack)))

    def total(self, outputs: np.ndarray, cost: float) -> float:
        """The cost of the network scaled to a margin of 1."""
        least = float(self.margins(outputs).min())
        return cost / least if least > 0 else np.inf


class Targets:
    """Outputs that equal their targets y, or nearly: R(a) = rest + |a - y|^2 / (2 give).

    A proximal method of multipliers. The multiplier is a variable of its own, since a - y has few
    digits where a price is so low that outputs and targets nearly agree.

    Args:
        targets: y, (N,) flat.
        give: >= 0; 0 asks for equality.
        rest: what R is beside.
    """

    def __init__(self, targets: np.ndarray, give: float = 0.0, rest: float = 0.0):
        self.targets, self.give, self.rest = targets, give, rest
        self.multiplier = np.zeros_like(targets)
        self._softness = 1.0

    def start(self, outputs: np.ndarray, cost: float, mu: float) -> None:
        """The slope of R, or multipliers of 0 for equality; none larger than those of a dual."""
        size = np.linalg.norm(self.targets)
        self.multiplier = np.zeros_like(self.targets)
        self._softness = _SOFTNESS * float(size**2) / cost
        if self.give:
            slope = (outputs - self.targets) / self.give
            most = 2 * (self.value(outputs) + cost) / max(size, np.finfo(float).tiny)
            length = max(float(np.linalg.norm(slope)), np.finfo(float).tiny)
            self.multiplier = slope * min(1.0, most / length)

    def value(self, outputs: np.ndarray) -> float:
        """R; for equality nothing."""
        if not self.give:
            return 0.0
        return self.rest + float(np.sum((outputs - self.targets) ** 2)) / (2 * self.give)

    def dual(self, outputs: np.ndarray) -> np.ndarray:
        """The multipliers."""
        return self.multiplier

    def model(self, outputs: np.ndarray, mu: float) -> tuple[np.ndarray, np.ndarray]:
        """The augmented Lagrangian."""
        missed, soft = outputs - self.targets, self.give + self._softness
        self._target = (missed + self._softness * self.multiplier) / soft
        return self._target, np.full(len(outputs), soft**-0.5)

    def reach(self, change: np.ndarray) -> tuple[float, float]:
        """Any step will do."""
        return np.inf, np.inf

    def advance(self, change: np.ndarray, primal: float, turn: float) -> None:
        """Move the multipliers."""
        step = self._target + change / (self.give + self._softness) - self.multiplier
        self.multiplier = self.multiplier + turn * step

    def complementarity(self) -> tuple[float, int]:
        """Nothing."""
        return 0.0, 0

    def residual(self, outputs: np.ndarray) -> float:
        """What it takes to mend the outputs."""
        missed = outputs - self.targets - self.give * self.multiplier
        return float(np.abs(self.multiplier) @ np.abs(missed))

    def total(self, outputs: np.ndarray, cost: float) -> float:
        """R and the cost; for equality, what it takes to mend the outputs, infinite if far."""
        if self.give:
            return self.value(outputs) + cost
        missed = np.abs(outputs - self.targets).max()
        near = missed <= _FITTED * np.abs(self.targets).max()
        return cost + self.residual(outputs) if near else np.inf
