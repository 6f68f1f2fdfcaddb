"""Interpolation and ridge regression, and the leave-one-out residuals of a path."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from sklearn.kernel_ridge import KernelRidge

from jaxmargin import fit_interpolant, fit_ridge, fit_ridge_path
from tests.kernels.problems import N, problem, trials

RIDGES = np.array([10.0, 1e-3, 0.3])


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


def test_weights_are_those_of_scikit_learn_and_of_repeated_samples():
    with jax.enable_x64(True):
        gram, y = problem("float64")
        targets = np.stack([y, np.cos(np.arange(N))], axis=1)
        weights = np.exp(np.random.default_rng(0).normal(size=N))
        beta = fit_ridge(gram, targets, ridge=0.3, sample_weight=weights).beta
        alpha: Any = 0.3
        peer = KernelRidge(alpha=alpha, kernel="precomputed")
        peer.fit(np.array(gram), targets, sample_weight=weights)
        np.testing.assert_allclose(beta, peer.dual_coef_, rtol=1e-9)
        order = np.append(np.arange(N), 0)
        twice = fit_ridge(gram[order][:, order], y[order], ridge=0.3)
        once = fit_ridge(gram, y, ridge=0.3, sample_weight=[2.0] + [1.0] * (N - 1))
        np.testing.assert_allclose(once.beta[1:], twice.beta[1:N], rtol=1e-9)
        np.testing.assert_allclose(once.beta[0], twice.beta[0] + twice.beta[N], rtol=1e-9)
        np.testing.assert_allclose(once.norm, twice.norm, rtol=1e-9)


def test_weights_of_each_trial_and_their_derivative():
    gram, y = (leaf[:2, ..., :9] for leaf in trials("float32"))
    gram, weights = gram[:, :9], jnp.linspace(0.5, 2.0, 18).reshape(2, 9)
    both = fit_ridge(gram, y, ridge=0.3, sample_weight=weights).beta
    alone = fit_ridge(gram[1], y[1], ridge=0.3, sample_weight=weights[1]).beta
    np.testing.assert_allclose(both[1], alone, rtol=1e-5, atol=1e-6)

    def norm(weights):
        return fit_ridge(gram[0], y[0], ridge=0.3, sample_weight=weights).norm

    slope = jax.grad(norm)(weights[0])
    scaled = jax.grad(lambda ridge: fit_ridge(gram[0], y[0], ridge=ridge).norm)(0.3)
    # Weights c and a ridge c r have one solution: the sum of the slopes is that in the ridge.
    np.testing.assert_allclose(jnp.sum(jax.grad(norm)(jnp.ones(9))), -0.3 * scaled, rtol=1e-4)
    assert bool(jnp.isfinite(slope).all())
    assert np.isnan(jax.jit(norm)(weights[0].at[2].set(-1.0)))


@pytest.mark.parametrize("columns", [False, True], ids=["one target", "two targets"])
def test_a_path_is_its_fits_and_their_refits_without_each_sample(columns: bool):
    with jax.enable_x64(True):
        gram, y = problem("float64", n=12)
        y = jnp.stack([y, jnp.cos(jnp.arange(12.0))], axis=1) if columns else y
        path = fit_ridge_path(gram, y, ridges=RIDGES)
        for i, ridge in enumerate(RIDGES):
            fit = fit_ridge(gram, y, ridge=float(ridge))
            np.testing.assert_allclose(path.beta[i], fit.beta, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(path.norm[i], fit.norm, rtol=1e-9)
            shifted = np.asarray(gram) + ridge * np.eye(12)
            np.testing.assert_allclose(path.condition[i], np.linalg.cond(shifted), rtol=1e-9)
            for sample in range(12):
                rest = np.delete(np.arange(12), sample)
                without = np.linalg.solve(shifted[np.ix_(rest, rest)], np.asarray(y)[rest])
                residual = y[sample] - gram[sample, rest] @ without
                np.testing.assert_allclose(path.left_out[i, sample], residual, rtol=1e-9)


def test_a_path_of_trials_and_in_float64_of_numpy():
    gram, y = trials("float32")
    both = fit_ridge_path(gram, y, ridges=RIDGES)
    alone = fit_ridge_path(gram[1], y[1], ridges=RIDGES)
    for several, one in zip(both, alone, strict=True):
        np.testing.assert_allclose(several[1], one, rtol=1e-5, atol=1e-6)
    wide = fit_ridge_path(np.asarray(gram[1], float), y[1], ridges=RIDGES)
    assert all(leaf.dtype == "float64" for leaf in wide)
    np.testing.assert_allclose(alone.left_out, wide.left_out, rtol=1e-5)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_a_path_at_every_scale(scale: float):
    gram, y = problem("float32", n=12)
    plain, scaled = (
        fit_ridge_path(gram, y, ridges=[0.3]),
        fit_ridge_path(scale * gram, y, ridges=[0.3 * scale]),
    )
    np.testing.assert_allclose(scaled.left_out, plain.left_out, rtol=1e-5)
    np.testing.assert_allclose(scale * scaled.beta, plain.beta, rtol=1e-5)


def test_a_path_differentiates_where_eigenvalues_are_equal():
    """The mean square left out, in the ridges, the targets and a matrix with equal eigenvalues."""
    gram, y = jnp.eye(4).at[0, 1].set(0.5).at[1, 0].set(0.5), jnp.array([1.0, -2.0, 0.5, 1.0])
    ridges = jnp.array([0.3, 2.0])

    def by_refits(gram, y, ridges):
        inverse = jnp.linalg.inv(gram[None] + ridges[:, None, None] * jnp.eye(4)[None])
        ratio = inverse @ y / jnp.diagonal(inverse, axis1=1, axis2=2)
        return jnp.sum(ratio**2)

    def by_path(gram, y, ridges):
        return jnp.sum(fit_ridge_path(gram, y, ridges=ridges).left_out ** 2)

    slopes = jax.grad(by_path, (0, 1, 2))(gram, y, ridges)
    expected = jax.grad(by_refits, (0, 1, 2))(gram, y, ridges)
    symmetric = (expected[0] + expected[0].T) / 2  # a Gram matrix is taken to be symmetric
    np.testing.assert_allclose(slopes[0], symmetric, rtol=1e-4, atol=1e-5)
    for actual, wanted in zip(slopes[1:], expected[1:], strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-4, atol=1e-5)
    mapped = jax.vmap(lambda r: fit_ridge_path(gram, y, ridges=r).beta)(ridges[:, None])
    np.testing.assert_allclose(mapped[:, 0], fit_ridge_path(gram, y, ridges=ridges).beta, rtol=1e-5)
    traced = jax.jit(lambda r: fit_ridge_path(gram, y, ridges=r))(jnp.array([-1.0, 1.0]))
    assert np.isnan(traced.left_out[0]).all()
    assert np.isfinite(traced.left_out[1]).all()


def test_ridge_differentiates_and_maps_in_gram_y_and_ridge():
    gram, y = problem("float32", n=9)
    wide, exact_y = np.asarray(gram, float), np.asarray(y, float)

    def norm(gram, y, ridge):
        beta = np.linalg.solve(gram + ridge * np.eye(9), y)
        return np.sqrt(beta @ gram @ beta)

    slopes = jax.grad(lambda *args: fit_ridge(*args[:2], ridge=args[2]).norm, (0, 1, 2))(
        gram, y, 0.3
    )
    entry = np.zeros((9, 9))
    entry[0, 1] = entry[1, 0] = 1e-6
    by_gram = (norm(wide + entry, exact_y, 0.3) - norm(wide - entry, exact_y, 0.3)) / 2e-6
    np.testing.assert_allclose(slopes[0][0, 1] + slopes[0][1, 0], by_gram, rtol=1e-4)
    one = 1e-6 * np.eye(9)[0]
    by_y = (norm(wide, exact_y + one, 0.3) - norm(wide, exact_y - one, 0.3)) / 2e-6
    np.testing.assert_allclose(slopes[1][0], by_y, rtol=1e-4)
    by_ridge = (norm(wide, exact_y, 0.3 + 1e-6) - norm(wide, exact_y, 0.3 - 1e-6)) / 2e-6
    np.testing.assert_allclose(slopes[2], by_ridge, rtol=1e-4)
    mapped = jax.vmap(lambda ridge: fit_ridge(gram, y, ridge=ridge).beta)(jnp.array([0.3, -1.0]))
    np.testing.assert_allclose(mapped[0], fit_ridge(gram, y, ridge=0.3).beta, rtol=1e-6)
    assert np.isnan(mapped[1]).all()
    slope = jax.grad(lambda y: jnp.sum(fit_interpolant(gram, y).beta))(y)
    np.testing.assert_allclose(slope, np.linalg.solve(wide, np.ones(9)), rtol=1e-4, atol=1e-4)
    assert not np.isnan(jax.grad(lambda y: fit_interpolant(gram, y).norm)(0 * y)).any()
    assert np.isnan(jax.jit(fit_interpolant)(jnp.ones((9, 9)), y).beta).all()
