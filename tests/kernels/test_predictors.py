"""Interpolation and ridge regression, and what all predictors in the span share."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from sklearn.kernel_ridge import KernelRidge

from jaxmargin import (
    ConvergenceError,
    fit_interpolant,
    fit_kernel_logistic,
    fit_ridge,
    fit_svm,
    kernel_predict,
    two_layer_ntk,
)
from tests.kernels.problems import N, problem, trials


def test_interpolant_goes_through_the_data_and_is_the_limit_of_ridge():
    with jax.enable_x64(True):
        gram, y = problem("float64")
        beta = fit_interpolant(gram, y).beta
        np.testing.assert_allclose(gram @ beta, y, rtol=1e-11)
        np.testing.assert_allclose(beta, fit_ridge(gram, y, ridge=1e-12).beta, rtol=1e-8)


@pytest.mark.parametrize("ridge", [1e-6, 0.3, 1e4])
def test_ridge_is_scipy_and_scikit_learn(ridge):
    with jax.enable_x64(True):
        gram, y = problem("float64")
        targets = jnp.stack([y, jnp.cos(jnp.arange(N, dtype=y.dtype))], axis=1)
        beta = fit_ridge(gram, targets, ridge=ridge).beta
        exact = scipy.linalg.solve(gram + ridge * np.eye(N), targets, assume_a="pos")
        np.testing.assert_allclose(beta, exact, rtol=1e-9)
        peer = KernelRidge(alpha=ridge, kernel="precomputed").fit(np.array(gram), targets)
        np.testing.assert_allclose(beta, peer.dual_coef_, rtol=1e-9)


def test_float32_is_solved_in_float64():
    """A solver in float32 would be wrong in the second digit."""
    gram, y = problem("float32", d=2)
    exact = np.linalg.solve(np.asarray(gram, np.float64), np.asarray(y, np.float64))
    assert np.linalg.cond(np.asarray(gram, np.float64)) > 1e5
    np.testing.assert_allclose(fit_interpolant(gram, y).beta, exact, rtol=1e-6)
    assert jnp.ones(1).dtype == "float32"  # the switch is back where it was


def test_norm_and_condition_are_what_they_say():
    with jax.enable_x64(True):
        gram, y = problem("float64")
        fit = fit_interpolant(gram, jnp.stack([y, 2 * y], axis=1))
        np.testing.assert_allclose(fit.norm[0], jnp.sqrt(y @ fit.beta[:, 0]), rtol=1e-9)
        np.testing.assert_allclose(fit.norm[1], 2 * fit.norm[0], rtol=1e-9)
        values = np.linalg.eigvalsh(gram)
        rows = jnp.max(jnp.sum(jnp.abs(gram), axis=0))
        assert values[-1] <= rows  # the norm that the condition number is of
        np.testing.assert_allclose(fit.condition, rows / values[0], rtol=0.2)
        assert fit_ridge(gram, y, ridge=0.3).norm < fit.norm[0]


FITS = {
    "interpolant": fit_interpolant,
    "ridge": lambda gram, y: fit_ridge(gram, y, ridge=0.1),
    "svm": fit_svm,
    "soft svm": lambda gram, y: fit_svm(gram, y, c=1.0),
    "logistic": lambda gram, y: fit_kernel_logistic(gram, y, lam=0.01),
}
every_fit = pytest.mark.parametrize("fit", FITS.values(), ids=FITS.keys())


@every_fit
def test_trials_are_a_loop(fit):
    gram, y = trials("float32")
    looped = [fit(*one) for one in zip(gram, y, strict=True)]
    expected = jax.tree.map(lambda *one: jnp.stack(one), *looped)
    for actual, wanted in zip(fit(gram, y), expected, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-5, atol=1e-6)


@every_fit
def test_dtype_is_that_of_the_gram_matrix(fit):
    with jax.enable_x64(True):
        for dtype in ("float32", "float64"):
            assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(fit(*problem(dtype))))


@every_fit
def test_results_are_pytrees_of_arrays_that_pickle(fit):
    found = fit(*problem("float32"))
    again = pickle.loads(pickle.dumps(found))
    assert type(again) is type(found)
    for actual, expected in zip(again, found, strict=True):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("scale", [2.0**-66, 2.0**66])
def test_scale_of_the_gram_matrix(scale: float):
    gram, y = problem("float32")
    for fit in (fit_interpolant, fit_svm):
        scaled, plain = fit(scale * gram, y), fit(gram, y)
        np.testing.assert_allclose(scale * scaled.beta, plain.beta, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(scale**0.5 * scaled.norm, plain.norm, rtol=1e-5)


def test_predictions():
    with jax.enable_x64(True):
        x, z = np.random.default_rng(0).normal(size=(2, 9, 3))
        gram, cross = two_layer_ntk(jnp.asarray(x)), two_layer_ntk(jnp.asarray(z), jnp.asarray(x))
        beta = np.random.default_rng(1).normal(size=(9, 2))
        by_sum = sum(beta[i] * np.asarray(cross)[:, i : i + 1] for i in range(9))
        np.testing.assert_allclose(kernel_predict(cross, jnp.asarray(beta)), by_sum, rtol=1e-12)
        both = kernel_predict(jnp.stack([cross, gram]), jnp.asarray(beta.T))
        np.testing.assert_allclose(both[1], np.asarray(gram) @ beta[:, 1], rtol=1e-12)


def test_a_fault_names_its_trial_and_the_condition_number():
    gram, signs = problem("float32")
    order = jnp.arange(N).at[1].set(0)
    twice = gram[order][:, order]  # the first two inputs are equal
    opposed = signs.at[:2].set(jnp.array([1.0, -1.0]))
    near = jnp.eye(N).at[:2, :2].set(jnp.array([[1.0, 1.0], [1.0, 1.0 + 2**-22]]))
    with pytest.raises(ValueError, match=r"trial 1: .* condition number 1.7e\+07"):
        fit_interpolant(jnp.stack([gram, near, near]), jnp.stack([signs] * 3))
    with pytest.raises(ValueError, match="trial 1: no f separates"):
        fit_svm(jnp.stack([gram, twice, gram]), jnp.stack([opposed] * 3))


def test_an_unfinished_fit_travels_in_its_error():
    gram, y = problem("float32")
    with pytest.raises(ConvergenceError, match="raise lam") as caught:
        fit_kernel_logistic(gram, y, lam=1e-300)
    assert caught.value.result.beta.shape == y.shape
    assert not caught.value.result.residual <= 1e-6


@pytest.mark.accelerator
@every_fit
def test_accelerator_agrees_with_the_cpu(fit):
    gram, y = trials("float32")
    cpu = jax.devices("cpu")[0]
    expected = fit(jax.device_put(gram, cpu), jax.device_put(y, cpu))
    np.testing.assert_allclose(fit(gram, y).beta, expected.beta, rtol=1e-5, atol=1e-6)
