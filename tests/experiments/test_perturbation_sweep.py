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


def series_of(excess: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A run whose optima are 100 and whose lowest energies (2, 2, 3) are so many per cent above."""
    made = {"optimum": np.full(2, 100.0)}
    for name, above in excess.items():
        made[f"level/{name}"] = np.array([0, 0.1, 1.0])
        made[f"{name}/lowest"] = made[f"{name}/final"] = 100 + above
    return made


@pytest.mark.parametrize("seed", range(5))
def test_what_does_not_hold_says_why(seed: int):
    settings = dataclasses.replace(sweep.QUICK, problems=2, sizes=(4, 8), noises=(0.1, 1.0))
    rng = np.random.default_rng(seed)
    excess = {name: rng.uniform(1, 50, (2, 2, 3)) for name in sweep.METHODS}
    excess["birth-death"][:, :, 0] = excess["reinitialize"][:, :, 0]  # copies never leave
    failed = [claim for claim in sweep.claims(settings, series_of(excess)) if not claim.holds]
    assert failed
    assert [claim.statement for claim in failed if not claim.comment] == []


def test_a_rival_that_comes_closer_is_named_with_the_sizes_where_it_does():
    settings = dataclasses.replace(sweep.QUICK, problems=2, sizes=(4, 8), noises=(0.1, 1.0))
    excess = {name: np.full((2, 2, 3), 50.0) for name in sweep.METHODS}
    excess["weighted"][:, :, 1] = [[9, 3], [9, 2]]
    excess["langevin"][:, :, 1] = [[5, 6], [5, 6]]
    excess["birth-death"][:, :, 1] = [[10, 50], [25, 50]]
    comments = {
        claim.statement: claim.comment
        for claim in sweep.claims(settings, series_of(excess))
        if claim.statement.startswith("weighted beats") and not claim.holds
    }
    langevin, birth_death = comments.values()
    assert langevin == "Langevin comes closer at m = 4"
    assert birth_death == "seen, but by less than two standard errors: 2 problems are too few"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sizes", "1"], "sizes must be at least 2"),
        (["--temperatures", "-1"], "temperatures must be a finite number > 0"),
    ],
)
def test_wrong_settings_give_one_line(arguments: list[str], message: str, tmp_path: Path, capsys):
    assert message in refusal(capsys, tmp_path, "reproduce", "perturbation-sweep", *arguments)
