"""Theorem 2.1: a small run, the claims of made-up errors, and wrong settings."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from jaxmargin.experiments import theorem_2_1
from tests.experiments.reproduced import refusal, reproduce

SMALL = [
    *("--trials", "2", "--steps", "40", "--test-samples", "50", "--dims", "6", "--width", "8"),
    *("--network-ratios", "2", "--kernel-ratios", "0.25"),
]


def test_a_small_run_has_an_error_of_each_method_for_every_trial_and_size(tmp_path: Path):
    record, series = reproduce("theorem-2.1", tmp_path, *SMALL)
    assert len(record["claims"]) == 3
    for method in ("network", *theorem_2_1.METHODS):
        errors = series[f"{method}/6"]
        assert errors.shape == (2, 1)
        assert ((errors >= 0) & (errors <= 1)).all()


def test_the_half_space_is_no_fit_of_the_label():
    """It does better than KERNEL_FLOOR, and the claims about the label do not count it."""
    settings = dataclasses.replace(theorem_2_1.PAPER, dims=(20,))
    series = {f"{name}/20": np.full((3, 4), 0.42) for name in theorem_2_1.METHODS}
    series |= {"n/d^2": np.array(settings.kernel_ratios), "half_space/20": np.full((3, 4), 0.25)}
    series["network/20"] = np.zeros((3, 6))
    assert [claim.holds for claim in theorem_2_1.claims(settings, series)] == [True] * 3
    series["half_space/20"] = np.full((3, 4), 0.1)
    assert [claim.holds for claim in theorem_2_1.claims(settings, series)] == [True, True, False]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--kernel-ratios", "-0.5"], "kernel_ratios must be a finite number > 0"),
        (["--dims", "20,2"], "dims must be at least 3"),
    ],
)
def test_wrong_settings_give_one_line(arguments: list[str], message: str, tmp_path: Path, capsys):
    assert message in refusal(capsys, tmp_path, "reproduce", "theorem-2.1", *arguments)
