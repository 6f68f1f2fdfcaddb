"""Units to begin with: where R falls fastest, and spikes that move one output each."""

import numpy as np
import pytest

from jaxmargin._cells.first import first_units, spikes
from jaxmargin._cells.units import inside


def test_the_first_units_lower_r_and_have_unit_outer_weights():
    rng = np.random.default_rng(0)
    x, dual = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    given = np.array([[1.0, 2.0, 3.0]])
    w, u = first_units(x, dual, given)
    np.testing.assert_array_equal(u[-1], given[0])
    pull = np.maximum(u @ x.T, 0) @ dual
    moved = np.linalg.norm(pull, axis=1) > 0
    np.testing.assert_allclose(np.linalg.norm(w[moved], axis=1), 1)
    np.testing.assert_allclose(np.sum(w * pull, axis=1), -np.linalg.norm(pull, axis=1))


@pytest.mark.parametrize("slope", ["ones", "zeros"])
def test_the_cells_of_spikes_can_reach_any_outputs(slope: str):
    """On either side of one wall each, with either sign, and inside of their cells."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(5, 3))
    units = spikes(x, (np.ones if slope == "ones" else np.zeros)((5, 1)), 1.0, np.arange(5))
    assert set(np.unique(units.w)) == {-1.0, 1.0}
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    found = inside(unit, units, 1.0)
    assert len(found.v) == len(units.v) == 20
    for i in range(5):
        own = [j for j in range(20) if np.all(units.v[j] == units.v[i])]
        sides = units.active[own]
        assert np.ptp(sides[:, i].astype(int)) == 1
        others = np.delete(sides, i, axis=1)
        assert np.all(others == others[0])


def test_samples_on_one_line_change_sides_together():
    x = np.array([[1.0, 0.0], [-2.0, 0.0], [0.0, 1.0]])
    units = spikes(x, np.ones((3, 1)), 1.0, np.arange(3))
    for active in units.active[[0, 1, 3, 4]]:
        assert active[0] != active[1]


def test_samples_of_any_seed_and_on_a_line_have_units_without_nan():
    samples = [np.random.default_rng(seed).normal(size=(7, 2)) for seed in range(3)]
    for x in samples:
        units = spikes(x, np.ones((7, 1)), 2.0, np.arange(7))
        np.testing.assert_allclose(units.length, 2.0)
    line = samples[0][:, :1]
    units = spikes(line, np.ones((7, 1)), 2.0, np.arange(7))
    assert len(units.v) == 14
    np.testing.assert_array_equal(units.active, units.v @ line.T > 0)
