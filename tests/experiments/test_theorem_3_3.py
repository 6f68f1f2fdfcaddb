"""Theorem 3.3: a small run stays above the optimum; wrong settings are refused at once."""

from pathlib import Path

import jax
import numpy as np
import pytest

from jaxmargin.experiments import theorem_3_3
from tests.experiments.reproduced import refusal, reproduce

SMALL = [
    *("--problems", "2", "--n", "5", "--steps", "120"),
    *("--particles", "4", "--records", "10"),
]


def test_no_energy_of_a_small_run_is_below_the_optimum(tmp_path: Path):
    _, series = reproduce("theorem-3.3", tmp_path, *SMALL)
    optimum = series["optimum"]
    assert optimum.shape == (2,)
    assert (optimum >= series["optimum_bound"]).all()
    assert series["step"][-1] == 120
    for name in ("plain", "reinitialize", "weighted"):
        lowest, energy, gap = (series[f"{name}/{which}"] for which in ("lowest", "energy", "gap"))
        assert lowest.shape == energy.shape == gap.shape == (2, len(series["step"]))
        assert np.isfinite(lowest).all()
        assert (np.diff(lowest) <= 0).all()
        assert (lowest.min(axis=1) >= optimum * (1 - 1e-5)).all()
        assert (gap >= energy - optimum[:, None] * (1 + 1e-6)).all()
        assert series[f"first/{name}/theta"].shape[0] == theorem_3_3.FRAMES


def test_the_annealed_flow_is_run_where_it_is_asked_for(tmp_path: Path):
    series = reproduce("theorem-3.3", tmp_path, *SMALL, "--annealed-noise", "1e-5").series
    lowest, energy = series["annealed/lowest"], series["annealed/energy"]
    assert lowest.shape == series["weighted/lowest"].shape
    before, after = series["step"] <= 60, series["step"] > 61
    np.testing.assert_allclose(energy[:, before], series["weighted/energy"][:, before], rtol=1e-5)
    assert not np.allclose(energy[:, after], series["weighted/energy"][:, after], rtol=1e-5)


def test_held_and_falling():
    schedule = theorem_3_3._held_and_falling(100, 8.0, 0.5, 0.6)
    found = [np.asarray(schedule(count)) for count in (0, 59, 60, 80, 100)]
    np.testing.assert_allclose(found, [8, 8, 8, 2, 0.5], rtol=1e-5)


def test_all_particles_start_in_one_place():
    drawn = theorem_3_3.collapsed_start(
        jax.random.key(0), n=5, lam=0.1, particles=3, start_size=0.1
    )
    assert drawn.x.shape == (5, 2)
    assert set(np.asarray(drawn.y).tolist()) <= {-1.0, 1.0}
    theta, mass = drawn.start
    np.testing.assert_array_equal(theta, np.tile(theta[:1], (3, 1)))
    assert float(np.linalg.norm(theta[0])) == pytest.approx(0.1, rel=1e-6)
    assert float(mass.sum()) == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "9"], "steps must be at least 100"),
        (["--noise", "-1"], "noise must be a finite number >= 0"),
        (["--lam", "0"], "lam must be a finite number > 0"),
        (["--noise", "100"], "step_size * noise must be at most"),
    ],
)
def test_wrong_settings_give_one_line(arguments: list[str], message: str, tmp_path: Path, capsys):
    assert message in refusal(capsys, tmp_path, "reproduce", "theorem-3.3", *arguments)
