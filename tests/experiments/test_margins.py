"""Margins side by side: a small run, the claims of made-up margins, and wrong settings."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from jaxmargin.experiments import margins
from tests.experiments.reproduced import refusal, reproduce

SMALL = ["--trials", "1", "--dims", "3,4", "--d", "3", "--sizes", "8,12", "--hidden", "2"]


def test_a_small_run_has_the_margins_of_every_method(tmp_path: Path):
    record, series = reproduce("margins", tmp_path, *SMALL)
    assert len(record["claims"]) == 4
    for part in ("dims", "sizes", "teacher"):
        for name in margins.METHODS:
            assert series[f"{part}/{name}"].shape == (1, 2)
            assert (series[f"{part}/{name}"] > 0).all()
        assert (series[f"{part}/network"] > series[f"{part}/features"]).all()
    for part in ("sizes", "teacher"):  # one more sample never raises a margin
        for name in margins.METHODS:
            assert np.all(np.diff(series[f"{part}/{name}"]) < 1e-3)
    assert record["claims"][1]["holds"]


def test_the_claims_follow_the_numbers():
    settings = dataclasses.replace(margins.PAPER, dims=(5, 10, 20))
    d = np.array(settings.dims, float)[None].repeat(2, axis=0)
    sizes = {f"{part}/{name}/size": np.ones((2, 3)) for part in ("sizes", "teacher", "dims")
             for name in margins.METHODS}  # fmt: skip
    series = sizes | {"dims/network/size": d**0.5, "dims/network": np.full((2, 3), 0.25)}
    series |= {f"dims/{name}": d**-1.2 for name in ("features", "tangent")}
    for part in ("sizes", "teacher"):
        series |= {f"{part}/network": np.full((2, 3), 0.3)}
        series |= {f"{part}/{name}": np.full((2, 3), 0.1) for name in ("features", "tangent")}
    assert [claim.holds for claim in margins.claims(settings, series)] == [True] * 4
    series |= {"dims/features": d**-0.5, "sizes/tangent": np.full((2, 3), 0.4)}
    holds = [claim.holds for claim in margins.claims(settings, series)]
    assert holds == [True, False, False, False]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dims", "2"], "dims must be at least 3"),
        (["--ratio", "0"], "ratio must be a finite number > 0"),
        (["--tol", "-1"], "tol must be a finite number > 0"),
    ],
)
def test_wrong_settings_give_one_line(arguments: list[str], message: str, tmp_path: Path, capsys):
    assert message in refusal(capsys, tmp_path, "reproduce", "margins", *arguments)
