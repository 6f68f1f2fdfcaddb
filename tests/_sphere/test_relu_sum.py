"""The scaled function against the definition, for entries of every size."""

from fractions import Fraction

import numpy as np
import pytest

from jaxmargin._sphere import relu_sum
from jaxmargin._sphere.relu_sum import scaled, unit_rows


@pytest.mark.parametrize("shape", [(6,), (6, 3)])
def test_heights_are_those_of_the_definition(shape, monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(0)
    x, dual, u = rng.normal(size=(6, 4)), rng.normal(size=shape), rng.normal(size=(9, 4))
    x[2], dual[4] = 0, 0
    totals = np.maximum(u @ x.T, 0) @ dual.reshape(6, -1)
    function = scaled(x, dual)
    assert len(function.rows) == 4
    for entries in (2**22, 8):
        monkeypatch.setattr(relu_sum, "_BLOCK_ENTRIES", entries)
        np.testing.assert_allclose(function.unscaled(function.totals(u)), totals, rtol=1e-13)
    expected = np.linalg.norm(totals, axis=1)
    np.testing.assert_allclose(function.unscaled(function.heights(u)), expected, rtol=1e-13)


def test_entries_of_every_size_count():
    """Products r_i x_i of 1, of factors that are 1e300 apart, beside one that is no more than 1."""
    x = np.array([[1e-300, 0], [0, 1e300], [3e-310, 0], [1.0, 0]])
    dual = np.array([1e300, 1e-300, -1.0, 1.0])
    function = scaled(x, dual)
    found = function.unscaled(function.heights(np.eye(2)))
    exact = Fraction(1e-300) * Fraction(1e300) + 1 - Fraction(3e-310)
    np.testing.assert_allclose(found, [float(exact), 1.0], rtol=1e-14)
    assert 0.25 <= function.weights.max() <= 2


def test_nothing_but_zeros():
    function = scaled(np.zeros((2, 3)), np.ones(2))
    assert function.heights(np.eye(3)).tolist() == [0, 0, 0]
    assert function.heights(np.zeros((0, 3))).shape == (0,)


def test_unit_rows():
    rows = unit_rows(np.array([[0, 0], [3e-200, -4e-200], [0, 1e300]]))
    np.testing.assert_allclose(rows, [[1, 0], [0.6, -0.8], [0, 1]], rtol=1e-14)
