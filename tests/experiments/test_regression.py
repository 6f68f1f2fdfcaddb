"""Regression: a small run against the certified optimum, wrong settings, and the claims."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmargin.data.synthetic import two_axis
from jaxmargin.experiments import Context, regression
from tests.experiments.reproduced import refusal, reproduce

SMALL = [
    *("--trials", "2", "--lams", "0.01,0.1", "--support-dim", "3"),
    *("--points", "6", "--dims", "6", "--network-ratios", "2"),
    *("--kernel-ratios", "0.5", "--width", "8", "--steps", "40", "--test-samples", "50"),
]


def test_a_small_run_has_no_network_below_the_optimum(tmp_path: Path):
    _, series = reproduce("regression", tmp_path, *SMALL)
    assert series["lam"].tolist() == [0.1, 0.01]
    for name in regression.LIMITS:
        optimal = series[f"{name}/optimal_objective"]
        assert series[f"{name}/objective"].shape == series[f"{name}/norm"].shape == (2, 2)
        assert (series[f"{name}/objective"] >= optimal * (1 - 1e-5)).all()
        np.testing.assert_array_less(optimal, series["lam"] * series[f"{name}/limit"][1])
    for method in ("network", *regression.METHODS):
        losses = series[f"{method}/6"]
        assert losses.shape == (2, 1)
        assert ((losses > 0) & (losses <= 1)).all()


def test_the_best_multiple_of_a_predictor_is_no_worse_than_it_is():
    """Of x_1 - 1/2 it is twice that, which is the label but where x_1 = -1."""
    x, y = two_axis(jax.random.key(0), 400, 3)
    found = regression._best_multiple(x[:, 0] - 0.5, y)
    assert float(found) == pytest.approx(float(jnp.mean(x[:, 0] == -1)), abs=1e-6)
    assert float(regression._best_multiple(jnp.zeros(4), jnp.ones(4))) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lams", "0.1,0"], "lams must be a finite number > 0"),
        (["--points", "1"], "points must be at least 2"),
        (["--support-dim", "2"], "support_dim must be at least 3"),
    ],
)
def test_wrong_settings_give_one_line(arguments: list[str], message: str, tmp_path: Path, capsys):
    assert message in refusal(capsys, tmp_path, "reproduce", "regression", *arguments)


@pytest.mark.slow
def test_the_claims_hold():
    """Preset "quick", a minute on two cores; the tightness is that of its four trials."""
    with jax.numpy_dtype_promotion("standard"):  # optax's adam is not strict
        series = regression.run(regression.QUICK, Context())
    assert all(claim.holds for claim in regression.claims(regression.QUICK, series))
    for name in regression.LIMITS:
        excess = series[f"{name}/objective"] / series[f"{name}/optimal_objective"] - 1
        assert excess.max() < 5e-3
        lower, upper = series[f"{name}/limit"]
        assert 0 <= upper / lower - 1 < 1e-4
        assert series[f"{name}/norm"][:, -1] == pytest.approx(lower, rel=5e-3)
    assert series["network/20"][:, -1].max() < 1e-3
    assert series["interpolation/20"][:, 2].mean() > 0.6
