"""The rows of docs/conventions.md on other packages, as equations.

Those of neural-tangents are in tests/kernels/test_neural_tangents.py.
"""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

import jaxmargin as jm
from tests.contracts import labels, net, samples

RNG = np.random.default_rng(0)
FEATURES, FRESH = RNG.normal(size=(30, 4)), RNG.normal(size=(5, 4))
SIGNS = np.sign(FEATURES[:, 0] + RNG.normal(size=30))
GRAM, CROSS = FEATURES @ FEATURES.T, FRESH @ FEATURES.T


def test_ridge_regression():
    other = KernelRidge(kernel="precomputed").set_params(alpha=0.3).fit(GRAM, SIGNS)
    mine = jm.fit_ridge(GRAM, SIGNS, ridge=0.3)
    np.testing.assert_allclose(mine.beta, np.asarray(other.dual_coef_), rtol=1e-8)


def test_support_vector_machine():
    other = LinearSVC(C=0.7, loss="hinge", fit_intercept=False, tol=1e-8, max_iter=100_000)
    other.fit(FEATURES, SIGNS)
    mine = jm.fit_svm(GRAM, SIGNS, c=0.7)
    np.testing.assert_allclose(CROSS @ mine.beta, other.decision_function(FRESH), atol=1e-4)


def test_logistic_regression():
    lam = 0.05
    other = LogisticRegression(C=1 / (2 * len(SIGNS) * lam), fit_intercept=False, tol=1e-10)
    other.fit(FEATURES, SIGNS)
    mine = jm.fit_kernel_logistic(GRAM, SIGNS, lam=lam)
    np.testing.assert_allclose(CROSS @ mine.beta, other.decision_function(FRESH), rtol=1e-4)


def test_losses():
    scores, signs = jnp.array([-2.0, 0.5, 3.0]), jnp.array([1.0, -1.0, 1.0])
    binary = optax.sigmoid_binary_cross_entropy(scores, (signs + 1) / 2)
    np.testing.assert_allclose(jm.logistic_loss(signs * scores), binary, rtol=1e-6)
    logits = jnp.asarray(RNG.normal(size=(3, 4)), jnp.float32)
    several = optax.softmax_cross_entropy_with_integer_labels(logits, labels())
    np.testing.assert_allclose(jm.cross_entropy_loss(logits, labels()), several, rtol=1e-5)
    squared = jm.squared_loss(scores, signs)
    np.testing.assert_allclose(squared, optax.squared_error(scores, signs), rtol=1e-6)
    np.testing.assert_allclose(squared, 2 * optax.l2_loss(scores, signs), rtol=1e-6)


def test_weight_decay():
    params, (x, y) = net("float32"), samples("float32")
    plain, decayed = (jm.regularized(jm.two_layer, "logistic", lam=lam) for lam in (0.0, 0.3))
    decay = optax.add_decayed_weights(2 * 0.3)
    slopes: Any
    slopes, _ = decay.update(jax.grad(plain)(params, x, y), decay.init(params), params)
    for mine, other in zip(jax.grad(decayed)(params, x, y), slopes, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5)


@pytest.mark.parametrize("loss", ["logistic", "squared"])
def test_the_energy_of_a_measure_is_a_sum_over_the_samples(loss: Literal["logistic", "squared"]):
    params, (x, y) = net("float32"), samples("float32")
    objective = jm.regularized(jm.two_layer, loss, lam=0.1)(params, x, y)
    problem = jm.two_layer_problem(x, y, loss, lam=len(x) * 0.1)
    energy = jm.energy(problem, jm.from_network(params))
    assert float(energy) == pytest.approx(len(x) * float(objective), rel=1e-5)
