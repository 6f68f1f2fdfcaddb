"""Rounds over cells end at the optimum that a cone program over all patterns encloses."""

import numpy as np
import pytest

from jaxmargin._cells.rounds import rounds
from jaxmargin._cells.units import units_at
from tests._cells.risks import logistic, squared
from tests.mean_field import cone_oracle

LAM = 0.05


@pytest.mark.parametrize(("loss", "risk"), [("squared", squared), ("logistic", logistic)])
@pytest.mark.parametrize("d", [2, 3])
def test_they_end_at_the_optimum_of_all_patterns(d: int, loss: str, risk):
    rng = np.random.default_rng(d)
    x, y = rng.normal(size=(7, d)), np.where(np.arange(7) % 2, 1.0, -1.0)
    start = units_at(x, np.array([[1.0], [-1.0]]), rng.normal(size=(2, d)))
    best = cone_oracle.optimum(x, y, loss, lam=LAM)
    values = []
    for now in rounds(x, risk(y), 2 * LAM, start, bound=lambda *_: -np.inf, tol=1e-7):
        values.append(now.value)
        if len(values) == 12:
            break
    assert np.all(np.diff(values) <= 0)
    assert values[-1] == pytest.approx(best.upper, rel=1e-6)
    assert best.lower * (1 - 1e-9) <= values[-1]


def test_directions_that_are_sent_join_the_next_round():
    x, y = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1.0, 1.0])
    start = units_at(x, np.array([[1.0]]), np.array([[1.0, -1.0]]))
    search = rounds(x, squared(y), 0.1, start, bound=lambda *_: -np.inf, tol=1e-7)
    first = next(search)
    second = search.send(np.array([[1.0, 1.0]]))
    assert second.value < first.value


def test_with_two_outputs_each_w_turns_to_its_best():
    """One sample: min |w relu(u x) - y|^2 + 2 lam |w| |u| has w along y, and |y| - lam of it."""
    x, y = np.array([[1.0]]), np.array([3.0, 4.0])
    start = units_at(x, np.array([[1.0, 0.0]]), np.array([[1.0]]))
    search = rounds(x, squared(y), 2 * LAM, start, bound=lambda *_: -np.inf, tol=1e-8)
    now = [next(search) for _ in range(8)][-1]
    least = LAM**2 + 2 * LAM * (5 - LAM)
    assert now.value == pytest.approx(least, rel=1e-7)
    np.testing.assert_allclose(now.units.outputs(x), [(1 - LAM / 5) * y], rtol=1e-5)
