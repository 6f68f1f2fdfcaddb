"""The smoothed margin: against its formula, in its bracket, and along descent."""

from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import jaxmargin as jm
from jaxmargin import margins

LOSSES = ("logistic", "exponential")


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def leaky(params, x):
    """No output is exactly 0."""
    return jm.mlp(params, x, activation=lambda z: jax.nn.leaky_relu(z, 0.3))


def separated(k: int | None = None, n: int = 6):
    """A network of three layers, with the samples of 40 that it labels most clearly."""
    params = jm.init_mlp(jax.random.key(0), (3, 6, 5, k or 1))
    x = jax.random.normal(jax.random.key(1), (40, 3))
    scores = leaky(params, x)
    y = jnp.where(scores > 0, 1, -1) if k is None else jnp.argmax(scores, axis=1)
    clearest = jnp.argsort(-jm.sample_margins(scores, y))[:n]
    return leaky, params, x[clearest], y[clearest]


def by_the_formula(apply, params, x, y, loss: str) -> Any:
    """l^{-1}(sum of the losses) / ||Theta||^3, with 50,000 digits of exponent."""
    scores = np.asarray(apply(params, x), float)
    total = mpmath.mpf(0)
    for row, label in zip(np.atleast_2d(scores.T).T, np.asarray(y), strict=True):
        gaps = [label * row[0]] if len(row) == 1 else np.delete(row[label] - row, label)
        terms = mpmath.fsum(mpmath.exp(-mpmath.mpf(float(gap))) for gap in gaps)
        total += mpmath.log1p(terms) if loss == "logistic" else terms
    inverse = mpmath.log(mpmath.expm1(total)) if loss == "logistic" else mpmath.log(total)
    return -inverse / mpmath.mpf(float(jm.norms.l2(params))) ** 3


@pytest.mark.parametrize("k", [None, 3])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])  # margins of 1e-4 to 1e5
def test_it_is_what_the_formula_gives(loss: Any, k: int | None, scale: float):
    apply, params, x, y = separated(k)
    params = tuple(scale * leaf for leaf in params)
    with mpmath.workdps(30):
        expected = by_the_formula(apply, params, x, y, loss)
    found = margins.smoothed_margin(apply, params, x, y, loss=loss)
    np.testing.assert_allclose(found, float(expected), rtol=1e-12)
    sign, log = margins.log_smoothed_margin(apply, params, x, y, loss=loss)
    np.testing.assert_allclose(sign * jnp.exp(log), float(expected), rtol=1e-12)


@pytest.mark.parametrize("k", [None, 3])
@pytest.mark.parametrize("loss", LOSSES)
def test_it_lies_just_below_the_normalised_margin(loss: Any, k: int | None):
    apply, params, x, y = separated(k)
    params = tuple(10 * leaf for leaf in params)
    found = margins.smoothed_margin(apply, params, x, y, loss=loss)
    margin = jm.normalized_margin(apply, params, x, y)
    room = np.log(len(x) * ((k or 2) - 1)) / jm.norms.l2(params) ** 3
    assert margin - room * (1 + 1e-3) <= found <= margin * (1 + 1e-14)  # rounding may join them


@pytest.mark.parametrize("k", [None, 3])
@pytest.mark.parametrize("loss", LOSSES)
def test_it_never_falls_along_descent_in_small_steps(loss: Any, k: int | None):
    """Of the length .01, along the path of the gradient flow of L."""
    apply, params, x, y = separated(k)
    params = tuple(1.5 * leaf for leaf in params)

    def total(params):
        z = jm.networks.log_margin(apply(params, x), y)
        return jnp.sum(jm.logistic_loss(z) if loss == "logistic" else jnp.exp(-z))

    def step(params, _):
        slope = jax.grad(lambda params: jnp.log(total(params)))(params)
        size = jm.norms.l2(slope)
        params = jax.tree.map(lambda leaf, g: leaf - 0.01 * g / size, params, slope)
        smooth = margins.smoothed_margin(apply, params, x, y, loss=loss)
        return params, (smooth, jm.normalized_margin(apply, params, x, y))

    assert total(params) < (np.log(2) if loss == "logistic" else 1)
    _, (smooth, _) = jax.lax.scan(step, params, length=200)
    assert jnp.all(jnp.diff(smooth) > 0)
    assert smooth[-1] > 1.0001 * smooth[0]


def test_a_deep_network_has_its_logarithm_in_float32():
    """At 40 layers it is about 1e-75; without digits lost to the scale."""
    params = tuple(3 * leaf for leaf in jm.init_mlp(jax.random.key(0), (3, *[6] * 39, 1)))
    x = jax.random.normal(jax.random.key(1), (4, 3))
    y = jnp.sign(leaky(params, x))
    expected = margins.log_smoothed_margin(leaky, params, x, y)
    narrow = jax.tree.map(lambda leaf: leaf.astype("float32"), (params, x, y))
    with jax.enable_x64(False):
        found = margins.log_smoothed_margin(leaky, *narrow)
    assert expected.log < -100
    np.testing.assert_allclose(found.log, expected.log, rtol=1e-5)
    assert float(found.sign) == float(expected.sign)


def test_no_degree_is_nan_under_jit():
    def biased(params, x):
        return x @ params + 1.0

    x, y = jnp.eye(2), jnp.ones(2)
    found = jax.jit(lambda params: margins.smoothed_margin(biased, params, x, y))(jnp.ones(2))
    assert jnp.isnan(found)
