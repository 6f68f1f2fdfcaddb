"""Theorem B.10's limit: ||Theta*||^2 against a cone program, a dual, and trained networks."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from benchmarks import cone_program
from jaxmargin import data
from jaxmargin.experiments import Context, minimum_norm, regression
from jaxmargin.experiments.harness.command_line import main

pytestmark = pytest.mark.usefixtures("quick_compilation")

POINTS = 6
LAMS = [0.1, 0.01]


def test_the_support_of_d_is_all_that_can_be_drawn():
    x, y = data.support_of_d(4)
    drawn, labels = jm.data.two_axis(jax.random.key(0), 400, 4)
    points = {(*row, label) for row, label in zip(x.tolist(), y.tolist(), strict=True)}
    assert len(points) == len(x) == 16
    seen = zip(drawn.tolist(), labels.tolist(), strict=True)
    assert points == {(*row, label) for row, label in seen}


@pytest.mark.parametrize("d", [3, 6])
def test_four_units_and_a_dual_point_prove_that_the_minimum_norm_on_d_is_8(d: int):
    """Strong duality: 2 nu . y = 8 for a dual nu that no direction violates."""
    x, y = data.support_of_d(d)
    u = jnp.eye(d)[:2]
    network = jm.TwoLayer(u=jnp.concatenate([u, -u]), w=jnp.array([1.0, -1.0, 1.0, -1.0]))
    np.testing.assert_array_equal(jm.two_layer(network, x), y)
    assert float(jm.norms.l2(network)) ** 2 == pytest.approx(8)

    nu = 4 * y / 2**d
    assert float(2 * nu @ y) == 8
    directions = np.asarray(jm.sample_sphere(jax.random.key(0), 20_000, d), np.float64)
    directions = np.concatenate([directions, np.eye(d), -np.eye(d)])
    values = np.maximum(directions @ np.asarray(x, np.float64).T, 0) @ np.asarray(nu)
    assert np.abs(values).max() == pytest.approx(1, abs=1e-12)


def test_the_optimum_on_d_is_known_at_every_lambda():
    """(1 - 4 lam) of the four units: the misfit is 16 lam^2, and nu is dual optimal at all lam."""
    found = minimum_norm.optimum(*data.support_of_d(3), LAMS)
    lam = np.array(LAMS)
    np.testing.assert_allclose(found.path.objective, 8 * lam - 16 * lam**2, rtol=1e-6)
    np.testing.assert_allclose(found.path.norm, 8 * (1 - 4 * lam), rtol=1e-3)
    assert found.limit.exact
    assert found.limit.lower <= 8 <= found.limit.upper * (1 + 1e-12)
    assert (found.limit.lower, found.limit.upper) == pytest.approx((8, 8), rel=1e-5)


@pytest.mark.parametrize("data", ["line", "plane"])
def test_the_bounds_enclose_the_norm_of_the_cone_program(data: str):
    """In two dimensions (points on a line, with bias) and in three."""
    if data == "line":
        x, y = minimum_norm.points_on_a_line(jax.random.key(0), POINTS, 4)
    else:
        x = jax.random.normal(jax.random.key(2), (8, 3))
        y = jax.random.normal(jax.random.key(3), (8,))
    exact = cone_program.minimum_norm(np.asarray(x, np.float64), np.asarray(y, np.float64))
    found = minimum_norm.optimum(x, y, LAMS)
    assert found.limit.exact
    assert found.limit.lower <= exact * (1 + 1e-7)
    assert found.limit.upper >= exact * (1 - 1e-7)
    assert found.limit.lower == pytest.approx(exact, rel=1e-3)
    assert found.limit.upper == pytest.approx(exact, rel=1e-3)
    assert np.all(np.diff(found.path.norm) > 0)
    assert np.all(found.path.objective <= np.array(LAMS) * exact)


def test_a_teacher_of_zeros_is_refused():
    """A single unit whose relu never opens on [-1, 1]."""
    keys = (jax.random.key(seed) for seed in range(100))
    off = next(key for key in keys if _is_off(jm.init_two_layer(key, 2, 1).u[0]))
    with pytest.raises(ValueError, match="0 at all points: give it more hidden units"):
        minimum_norm.points_on_a_line(off, 3, 1)


def _is_off(u) -> bool:
    return float(jnp.abs(u[0]) + u[1]) < 0


SMALL = [
    *("--trials", "2", "--lams", "0.01,0.1", "--support-dim", "3"),
    *("--points", str(POINTS), "--dims", "6", "--network-ratios", "2"),
    *("--kernel-ratios", "0.5", "--width", "8", "--steps", "40", "--test-samples", "50"),
]


def test_a_small_run_has_no_network_below_the_optimum(tmp_path: Path):
    with jax.numpy_dtype_promotion("standard"):  # optax's adam is not strict
        assert main(["reproduce", "regression", "--out", str(tmp_path), *SMALL]) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["regression.json", "regression.png"]
    record = json.loads((tmp_path / "regression.json").read_text())
    series = {name: np.array(values) for name, values in record["series"].items()}
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
    x, y = jm.data.two_axis(jax.random.key(0), 400, 3)
    found = regression._best_multiple(x[:, 0] - 0.5, y)
    assert float(found) == pytest.approx(float(jnp.mean(x[:, 0] == -1)), abs=1e-6)
    assert float(regression._best_multiple(jnp.zeros(4), jnp.ones(4))) == 1


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
