"""What an experiment is: a table of settings, a run, the claims that it tests, and its picture."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from jaxmargin._checks import require_count, require_positive

Series = dict[str, np.ndarray]
# Marks one unit of progress. It ignores all arguments, so that it can be a driver's `on_record`.
Tick = Callable[..., None]


class Claim(NamedTuple):
    """A statement and what was measured of it.

    Attributes:
        statement: what the paper says, with the place, or what is asked here.
        measured: the numbers, with standard errors.
        holds: whether the numbers bear the statement out.
        ours: whether the paper does not state it, and it is asked here.
        comment: why it may not hold, where that is known.
    """

    statement: str
    measured: str
    holds: bool
    ours: bool = False
    comment: str = ""


def _no_tick(*_: Any) -> None:
    """Progress that nobody watches."""


class Context:
    """Runs the parts of an experiment.

    This one only runs them; the command line has one that also shows progress and keeps the parts
    that are done.
    """

    def part(self, name: str, ticks: int, compute: Callable[[Tick], Series]) -> Series:
        """Run one part.

        Args:
            name: names the part within its run; it becomes a file name.
            ticks: how many times `compute` calls the function that it is given.
            compute: does the work; it is called as `compute(tick)`.

        Returns:
            The arrays that `compute` returns.
        """
        del name, ticks
        return compute(_no_tick)


@dataclass(frozen=True)
class Experiment:
    """One figure or theorem.

    Attributes:
        name: as the command line takes it, such as "figure-2".
        title: one line that says what the experiment shows.
        presets: settings by name; the first is the default of the command line.
        durations: what each preset takes on two CPU cores, in words.
        run: `run(settings, context) -> series`, with every array that the figure or the claims
            need.
        claims: `claims(settings, series)`, the paper's statements beside the numbers.
        plot: `plot(settings, series)`, a figure of matplotlib.
    """

    name: str
    title: str
    presets: Mapping[str, Any]
    durations: Mapping[str, str]
    run: Callable[[Any, Context], Series]
    claims: Callable[[Any, Series], list[Claim]]
    plot: Callable[[Any, Series], Figure]


def setting(
    default: Any,
    meaning: str,
    *,
    least: float | None = None,
    most: int = 2**31 - 1,
    environment: str | None = None,
) -> Any:
    """A field of a settings dataclass: a number, a tuple of numbers, or a string.

    Args:
        default: its value in the preset "paper".
        meaning: one line for the command line's help and the documentation.
        least: the smallest allowed value of an integer, by default 1. A float must be positive;
            `least=0` allows zero too.
        most: the largest allowed value of an integer, by default the largest that JAX counts to.
        environment: a variable that the command line reads where the option is not given.

    Returns:
        The field.
    """
    metadata = {"meaning": meaning, "least": least, "most": most, "environment": environment}
    return dataclasses.field(default=default, metadata=metadata)


def seed_setting() -> Any:
    """The field of a random seed: JAX takes 32 bits of it, and drops all others."""
    return setting(0, "seed of all randomness", least=0, most=2**32 - 1)


def check_settings(settings: Any) -> None:
    """See that every number of the settings is in its range.

    Args:
        settings: a dataclass whose fields were made by `setting`.

    Raises:
        ValueError: the first number that is out of its range, or a tuple without numbers.
        TypeError: a number of the wrong type.
    """
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
                if number > field.metadata["most"]:
                    most = field.metadata["most"]
                    raise ValueError(f"{field.name} must be at most {most}, got {number}")
