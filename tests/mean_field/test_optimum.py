"""`global_optimum` ends at the optimum that a cone program or a convex fit knows."""

import pickle
from typing import Any

import cvxpy as cp
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from jaxmargin.mean_field import optimum
from jaxmargin.mean_field._search.network_rounds import Reached
from tests.interrupts import pressed
from tests.mean_field.solved_problems import (
    CASES,
    LAM,
    N,
    least_energy,
    particles,
    problem_of,
    samples,
)


@pytest.mark.parametrize(("d", "loss"), CASES)
def test_it_is_the_optimum_of_the_cone_program(d: int, loss: str):
    for seed in range(2):
        with jax.enable_x64(True):
            problem, measure = problem_of(d, loss, seed), particles(d + 1)
        best, found, _ = jm.global_optimum(problem, start=measure)
        assert found.state == "exact"
        assert found.gap <= 1e-6 * found.energy
        assert float(found.energy) == pytest.approx(least_energy(d, loss, seed), rel=1e-5)
        assert best.theta.dtype == best.mass.dtype == np.float64
        np.testing.assert_allclose(np.linalg.norm(best.theta, axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize("loss", ["logistic", "squared"])
def test_without_a_start_it_begins_with_the_measure_0(loss: str):
    with jax.enable_x64(True):
        problem = problem_of(2, loss)
    found = jm.global_optimum(problem).certificate
    assert float(found.energy) == pytest.approx(least_energy(2, loss, 0), rel=1e-5)


def test_without_a_start_the_particles_have_an_entry_for_each_output():
    x, _ = samples(2)
    labels, targets = jnp.arange(N) % 3, jnp.ones((N, 2))
    cases: list[tuple[Any, Any, int | None, int]] = [
        (labels, "cross_entropy", 4, 4),
        (targets, "squared", None, 2),
        (targets[:, 0], "squared", None, 1),
    ]
    for y, loss, k, outputs in cases:
        problem = jm.two_layer_problem(jnp.asarray(x, jnp.float32), y, loss, k=k, lam=100.0)
        assert jm.global_optimum(problem).measure.theta.shape == (1, outputs + 2)


@pytest.mark.parametrize("loss", ["logistic", "squared"])
def test_the_mean_over_samples_has_the_optimum_of_the_sum(loss: str):
    """The mean with lam is 1/n of the sum with n lam."""
    with jax.enable_x64(True):
        total = jm.global_optimum(problem_of(2, loss, lam=N * LAM / 4), tol=1e-9)
        mean = jm.global_optimum(problem_of(2, loss, lam=LAM / 4, reduction="mean"), tol=1e-9)
    energy = float(total.certificate.energy) / N
    assert float(mean.certificate.energy) == pytest.approx(energy, rel=1e-8)
    x = samples(2)[0]
    of_mean, of_total = (
        np.maximum(x @ rho.theta[:, 1:].T, 0) @ (rho.mass * rho.theta[:, 0])
        for rho in (mean.measure, total.measure)
    )
    np.testing.assert_allclose(of_mean, of_total, atol=1e-4)


def test_the_optimum_of_cross_entropy_is_no_higher_than_a_fit_on_a_grid():
    """With k = 3 outputs: min over W_g, one for each direction of a grid with all kinks."""
    x, _ = samples(2)
    labels = np.arange(N) % 3
    problem = jm.two_layer_problem(
        jnp.asarray(x, jnp.float32), jnp.asarray(labels), "cross_entropy", k=3, lam=LAM
    )
    found = jm.global_optimum(problem, start=particles(5)).certificate
    assert found.state == "exact"
    assert found.gap <= 1e-6 * found.energy

    angles = np.linspace(0, 2 * np.pi, 121)[:-1]
    kinks = np.stack([-x[:, 1], x[:, 0]], axis=1) / np.linalg.norm(x, axis=1, keepdims=True)
    grid = np.concatenate([np.stack([np.cos(angles), np.sin(angles)], axis=1), kinks, -kinks])
    w = cp.Variable((len(grid), 3))
    outputs = np.maximum(x @ grid.T, 0) @ w
    own = cp.sum(cp.multiply(np.eye(3)[labels], outputs))
    risk = cp.sum(cp.log_sum_exp(outputs, axis=1)) - own
    program = cp.Problem(cp.Minimize(risk + 2 * LAM * cp.sum(cp.norm(w, 2, axis=1))))
    program.solve(solver=cp.CLARABEL)
    on_grid = float(np.asarray(program.value))
    assert float(found.lower_bound) <= on_grid
    assert float(found.energy) <= on_grid * (1 + 1e-6)
    assert on_grid <= float(found.energy) * (1 + 1e-2)


def test_the_measure_0_is_optimal_where_lam_is_large():
    x, y = (jnp.asarray(part, jnp.float32) for part in samples(2))
    problem = jm.two_layer_problem(x, y, "logistic", lam=100.0)
    best, found, history = jm.global_optimum(problem, start=particles(3))
    assert float(np.sum(best.mass)) == 0
    assert float(found.energy) == pytest.approx(N * np.log(2), rel=1e-6)
    assert history.step.tolist() == [1]


def test_a_smooth_network_has_a_searched_optimum():
    with jax.enable_x64(True):
        problem = problem_of(2, "logistic", smoothing=0.1)
    found = jm.global_optimum(problem).certificate
    assert found.state == "estimate"
    assert found.estimated_gap <= 1e-6 * found.energy


def test_beyond_five_features_the_gap_that_closes_is_an_estimate():
    rng = np.random.default_rng(0)
    x, y = (
        jnp.asarray(rng.normal(size=(20, 6)), jnp.float32),
        jnp.asarray(np.resize([1.0, -1.0], 20)),
    )
    problem = jm.two_layer_problem(x, y, "logistic", lam=LAM)
    found = jm.global_optimum(problem, start=particles(7), tol=1e-4).certificate
    assert found.state == "proven"
    assert found.estimated_gap <= 1e-4 * found.energy


def test_each_round_is_recorded():
    problem, records = problem_of(2, "squared"), []
    found = jm.global_optimum(problem, on_record=lambda *record: records.append(record))
    history = found.history
    assert (
        history.step.tolist() == [step for step, _ in records] == list(range(1, len(records) + 1))
    )
    stacked = jax.tree.map(lambda *all_: np.stack(all_), *(record for _, record in records))
    jax.tree.map(np.testing.assert_array_equal, stacked, history)
    assert {np.ndim(leaf) for _, record in records for leaf in record} == {0}
    assert np.all(np.diff(history.energy) <= 0)
    assert history.estimated_gap[-1] <= 1e-6 * history.energy[-1]
    np.testing.assert_allclose(history.energy[-1], found.certificate.energy, rtol=1e-12)


def test_an_optimum_is_a_pytree_and_pickles():
    found = jm.global_optimum(problem_of(2, "logistic"))
    again = pickle.loads(pickle.dumps(found))
    assert jax.tree.structure(again) == jax.tree.structure(found)
    jax.tree.map(np.testing.assert_array_equal, again, found)
    assert again.certificate.state == "exact"


def test_one_that_stops_early_says_how_far_it_came():
    problem, measure = problem_of(2, "squared"), particles(3)
    with pytest.raises(jm.ConvergenceError, match="after 2 rounds, above tol = 1e-15") as caught:
        jm.global_optimum(problem, start=measure, tol=1e-15, max_rounds=2)
    best, found, history = pickle.loads(pickle.dumps(caught.value)).result
    assert found.gap > 0
    assert history.step.tolist() == [1, 2]
    assert len(best.theta) == len(best.mass)
    exact = jm.certify(problem, jax.tree.map(jnp.float32, best))
    np.testing.assert_allclose(exact.energy, found.energy, rtol=1e-5)


def test_ctrl_c_hands_over_the_best_measure_with_its_certificate():
    problem, measure = problem_of(2, "squared"), particles(3)
    whole = jm.global_optimum(problem, start=measure)
    with pytest.raises(jm.Interrupted, match="interrupted after 1 rounds") as caught:
        jm.global_optimum(problem, start=measure, tol=1e-15, on_record=pressed)
    best, found, history = caught.value.result
    assert caught.value.step == 1
    assert history.step.tolist() == [1]
    assert found.energy == history.energy[-1]
    exact = jm.certify(problem, jax.tree.map(jnp.float32, best))
    np.testing.assert_allclose(exact.energy, found.energy, rtol=1e-5)
    assert found.lower_bound <= whole.certificate.energy <= found.energy * (1 + 1e-9)


def test_rounds_that_gain_nothing_end(monkeypatch: pytest.MonkeyPatch):
    """With the best measure so far, and what it misses."""
    problem = jm.two_layer_problem(jnp.eye(2), jnp.array([1.0, -1.0]), "logistic", lam=0.1)
    ones: Any = np.ones((1, 3)), np.ones(1)
    measure = jm.Measure(*ones)
    value = float(jm.energy(problem, jax.tree.map(jnp.asarray, measure)))

    def idle(*_):
        while True:
            yield Reached(measure, value, value, None)

    monkeypatch.setattr(optimum, "network_rounds", idle)
    with pytest.raises(jm.ConvergenceError, match="after 13 rounds") as caught:
        jm.global_optimum(problem)
    assert float(caught.value.result.certificate.energy) == pytest.approx(value, rel=1e-6)
