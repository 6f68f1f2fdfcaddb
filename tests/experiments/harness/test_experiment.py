"""Settings in their ranges, and a run without a command line."""

import dataclasses

import pytest

from jaxmargin.experiments import EXPERIMENTS, Context
from jaxmargin.experiments.harness.experiment import check_settings
from tests.experiments.harness import toy


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_presets_are_valid_and_every_setting_has_a_meaning(name: str):
    presets = EXPERIMENTS[name].presets
    assert EXPERIMENTS[name].name == name
    assert {"quick", "paper"} <= presets.keys()
    for settings in presets.values():
        check_settings(settings)
        for field in dataclasses.fields(settings):
            assert field.metadata["meaning"]


@pytest.mark.parametrize(
    ("setting", "error", "match"),
    [
        ({"count": 1}, ValueError, "count must be at least 2"),
        ({"count": 2.0}, TypeError, "count must be"),
        ({"factor": 0.0}, ValueError, "factor must be a finite number > 0"),
        ({"factor": "much"}, TypeError, "factor must be"),
        ({"shift": -1.0}, ValueError, "shift must be a finite number >= 0"),
        ({"powers": ()}, ValueError, "powers must have at least one number"),
        ({"powers": (1, 0)}, ValueError, "powers must be at least 1"),
    ],
)
def test_a_setting_out_of_range_is_named(setting: dict, error: type[Exception], match: str):
    with pytest.raises(error, match=match):
        check_settings(toy.Settings(**setting))


def test_zero_is_allowed_where_the_least_is_zero():
    check_settings(toy.Settings(shift=0.0))


def test_a_run_needs_no_command_line():
    assert toy.run(toy.Settings(), Context()).keys() == set(toy.PARTS)
