"""The sweep over noise and size: a small run, runs at once against single ones, wrong settings."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from jaxmargin.experiments import perturbation_sweep as sweep
from jaxmargin.mean_field.runs import run_flow
from tests.experiments.reproduced import refusal, reproduce

SMALL = [
    *("--problems", "2", "--n", "5", "--steps", "120"),
    *("--sizes", "4", "--noises", "0.1", "--temperatures", "0.1"),
]


def test_no_energy_of_a_small_run_is_below_the_optimum(tmp_path: Path):
    _, series = reproduce("perturbation-sweep", tmp_path, *SMALL)
    optimum = series["optimum"]
    assert optimum.shape == (2,)
    for name in sweep.METHODS:
        assert series[f"level/{name}"].tolist() == [0, 0.1]
        lowest, final = series[f"{name}/lowest"], series[f"{name}/final"]
        assert lowest.shape == final.shape == (2, 1, 2)
        assert np.isfinite(lowest).all()
        assert (final >= lowest).all()
        assert (lowest.min(axis=(1, 2)) >= optimum * (1 - 1e-5)).all()


@pytest.mark.parametrize("name", ["weighted", "birth-death"])
def test_many_runs_at_once_are_the_runs_of_one_each(name: str):
    settings = dataclasses.replace(sweep.QUICK, problems=2, sizes=(6,), steps=40)
    found = sweep._energies(name, 6, settings, lambda *_: None)
    drawn, keys = sweep._problems(3 if name == "weighted" else 6, settings)
    method = sweep.METHODS[name]
    for i, level in ((0, 0), (1, 2)):
        noise = sweep._levels(method, settings)[level]
        flow = method.flow(drawn[i].problem, noise, settings, 6)
        _, history = run_flow(keys[i], flow, flow.init(drawn[i].start), num_steps=40)
        assert found["lowest"][i, level] == pytest.approx(float(history.lowest[-1]), rel=1e-4)
        assert found["final"][i, level] == pytest.approx(float(history.energy[-1]), rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sizes", "1"], "sizes must be at least 2"),
        (["--temperatures", "-1"], "temperatures must be a finite number > 0"),
    ],
)
def test_wrong_settings_give_one_line(arguments: list[str], message: str, tmp_path: Path, capsys):
    assert message in refusal(capsys, tmp_path, "reproduce", "perturbation-sweep", *arguments)
