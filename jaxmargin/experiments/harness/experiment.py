"""What an experiment is: a table of settings, a run, the claims it tests, and its picture."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from jaxmargin._checks import require_count, require_positive

Series = dict[str, np.ndarray]
Tick = Callable[[], None]


class Claim(NamedTuple):
    """A statement of the paper and what was measured of it.

    Attributes:
        statement: what the paper says, with the place.
        measured: the numbers, with standard errors.
        holds: whether they bear the statement out.
    """

    statement: str
    measured: str
    holds: bool


class Context:
    """Runs the parts of an experiment; a command line adds progress and storage to it."""

    def part(self, name: str, ticks: int, compute: Callable[[Tick], Series]) -> Series:
        """The result of `compute(tick)`, which calls `tick()` `ticks` times.

        Args:
            name: names the part within its run, as a file name.
            ticks: how many units of progress it has.
            compute: does the work.
        """
        del name, ticks
        return compute(lambda: None)


@dataclass(frozen=True)
class Experiment:
    """One figure or theorem.

    Attributes:
        name: as the command line takes it, such as "figure-2".
        title: one line.
        presets: settings by name; the first is the default of the command line.
        run: `run(settings, context) -> series`, every array that the figure or claims need.
        claims: `claims(settings, series)`, the paper's statements beside the numbers.
        plot: `plot(settings, series) -> matplotlib figure`.
    """

    name: str
    title: str
    presets: Mapping[str, Any]
    run: Callable[[Any, Context], Series]
    claims: Callable[[Any, Series], list[Claim]]
    plot: Callable[[Any, Series], Figure]


def setting(
    default: Any, meaning: str, *, least: float | None = None, environment: str | None = None
) -> Any:
    """A field of a settings dataclass: a number, a tuple of numbers, or a string.

    Args:
        default: its value in the preset "paper".
        meaning: one line for the command line's help and the documentation.
        least: smallest allowed value of an integer; for a float, 0 allows zero and None only
            numbers above it.
        environment: a variable that the command line reads where the option is not given.
    """
    return dataclasses.field(
        default=default, metadata={"meaning": meaning, "least": least, "environment": environment}
    )


def check_settings(settings: Any) -> None:
    """Raise ValueError or TypeError for the first number that is out of its range."""
    for field in dataclasses.fields(settings):
        if isinstance(field.default, str):
            continue
        value, least = getattr(settings, field.name), field.metadata["least"]
        numbers = value if isinstance(value, tuple) else (value,)
        example = field.default[0] if isinstance(field.default, tuple) else field.default
        if not numbers:
            raise ValueError(f"{field.name} must have at least one number")
        for number in numbers:
            if isinstance(example, float):
                require_positive(field.name, number, zero=least == 0)
            else:
                require_count(field.name, number, least=1 if least is None else int(least))
