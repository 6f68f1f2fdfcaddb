"""The search for the particles that violate the dual constraint most."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from jaxmargin.mean_field._search.violation import (
    check_starts,
    lowest_variation,
    most_violating,
    relu_network,
    require_risk,
)
from tests.mean_field.problems import LAM, PROBLEMS, D, N, measure, normal, outputs

NAMES = ["logistic", "cross-entropy", "smooth logistic", "smooth cross-entropy"]
by_name = pytest.mark.parametrize("name", NAMES)


def dual_of(name: str) -> jax.Array:
    shape = (N,) if outputs(name) == 1 else (N, outputs(name))
    return normal(*shape, dtype="float64", seed=9)


def ratios(problem: jm.MeanField, dual: jax.Array, theta: jax.Array) -> np.ndarray:
    """-<dual, Phi(theta)> / V(theta), by the definition."""
    inner = jax.vmap(lambda one: jnp.sum(dual * problem.phi(one)))(theta)
    return np.asarray(-inner / jax.vmap(problem.potential)(theta))


@by_name
def test_the_ratios_are_those_of_the_particles_and_none_is_higher(name: str):
    with jax.enable_x64(True):
        problem, rho, dual = PROBLEMS[name]("float64"), measure(name, "float64"), dual_of(name)
        violation = most_violating(problem, rho, dual, None, 3)
        found, theta = violation.ratios, jnp.asarray(violation.theta)
        there = np.isfinite(np.asarray(found))
        np.testing.assert_allclose(np.linalg.norm(theta, axis=1), 1, rtol=1e-12)
        np.testing.assert_allclose(found[there], ratios(problem, dual, theta)[there], rtol=1e-9)
        others = ratios(problem, dual, normal(20_000, outputs(name) + D, dtype="float64"))
        assert float(found[0]) >= others.max()
        assert violation.state == ("estimate" if name.startswith("smooth") else "exact")
        assert violation.bound >= found[0]


def test_the_search_agrees_with_the_enumeration():
    """The same relu network as a plain function."""
    with jax.enable_x64(True):
        ready, rho = PROBLEMS["logistic"]("float64"), measure("logistic", "float64")
        own = jm.MeanField(lambda theta: ready.phi(theta), ready.loss, ready.potential)
        dual, starts = dual_of("logistic"), normal(300, 1 + D, dtype="float64", seed=3)
        exact = most_violating(ready, rho, dual, None, 1)
        found = most_violating(own, rho, dual, starts, 1)
    np.testing.assert_allclose(found.ratios, exact.ratios, rtol=1e-6)
    assert (exact.state, found.state, found.bound) == ("exact", "estimate", np.inf)


def test_more_features_have_a_bound_that_a_budget_tightens():
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        x, y = jnp.asarray(rng.normal(size=(12, 7))), jnp.asarray(np.resize([1.0, -1.0], 12))
        problem = jm.two_layer_problem(x, y, "squared", lam=LAM)
        rho = jm.Measure(jnp.ones((1, 8)), jnp.ones(1))
        dual = jnp.asarray(rng.normal(size=12))
        root, finished = (
            most_violating(problem, rho, dual, None, 1, budget) for budget in (0.0, 60.0)
        )
    assert root.state == finished.state == "proven"
    assert root.ratios[0] <= finished.bound <= root.bound
    assert finished.bound == pytest.approx(finished.ratios[0], rel=1e-6)


def test_given_starts_are_searched_from():
    """The lowest variation along the way is at most that at a start."""
    with jax.enable_x64(True):
        problem, rho = PROBLEMS["smooth logistic"]("float64"), measure("logistic", "float64")
        dual = dual_of("logistic")
        starts = normal(5, 1 + D, dtype="float64", seed=4)
        starts = starts / jnp.linalg.norm(starts, axis=1, keepdims=True)
        lowest = jax.jit(lowest_variation)(problem, rho, dual, starts, starts[:1])
        ratio = most_violating(problem, rho, dual, starts, 1).ratios
        at_starts = LAM * (1 - ratios(problem, dual, starts))  # V = lam on the sphere
    assert float(lowest) <= at_starts.min()
    np.testing.assert_allclose(lowest, LAM * (1 - ratio[0]), rtol=1e-6)


@by_name
def test_particles_at_zero_and_a_dual_of_zero_are_no_trouble(name: str):
    with jax.enable_x64(True):
        problem, rho, dual = PROBLEMS[name]("float64"), measure(name, "float64"), dual_of(name)
        nothing = jm.Measure(jnp.zeros_like(rho.theta), rho.mass)
        for where, slope in ((nothing, dual), (rho, jnp.zeros_like(dual))):
            found = most_violating(problem, where, slope, None, 1)
            assert np.isfinite(found.ratios).all()
            assert np.isfinite(found.theta).all()
            assert found.ratios[0] >= 0


def test_which_problems_are_relu_networks():
    for name, make in PROBLEMS.items():
        assert (relu_network(make("float32")) is None) == name.startswith("smooth")
    ready = PROBLEMS["logistic"]("float32")
    x, lam = relu_network(ready) or (None, None)
    assert x is ready.phi.x
    assert lam is ready.potential.lam
    other = jm.MeanField(ready.phi, ready.loss, lambda theta: jnp.sum(jnp.abs(theta)) ** 2)
    assert relu_network(other) is None


def test_wrong_starts_and_a_loss_without_a_conjugate():
    rho = measure("logistic", "float32")
    for starts, error in (
        (jnp.ones((2, 3)), ValueError),
        (jnp.ones((2, 4), int), TypeError),
        (jnp.full((2, 4), jnp.nan), ValueError),
    ):
        with pytest.raises(error, match="starts must"):
            check_starts(starts, rho)
    ready = PROBLEMS["logistic"]("float32")
    assert require_risk(ready) is ready.loss
    with pytest.raises(TypeError, match=r"must have a method conjugate\(p\)"):
        require_risk(jm.MeanField(ready.phi, jnp.sum, ready.potential))
