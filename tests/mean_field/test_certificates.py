"""The duality gap bounds the distance to an exact optimum, and global_optimum reaches it."""

from functools import cache, partial

import cvxpy as cp
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from benchmarks import cone_program
from jaxmargin import Measure

N, LAM = 8, 0.1
CASES = [(d, loss) for d in (2, 3) for loss in ("logistic", "squared")]
READY = {
    "logistic": partial(jm.two_layer_problem, loss="logistic"),
    "squared": partial(jm.two_layer_problem, loss="squared"),
}


@cache
def samples(d: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([d, seed])
    return rng.normal(size=(N, d)), np.where(rng.normal(size=N) > 0, 1.0, -1.0)


@cache
def optimum(d: int, loss: str, seed: int) -> float:
    return cone_program.optimum(*samples(d, seed), lam=LAM, loss=loss)


def problem_of(d: int, loss: str, seed: int, **options) -> jm.MeanField:
    x, y = samples(d, seed)
    return READY[loss](jnp.asarray(x), jnp.asarray(y), lam=LAM, **options)


def particles(dim: int, m: int = 6, seed: int = 0) -> Measure:
    theta = jm.sample_sphere(jax.random.key(seed), m, dim)
    return Measure(2 * theta, jnp.full(m, 1 / m, theta.dtype))


@jax.jit
def descend(problem: jm.MeanField, measure: Measure) -> Measure:
    def step(measure: Measure, _: None) -> tuple[Measure, None]:
        return measure._replace(
            theta=measure.theta + 0.05 * jm.velocity(problem, measure, measure.theta)
        ), None

    return jax.lax.scan(step, measure, length=100)[0]


@pytest.mark.parametrize(("d", "loss"), CASES)
def test_the_gap_bounds_the_distance_to_the_optimum(d: int, loss: str):
    """20 problems; at random measures, and during descent."""
    with jax.enable_x64(True):
        for seed in range(5):
            problem, measure = problem_of(d, loss, seed), particles(d + 1, seed=seed)
            for _ in range(4):
                found = jm.certify(problem, measure)
                assert found.exact
                best = optimum(d, loss, seed)
                assert float(found.lower_bound) <= best * (1 + 1e-7)
                assert float(found.gap) >= (float(found.energy) - best) * (1 - 1e-7)
                assert float(found.energy) == pytest.approx(float(jm.energy(problem, measure)))
                measure = descend(problem, measure)


@pytest.mark.parametrize(("d", "loss"), CASES)
def test_polish_ends_at_the_optimum_of_the_cone_program(d: int, loss: str):
    for seed in range(2):
        with jax.enable_x64(True):
            problem, measure = problem_of(d, loss, seed), particles(d + 1)
        best, found = jm.global_optimum(problem, measure)
        assert found.exact
        assert found.gap <= 1e-6 * found.energy
        assert float(found.energy) == pytest.approx(optimum(d, loss, seed), rel=1e-5)
        assert best.theta.dtype == best.mass.dtype == np.float64
        np.testing.assert_allclose(np.linalg.norm(best.theta, axis=1), 1, rtol=1e-12)


def test_polish_of_cross_entropy_is_no_higher_than_a_fit_on_a_grid():
    """With k = 3 outputs: min over W_g, one for each direction of a grid with all kinks."""
    x, _ = samples(2, 0)
    labels = np.arange(N) % 3
    problem = jm.two_layer_problem(
        jnp.asarray(x, jnp.float32), jnp.asarray(labels), "cross_entropy", k=3, lam=LAM
    )
    _, found = jm.global_optimum(problem, particles(5))
    assert found.exact
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


def test_nothing_is_optimal_where_lam_is_large():
    x, y = (jnp.asarray(part, jnp.float32) for part in samples(2, 0))
    problem = jm.two_layer_problem(x, y, "logistic", lam=100.0)
    found = jm.certify(problem, Measure(jnp.zeros((1, 3)), jnp.ones(1)))
    assert abs(float(found.gap)) <= 1e-5
    assert float(found.lowest_variation) > 0
    best, polished = jm.global_optimum(problem, particles(3))
    assert float(np.sum(best.mass)) == 0
    assert float(polished.energy) == pytest.approx(N * np.log(2), rel=1e-6)


@pytest.mark.parametrize("d", [2, 3])
def test_the_lowest_variation_is_at_the_direction(d: int):
    with jax.enable_x64(True):
        problem, measure = problem_of(d, "logistic", 0), particles(d + 1)
        found = jm.certify(problem, measure)
        at = jm.first_variation(problem, measure, found.direction[None])
        np.testing.assert_allclose(at, found.lowest_variation[None], rtol=1e-12)
        np.testing.assert_allclose(jnp.linalg.norm(found.direction), 1, rtol=1e-12)
        others = jm.first_variation(problem, measure, particles(d + 1, m=2000).theta / 2)
        assert float(found.lowest_variation) <= float(jnp.min(others))


def test_the_gap_ignores_the_order_of_samples_and_rotations():
    x, y = samples(2, 1)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(2, 2)))[0]
    with jax.enable_x64(True):
        measure = particles(3)
        turned = measure._replace(
            theta=jnp.concatenate([measure.theta[:, :1], measure.theta[:, 1:] @ turn], axis=1)
        )
        gaps = [
            float(jm.certify(problem, rho).gap)
            for problem, rho in [
                (problem_of(2, "logistic", 1), measure),
                (
                    jm.two_layer_problem(
                        jnp.asarray(x[::-1]), jnp.asarray(y[::-1]), "logistic", lam=LAM
                    ),
                    measure,
                ),
                (
                    jm.two_layer_problem(
                        jnp.asarray(x @ turn), jnp.asarray(y), "logistic", lam=LAM
                    ),
                    turned,
                ),
            ]
        ]
    np.testing.assert_allclose(gaps, gaps[0], rtol=1e-11)


def test_your_own_features_are_searched():
    """The same network given as functions: an estimate that agrees with the enumeration."""
    x, _ = samples(2, 0)
    with jax.enable_x64(True):
        ready, measure = problem_of(2, "squared", 0), particles(3)
        own = jm.MeanField(
            phi=jax.tree_util.Partial(lambda x, t: t[0] * jax.nn.relu(x @ t[1:]), jnp.asarray(x)),
            loss=ready.loss,
            potential=ready.potential,
        )
        exact = jm.certify(ready, measure)
        found = jm.certify(own, measure, starts=particles(3, m=200, seed=1).theta)
    assert (exact.exact, found.exact) == (True, False)
    for name in ("gap", "lowest_variation"):
        np.testing.assert_allclose(getattr(found, name), getattr(exact, name), rtol=1e-5)


def test_a_smooth_network_is_polished_too():
    with jax.enable_x64(True):
        problem, measure = problem_of(2, "logistic", 0, smoothing=0.1), particles(3)
    _, found = jm.global_optimum(problem, measure)
    assert not found.exact
    assert found.gap <= 1e-6 * found.energy


def test_beyond_three_features_it_is_an_estimate():
    rng = np.random.default_rng(0)
    x, y = (
        jnp.asarray(rng.normal(size=(20, 6)), jnp.float32),
        jnp.asarray(np.resize([1.0, -1.0], 20)),
    )
    problem = jm.two_layer_problem(x, y, "logistic", lam=LAM)
    _, found = jm.global_optimum(problem, particles(7), tol=1e-4)
    assert "estimate: the maximum over the sphere was searched, not enumerated" in repr(found)
    assert found.gap <= 1e-4 * found.energy


def test_exact_is_known_while_tracing():
    problem, measure = problem_of(2, "logistic", 0), particles(3)

    @jax.jit
    def gap(problem, measure):
        found = jm.certify(problem, measure)
        assert found.exact is True
        return found

    assert "exact: the maximum over the sphere was enumerated" in repr(gap(problem, measure))


def test_a_polish_that_stops_early_says_how_far_it_came():
    problem, measure = problem_of(2, "squared", 0), particles(3)
    with pytest.raises(jm.ConvergenceError, match="after 1 rounds, above tol = 1e-15") as caught:
        jm.global_optimum(problem, measure, tol=1e-15, max_rounds=1)
    best, found = caught.value.fit
    assert found.gap > 0
    assert len(best.theta) == len(best.mass)
