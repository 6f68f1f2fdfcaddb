"""The best fit in the span of the samples, against the whole population, and its test error."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

import jaxmargin as jm
from jaxmargin import data, lower_bound
from tests.lower_bound.cube import draw, ntk, support


def brute_fit(x: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, float]:
    """Values on the whole support of the least-squares fit to it, and the mean squared error."""
    features = ntk(support(x.shape[1])[0], x)
    fit = features @ np.linalg.lstsq(features, target, rcond=1e-11)[0]
    return fit, float(np.mean((fit - target) ** 2))


@pytest.mark.parametrize("target", ["label", "half_space"])
@pytest.mark.parametrize(("n", "d"), [(5, 3), (12, 6), (40, 7)])
def test_best_in_span_is_the_fit_to_the_whole_support(n, d, target):
    """At (5, 3) inputs repeat; both fits then agree on the support, though not in beta."""
    x, (points, y) = draw(n, d), support(d)
    goal = y if target == "label" else np.where(points[:, 0] > 0.5, 1.0, -1.0)
    fit, squared_error = brute_fit(x, goal)
    with jax.enable_x64(True):
        best = lower_bound.best_in_span(jnp.asarray(x), target=target)
        assert np.allclose(ntk(points, x) @ np.asarray(best.beta), fit, atol=1e-7)
        held_out = lower_bound.held_out_error(jax.random.key(0), jnp.asarray(x), best.beta)
    assert np.isclose(best.squared_error, squared_error, atol=1e-9)
    clear = np.abs(fit) > 1e-5
    error = np.mean((fit * y <= 0)[clear]) * clear.mean()
    assert error - 1e-9 <= held_out.error + 4 * held_out.standard_error
    assert held_out.error <= error + (1 - clear.mean()) + 4 * held_out.standard_error


def test_best_in_span_of_another_kernel_of_angles():
    d, n = 6, 12
    x, (points, y) = draw(n, d), support(d)

    def kernel(a, b=None):
        return (jm.k1(a, b) + jm.k2(a, b)) ** 2

    with jax.enable_x64(True):
        best = lower_bound.best_in_span(jnp.asarray(x), kernel=kernel)
    features = (ntk(points, x, 0.0, 2**0.5)) ** 2
    fit = features @ np.linalg.lstsq(features, y, rcond=1e-12)[0]
    assert np.isclose(best.squared_error, np.mean((fit - y) ** 2), atol=1e-9)


@pytest.mark.parametrize(("r_w", "r_u"), [(1.0, 1.0), (0.3, 2.0)])
def test_population_fit_beats_a_fit_to_fresh_samples(r_w, r_u):
    """... of 100 n samples, the usual oracle, by the held-out error as well."""
    d, n = 20, 100
    kernel = partial(jm.two_layer_ntk, r_w=r_w, r_u=r_u)
    x, _ = data.two_axis(jax.random.key(0), n, d)
    best = lower_bound.best_in_span(x, kernel=kernel)
    fresh, y = map(np.asarray, data.two_axis(jax.random.key(2), 100 * n, d))
    features = ntk(fresh, np.asarray(x), r_w, r_u)
    beta = np.linalg.lstsq(features, y, rcond=None)[0]
    known, sampled = (
        lower_bound.held_out_error(jax.random.key(1), x, coefficients, kernel=kernel)
        for coefficients in (best.beta, jnp.asarray(beta, "float32"))
    )
    assert known.error < sampled.error
    residual = (features @ np.asarray(best.beta) - y) ** 2
    standard_error = residual.std() / np.sqrt(len(y))
    assert abs(residual.mean() - best.squared_error) < 4 * standard_error
    assert np.mean((features @ beta - y) ** 2) < residual.mean()  # on its own samples


@pytest.mark.parametrize(("n", "low", "high"), [(400, 0.39, 0.42), (800, 0.02, 0.1)])
def test_the_fit_of_the_label_needs_half_of_d_squared_samples(n, low, high):
    d = 40
    x, _ = data.two_axis(jax.random.key(0), n, d)
    best = lower_bound.best_in_span(x)
    error = lower_bound.held_out_error(jax.random.key(1), x, best.beta).error
    assert low < error < high
    r2 = 1 - best.squared_error
    # The error of a score that is normal given the label.
    assert abs(error - norm.cdf(-np.sqrt(r2 / (1 - r2)))) < 0.01
    z = jax.random.rademacher(jax.random.key(2), (5_000, d - 2), float)
    assert lower_bound.paired_error_bound(x, best.beta, z) < error


def test_half_space_attains_the_quarter_of_lemma_b2():
    d, n = 40, 400
    x, _ = data.two_axis(jax.random.key(0), n, d)
    best = lower_bound.best_in_span(x, target="half_space")
    error, standard_error = lower_bound.held_out_error(jax.random.key(1), x, best.beta)
    assert abs(error - 0.25) < 4 * standard_error + 0.002
    z = jax.random.rademacher(jax.random.key(2), (5_000, d - 2), float)
    assert abs(lower_bound.paired_error_bound(x, best.beta, z) - 0.25) < 0.002


def test_the_slope_of_the_least_squares_limit():
    """Against differences of SciPy's distribution; at 0 it is that of a root."""
    slope = jax.vmap(jax.grad(lower_bound.least_squares_limit))
    ratios, step = np.array([1e-3, 0.1, 0.3, 0.45]), 1e-6
    ends = [norm.cdf(-np.sqrt(r / (8 * (1 - 2 * r)))) for r in (ratios - step, ratios + step)]
    expected = (ends[1] - ends[0]) / (2 * step)
    np.testing.assert_allclose(slope(jnp.asarray(ratios, jnp.float32)), expected, rtol=1e-4)
    np.testing.assert_array_equal(slope(jnp.array([0.0, 0.5, 0.7])), [-np.inf, 0, 0])


@pytest.mark.parametrize("ratio", [1 / 18, 1 / 4, 1 / 3])
def test_least_squares_limit_is_approached(ratio):
    d = 40
    limit = lower_bound.least_squares_limit(jnp.asarray(ratio))
    x, _ = data.two_axis(jax.random.key(3), int(ratio * d**2), d)
    for kernel in (jm.k1, partial(jm.two_layer_ntk, r_w=0.0)):  # the limit is one for all
        best = lower_bound.best_in_span(x, kernel=kernel)
        r2 = 1 - best.squared_error
        assert abs(norm.cdf(-np.sqrt(r2 / (1 - r2))) - limit) < 0.02


def test_best_in_span_of_inputs_that_repeat():
    x = jnp.asarray(draw(10, 8), "float32")
    both = jnp.concatenate([x, x])
    twice, once = lower_bound.best_in_span(both), lower_bound.best_in_span(x)
    assert np.isclose(twice.squared_error, once.squared_error, atol=1e-9)
    errors = [
        lower_bound.held_out_error(jax.random.key(0), samples, fit.beta)
        for samples, fit in ((both, twice), (x, once))
    ]
    assert errors[0] == errors[1]


def test_held_out_error_is_the_error_over_the_support_up_to_its_standard_error():
    d, n = 6, 9
    points, y = support(d)
    x, beta = draw(n, d), np.random.default_rng(0).normal(size=n)
    error = np.mean(ntk(points, x) @ beta * y <= 0)
    found = lower_bound.held_out_error(
        jax.random.key(0), jnp.asarray(x, "float32"), jnp.asarray(beta, "float32"), num_test=20_000
    )
    assert abs(found.error - error) < 4 * found.standard_error
    assert np.isclose(found.standard_error, np.sqrt(error * (1 - error) / 20_000), rtol=0.05)
