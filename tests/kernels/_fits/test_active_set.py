"""Block pivoting, against bounded least squares and the compiled interior point method."""

from unittest.mock import patch

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmargin import fit_svm
from jaxmargin.kernels._fits import active_set
from jaxmargin.kernels._fits.active_set import pivot, svm_on_host
from jaxmargin.kernels._fits.host import cholesky
from jaxmargin.kernels._fits.svm import TOLERANCE, solve_svm
from tests.kernels.problems import N, classes, problem, svm_oracle, trials


def float64_problem(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    with jax.enable_x64(True):
        gram, y = problem("float64", seed=seed)
        return np.asarray(gram), np.asarray(y)


def hostile(seed: int, n: int = 30) -> np.ndarray:
    """A definite matrix without any dominance of its diagonal."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(n, n)))[0]
    matrix = (axes * np.logspace(0, -5, n)) @ axes.T
    return (matrix + matrix.T) / 2


def run(gram: np.ndarray, y: np.ndarray, c) -> active_set.Pivoted | None:
    upper = np.broadcast_to(np.inf if c is None else c, y.shape)
    factor = cholesky(gram)
    assert factor is not None
    return pivot(gram, factor, y, upper)


PER_SAMPLE = np.random.default_rng(7).uniform(0.01, 2.0, N)
PRICES = [None, 0.01, 0.5, 10.0, PER_SAMPLE]


@pytest.mark.parametrize("c", PRICES, ids=["hard", "0.01", "0.5", "10", "per sample"])
def test_it_is_bounded_least_squares_and_the_gap_is_proven(c):
    gram, y = float64_problem()
    found = run(gram, y, c)
    exact = svm_oracle(gram, y, c)
    assert found is not None
    np.testing.assert_allclose(found.beta, exact, atol=1e-9 * np.abs(exact).max())
    margins, b = y * (gram @ found.beta), np.abs(found.beta)
    np.testing.assert_allclose(found.square, found.beta @ gram @ found.beta, rtol=1e-12)
    np.testing.assert_allclose(found.dual, b.sum() - found.square / 2, rtol=1e-12)
    slack = np.maximum(0, 1 - margins)
    primal = found.square / 2 + (0 if c is None else np.sum(c * slack))
    np.testing.assert_allclose(primal, found.dual, rtol=1e-9)
    assert abs(found.gap) <= TOLERANCE
    assert (b[margins > 1 + 1e-9] == 0).all()
    if c is not None:
        inside = margins < 1 - 1e-9
        np.testing.assert_array_equal(b[inside], np.broadcast_to(c, b.shape)[inside])


@pytest.mark.parametrize("patience", [0, 5])
@pytest.mark.parametrize("seed", range(6))
def test_it_ends_without_a_dominant_diagonal(seed: int, patience: int):
    """Also by moves of one entry at a time alone, which cannot cycle."""
    gram, y = hostile(seed), np.sign(np.random.default_rng(seed).normal(size=30))
    with patch.multiple(active_set, _PATIENCE=patience, MAX_ROUNDS=2000):
        found = run(gram, y, 3.0)
    assert found is not None
    exact = svm_oracle(gram, y, 3.0)
    np.testing.assert_allclose(found.beta, exact, atol=1e-6 * np.abs(exact).max())


def test_without_a_certificate_it_gives_none():
    gram, y = float64_problem()
    with patch.object(active_set, "MAX_ROUNDS", 1):
        assert run(gram, y, None) is None
    assert svm_on_host(np.ones((3, 3)), np.array([1.0, -1.0, 1.0]), 1e-10) is None


def test_the_interior_point_method_takes_a_price_a_sample_too():
    gram, y = float64_problem()
    with jax.enable_x64(True):
        far = jnp.asarray(jnp.inf)
        beta = solve_svm(jnp.asarray(gram), jnp.asarray(y), far, jnp.asarray(PER_SAMPLE)).beta
        np.testing.assert_allclose(beta, svm_oracle(gram, y, PER_SAMPLE), atol=1e-9)


@pytest.mark.parametrize("c", [None, 1.0])
def test_host_and_compiled_solver_agree(c: float | None):
    """For labels, for classes and for trials."""
    with jax.enable_x64(True):
        gram, y = problem("float64")
        for call in ((gram, y), (gram, classes()), trials("float64")):
            found = fit_svm(*call, c=c)
            with patch("jax.default_backend", lambda: "gpu"):
                expected = fit_svm(*call, c=c)
            for one, other in zip(found, expected, strict=True):
                assert (one.shape, one.dtype) == (other.shape, other.dtype)
            np.testing.assert_allclose(found.beta, expected.beta, atol=1e-8)
            np.testing.assert_allclose(found.norm, expected.norm, rtol=1e-9)
