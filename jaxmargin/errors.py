"""What a driver raises when it cannot finish; what it had reached travels in `error.result`."""

from functools import partial
from typing import Any

__all__ = ["ConvergenceError", "DivergenceError"]


class DivergenceError(ValueError):
    """A run whose objective stopped being finite.

    Attributes:
        step: first step at which it was not finite.
        trial: index of the trial, or None for a single run.
        result: what the driver would have returned, up to there; None where there is nothing.
    """

    def __init__(self, message: str, *, step: int, trial: int | None = None, result: Any = None):
        super().__init__(message)
        self.step = step
        self.trial = trial
        self.result = result

    def __reduce__(self) -> tuple:
        made = partial(type(self), step=self.step, trial=self.trial, result=self.result)
        return made, self.args


class ConvergenceError(ValueError):
    """A solver that stopped above its tolerance.

    Attributes:
        result: the best that it had reached, as the driver would have returned it; else None.
    """

    def __init__(self, message: str, *, result: Any = None):
        super().__init__(message)
        self.result = result

    def __reduce__(self) -> tuple:
        return partial(type(self), result=self.result), self.args
