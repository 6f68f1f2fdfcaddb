"""The duality gap bounds the distance to an exact optimum."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from jaxmargin import Measure
from jaxmargin.mean_field._search.violation import require_risk
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
                assert found.state == "exact"
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
    np.testing.assert_allclose(found.direction, alone.direction, rtol=1e-12)
    np.testing.assert_allclose(found.gap, alone.gap, rtol=1e-12)
    np.testing.assert_allclose(variation, LAM * (1 - found.violations[there]), rtol=1e-9)
    assert found.directions.shape == (4, 3)
    assert np.all(np.diff(found.violations[there]) <= 0)
    assert np.sum(there) >= 2


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
    assert (exact.state, found.state) == ("exact", "estimate")
    np.testing.assert_allclose(found.lowest_variation, exact.lowest_variation, rtol=1e-5)
    np.testing.assert_allclose(found.estimated_gap, exact.gap, rtol=1e-5)
    assert (found.lower_bound, found.proven_violation) == (0, np.inf)
    assert found.gap == found.energy
    assert exact.estimated_gap == exact.gap


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


def test_a_certificate_says_in_words_what_it_is():
    x, y = (part[:6] for part in samples(2))
    wide = jnp.asarray(np.concatenate([x, x**2, x**3, x[::-1]], axis=1))
    certificates = {
        "exact": jm.certify(problem_of(2, "logistic"), particles(3)),
        "proven": jm.certify(
            jm.two_layer_problem(wide, jnp.asarray(y), "logistic", lam=LAM), particles(9)
        ),
        "estimate": jm.certify(problem_of(2, "logistic", smoothing=0.1), particles(3)),
    }
    for state, found in certificates.items():
        assert found.state == state
        assert repr(found).startswith(f"Certificate({state}: ")
        assert ("estimated_gap" in repr(found)) == (state != "exact")
        assert found.lower_bound <= found.energy - found.estimated_gap <= found.energy


def test_two_near_parallel_samples_that_once_were_certified_falsely():
    """The measure 0 has energy 1.13595. The optimum is .93858."""
    x = jnp.array([[-0.8303479, -0.4043965, -0.38338727], [-2.251914, -1.0967058, -1.0399644]])
    y = jnp.array([1.0, -0.36871997])
    problem = jm.two_layer_problem(x, y, "squared", lam=4.34e-5)
    found = jm.certify(problem, Measure(jnp.zeros((1, 4)), jnp.ones(1)))
    assert found.state == "exact"
    assert float(found.energy) == pytest.approx(1.13595, abs=1e-5)
    assert float(found.lower_bound) <= 0.93858


def test_samples_of_low_rank_are_exact_in_any_dimension():
    x, y = samples(3)
    lift = np.linalg.qr(np.random.default_rng(0).normal(size=(8, 8)))[0][:3]
    with jax.enable_x64(True):
        plain = particles(4)
        theta = jnp.concatenate([plain.theta[:, :1], plain.theta[:, 1:] @ lift], axis=1)
        wide = jm.two_layer_problem(jnp.asarray(x @ lift), jnp.asarray(y), "logistic", lam=LAM)
        found = jm.certify(wide, plain._replace(theta=theta))
        expected = jm.certify(problem_of(3, "logistic"), plain)
    assert found.state == expected.state == "exact"
    np.testing.assert_allclose(found.gap, expected.gap, rtol=1e-8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", ["logistic", "cross_entropy", "squared"])
def test_the_scale_of_the_samples_is_no_trouble(loss, dtype: str):
    """Samples times c with lam times c have the same optimum; so has theta divided by sqrt(c)."""
    x, y = samples(2)
    k = 2 if loss == "cross_entropy" else None
    theta = np.random.default_rng(0).normal(size=(6, 4 if k else 3))
    found = []
    with jax.enable_x64(dtype == "float64"):
        targets = jnp.asarray(np.arange(N) % 2) if k else jnp.asarray(y, dtype)
        for scale in (1.0, 2.0**-66, 2.0**66):  # some 1e-20 and 1e20
            problem = jm.two_layer_problem(
                jnp.asarray(x * scale, dtype), targets, loss, lam=LAM * scale, k=k
            )
            measure = Measure(jnp.asarray(theta / scale**0.5, dtype), jnp.ones(6, dtype))
            found.append(jm.certify(problem, measure))
    for other in found[1:]:
        for name in ("energy", "lower_bound", "violations", "proven_violation"):
            np.testing.assert_allclose(getattr(other, name), getattr(found[0], name), rtol=1e-5)


@pytest.mark.parametrize("margin", [10.0, 46.0, 50.0, 200.0])
@pytest.mark.parametrize("classes", [False, True])
def test_one_sample_of_a_large_margin(margin: float, classes: bool):
    """min_c log(1 + e^-c) + 2 lam c is known: e^-c / (1 + e^-c) = 2 lam.

    With two classes and w = (1, -1) c / 2 the price is sqrt(2) lam c, since |w| = c / sqrt(2).
    """
    tail = np.exp(-margin)
    slope = tail / (1 + tail)
    best = np.log1p(tail) + slope * margin
    with jax.enable_x64(True):
        x = jnp.ones((1, 1))
        if classes:
            lam = slope / np.sqrt(2)
            problem = jm.two_layer_problem(x, jnp.array([0]), "cross_entropy", k=2, lam=lam)
            w = jnp.array([1.0, -1.0]) / np.sqrt(2)
        else:
            lam = slope / 2
            problem = jm.two_layer_problem(x, jnp.array([1.0]), "logistic", lam=lam)
            w = jnp.ones(1)
        theta = jnp.concatenate([w, jnp.ones(1)])[None]
        for part in (1.0, 0.9, 1.1):
            reached = margin * part / (np.sqrt(2) if classes else 1)
            found = jm.certify(problem, Measure(theta, jnp.array([reached])))
            assert found.lower_bound <= best * (1 + 1e-14)
            assert found.lower_bound <= found.energy
            if part == 1:
                assert float(found.energy) == pytest.approx(best, rel=1e-13)
                assert float(found.lower_bound) == pytest.approx(best, rel=1e-8)


@pytest.mark.parametrize("loss", ["logistic", "squared"])
def test_no_multiple_of_the_dual_point_is_better(loss: str):
    """Where few units leave slack the best multiple exceeds 1; where many violate it is below."""
    with jax.enable_x64(True):
        for lam, mass in ((LAM, 1.0), (10.0, 3.0), (1e-3, 0.1)):
            problem, measure = problem_of(2, loss, lam=lam), particles(3)
            measure = measure._replace(mass=mass * measure.mass)
            found = jm.certify(problem, measure)
            outputs = sum(m * problem.phi(t) for t, m in zip(*measure, strict=True))
            dual = jax.grad(problem.loss)(outputs)
            most = 1 / float(found.proven_violation)
            multiples = np.concatenate(
                [np.linspace(0, most, 2001), np.geomspace(1e-6, 1, 301) * most]
            )
            duals = jnp.asarray(np.outer(multiples, dual))
            others = -jax.vmap(require_risk(problem).conjugate)(duals)
            best = float(jnp.max(others))
            assert float(found.lower_bound) >= best - 1e-12 * abs(best)
            assert float(found.lower_bound) <= best + 1e-5 * abs(best)


@pytest.mark.parametrize("k", [None, 3])
def test_a_proven_bound_is_below_energies_in_many_dimensions(k: int | None):
    """Below what any flow of the energy reaches; the budget narrows the gap."""
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        x = jnp.asarray(rng.normal(size=(12, 8)))
        if k:
            labels = jnp.asarray(np.arange(12) % k)
            problem = jm.two_layer_problem(x, labels, "cross_entropy", k=k, lam=LAM)
        else:
            y = jnp.asarray(np.resize([1.0, -1.0], 12))
            problem = jm.two_layer_problem(x, y, "logistic", lam=LAM)
        measure = particles((k or 1) + 8, m=12)
        bounds = []
        for _ in range(4):
            found = jm.certify(problem, measure)
            assert found.state == "proven"
            assert found.gap >= found.estimated_gap
            bounds.append(float(found.lower_bound))
            measure = descend(problem, measure)
        lowest = float(jm.energy(problem, measure))
        loose, tighter = (jm.certify(problem, measure, budget=budget) for budget in (0.0, 1.0))
    assert max(bounds) <= lowest
    assert loose.gap >= tighter.gap >= 0


def test_a_huge_measure_has_the_bound_of_nothing():
    """At particles of 1e30 the slope tells nothing, and 0 is below every energy all the same."""
    problem = problem_of(2, "logistic")
    huge = jm.certify(problem, jm.Measure(jnp.full((1, 3), 1e30), jnp.ones(1)))
    assert float(huge.energy) > 1e59
    assert float(huge.lower_bound) == 0
    assert np.isfinite(huge.gap)


def test_a_measure_of_numpy_is_certified_in_float64():
    """The energy of the measure itself, and not of its rounding to float32."""
    problem: Any = problem_of(2, "squared")
    theta, mass = np.random.default_rng(0).normal(size=(3, 3)), np.full(3, 1 / 3)
    x, y = (np.asarray(part, float) for part in (problem.phi.x, problem.loss.y))
    lam = float(problem.potential.lam)
    outputs = np.maximum(x @ theta[:, 1:].T, 0) @ (mass * theta[:, 0])
    energy = np.sum((outputs - y) ** 2) + lam * np.sum(mass * np.sum(theta**2, axis=1))
    with jax.numpy_dtype_promotion("standard"):  # as users have it
        on_host: Any = theta, mass
        found = jm.certify(problem, jm.Measure(*on_host))
    assert float(found.energy) == pytest.approx(energy, rel=1e-13)
