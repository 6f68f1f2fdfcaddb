"""Kernel logistic regression, against scikit-learn and its own condition of stationarity."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import jaxmargin as jm
from jaxmargin import fit_kernel_logistic
from jaxmargin.kernels._fits.logistic import TOLERANCE, solve_logistic, solve_softmax
from tests.kernels.problems import N, classes, features, problem

NAMED = {"signs": "logistic", "classes": "cross_entropy"}


@pytest.mark.parametrize("labels", NAMED)
def test_solution_is_stationary_and_its_residual_small(labels: str):
    """At the minimiser the gradient of the whole objective in f vanishes: 2 lam beta = pull / n."""
    lam = 1e-3
    with jax.enable_x64(True):
        gram, y = problem("float64")
        y = y if labels == "signs" else classes()
        loss = jm.regularized(lambda f, _: f, NAMED[labels], lam=0.0)
        if labels == "signs":
            found = solve_logistic(gram, y, jnp.asarray(lam), jnp.ones(N))
        else:
            own = jax.nn.one_hot(y, 3, dtype=bool)
            found = solve_softmax(gram, own, jnp.asarray(lam), jnp.ones(N))
        pull = -jax.grad(loss)(gram @ found.beta, gram, y)
        assert found.residual <= TOLERANCE
        np.testing.assert_allclose(
            2 * lam * found.beta, pull, atol=1e-9 * float(jnp.abs(pull).max())
        )


@pytest.mark.parametrize("lam", [1e-4, 0.1])
@pytest.mark.parametrize("singular", [False, True])
def test_logistic_is_scikit_learn_on_features(lam: float, singular: bool):
    with jax.enable_x64(True):
        gram, y = problem("float64")
        if singular:
            gram = jnp.asarray(features(gram)[:, -10:] @ features(gram)[:, -10:].T)
        phi = features(gram)
        peer = LogisticRegression(
            C=1 / (2 * N * lam), fit_intercept=False, tol=1e-12, solver="newton-cholesky"
        )
        for labels in (y, classes()):
            beta = fit_kernel_logistic(gram, labels, lam=lam).beta
            scores = phi @ peer.fit(phi, labels).coef_.T
            np.testing.assert_allclose((gram @ beta).reshape(N, -1), scores, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("labels", NAMED)
def test_weights_are_those_of_scikit_learn(labels: str):
    weights = np.exp(np.random.default_rng(0).normal(size=N))
    with jax.enable_x64(True):
        gram, y = problem("float64")
        y = y if labels == "signs" else classes()
        beta = fit_kernel_logistic(gram, y, lam=0.01, sample_weight=weights).beta
        phi = features(gram)
        peer = LogisticRegression(
            C=1 / (0.02 * N), fit_intercept=False, tol=1e-12, solver="newton-cholesky"
        )
        scores = phi @ peer.fit(phi, y, sample_weight=weights).coef_.T
        np.testing.assert_allclose((gram @ beta).reshape(N, -1), scores, rtol=1e-6, atol=1e-7)


def test_logistic_of_classes_in_trials():
    with jax.enable_x64(True):
        gram, labels = problem("float64")[0], classes()
        beta = fit_kernel_logistic(
            jnp.stack([gram, 2 * gram]), jnp.stack([labels, labels]), lam=0.1
        ).beta
        np.testing.assert_allclose(
            beta[0], fit_kernel_logistic(gram, labels, lam=0.1).beta, rtol=1e-9
        )
        twice = fit_kernel_logistic(2 * gram, labels, lam=0.1).beta
        np.testing.assert_allclose(beta[1], twice, rtol=1e-9)


@pytest.mark.parametrize("labels", ["signs", "classes"])
def test_logistic_with_the_paper_s_lambda_is_stationary(labels: str):
    """At lam = 1e-8 the condition beta = -(d loss / d f) / (2 lam n) still holds to 6 digits."""
    with jax.enable_x64(True):
        gram, y = problem("float64")
        y = y if labels == "signs" else classes()
        loss = jm.regularized(lambda beta, gram: gram @ beta, NAMED[labels], lam=0.0)
        beta = fit_kernel_logistic(gram, y, lam=1e-8).beta
        # d/d beta of the mean loss is K times its derivative in f.
        pull = -jax.grad(lambda f: loss(f, jnp.eye(N), y))(gram @ beta)
        np.testing.assert_allclose(beta, pull / 2e-8, atol=1e-6 * float(jnp.abs(beta).max()))


def test_softmax_of_two_classes_is_logistic():
    """f_1 = -f_0 = f / 2 costs half the squared norm of f."""
    with jax.enable_x64(True):
        gram, y = problem("float64")
        two = fit_kernel_logistic(gram, (y > 0).astype(int), lam=0.02).beta
        one = fit_kernel_logistic(gram, y, lam=0.01).beta
        np.testing.assert_allclose(two[:, 1] - two[:, 0], one, rtol=1e-7)
        np.testing.assert_allclose(two[:, 0], -two[:, 1], rtol=1e-7)


@pytest.mark.parametrize("labels", NAMED)
def test_norm_and_residual_are_what_they_say(labels: str):
    with jax.enable_x64(True):
        gram, y = problem("float64")
        fit = fit_kernel_logistic(gram, y if labels == "signs" else classes(), lam=0.1)
        squares = jnp.sum(fit.beta * (gram @ fit.beta), axis=0)
        np.testing.assert_allclose(fit.norm, jnp.sqrt(squares), rtol=1e-10)
        assert fit.residual <= TOLERANCE
