"""Figure 4: a small run, what its claims make of made-up errors, and wrong settings."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from jaxmargin.experiments import figure_4
from tests.experiments.reproduced import refusal, reproduce

SMALL = [
    *("--trials", "2", "--steps", "40", "--test-samples", "50"),
    *("--sizes", "8", "--d", "4", "--max-majority", "0.95"),
]


def test_a_small_run_has_an_error_of_each_method_for_every_trial_and_size(tmp_path: Path):
    _, series = reproduce("figure-4", tmp_path, *SMALL)
    assert series.pop("n").tolist() == [8]
    assert series.keys() == {
        f"{name}/{method}"
        for name, panel in figure_4.PANELS.items()
        for method in ("network", *panel.methods)
    }
    for errors in series.values():
        assert errors.shape == (2, 1)
        assert (errors >= 0).all()


def test_the_claims_compare_at_the_largest_size():
    settings = dataclasses.replace(figure_4.PAPER, sizes=(8, 16))
    jitter = 1e-3 * np.arange(4)
    better, worse = (
        np.stack([0.9 + jitter, 0.1 + jitter], 1),
        np.stack([0.1 + jitter, 0.2 + jitter], 1),
    )
    series = {
        "classification/network": better,
        "classification/svm": worse,
        "regression/network": better,
        "regression/interpolation": worse,
    }
    assert [claim.holds for claim in figure_4.claims(settings, series)] == [True, True]
    series |= {"classification/svm": better}
    assert [claim.holds for claim in figure_4.claims(settings, series)] == [False, True]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sizes", "50,many"], "not a list of int"),
        (["--sizes", "50,0"], "sizes must be at least 1"),
        (["--margin", "-1"], "margin must be a finite number >= 0"),
    ],
)
def test_wrong_settings_give_one_line(arguments: list[str], message: str, tmp_path: Path, capsys):
    assert message in refusal(capsys, tmp_path, "reproduce", "figure-4", *arguments)
