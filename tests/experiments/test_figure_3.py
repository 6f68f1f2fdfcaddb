"""Figure 3: what its claims make of made-up margins, and its synthetic half at full scale."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from jaxmargin.experiments import Context, figure_3
from jaxmargin.experiments.harness.statistics import mean, ratio_of_means
from jaxmargin.experiments.parts.figure_3_networks import PAPER

SETTINGS = dataclasses.replace(
    PAPER,
    trials=4,
    widths=(64, 128, 256),
    compared_widths=(64, 256),
    mnist_widths=(32, 64, 128),
    mnist_compared_widths=(32,),
)


def series(rise: float) -> dict[str, np.ndarray]:
    """Margins that rise by `rise` with each width, and errors that fall; all trials fit but one."""
    made: dict[str, np.ndarray] = {"images/n": np.array(100)}
    jitter = 1e-3 * np.arange(4)[:, None]
    for panel, spread in (("synthetic", jitter), ("images", np.zeros((1, 1)))):
        regularized = SETTINGS.widths if panel == "synthetic" else SETTINGS.mnist_widths
        compared = (
            SETTINGS.compared_widths if panel == "synthetic" else SETTINGS.mnist_compared_widths
        )
        for regime, widths, sign in (
            ("regularized", regularized, 1),
            ("unregularized", compared, 1),
            ("large", compared, -1),
        ):
            steps = sign * rise * np.arange(len(widths)) + spread
            fails = np.zeros(steps.shape)
            fails[0, 0] = panel == "synthetic" and regime == "regularized"
            made |= {
                f"{panel}/{regime}/width": np.array(widths),
                f"{panel}/{regime}/margin": 1 + steps,
                f"{panel}/{regime}/train_error": fails,
                f"{panel}/{regime}/test_error": 0.5 - steps,
            }
    return made


def test_claims_follow_the_trends_of_the_trials_that_fit():
    rising, falling = (
        {claim.statement: claim for claim in figure_3.claims(SETTINGS, series(rise))}
        for rise in (0.1, -0.1)
    )
    for statement in rising:
        if "rises" in statement or "falls" in statement:
            assert rising[statement].holds
            assert not falling[statement].holds
        elif "raises" in statement:  # the same without the regularizer
            assert not rising[statement].holds
    assert "1.0020 ± 0.0006 at 64 units" in next(
        claim.measured for name, claim in rising.items() if "synthetic: the margin" in name
    )


def test_the_picture_marks_the_curves_that_lack_trials():
    figure = figure_3.plot(SETTINGS, series(0.1))
    notes = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert notes == ["3 of 4 trials"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    settings = dataclasses.replace(SETTINGS, mnist=str(tmp_path / "missing"))
    with pytest.raises(ValueError, match=r"no folder .*missing.* or none to take the small digits"):
        figure_3.run(settings, Context())


@pytest.mark.slow
def test_synthetic_margins_at_full_scale():
    """The synthetic half of the preset "paper", to 256 units (minutes; of the images one epoch)."""
    settings = dataclasses.replace(
        PAPER, widths=(16, 256), mnist_widths=(64,), mnist_compared_widths=(64,), mnist_epochs=1
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
