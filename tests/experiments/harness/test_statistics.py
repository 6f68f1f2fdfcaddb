"""Standard errors against resampling, and slopes against NumPy's."""

import numpy as np
import pytest

from jaxmargin.experiments.harness.statistics import mean, ratio_of_means, slope, standard_error


def test_standard_errors_against_resampling():
    """Mean and ratio: the stated error is the spread over fresh samples, within 10%."""
    rng = np.random.default_rng(0)

    def draw():
        b = rng.normal(3.0, 0.3, size=40)
        return 2.0 * b + rng.normal(0.0, 0.5, size=40), b

    samples = [draw() for _ in range(2000)]
    for estimate in (lambda a, b: mean(a), ratio_of_means):
        estimates = [estimate(a, b) for a, b in samples]
        spread = np.std([e.value for e in estimates])
        stated = np.mean([e.error for e in estimates])
        assert stated == pytest.approx(spread, rel=0.1)


def test_a_single_trial_has_no_standard_error():
    assert np.isnan(mean(np.ones(1)).error)
    assert np.isnan(standard_error(np.ones((1, 3)))).tolist() == [True] * 3
    assert f"{mean(np.ones(1)):.1f}" == "1.0"  # no error to show
    assert f"{mean(np.arange(3.0)):.2f}" == "1.00 ± 0.58"


def test_slope_against_polyfit():
    rng = np.random.default_rng(0)
    x = np.array([4.0, 5.0, 6.0, 7.0, 9.0])
    y = 0.3 - 0.02 * x + rng.normal(0.0, 0.005, size=5)
    line, covariance = np.polyfit(x, y, 1, cov=True)
    assert slope(x, y) == pytest.approx((line[0], np.sqrt(covariance[0, 0])), rel=1e-10)
    assert slope(x[:2], y[:2]).value == pytest.approx(y[1] - y[0])
    assert np.isnan(slope(x[:2], y[:2]).error)
    assert np.isnan(slope(x[:1], y[:1])).all()
    assert np.isnan(slope(np.ones(3), y[:3])).all()
