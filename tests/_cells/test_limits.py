"""Rounds end at their limits, and where none gains any more."""

import time

import pytest

from jaxmargin._cells.limits import Limits, limits_from_now


def test_the_last_round_is_the_one_at_a_limit():
    gains = [(10.0 - step, float(step)) for step in range(5)]
    limits = Limits(1e-6, 5, time.monotonic() + 100, 0.0)
    assert [limits.ended(gains[:count]) for count in (1, 4, 5)] == [False, False, True]
    assert limits._replace(deadline=time.monotonic() - 1).ended(gains[:1])


def test_twelve_rounds_without_a_gain_are_the_last():
    limits = limits_from_now(1e-6, 100, None, 0.0)
    assert not limits.ended([(3.0, 1.0)] + [(2.0, 1.0)] * 12)
    assert limits.ended([(3.0, 1.0)] + [(2.0, 1.0)] * 13)
    assert not limits.ended([(2.0, 1.0)] * 12 + [(2.0, 1.5)])


def test_the_advice_is_of_use():
    """More rounds are no help where the last ones gained nothing."""
    limits = limits_from_now(1e-6, 20, None, 0.0)
    assert "only a larger tol" in limits.advice(13)
    assert limits.advice(20) == "raise max_rounds, time_limit or tol"
    assert limits._replace(deadline=time.monotonic() - 1).advice(13) == limits.advice(20)


def test_they_begin_now():
    before = time.monotonic()
    limits = limits_from_now(1e-3, 7, 2.0, 1.0)
    assert before + 2 <= limits.deadline <= time.monotonic() + 2
    assert limits == Limits(1e-3, 7, limits.deadline, 1.0)
    with pytest.raises(ValueError, match="tol must be below 1, the whole of the value"):
        limits_from_now(1.0, 7, None, 0.0)
    with pytest.raises(ValueError, match="time_limit must be a finite number > 0, got -1"):
        limits_from_now(1e-3, 7, -1.0, 1.0)
