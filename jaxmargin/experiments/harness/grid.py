"""Runs over a grid of settings: one part for each cell, stacked into arrays over the cells."""

from collections.abc import Callable, Iterable

import numpy as np

from jaxmargin.experiments.harness.experiment import Context, Series, Tick

RECORDS = 20  # of a training run after its start, for the progress bar

Cell = tuple[str, Callable[[Tick], Series]]  # the part's name, and what computes it


def measure_cells(context: Context, cells: Iterable[Cell], *, ticks: int, axis: int = 1) -> Series:
    """Run every cell as a part of its own, and stack what they return.

    Args:
        context: runs the parts.
        cells: the cells of one row of the grid; all return arrays of the same names and shapes.
        ticks: units of progress of each.
        axis: where the axis of the cells goes; by default after the axis of the trials.

    Returns:
        Each array of the cells, stacked: (t, cells) where a cell has (t,).
    """
    parts = [context.part(name, ticks, compute) for name, compute in cells]
    return {name: np.stack([part[name] for part in parts], axis=axis) for name in parts[0]}


def record_steps(steps: int) -> list[int]:
    """RECORDS + 1 evenly spaced steps from 0 to `steps`, at which a training run reports."""
    return np.linspace(0, steps, RECORDS + 1, dtype=int).tolist()


def training_ticks(trials: int) -> int:
    """How often so many training runs report in all."""
    return trials * (RECORDS + 1)
