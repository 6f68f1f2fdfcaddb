"""Support vector machines, against solvers of other libraries and the conditions of optimality."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.svm import LinearSVC

from jaxmargin import fit_svm
from jaxmargin.kernels._fits.svm import TOLERANCE, solve_svm
from tests.kernels.problems import N, classes, features, problem, svm_oracle


@pytest.mark.parametrize("c", [None, 0.5])
def test_solution_and_its_certificate(c: float | None):
    """The gap is that of the objectives at beta, and the bound on radius / margin is attained."""
    with jax.enable_x64(True):
        gram, y = problem("float64")
        price = None if c is None else jnp.asarray(c)
        beta, gap, radius_margin = solve_svm(gram, y, jnp.asarray(jnp.inf), price)
        exact = svm_oracle(gram, y, c)
        np.testing.assert_allclose(beta, exact, atol=1e-9 * np.abs(exact).max())
        assert abs(gap) <= TOLERANCE
        dual = jnp.sum(jnp.abs(beta)) - beta @ gram @ beta / 2
        slack = jnp.maximum(0, 1 - y * (gram @ beta))
        primal = beta @ gram @ beta / 2 + (0 if c is None else c * jnp.sum(slack))
        np.testing.assert_allclose(primal, dual, rtol=1e-8)
        largest = jnp.max(jnp.diagonal(gram))
        np.testing.assert_allclose(radius_margin, 2 * largest * dual, rtol=1e-9)


def test_the_solver_gives_up_once_the_limit_is_proven_to_be_exceeded():
    with jax.enable_x64(True):
        gram, y = problem("float64")
        whole = solve_svm(gram, y, jnp.asarray(jnp.inf)).radius_margin
        stopped = solve_svm(gram, y, whole / 4).radius_margin
        assert whole / 4 < stopped <= whole * (1 + 1e-9)


@pytest.mark.parametrize("c", [None, 0.01, 0.5, 10.0])
def test_svm_is_bounded_least_squares(c: float | None):
    with jax.enable_x64(True):
        gram, y = problem("float64")
        beta = fit_svm(gram, y, c=c).beta
        exact = svm_oracle(gram, y, c)
        np.testing.assert_allclose(beta, exact, atol=1e-9 * np.abs(exact).max())
        assert 0 < np.count_nonzero(beta) == np.count_nonzero(np.abs(exact) > 1e-9)


@pytest.mark.parametrize("c", [0.05, 2.0])
def test_soft_margin_is_liblinear_on_features(c: float):
    """Same convention of C as scikit-learn, whose LinearSVC can go without an intercept."""
    with jax.enable_x64(True):
        gram, y = problem("float64")
        peer = LinearSVC(
            C=c, loss="hinge", fit_intercept=False, tol=1e-10, max_iter=10**6, random_state=0
        ).fit(features(gram), y)
        scores = features(gram) @ peer.coef_[0]
        np.testing.assert_allclose(gram @ fit_svm(gram, y, c=c).beta, scores, atol=1e-6)


@pytest.mark.parametrize("labels", ["signs", "classes"])
def test_weights_are_those_of_liblinear(labels: str):
    weights = np.exp(np.random.default_rng(0).normal(size=N))
    with jax.enable_x64(True):
        gram, y = problem("float64")
        y = y if labels == "signs" else classes()
        peer = LinearSVC(
            C=0.5, loss="hinge", fit_intercept=False, tol=1e-10, max_iter=10**6, random_state=0
        ).fit(features(gram), y, sample_weight=weights)
        fit = fit_svm(gram, y, c=0.5, sample_weight=weights)
        scores = features(gram) @ peer.coef_.T
        np.testing.assert_allclose((gram @ fit.beta).reshape(N, -1), scores, atol=1e-6)
        both = fit_svm(
            jnp.stack([gram, gram]),
            jnp.stack([y, y]),
            c=0.5,
            sample_weight=np.stack([weights, 1 + weights]),
        )
        np.testing.assert_allclose(both.beta[0], fit.beta, rtol=1e-9, atol=1e-12)
        ones = fit_svm(gram, y, c=0.5, sample_weight=np.ones(N)).beta
        np.testing.assert_allclose(ones, fit_svm(gram, y, c=0.5).beta, atol=1e-12)


def test_hard_margin_conditions_of_optimum():
    """y f >= 1 everywhere, = 1 on the support; ||f||^2 = sum |beta|: the margin is 1 / ||f||."""
    with jax.enable_x64(True):
        gram, y = problem("float64")
        beta = fit_svm(gram, y).beta
        margins = y * (gram @ beta)
        support = np.asarray(beta != 0)
        assert 10 < support.sum() < N
        assert bool((y * beta >= 0).all())
        np.testing.assert_allclose(margins[support], 1, rtol=1e-10)
        assert float(margins.min()) > 1 - 1e-10
        np.testing.assert_allclose(beta @ gram @ beta, jnp.abs(beta).sum(), rtol=1e-10)


def test_svm_of_a_singular_gram_matrix():
    """Rank 2 among 40 samples: w is the least vector with margin 1, also in float32."""
    x = np.random.default_rng(0).normal(size=(N, 2)).astype("float32")
    y = np.sign(x[:, 0])
    x[:, 0] += 0.3 * y
    beta = fit_svm(jnp.asarray(x @ x.T), jnp.asarray(y)).beta
    exact = LinearSVC(
        C=1e6, loss="hinge", fit_intercept=False, tol=1e-9, max_iter=10**7, random_state=0
    ).fit(x, y)
    np.testing.assert_allclose(x.T @ beta, exact.coef_[0], rtol=1e-3, atol=1e-3)


def test_large_c_is_the_hard_margin():
    with jax.enable_x64(True):
        gram, y = problem("float64")
        np.testing.assert_allclose(fit_svm(gram, y, c=1e8).beta, fit_svm(gram, y).beta, rtol=1e-9)


@pytest.mark.parametrize("c", [1e-30, 1e-12])
def test_at_a_small_price_every_sample_pays_it(c: float):
    """All y_i f(x_i) < 1, so that beta_i = y_i c exactly: no step of the solver has a unit."""
    gram, y = problem("float32")
    np.testing.assert_array_equal(fit_svm(gram, y, c=c).beta, np.float32(c) * y)


def test_svm_of_classes_is_one_against_the_rest():
    with jax.enable_x64(True):
        gram, labels = problem("float64")[0], classes()
        beta = fit_svm(jnp.stack([gram, 2 * gram]), jnp.stack([labels, labels]), c=1.0).beta
        for j in range(3):
            signs = jnp.where(labels == j, 1.0, -1.0)
            np.testing.assert_allclose(beta[0, :, j], fit_svm(gram, signs, c=1.0).beta, atol=1e-12)
            np.testing.assert_allclose(
                beta[1, :, j], fit_svm(2 * gram, signs, c=1.0).beta, atol=1e-12
            )


def test_norm_and_gap_are_what_they_say():
    """The norm is one over the margin: |beta|_1 = ||f||^2 at the hard margin, per class too."""
    with jax.enable_x64(True):
        gram, y = problem("float64")
        fit = fit_svm(gram, y)
        np.testing.assert_allclose(fit.norm**2, jnp.abs(fit.beta).sum(), rtol=1e-10)
        np.testing.assert_allclose(1 / fit.norm, jnp.min(y * (gram @ fit.beta)) / fit.norm)
        assert abs(fit.gap) <= TOLERANCE
        many = fit_svm(jnp.stack([gram, 2 * gram]), jnp.stack([classes()] * 2), c=1.0)
        squares = jnp.einsum("tik,tij,tjk->tk", many.beta, jnp.stack([gram, 2 * gram]), many.beta)
        np.testing.assert_allclose(many.norm, jnp.sqrt(squares), rtol=1e-10)
        assert many.gap.shape == (2,)
