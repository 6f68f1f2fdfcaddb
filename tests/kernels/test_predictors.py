"""Predictors in the span, against solvers of other libraries on the same problem in float64."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from scipy.optimize import lsq_linear
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

import jaxmargin as jm
from jaxmargin import (
    fit_interpolant,
    fit_kernel_logistic,
    fit_ridge,
    fit_svm,
    kernel_predict,
    two_layer_ntk,
)

N = 40


def problem(dtype, n=N, d=4, seed=0):
    """Gram matrix of random inputs, and labels that no linear function gives."""
    x = np.random.default_rng(seed).normal(size=(n, d)).astype(dtype)
    return two_layer_ntk(jnp.asarray(x)), jnp.asarray(np.sign(x[:, 0] * x[:, 1]))


def trials(dtype):
    return jax.tree.map(lambda *one: jnp.stack(one), *[problem(dtype, seed=s) for s in (0, 1, 2)])


def classes(n=N, k=3):
    return jnp.asarray(np.random.default_rng(1).integers(0, k, n))


def features(gram) -> np.ndarray:
    """Rows whose inner products are gram, by its eigenvectors: also if it is singular."""
    values, vectors = np.linalg.eigh(np.asarray(gram, np.float64))
    return vectors * np.sqrt(np.maximum(values, 0))


def svm_oracle(gram, y, c) -> np.ndarray:
    """The dual of the SVM as a bounded least squares problem, solved by an active set method."""
    q = np.asarray(jnp.outer(y, y) * gram, np.float64)
    lower = np.linalg.cholesky(q)
    target = scipy.linalg.solve_triangular(lower, np.ones(len(q)), lower=True)
    found = lsq_linear(lower.T, target, (0, c or np.inf), method="bvls", tol=1e-15, max_iter=10000)
    return np.asarray(y) * found.x


# Interpolation and ridge


def test_interpolant_goes_through_the_data_and_is_the_limit_of_ridge():
    with jax.enable_x64(True):
        gram, y = problem("float64")
        beta = fit_interpolant(gram, y)
        np.testing.assert_allclose(gram @ beta, y, rtol=1e-11)
        np.testing.assert_allclose(beta, fit_ridge(gram, y, ridge=1e-12), rtol=1e-8)


@pytest.mark.parametrize("ridge", [1e-6, 0.3, 1e4])
def test_ridge_is_scipy_and_scikit_learn(ridge):
    with jax.enable_x64(True):
        gram, y = problem("float64")
        targets = jnp.stack([y, jnp.cos(jnp.arange(N, dtype=y.dtype))], axis=1)
        beta = fit_ridge(gram, targets, ridge=ridge)
        exact = scipy.linalg.solve(gram + ridge * np.eye(N), targets, assume_a="pos")
        np.testing.assert_allclose(beta, exact, rtol=1e-9)
        peer = KernelRidge(alpha=ridge, kernel="precomputed").fit(np.array(gram), targets)
        np.testing.assert_allclose(beta, peer.dual_coef_, rtol=1e-9)


def test_float32_is_solved_in_float64():
    """A solver in float32 would be wrong in the second digit."""
    gram, y = problem("float32", d=2)
    exact = np.linalg.solve(np.asarray(gram, np.float64), np.asarray(y, np.float64))
    assert np.linalg.cond(np.asarray(gram, np.float64)) > 1e5
    np.testing.assert_allclose(fit_interpolant(gram, y), exact, rtol=1e-6)
    assert jnp.ones(1).dtype == "float32"  # the switch is back where it was


# Support vector machines


@pytest.mark.parametrize("c", [None, 0.01, 0.5, 10.0])
def test_svm_is_bounded_least_squares(c: float | None):
    with jax.enable_x64(True):
        gram, y = problem("float64")
        beta = fit_svm(gram, y, c=c)
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
        np.testing.assert_allclose(gram @ fit_svm(gram, y, c=c), scores, atol=1e-6)


def test_hard_margin_conditions_of_optimum():
    """y f >= 1 everywhere, = 1 on the support; ||f||^2 = sum |beta|: the margin is 1 / ||f||."""
    with jax.enable_x64(True):
        gram, y = problem("float64")
        beta = fit_svm(gram, y)
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
    beta = fit_svm(jnp.asarray(x @ x.T), jnp.asarray(y))
    exact = LinearSVC(
        C=1e6, loss="hinge", fit_intercept=False, tol=1e-9, max_iter=10**7, random_state=0
    ).fit(x, y)
    np.testing.assert_allclose(x.T @ beta, exact.coef_[0], rtol=1e-3, atol=1e-3)


def test_large_c_is_the_hard_margin():
    with jax.enable_x64(True):
        gram, y = problem("float64")
        np.testing.assert_allclose(fit_svm(gram, y, c=1e8), fit_svm(gram, y), rtol=1e-9)


def test_svm_of_classes_is_one_against_the_rest():
    with jax.enable_x64(True):
        gram, labels = problem("float64")[0], classes()
        beta = fit_svm(jnp.stack([gram, 2 * gram]), jnp.stack([labels, labels]), c=1.0)
        for j in range(3):
            signs = jnp.where(labels == j, 1.0, -1.0)
            np.testing.assert_allclose(beta[0, :, j], fit_svm(gram, signs, c=1.0), atol=1e-12)
            np.testing.assert_allclose(beta[1, :, j], fit_svm(2 * gram, signs, c=1.0), atol=1e-12)


# Logistic regression


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
            beta = fit_kernel_logistic(gram, labels, lam=lam)
            scores = phi @ peer.fit(phi, labels).coef_.T
            np.testing.assert_allclose((gram @ beta).reshape(N, -1), scores, rtol=1e-6, atol=1e-7)


def test_logistic_of_classes_in_trials():
    with jax.enable_x64(True):
        gram, labels = problem("float64")[0], classes()
        beta = fit_kernel_logistic(
            jnp.stack([gram, 2 * gram]), jnp.stack([labels, labels]), lam=0.1
        )
        np.testing.assert_allclose(beta[0], fit_kernel_logistic(gram, labels, lam=0.1), rtol=1e-9)
        twice = fit_kernel_logistic(2 * gram, labels, lam=0.1)
        np.testing.assert_allclose(beta[1], twice, rtol=1e-9)


@pytest.mark.parametrize("labels", ["signs", "classes"])
def test_logistic_with_the_paper_s_lambda_is_stationary(labels: str):
    """At lam = 1e-8 the condition beta = -(d loss / d f) / (2 lam n) still holds to 6 digits."""
    with jax.enable_x64(True):
        gram, y = problem("float64")
        y = y if labels == "signs" else classes()
        loss = jm.regularized(lambda beta, gram: gram @ beta, NAMED[labels], lam=0.0)
        beta = fit_kernel_logistic(gram, y, lam=1e-8)
        # d/d beta of the mean loss is K times its derivative in f.
        pull = -jax.grad(lambda f: loss(f, jnp.eye(N), y))(gram @ beta)
        np.testing.assert_allclose(beta, pull / 2e-8, atol=1e-6 * float(jnp.abs(beta).max()))


NAMED = {"signs": "logistic", "classes": "cross_entropy"}


def test_softmax_of_two_classes_is_logistic():
    """f_1 = -f_0 = f / 2 costs half the squared norm of f."""
    with jax.enable_x64(True):
        gram, y = problem("float64")
        two = fit_kernel_logistic(gram, (y > 0).astype(int), lam=0.02)
        one = fit_kernel_logistic(gram, y, lam=0.01)
        np.testing.assert_allclose(two[:, 1] - two[:, 0], one, rtol=1e-7)
        np.testing.assert_allclose(two[:, 0], -two[:, 1], rtol=1e-7)


# What all of them share

FITS = {
    "interpolant": lambda gram, y: fit_interpolant(gram, y),
    "ridge": lambda gram, y: fit_ridge(gram, y, ridge=0.1),
    "svm": lambda gram, y: fit_svm(gram, y),
    "soft svm": lambda gram, y: fit_svm(gram, y, c=1.0),
    "logistic": lambda gram, y: fit_kernel_logistic(gram, y, lam=0.01),
}
every_fit = pytest.mark.parametrize("fit", FITS.values(), ids=FITS.keys())


@every_fit
def test_trials_are_a_loop(fit):
    gram, y = trials("float32")
    looped = jnp.stack([fit(*one) for one in zip(gram, y, strict=True)])
    np.testing.assert_allclose(fit(gram, y), looped, rtol=1e-5, atol=1e-6)


@every_fit
def test_dtype_is_that_of_the_gram_matrix(fit):
    with jax.enable_x64(True):
        assert fit(*problem("float32")).dtype == "float32"
        assert fit(*problem("float64")).dtype == "float64"


@pytest.mark.parametrize("scale", [2.0**-66, 2.0**66])
def test_scale_of_the_gram_matrix(scale: float):
    gram, y = problem("float32")
    for fit in (fit_interpolant, fit_svm):
        np.testing.assert_allclose(scale * fit(scale * gram, y), fit(gram, y), rtol=1e-5, atol=1e-5)


def test_predictions():
    with jax.enable_x64(True):
        x, z = np.random.default_rng(0).normal(size=(2, 9, 3))
        gram, cross = two_layer_ntk(jnp.asarray(x)), two_layer_ntk(jnp.asarray(z), jnp.asarray(x))
        beta = np.random.default_rng(1).normal(size=(9, 2))
        by_sum = sum(beta[i] * np.asarray(cross)[:, i : i + 1] for i in range(9))
        np.testing.assert_allclose(kernel_predict(cross, jnp.asarray(beta)), by_sum, rtol=1e-12)
        both = kernel_predict(jnp.stack([cross, gram]), jnp.asarray(beta.T))
        np.testing.assert_allclose(both[1], np.asarray(gram) @ beta[:, 1], rtol=1e-12)


# Bad input

GRAM, SIGNS = problem("float32")
BROKEN = GRAM.at[1, 2].set(jnp.nan)
ORDER = jnp.arange(N).at[1].set(0)
TWICE = GRAM[ORDER][:, ORDER]  # the first two inputs are equal
OPPOSED = SIGNS.at[:2].set(jnp.array([1.0, -1.0]))
BAD = [
    (lambda: fit_ridge(GRAM[:3], SIGNS, ridge=1.0), ValueError, "gram must be (n, n)"),
    (lambda: fit_ridge(GRAM[0], SIGNS, ridge=1.0), ValueError, "gram must be (n, n)"),
    (lambda: fit_ridge(GRAM[:0, :0], SIGNS[:0], ridge=1.0), ValueError, "n >= 1"),
    (lambda: fit_ridge(GRAM, SIGNS[:-1], ridge=1.0), ValueError, "y must be (40,)"),
    (lambda: fit_ridge(GRAM, SIGNS, ridge=0.0), ValueError, "ridge must be"),
    (lambda: fit_ridge(GRAM, SIGNS, ridge=-1.0), ValueError, "ridge must be"),
    (lambda: fit_ridge(GRAM, SIGNS, ridge=float("nan")), ValueError, "ridge must be"),
    (lambda: fit_ridge(GRAM, SIGNS.astype(int), ridge=1.0), TypeError, "dtype of gram"),
    (lambda: fit_ridge(GRAM.astype(int), SIGNS, ridge=1.0), TypeError, "gram must hold floats"),
    (lambda: fit_ridge(-GRAM, SIGNS, ridge=1.0), ValueError, "not positive definite"),
    (lambda: fit_ridge(GRAM, SIGNS.at[0].set(jnp.inf), ridge=1.0), ValueError, "y must be finite"),
    (lambda: fit_interpolant(TWICE, SIGNS), ValueError, "use fit_ridge"),
    (lambda: fit_interpolant(BROKEN, SIGNS), ValueError, "index (1, 2)"),
    (lambda: fit_interpolant(GRAM.at[1, 2].add(0.1), SIGNS), ValueError, "must be symmetric"),
    (lambda: fit_interpolant(GRAM.at[1, 2].set(jnp.inf), SIGNS), ValueError, "must be finite"),
    (lambda: jax.jit(fit_interpolant)(GRAM, SIGNS), TypeError, "inside jit"),
    (lambda: fit_svm(GRAM, (SIGNS > 0).astype(float)), ValueError, "2 * y - 1"),
    (lambda: fit_svm(GRAM, SIGNS.astype(int)), ValueError, "must be floats"),
    (lambda: fit_svm(GRAM, SIGNS > 0), TypeError, "floats -1, +1 or integers"),
    (lambda: fit_svm(GRAM, SIGNS[:, None]), ValueError, "one label a sample"),
    (lambda: fit_svm(GRAM, SIGNS.at[3].set(jnp.nan)), ValueError, "y must be finite"),
    (lambda: fit_svm(GRAM, SIGNS, c=0.0), ValueError, "c must be"),
    (lambda: fit_svm(GRAM, SIGNS, c=float("inf")), ValueError, "c must be"),
    (lambda: fit_svm(TWICE, OPPOSED), ValueError, "no f separates"),
    (lambda: fit_svm(GRAM - 5 * jnp.eye(N), SIGNS), ValueError, "not positive semidefinite"),
    (lambda: fit_svm(0 * GRAM, SIGNS, c=1.0), ValueError, "not positive semidefinite"),
    (lambda: fit_kernel_logistic(GRAM, SIGNS, lam=0.0), ValueError, "lam must be"),
    (lambda: fit_kernel_logistic(-GRAM, SIGNS, lam=1.0), ValueError, "not positive semidefinite"),
    (lambda: fit_kernel_logistic(GRAM, SIGNS, lam=1e-300), ValueError, "raise lam"),
    (lambda: kernel_predict(GRAM[:, :3], SIGNS), ValueError, "kernel(test, train)"),
    (lambda: kernel_predict(GRAM[0], SIGNS), ValueError, "kernel(test, train)"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=range(len(BAD)))
def test_bad_input(call, error, message: str):
    with pytest.raises(error, match=re.escape(message)):
        call()


def test_a_fault_names_its_trial_and_the_condition_number():
    near = jnp.eye(N).at[:2, :2].set(jnp.array([[1.0, 1.0], [1.0, 1.0 + 2**-22]]))
    with pytest.raises(ValueError, match=r"trial 1: .* condition number 1.7e\+07"):
        fit_interpolant(jnp.stack([GRAM, near, near]), jnp.stack([SIGNS] * 3))
    with pytest.raises(ValueError, match="trial 1: no f separates"):
        fit_svm(jnp.stack([GRAM, TWICE, GRAM]), jnp.stack([OPPOSED] * 3))


@pytest.mark.accelerator
@every_fit
def test_accelerator_agrees_with_the_cpu(fit):
    gram, y = trials("float32")
    cpu = jax.devices("cpu")[0]
    expected = fit(jax.device_put(gram, cpu), jax.device_put(y, cpu))
    np.testing.assert_allclose(fit(gram, y), expected, rtol=1e-5, atol=1e-6)
