"""Cells of a grid, stacked, and the steps at which a training run reports."""

import numpy as np

from jaxmargin.experiments import Context
from jaxmargin.experiments.harness.grid import (
    RECORDS,
    measure_cells,
    record_steps,
    training_ticks,
)


class Listing(Context):
    """Keeps the names of the parts, and how often each ticks."""

    def __init__(self):
        self.parts: dict[str, tuple[int, int]] = {}

    def part(self, name, ticks, compute):
        counted = []
        series = compute(lambda *_: counted.append(1))
        self.parts[name] = (ticks, len(counted))
        return series


def cell(value: int):
    def compute(tick):
        tick()
        return {"a": np.array([value, 10 * value]), "b": np.full((2, 3), value)}

    return f"cell {value}", compute


def test_cells_are_parts_and_their_arrays_are_stacked_after_the_trials():
    context = Listing()
    found = measure_cells(context, map(cell, (1, 2, 3)), ticks=1)
    assert context.parts == {f"cell {value}": (1, 1) for value in (1, 2, 3)}
    assert found["a"].tolist() == [[1, 2, 3], [10, 20, 30]]
    assert found["b"].shape == (2, 3, 3)
    np.testing.assert_array_equal(found["b"][:, 1], 2)


def test_cells_may_come_first():
    found = measure_cells(Context(), map(cell, (1, 2)), ticks=1, axis=0)
    assert found["a"].tolist() == [[1, 10], [2, 20]]


def test_a_run_reports_evenly_from_its_start_to_its_end():
    steps = record_steps(1000)
    assert steps == list(range(0, 1001, 1000 // RECORDS))
    assert len(record_steps(333)) == RECORDS + 1
    assert record_steps(333)[-1] == 333
    assert training_ticks(3) == 3 * len(steps)
