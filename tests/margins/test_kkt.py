"""The distance from a KKT point: linear models, maximum-margin networks, explicit gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy
from jax.flatten_util import ravel_pytree

import jaxmargin as jm
from tests.margins.samples import labelled, support


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def linear(w, x):
    return x @ w


def test_the_multipliers_of_a_linear_model_are_the_dual_of_its_support_vector_machine():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 5)), np.where(np.arange(12) % 2, 1.0, -1.0)
    x[:, 0] += 2 * y
    fit = jm.fit_svm(jnp.asarray(x @ x.T), jnp.asarray(y))
    found = jm.kkt_residual(linear, jnp.asarray(fit.beta) @ x, jnp.asarray(x), y)
    np.testing.assert_allclose(found.norm, fit.norm, rtol=1e-8)
    assert found.epsilon < 1e-7 * found.norm
    assert found.delta < 1e-7
    np.testing.assert_allclose(found.multipliers, y * fit.beta, atol=1e-7 * found.norm**2)
    assert 1 < np.sum(found.multipliers > 0) <= 5
    away = jm.kkt_residual(linear, jnp.asarray(y @ x), jnp.asarray(x), y)
    assert away.epsilon / away.norm > 1e-3 or away.delta > 1e-3


def test_the_network_of_the_largest_margin_is_a_kkt_point():
    """On the support of D, where half of the samples are at the kink of each unit."""
    x, y = support(4)
    best = jm.max_margin(x, y)
    params = jm.TwoLayer(*(jnp.asarray(np.where(abs(p) > 1e-6, p, 0)) for p in best.params))
    found = jm.kkt_residual(jm.two_layer, params, jnp.asarray(x), y)
    assert found.epsilon < 1e-5 * found.norm
    assert found.delta < 1e-5
    np.testing.assert_allclose(found.norm**2, 8, rtol=1e-5)  # 1 / gamma*
    np.testing.assert_allclose(np.sum(found.multipliers), found.norm**2 / 2, rtol=1e-5)


def leaky(params, x):
    """No output is exactly 0."""
    return jm.mlp(params, x, activation=lambda z: jax.nn.leaky_relu(z, 0.3))


def scaled_gradients(apply, params, x, y, degree: int):
    """Theta at margin 1, flat, and the gradient of every margin there, one column each."""
    flat, unravel = ravel_pytree(params)

    def gaps(flat):
        scores = apply(unravel(flat), x)
        if scores.ndim == 1:
            return y * scores
        return jnp.concatenate([s[i] - jnp.delete(s, i) for s, i in zip(scores, y, strict=True)])

    theta = flat / gaps(flat).min() ** (1 / degree)
    return theta, jax.jacobian(gaps)(theta).T, gaps(theta)


@pytest.mark.parametrize("k", [None, 3])
def test_of_a_random_network_it_is_what_explicit_gradients_give(k: int | None):
    params = jm.init_mlp(jax.random.key(0), (3, 4, 3, k or 1))
    apply = leaky
    x = jax.random.normal(jax.random.key(1), (5, 3))
    scores = apply(params, x)
    y = np.asarray(jnp.argmax(scores, axis=1) if k else jnp.sign(scores))
    found = jm.kkt_residual(apply, params, x, y)
    theta, gradients, gaps = map(np.asarray, scaled_gradients(apply, params, x, y, 3))
    mu, epsilon = scipy.optimize.nnls(gradients, theta)
    np.testing.assert_allclose(found.epsilon, epsilon, rtol=1e-7)
    np.testing.assert_allclose(found.norm, np.linalg.norm(theta), rtol=1e-9)
    assert found.epsilon / found.norm > 0.1
    if k is None:
        np.testing.assert_allclose(found.multipliers, mu, atol=1e-6 * mu.max())
        np.testing.assert_allclose(found.delta, np.max(mu * (gaps - 1)), rtol=1e-5)
    else:
        assert found.multipliers.shape == (5, 3)
        assert (found.multipliers[np.arange(5), y] == 0).all()
        np.testing.assert_allclose(found.multipliers.sum(), mu.sum(), rtol=1e-5)


def test_descent_comes_nearer_to_a_kkt_point():
    x, y = map(jnp.asarray, labelled(3, 0, n=6))

    def step(params, _):
        slope = jax.grad(lambda p: jnp.log(jnp.sum(jnp.exp(-y * jm.two_layer(p, x)))))(params)
        size = jm.norms.l2(slope)
        return jax.tree.map(lambda leaf, g: leaf - 0.01 * g / size, params, slope), None

    early, _ = jax.lax.scan(step, jm.init_two_layer(jax.random.key(1), 3, 20), length=300)
    late, _ = jax.lax.scan(step, early, length=3000)
    first, last = (jm.kkt_residual(jm.two_layer, params, x, y) for params in (early, late))
    assert last.epsilon / last.norm < 0.5 * first.epsilon / first.norm


def test_the_scale_of_parameters_and_inputs_does_not_matter():
    params = jm.init_mlp(jax.random.key(0), (3, *[6] * 29, 1))
    x = jax.random.normal(jax.random.key(1), (4, 3))
    y = jnp.sign(leaky(params, x))
    found = jm.kkt_residual(leaky, params, x, y)
    narrow = jax.tree.map(lambda leaf: (4 * leaf).astype("float32"), params)
    with jax.enable_x64(False):
        other = jm.kkt_residual(leaky, narrow, x.astype("float32") * 1000, y.astype("float32"))
    np.testing.assert_allclose(other.epsilon / other.norm, found.epsilon / found.norm, rtol=1e-3)
