"""Figure 1: its claims, its classifier, and its wrong settings."""

from pathlib import Path

import jax
import numpy as np
import pytest

from jaxmargin.data.synthetic import two_axis
from jaxmargin.experiments import figure_1
from jaxmargin.networks.models import two_layer
from tests.experiments.reproduced import refusal, reproduce


def test_the_claims_hold(tmp_path: Path):
    record, series = reproduce("figure-1", tmp_path)
    assert all(claim["holds"] for claim in record["claims"])
    assert series["count"].sum() == figure_1.EXPERIMENT.presets["quick"].n


def test_four_units_label_every_sample():
    x, y = two_axis(jax.random.key(0), 100, 5)
    np.testing.assert_array_equal(two_layer(figure_1.four_units(5), x), y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--d", "2"], "d must be at least 3"),
        (["--n", "0"], "n must be at least 1"),
        (["--seed", "-1"], "seed must be at least 0"),
    ],
)
def test_wrong_settings_give_one_line(arguments: list[str], message: str, tmp_path: Path, capsys):
    assert message in refusal(capsys, tmp_path, "reproduce", "figure-1", *arguments)
