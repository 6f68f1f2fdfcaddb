"""The duality gap bounds the distance to an exact optimum."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from jaxmargin import Measure
from tests.mean_field.solved_problems import (
    CASES,
    LAM,
    N,
    least_energy,
    particles,
    problem_of,
    samples,
)


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
                best = least_energy(d, loss, seed)
                assert float(found.lower_bound) <= best * (1 + 1e-7)
                assert float(found.gap) >= (float(found.energy) - best) * (1 - 1e-7)
                assert float(found.energy) == pytest.approx(float(jm.energy(problem, measure)))
                measure = descend(problem, measure)


def test_the_measure_0_is_optimal_where_lam_is_large():
    x, y = (jnp.asarray(part, jnp.float32) for part in samples(2))
    problem = jm.two_layer_problem(x, y, "logistic", lam=100.0)
    found = jm.certify(problem, Measure(jnp.zeros((1, 3)), jnp.ones(1)))
    assert abs(float(found.gap)) <= 1e-5
    assert float(found.lowest_variation) > 0
    assert float(found.violations[0]) < 1


@pytest.mark.parametrize("d", [2, 3])
def test_the_lowest_variation_is_at_the_direction(d: int):
    with jax.enable_x64(True):
        problem, measure = problem_of(d, "logistic"), particles(d + 1)
        found = jm.certify(problem, measure)
        at = jm.first_variation(problem, measure, found.direction[None])
        np.testing.assert_allclose(at, found.lowest_variation[None], rtol=1e-12)
        np.testing.assert_allclose(jnp.linalg.norm(found.direction), 1, rtol=1e-12)
        others = jm.first_variation(problem, measure, particles(d + 1, m=2000).theta / 2)
        assert float(found.lowest_variation) <= float(jnp.min(others))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_several_directions_violate_as_much_as_they_say(smoothing: float):
    """On the unit sphere L' = V (1 - violation), and V = lam."""
    with jax.enable_x64(True):
        problem, measure = problem_of(2, "logistic", smoothing=smoothing), particles(3)
        alone = jax.tree.map(np.asarray, jm.certify(problem, measure))
        found = jax.tree.map(np.asarray, jm.certify(problem, measure, num_directions=4))
        there = np.isfinite(found.violations)
        variation = np.asarray(jm.first_variation(problem, measure, found.directions[there]))
        masses = jnp.stack([measure.mass, 2 * measure.mass])
        mapped = jax.vmap(lambda mass: jm.certify(problem, measure._replace(mass=mass)))(masses)
    np.testing.assert_allclose(found.direction, alone.direction, rtol=1e-12)
    np.testing.assert_allclose(found.gap, alone.gap, rtol=1e-12)
    np.testing.assert_allclose(variation, LAM * (1 - found.violations[there]), rtol=1e-9)
    assert found.directions.shape == (4, 3)
    assert np.all(np.diff(found.violations[there]) <= 0)
    assert np.sum(there) >= 2
    assert mapped.direction.shape == (2, 3)


def test_the_gap_ignores_the_order_of_samples_and_rotations():
    x, y = samples(2, 1)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(2, 2)))[0]
    with jax.enable_x64(True):
        measure = particles(3)
        turned = measure._replace(
            theta=jnp.concatenate([measure.theta[:, :1], measure.theta[:, 1:] @ turn], axis=1)
        )
        gaps = [
            float(
                jm.certify(
                    jm.two_layer_problem(jnp.asarray(x), jnp.asarray(y), "logistic", lam=LAM), rho
                ).gap
            )
            for x, y, rho in [(x, y, measure), (x[::-1], y[::-1], measure), (x @ turn, y, turned)]
        ]
    np.testing.assert_allclose(gaps, gaps[0], rtol=1e-11)


@pytest.mark.parametrize("loss", ["logistic", "squared"])
def test_the_mean_over_samples_has_one_nth_of_the_gap(loss):
    """The mean with lam is 1/n of the sum with n lam."""
    with jax.enable_x64(True):
        measure = particles(3)
        total = jm.certify(problem_of(2, loss, lam=N * LAM), measure)
        mean = jm.certify(problem_of(2, loss, reduction="mean"), measure)
    mean, total = (jax.tree.map(np.asarray, found) for found in (mean, total))
    for name in ("gap", "energy", "lower_bound", "lowest_variation"):
        np.testing.assert_allclose(getattr(mean, name), getattr(total, name) / N, rtol=1e-10)
    np.testing.assert_allclose(mean.violations, total.violations, rtol=1e-12)
    np.testing.assert_allclose(mean.directions, total.directions, rtol=1e-12)


def test_your_own_features_are_searched():
    """The same network given as functions: an estimate that agrees with the enumeration."""
    x, _ = samples(2)
    with jax.enable_x64(True):
        ready, measure = problem_of(2, "squared"), particles(3)
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


class OwnRisk:
    """A squared risk that is no pytree, with the two methods of `jaxmargin.mean_field.Risk`."""

    def __init__(self, y: np.ndarray):
        self.y = y

    def __call__(self, outputs):
        return jnp.sum((outputs - self.y) ** 2)

    def conjugate(self, dual):
        return jnp.sum(dual**2 / 4 + dual * self.y)


def test_a_risk_of_your_own_needs_its_conjugate_only():
    with jax.enable_x64(True):
        ready, measure = problem_of(2, "squared"), particles(3)
        own = jm.MeanField(ready.phi, OwnRisk(samples(2)[1]), ready.potential)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12),
            jm.certify(own, measure),
            jm.certify(ready, measure),
        )


def test_exact_is_known_while_tracing():
    problem, measure = problem_of(2, "logistic"), particles(3)

    @jax.jit
    def gap(problem, measure):
        found = jm.certify(problem, measure)
        assert found.exact is True
        return found

    assert "exact: the maximum over the sphere was enumerated" in repr(gap(problem, measure))
