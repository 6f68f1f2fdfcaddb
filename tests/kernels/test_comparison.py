"""Margins of kernels beside those of networks, and the change of a kernel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.svm import LinearSVC

import jaxmargin as jm


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def separable(n: int, d: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, d)), np.where(np.arange(n) % 2, 1.0, -1.0)
    x[:, 0] += 3 * y
    return jnp.asarray(x), jnp.asarray(y)


def test_of_the_linear_kernel_it_is_the_distance_from_the_hyperplane():
    x, y = separable(20, 3)
    svm = LinearSVC(C=1e6, loss="hinge", fit_intercept=False, tol=1e-10, max_iter=10**6)
    w = svm.fit(np.asarray(x), np.asarray(y)).coef_[0]
    distance = np.min(y * (x @ w)) / np.linalg.norm(w)
    np.testing.assert_allclose(jm.kernel_margin(x @ x.T, y), distance, rtol=1e-6)


def test_it_grows_with_the_root_of_the_kernel_and_takes_trials():
    x, y = separable(6, 3)
    gram = jm.two_layer_ntk(x)
    one = jm.kernel_margin(gram, y)
    many = jm.kernel_margin(jnp.stack([gram, 4 * gram]), jnp.stack([y, y]))
    np.testing.assert_allclose(many, [one, 2 * one], rtol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_no_random_features_have_the_margin_of_all_features(seed: int):
    """||f||_1 <= ||f||_2 over the features of units on the sphere: F1 >= F2."""
    rng = np.random.default_rng(seed)
    x, y = jnp.asarray(rng.normal(size=(8, 3))), jnp.asarray(np.sign(rng.normal(size=8)))
    network = 2 * jm.max_margin(x, y, tol=1e-4).upper_bound
    features = jm.kernel_margin(jm.two_layer_ntk(x, r_w=0.0) / 3, y)
    assert 0 < features <= network


def test_the_kernel_of_the_features_is_their_mean_over_the_sphere():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)))
    u = jm.sample_sphere(jax.random.key(0), 200_000, 3)
    hidden = jax.nn.relu(x @ u.T)
    np.testing.assert_allclose(
        jm.two_layer_ntk(x, r_w=0.0) / 3, hidden @ hidden.T / 200_000, rtol=0.03, atol=0.01
    )
    slopes = jnp.where(x @ u.T > 0, 1.0, 0.0)
    tangents = (hidden @ hidden.T + (x @ x.T) * (slopes @ slopes.T)) / 200_000
    found = jm.two_layer_ntk(x, r_w=1.0, r_u=3**-0.5)
    np.testing.assert_allclose(found, tangents, rtol=0.03, atol=0.01)


def test_alignment_is_a_cosine_and_change_is_relative():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 4, 5, 2, 2))
    cosine = np.vdot(a, b) / np.linalg.norm(a) / np.linalg.norm(b)
    np.testing.assert_allclose(jm.kernel_alignment(a, b), cosine, rtol=1e-12)
    np.testing.assert_allclose(jm.kernel_alignment(a, 1e-200 * a), 1.0, rtol=1e-12)
    change = np.linalg.norm(b - a) / np.linalg.norm(a)
    np.testing.assert_allclose(jm.kernel_change(a, b), change, rtol=1e-12)
    np.testing.assert_allclose(jm.kernel_change(1e200 * a, 1e200 * b), change, rtol=1e-12)
    assert jm.kernel_change(a, a) == 0
