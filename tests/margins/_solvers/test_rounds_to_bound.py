"""Rounds until a bound meets the cost, on a problem that is solved by hand."""

import time
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest

from jaxmargin._cells.fits import Targets
from jaxmargin._cells.limits import Limits
from jaxmargin._cells.rounds import Round
from jaxmargin._cells.units import Units, units_at
from jaxmargin.margins._solvers.rounds_to_bound import Reached, first_network, rounds_to_bound

X, Y = np.eye(2), np.array([1.0, -0.5])  # each sample has a unit of its own: cost 1.5


def run(start: Units, *, max_rounds: int = 50, deadline: float = np.inf, seen=None) -> Reached:
    fit = Targets(Y)

    def bound(dual: np.ndarray, height: float) -> float:
        return -float(dual[:, 0] @ Y) / max(height, 1e-300)

    limits = Limits(1e-6, max_rounds, deadline, 0.0)
    records = [] if seen is None else seen
    return rounds_to_bound(
        X, fit, start, bound=bound, limits=limits, on_round=lambda *now: records.append(now)
    )


def misfit(outputs: np.ndarray) -> tuple[float, np.ndarray]:
    missed = outputs - Y
    return float(missed @ missed), 2 * missed


@pytest.mark.parametrize("given", ["found", "by hand"])
def test_they_end_where_bound_and_cost_meet(given: str):
    near, start = (
        first_network(
            X, 1, misfit, lambda _: np.array([True, True]), np.zeros((0, 2)), scales=scales
        )
        for scales in (True, False)
    )
    assert len(start.v) == len(near.v) + 8  # two cells for each sample, with either sign
    seen: list = []
    by_hand = units_at(X, np.array([[1.0], [-1.0]]), np.array([[1.0, 0.1], [0.1, 1.0]]))
    found = run(start if given == "found" else by_hand, seen=seen)
    assert found.within(1e-6)
    assert found.cost == pytest.approx(1.5, rel=1e-6)
    assert found.lower <= found.estimate <= 1.5 * (1 + 1e-9)
    assert found.exact
    np.testing.assert_allclose(found.dual[:, 0], [-1, 1], rtol=1e-4)
    assert seen[-1] == pytest.approx((1.5, 1.5), rel=1e-6)


def test_a_limit_ends_them_with_what_there_is():
    start = units_at(X, np.array([[1.0], [-1.0]]), np.array([[1.0, 0.1], [0.1, 1.0]]))
    seen: list = []
    run(start, max_rounds=1, seen=seen)
    assert len(seen) == 1
    run(start, deadline=time.monotonic() - 1, seen=seen)
    assert len(seen) == 2


def test_rounds_that_gain_nothing_end(monkeypatch: pytest.MonkeyPatch):
    start = units_at(X, np.array([[1.0], [-1.0]]), X)

    def idle(*_, **__) -> Iterator[Round]:
        yield Round(start, 2.0, np.zeros((2, 1)), 0.5)
        while True:
            yield Round(start, 1.5, np.array([[-1.0], [0.5]]), 1.25)

    def send_nothing(*arguments, **options):
        rounds = idle(*arguments, **options)
        return SimpleNamespace(send=lambda _: next(rounds))

    monkeypatch.setattr("jaxmargin.margins._solvers.rounds_to_bound.rounds", send_nothing)
    seen: list = []
    found = run(start, seen=seen)
    assert len(seen) == 14
    assert not found.within(1e-6)
    assert found.cost == 1.5
