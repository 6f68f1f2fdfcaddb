"""What a driver raises when it cannot finish."""

from typing import Any


class DivergenceError(ValueError):
    """A run whose objective stopped being finite.

    Attributes:
        step: first step at which it was not finite.
        trial: index of the trial, or None for a single run.
    """

    def __init__(self, message: str, *, step: int, trial: int | None = None):
        super().__init__(message)
        self.step = step
        self.trial = trial


class ConvergenceError(ValueError):
    """A solver that stopped above its tolerance.

    Attributes:
        fit: what the solver had reached, where that is of use; else None.
    """

    def __init__(self, message: str, *, fit: Any = None):
        super().__init__(message)
        self.fit = fit
