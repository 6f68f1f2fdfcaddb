"""An experiment without any computation, to see what the harness does with it."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
from matplotlib.figure import Figure

from jaxmargin.experiments.harness import plots
from jaxmargin.experiments.harness.experiment import (
    Claim,
    Context,
    Experiment,
    Series,
    Tick,
    seed_setting,
    setting,
)

PARTS = ("first", "second")


@dataclass(frozen=True)
class Settings:
    """Defaults are the preset "paper"."""

    count: int = setting(4, "how many numbers", least=2)
    factor: float = setting(1.0, "what they are multiplied by")
    shift: float = setting(0.0, "what is added to them", least=0)
    powers: tuple[int, ...] = setting((1, 2), "their powers")
    folder: str = setting("", "a folder of ||Theta||_F", environment="TOY_FOLDER")
    seed: int = seed_setting()


def part(name: str, settings: Settings, tick: Tick) -> Series:
    """Two ticks, and one array with a number that JSON lacks."""
    tick()
    tick(7, SimpleNamespace(energy=np.array(0.125)))  # as a driver calls its `on_record`
    numbers = settings.factor * np.arange(settings.count) + settings.shift
    return {name: np.where(numbers == 0, np.nan, numbers)}


def run(settings: Settings, context: Context) -> Series:
    """Both parts."""
    series: Series = {}
    for name in PARTS:
        series |= context.part(name, 2, lambda tick, name=name: part(name, settings, tick))
    return series


def claims(settings: Settings, series: Series) -> list[Claim]:
    """One that holds, and one that does not."""
    return [
        Claim("there are numbers", f"{settings.count}", True),
        Claim("there are infinitely many", f"{settings.count}", False, True, "they are stored"),
    ]


def plot(settings: Settings, series: Series) -> Figure:
    """The numbers."""
    figure, (axes,) = plots.panels(1)
    axes.plot(series["first"])
    return figure


EXPERIMENT = Experiment(
    name="toy",
    title="some numbers",
    presets={"quick": replace(Settings(), count=3), "paper": Settings()},
    durations={"quick": "no time", "paper": "hardly more"},
    run=run,
    claims=claims,
    plot=plot,
)
