"""Figure 2: a small run, its wrong settings, and its claims at full scale."""

from pathlib import Path

import numpy as np
import pytest

from jaxmargin.experiments import Context, figure_2
from tests.experiments.reproduced import Reproduced, refusal, reproduce

TINY = [
    *("--trials", "2", "--n", "24", "--d", "4", "--width", "8", "--hidden", "3"),
    *("--steps", "120", "--test-samples", "40", "--max-majority", "0.95"),
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Reproduced:
    return reproduce("figure-2", tmp_path_factory.mktemp("tiny"), *TINY)


def test_every_metric_is_of_trials_times_records(tiny: Reproduced):
    assert tiny.record["settings"]["seed"] == 0
    assert tiny.record["settings"]["width"] == 8
    assert tiny.record["settings"]["lam"] == figure_2.QUICK.lam
    assert len(tiny.record["claims"]) == 5
    assert tiny.series["step"][: figure_2.FIT_STEPS].tolist() == list(range(figure_2.FIT_STEPS))
    assert tiny.series["step"][-1] == 120
    for regime in figure_2.REGIMES:
        for metric in ("margin", "train_error", "test_accuracy", "pattern_change", "distance"):
            values = tiny.series[f"{regime}/{metric}"]
            assert values.shape == (2, len(tiny.series["step"]))
        assert (tiny.series[f"{regime}/pattern_change"][:, 0] == 0).all()
        assert (tiny.series[f"{regime}/distance"][:, 0] == 0).all()
        assert (tiny.series[f"{regime}/distance"][:, 1:] > 0).all()


def test_both_regimes_start_alike(tiny: Reproduced):
    for metric in ("margin", "test_accuracy"):
        with_lam, without = (tiny.series[f"{regime}/{metric}"] for regime in figure_2.REGIMES)
        np.testing.assert_array_equal(with_lam[:, 0], without[:, 0])
        assert not np.array_equal(with_lam, without)


def test_the_seed_decides(tiny: Reproduced, tmp_path: Path):
    same = reproduce("figure-2", tmp_path / "same", *TINY)
    other = reproduce("figure-2", tmp_path / "other", *TINY, "--seed", "1")
    assert same.record["series"] == tiny.record["series"]
    assert other.record["series"] != tiny.record["series"]


def test_a_claim_that_fails_says_so(tiny: Reproduced):
    """Eight units do not fit their data in 50 steps."""
    fits = next(claim for claim in tiny.record["claims"] if "hits 0" in claim["statement"])
    assert not fits["holds"]


BAD = {
    "--width": ("0", "width must be at least 1, got 0"),
    "--lam": ("-1", "lam must be a finite number >= 0"),
    "--trials": ("0", "trials must be at least 1"),
    "--n": ("0", "n must be at least 1"),
    "--d": ("0", "d must be at least 1"),
    "--hidden": ("-2", "hidden must be at least 1"),
    "--test-samples": ("0", "test_samples must be at least"),
    "--steps": ("50", "steps must be at least 101"),
    "--init-std": ("inf", "init_std must be a finite number > 0"),
    "--seed": ("-1", "seed must be at least 0"),
    "--margin": ("1e6", "lower the margin"),
    "--max-majority": ("0.3", "max_majority must be in [0.5, 1]"),
    "--learning-rate": ("1e8", "lower the learning rate"),
}


@pytest.mark.parametrize("option", BAD)
def test_wrong_settings_give_one_line(option: str, tmp_path: Path, capsys):
    value, message = BAD[option]
    assert message in refusal(capsys, tmp_path, "reproduce", "figure-2", *TINY, option, value)


@pytest.mark.slow
def test_the_claims_at_full_scale():
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
