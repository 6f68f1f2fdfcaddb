"""Statistics of experiments, their registry, and Figure 2's claims at full scale."""

import dataclasses

import numpy as np
import pytest

from jaxmargin.experiments import EXPERIMENTS, Context, figure_2
from jaxmargin.experiments.experiment import check_settings
from jaxmargin.experiments.statistics import mean, ratio_of_means


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


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_presets_are_valid_and_every_setting_has_a_meaning(name: str):
    presets = EXPERIMENTS[name].presets
    assert list(presets) == ["quick", "paper"]
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
