"""Statistics of experiments, their registry, and Figure 2's claims at full scale."""

import dataclasses

import numpy as np
import pytest

from jaxmargin.experiments import EXPERIMENTS, Context, figure_2, figure_3
from jaxmargin.experiments.harness.experiment import check_settings
from jaxmargin.experiments.harness.statistics import mean, ratio_of_means, slope


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
    assert np.isnan(mean(np.ones(1)).error)
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


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_presets_are_valid_and_every_setting_has_a_meaning(name: str):
    presets = EXPERIMENTS[name].presets
    assert {"quick", "paper"} <= presets.keys()
    for settings in presets.values():
        check_settings(settings)
        for field in dataclasses.fields(settings):
            assert field.metadata["meaning"]


@pytest.mark.slow
def test_figure_2_at_full_scale():
    """Effect sizes of the preset "paper", 20 trials (a minute on two cores)."""
    series = figure_2.run(figure_2.PAPER, Context())
    last = {name: values[:, -1].mean() for name, values in series.items() if "/" in name}
    gain = last["regularized/test_accuracy"] - last["unregularized/test_accuracy"]
    assert gain >= 0.05
    assert last["regularized/margin"] >= 5 * last["unregularized/margin"]
    assert last["regularized/pattern_change"] >= 3 * last["unregularized/pattern_change"]
    by_step_60 = series["regularized/train_error"][:, series["step"] == 60]
    assert np.median(by_step_60) == 0
    assert series["regularized/margin"][:, 0].mean() < 0
    assert all(claim.holds for claim in figure_2.claims(figure_2.PAPER, series))


@pytest.mark.slow
def test_figure_3_synthetic_margins_at_full_scale():
    """The synthetic half of the preset "paper", to 256 units (minutes; of the images one epoch)."""
    settings = dataclasses.replace(
        figure_3.PAPER,
        widths=(16, 256),
        mnist_widths=(64,),
        mnist_compared_widths=(64,),
        mnist_epochs=1,
    )
    series = figure_3.run(settings, Context())
    fits = series["synthetic/regularized/train_error"] == 0
    assert fits[:, 1].all()
    both = fits[:, 0]
    for metric, sign in (("margin", 1), ("test_error", -1)):
        values = sign * series[f"synthetic/regularized/{metric}"]
        change = mean(values[both, 1] - values[both, 0])
        assert change.value > 2 * change.error
    with_lam, without = (
        series[f"synthetic/{name}/margin"][:, -1] for name in ("regularized", "unregularized")
    )
    assert ratio_of_means(with_lam, without).value == pytest.approx(1, abs=0.02)
    large = series["synthetic/large/margin"]
    assert (np.diff(large.mean(axis=0)) < 0).all()
