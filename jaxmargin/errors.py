"""What a driver raises when it does not finish; what it had reached travels in `error.result`."""

from functools import partial
from typing import Any

__all__ = ["ConvergenceError", "DivergenceError", "Interrupted"]


class DivergenceError(ValueError):
    """The objective of a run stopped being finite.

    Attributes:
        step: the first step at which it was not finite.
        trial: index of the trial, or None for a single run.
        result: what the driver would have returned; None if it had nothing yet.
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
    """A solver stopped above its tolerance.

    Attributes:
        result: the best that it had reached, in the form in which the driver returns it; None if
            it had nothing yet.
    """

    def __init__(self, message: str, *, result: Any = None):
        super().__init__(message)
        self.result = result

    def __reduce__(self) -> tuple:
        return partial(type(self), result=self.result), self.args


class Interrupted(KeyboardInterrupt):
    """Ctrl-C ended a run. It is a `KeyboardInterrupt`, which `except Exception` lets pass.

    Attributes:
        step: the step that was reached.
        result: what the driver would have returned had its run been meant to end there.
    """

    def __init__(self, message: str, *, step: int, result: Any = None):
        super().__init__(message)
        self.step = step
        self.result = result

    @classmethod
    def at(cls, step: int, last: int, result: Any) -> "Interrupted":
        """Of a run of `last` steps."""
        told = f"interrupted at step {step:,} of {last:,}; what it reached is the error's `result`"
        return cls(told, step=step, result=result)

    def __reduce__(self) -> tuple:
        return partial(type(self), step=self.step, result=self.result), self.args
