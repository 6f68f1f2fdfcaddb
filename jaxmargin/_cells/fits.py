"""What outputs are to fit, as the interior point of `program` sees it.

`SmoothFit` is a convex risk with two derivatives. `MarginFit` asks for margins of at least 1, and
`EqualityFit` for given outputs; both cost nothing where they hold, and everything elsewhere.

Outputs are flat, (n k,): one row of k outputs for each of n samples. Everything is float64 NumPy.
"""

from collections.abc import Callable

import numpy as np

from jaxmargin._cells.program import reach

_PROXIMAL = 1e-8  # softness of an equality, in units of the problem


class SmoothFit:
    """A convex risk R of the outputs.

    Args:
        value: `value(outputs) -> R`.
        slope: `slope(outputs) -> (N,)`, its gradient.
        curvature: `curvature(outputs)`, its Hessian: a diagonal (N,), blocks (n, k, k) or (N, N).
    """

    def __init__(self, value: Callable, slope: Callable, curvature: Callable):
        self.value, self.slope, self.curvature = value, slope, curvature

    def start(self, outputs: np.ndarray, value: float, mu: float) -> None:
        pass

    def model(self, outputs: np.ndarray, mu: float) -> tuple[np.ndarray, np.ndarray]:
        return self.slope(outputs), _root(self.curvature(outputs))

    def reach(self, change: np.ndarray) -> tuple[float, float]:
        return np.inf, np.inf

    def advance(self, change: np.ndarray, primal: float, dual: float) -> None:
        pass

    def complementarity(self) -> tuple[float, int]:
        return 0.0, 0

    def residual(self, outputs: np.ndarray) -> float:
        return 0.0

    def total(self, outputs: np.ndarray, cost: float) -> float:
        return self.value(outputs) + cost


def _root(hessian: np.ndarray) -> np.ndarray:
    """F with F F^T the Hessian, in the same form."""
    if hessian.ndim == 1:
        return np.sqrt(np.maximum(hessian, 0))
    values, vectors = np.linalg.eigh(hessian)
    return vectors * np.sqrt(np.maximum(values, 0))[..., None, :]


class MarginFit:
    """Margins of at least 1: y_i a_i >= 1, or a_{i, label_i} - a_ij >= 1 for the other classes j.

    Args:
        differences: (n, c, k) the rows that make the c margins of sample i of its k outputs.
    """

    def __init__(self, differences: np.ndarray):
        self.differences = differences
        self.slack = self.weight = np.ones(differences.shape[:2])

    def margins(self, outputs: np.ndarray) -> np.ndarray:
        """(n, c) margins of flat outputs."""
        rows = outputs.reshape(len(self.differences), -1)
        return np.einsum("nck,nk->nc", self.differences, rows)

    def pull(self, weight: np.ndarray) -> np.ndarray:
        """The flat gradient of sum_ic weight_ic margin_ic."""
        return np.einsum("nck,nc->nk", self.differences, weight).ravel()

    def value(self, outputs: np.ndarray) -> float:
        return 0.0

    def start(self, outputs: np.ndarray, value: float, mu: float) -> None:
        self.slack = np.maximum(self.margins(outputs) - 1, 0.1)
        self.weight = mu / self.slack
        self._model(outputs, mu)

    def _model(self, outputs: np.ndarray, mu: float) -> np.ndarray:
        """The weights of the margins, were the outputs to stay."""
        self._missed = self.margins(outputs) - 1 - self.slack
        self._bend = self.weight / self.slack
        self._target = mu / self.slack - self._bend * self._missed
        return self._target

    def model(self, outputs: np.ndarray, mu: float) -> tuple[np.ndarray, np.ndarray]:
        dual = -self.pull(self._model(outputs, mu))
        n, c, k = self.differences.shape
        if k == 1:
            return dual, np.sqrt(self._bend[:, 0]) * np.abs(self.differences[:, 0, 0])
        root = np.zeros((n, k, k))
        root[:, :, :c] = (self.differences * np.sqrt(self._bend)[:, :, None]).transpose(0, 2, 1)
        return dual, root

    def _turns(self, change: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        grown = self.margins(change)
        return grown + self._missed, self._target - self._bend * grown - self.weight

    def reach(self, change: np.ndarray) -> tuple[float, float]:
        slack, weight = self._turns(change)
        return reach(self.slack, slack), reach(self.weight, weight)

    def advance(self, change: np.ndarray, primal: float, dual: float) -> None:
        slack, weight = self._turns(change)
        self.slack = self.slack + primal * slack
        self.weight = self.weight + dual * weight

    def complementarity(self) -> tuple[float, int]:
        return float(np.sum(self.slack * self.weight)), self.slack.size

    def residual(self, outputs: np.ndarray) -> float:
        return float(np.sum(self.weight * np.abs(self.margins(outputs) - 1 - self.slack)))

    def total(self, outputs: np.ndarray, cost: float) -> float:
        """The cost of the network scaled to a margin of 1."""
        least = float(self.margins(outputs).min())
        return cost / least if least > 0 else np.inf


class EqualityFit:
    """Outputs that equal their targets, by a proximal method of multipliers.

    Args:
        targets: (N,) flat.
    """

    def __init__(self, targets: np.ndarray):
        self.targets = targets
        self.multiplier = np.zeros_like(targets)
        self.softness = 1.0

    def value(self, outputs: np.ndarray) -> float:
        return 0.0

    def start(self, outputs: np.ndarray, value: float, mu: float) -> None:
        self.multiplier = np.zeros_like(self.targets)
        self.softness = _PROXIMAL * float(self.targets @ self.targets) / value

    def model(self, outputs: np.ndarray, mu: float) -> tuple[np.ndarray, np.ndarray]:
        self._target = self.multiplier + (outputs - self.targets) / self.softness
        return self._target, np.full(len(outputs), self.softness**-0.5)

    def reach(self, change: np.ndarray) -> tuple[float, float]:
        return np.inf, np.inf

    def advance(self, change: np.ndarray, primal: float, dual: float) -> None:
        turn = self._target + change / self.softness - self.multiplier
        self.multiplier = self.multiplier + dual * turn

    def complementarity(self) -> tuple[float, int]:
        return 0.0, 0

    def residual(self, outputs: np.ndarray) -> float:
        return float(np.abs(self.multiplier) @ np.abs(outputs - self.targets))

    def total(self, outputs: np.ndarray, cost: float) -> float:
        """The cost, and what it takes to mend the outputs at the multipliers' price."""
        return cost + self.residual(outputs)
