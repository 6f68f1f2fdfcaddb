"""Lemma B.2 by enumeration, its rate, and the oracles against the whole population."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binom, norm

import jaxmargin as jm
from jaxmargin import data, lower_bound

AXES = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])


def support(d: int) -> tuple[np.ndarray, np.ndarray]:
    """All 4 * 2^(d - 2) inputs of D and their labels."""
    cube = np.array(list(itertools.product([-1.0, 1.0], repeat=d - 2)))
    x = np.concatenate([np.hstack([np.tile(axis, (len(cube), 1)), cube]) for axis in AXES])
    return x, np.abs(x[:, 0]) - np.abs(x[:, 1])


def draw(n: int, d: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    z = rng.choice([-1.0, 1.0], size=(n, d - 2))
    return np.hstack([AXES[rng.integers(4, size=n)], z])


def ntk(x: np.ndarray, z: np.ndarray, r_w: float = 1.0, r_u: float = 1.0) -> np.ndarray:
    """Eq. B.1 on inputs of D, in NumPy."""
    t, size = x @ z.T, x.shape[1] - 1
    c = np.clip(t / size, -1, 1)
    k1, k2 = t * (1 - np.arccos(c) / np.pi), size / np.pi * np.sqrt(1 - c**2)
    return r_w**2 / 2 * k1 + r_u**2 / 2 * (k1 + k2)


def orbit_deviation(d: int, r_w: float = 1.0, r_u: float = 1.0):
    """|f+ - 2 f~| and c for one sample with beta = 1, one z for each overlap; and its weights."""
    agree = np.arange(d - 1)
    z = np.where(np.arange(d - 2) < agree[:, None], 1.0, -1.0)
    kernel = partial(jm.two_layer_ntk, r_w=r_w, r_u=r_u)
    with jax.enable_x64(True):
        x = data.embed(jnp.ones((1, d - 2)), 1, 0)
        found = lower_bound.deviation(x, jnp.ones(1), jnp.asarray(z), kernel=kernel)
        assert float(jnp.abs(found.minus).max()) < 1e-12 * d
        return *map(np.asarray, found[::2]), binom.pmf(agree, d - 2, 0.5)


def slope(d: list[int], values: list) -> float:
    return float(np.polyfit(np.log(d), np.log(np.asarray(values, float)), 1)[0])


@pytest.mark.parametrize(("r_w", "r_u"), [(1.0, 1.0), (0.3, 2.0), (1.0, 0.0)])
def test_sums_over_signs_by_enumeration(r_w, r_u):
    d = 6
    x, beta, (points, _) = draw(7, d), np.random.default_rng(1).normal(size=7), support(d)
    kernel = partial(jm.two_layer_ntk, r_w=r_w, r_u=r_u)
    f = (ntk(points, x, r_w, r_u) @ beta).reshape(4, -1)  # by axis, then by z
    z = points[:16, 2:]
    across = np.hstack([np.tile([0.0, 1.0], (7, 1)), x[:, 2:]])
    tilde = ntk(points[:16], across, r_w, r_u) @ beta
    with jax.enable_x64(True):
        args = tuple(map(jnp.asarray, (x, beta, z)))
        assert np.allclose(lower_bound.f_plus(*args, kernel=kernel), f[0] + f[1], atol=1e-12)
        assert np.allclose(lower_bound.f_minus(*args, kernel=kernel), f[2] + f[3], atol=1e-12)
        assert np.allclose(lower_bound.f_tilde(*args, kernel=kernel), tilde, atol=1e-12)
        plus, minus, c = map(np.asarray, lower_bound.deviation(*args, kernel=kernel))
    assert np.allclose(plus, f[0] + f[1] - 2 * tilde, atol=1e-12)
    assert np.allclose(minus, f[2] + f[3] - 2 * tilde, atol=1e-12)
    unit = (r_w**2 + r_u**2) / 2 * np.abs(beta).sum() / d
    assert np.allclose(c * unit, np.maximum(np.abs(plus), np.abs(minus)), atol=1e-12)


def test_deviation_without_coefficients_is_zero():
    found = lower_bound.deviation(jnp.asarray(draw(3, 6), float), jnp.zeros(3), jnp.ones((2, 4)))
    assert all(np.array_equal(part, [0.0, 0.0]) for part in found)


@pytest.mark.parametrize(("r_w", "r_u"), [(1.0, 1.0), (1.0, 0.0), (0.0, 1.0)])
def test_deviation_falls_as_one_over_d(r_w, r_u):
    """Lemma B.2's rate, and its constant: (2 tau1 + tau2) / (pi (d - 1)) for each |beta_i|."""
    dims, typical = [32, 128, 512], []
    for d in dims:
        plus, _, weight = orbit_deviation(d, r_w, r_u)
        typical.append(weight @ np.abs(plus))
    assert abs(slope(dims, typical) + 1) < 0.05
    leading = (r_w**2 + r_u**2 / 2) / np.pi
    assert np.allclose(typical * (np.array(dims) - 1), leading, rtol=5 / np.array(dims))


def test_deviation_exceeds_its_bound_only_with_exponentially_small_probability():
    """No c holds at all z, but c = 1 fails with probability exp(-Omega(d)) alone."""
    dims, failing, worst = [20, 60, 180], [], []
    for d in dims:
        _, c, weight = orbit_deviation(d)
        failing.append(weight @ (c > 1))
        worst.append(c.max())
    rate = -np.log(failing) / dims
    assert np.all(rate > 0.2)
    assert abs(slope(dims, worst) - 1.5) < 0.1  # |f+ - 2 f~| of order sqrt(d), times d


def test_deviation_of_random_predictors():
    """Many samples and random coefficients: c is below its limit 2 / pi, in float32 too."""
    d, n = 40, 400
    x, y = data.two_axis(jax.random.key(0), n, d)
    z = jax.random.rademacher(jax.random.key(1), (500, d - 2), float)
    for beta in (y, jax.random.normal(jax.random.key(2), (n,))):
        c = lower_bound.deviation(x, beta, z).constant
        assert float(c.max()) < 2 / np.pi
    with jax.enable_x64(True):
        exact = lower_bound.deviation(*(jnp.asarray(a, "float64") for a in (x, y, z)))
    assert np.allclose(lower_bound.deviation(x, y, z).plus, exact.plus, rtol=1e-2)


@pytest.mark.parametrize("seed", range(4))
def test_no_predictor_errs_less_than_its_pairs(seed):
    d, n = 6, 9
    points, y = support(d)
    x, beta = draw(n, d, seed), np.random.default_rng(seed).normal(size=n)
    error = np.mean(ntk(points, x) @ beta * y <= 0)
    with jax.enable_x64(True):
        z = jnp.asarray(points[:16, 2:])
        bound = float(lower_bound.paired_error_bound(jnp.asarray(x), jnp.asarray(beta), z))
    assert 0 < bound <= error


def brute_oracle(x: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, float]:
    """Values on the whole support of the least-squares fit to it, and the mean squared error."""
    features = ntk(support(x.shape[1])[0], x)
    fit = features @ np.linalg.lstsq(features, target, rcond=1e-11)[0]
    return fit, float(np.mean((fit - target) ** 2))


@pytest.mark.parametrize("target", ["label", "half_space"])
@pytest.mark.parametrize(("n", "d"), [(5, 3), (12, 6), (40, 7)])
def test_oracle_is_the_fit_to_the_whole_support(n, d, target):
    """At (5, 3) inputs repeat; both fits then agree on the support, though not in beta."""
    x, (points, y) = draw(n, d), support(d)
    goal = y if target == "label" else np.where(points[:, 0] > 0.5, 1.0, -1.0)
    fit, squared_error = brute_oracle(x, goal)
    with jax.enable_x64(True):
        best = lower_bound.best_in_span(jax.random.key(0), jnp.asarray(x), target=target)
        assert np.allclose(ntk(points, x) @ np.asarray(best.beta), fit, atol=1e-7)
    assert np.isclose(best.squared_error, squared_error, atol=1e-9)
    clear = np.abs(fit) > 1e-5
    error = np.mean((fit * y <= 0)[clear]) * clear.mean()
    assert error - 1e-9 <= best.error + 4 * best.standard_error
    assert best.error <= error + (1 - clear.mean()) + 4 * best.standard_error


def test_oracle_of_another_kernel_of_angles():
    d, n = 6, 12
    x, (points, y) = draw(n, d), support(d)

    def kernel(a, b=None):
        return (jm.k1(a, b) + jm.k2(a, b)) ** 2

    with jax.enable_x64(True):
        best = lower_bound.best_in_span(jax.random.key(0), jnp.asarray(x), kernel=kernel)
    features = (ntk(points, x, 0.0, 2**0.5)) ** 2
    fit = features @ np.linalg.lstsq(features, y, rcond=1e-12)[0]
    assert np.isclose(best.squared_error, np.mean((fit - y) ** 2), atol=1e-9)


@pytest.mark.parametrize(("r_w", "r_u"), [(1.0, 1.0), (0.3, 2.0)])
def test_population_fit_beats_a_fit_to_fresh_samples(r_w, r_u):
    """... of 100 n samples, the usual oracle, by the held-out error as well."""
    d, n = 20, 100
    kernel = partial(jm.two_layer_ntk, r_w=r_w, r_u=r_u)
    x, _ = data.two_axis(jax.random.key(0), n, d)
    best = lower_bound.best_in_span(jax.random.key(1), x, kernel=kernel)
    fresh, y = map(np.asarray, data.two_axis(jax.random.key(2), 100 * n, d))
    features = ntk(fresh, np.asarray(x), r_w, r_u)
    beta = np.linalg.lstsq(features, y, rcond=None)[0]
    sampled = lower_bound.held_out_error(
        jax.random.key(1), x, jnp.asarray(beta, "float32"), kernel=kernel
    )
    assert best.error < sampled.error
    residual = (features @ np.asarray(best.beta) - y) ** 2
    standard_error = residual.std() / np.sqrt(len(y))
    assert abs(residual.mean() - best.squared_error) < 4 * standard_error
    assert np.mean((features @ beta - y) ** 2) < residual.mean()  # on its own samples


@pytest.mark.parametrize(("n", "low", "high"), [(400, 0.39, 0.42), (800, 0.02, 0.1)])
def test_oracle_needs_half_of_d_squared_samples(n, low, high):
    d = 40
    x, _ = data.two_axis(jax.random.key(0), n, d)
    best = lower_bound.best_in_span(jax.random.key(1), x)
    assert low < best.error < high
    r2 = 1 - best.squared_error
    # The error of a score that is normal given the label.
    assert abs(best.error - norm.cdf(-np.sqrt(r2 / (1 - r2)))) < 0.01
    z = jax.random.rademacher(jax.random.key(2), (5_000, d - 2), float)
    assert lower_bound.paired_error_bound(x, best.beta, z) < best.error


def test_half_space_attains_the_quarter_of_lemma_b2():
    d, n = 40, 400
    x, _ = data.two_axis(jax.random.key(0), n, d)
    best = lower_bound.best_in_span(jax.random.key(1), x, target="half_space")
    assert abs(best.error - 0.25) < 4 * best.standard_error + 0.002
    z = jax.random.rademacher(jax.random.key(2), (5_000, d - 2), float)
    assert abs(lower_bound.paired_error_bound(x, best.beta, z) - 0.25) < 0.002


@pytest.mark.parametrize("ratio", [1 / 18, 1 / 4, 1 / 3])
def test_least_squares_limit_is_approached(ratio):
    d = 40
    limit = lower_bound.least_squares_limit(jnp.asarray(ratio))
    x, _ = data.two_axis(jax.random.key(3), int(ratio * d**2), d)
    for kernel in (jm.k1, partial(jm.two_layer_ntk, r_w=0.0)):  # the limit is one for all
        best = lower_bound.best_in_span(jax.random.key(1), x, kernel=kernel)
        r2 = 1 - best.squared_error
        assert abs(norm.cdf(-np.sqrt(r2 / (1 - r2))) - limit) < 0.02


def test_oracle_of_inputs_that_repeat():
    x = jnp.asarray(draw(10, 8), "float32")
    twice = lower_bound.best_in_span(jax.random.key(0), jnp.concatenate([x, x]))
    once = lower_bound.best_in_span(jax.random.key(0), x)
    assert np.isclose(twice.squared_error, once.squared_error, atol=1e-9)
    assert twice.error == once.error


X, BETA, Z = jnp.asarray(draw(3, 6), "float32"), jnp.ones(3), jnp.ones((2, 4))
oracle_of = partial(lower_bound.best_in_span, jax.random.key(0))
BAD = {
    "x of f+": (lambda: lower_bound.f_plus(X[0], BETA, Z), r"x must be \(n, d\) with d >= 3"),
    "beta of f-": (lambda: lower_bound.f_minus(X, BETA[:2], Z), r"beta \(n,\), got \(3, 6\) and"),
    "z of f~": (lambda: lower_bound.f_tilde(X, BETA, X), r"z must be .* = \(n', 4\), got \(3, 6\)"),
    "deviation": (lambda: lower_bound.deviation(X[:, :2], BETA, Z), "d >= 3"),
    "bound": (lambda: lower_bound.paired_error_bound(X, BETA, Z[0]), "z must be"),
    "not from D": (lambda: oracle_of(2 * X), "samples of D, .* but row 0 begins"),
    "NaN": (lambda: oracle_of(X.at[1, 3].set(jnp.nan)), "but row 1 begins"),
    "d of the oracle": (lambda: oracle_of(X[:, :2]), r"d >= 3, got shape \(3, 2\)"),
    "no samples": (lambda: oracle_of(X[:0]), r"n >= 1 .* got shape \(0, 6\)"),
    "target": (
        lambda: oracle_of(X, target="xor"),  # pyright: ignore[reportArgumentType]
        "target must be one of label, half_space",
    ),
    "K2": (lambda: oracle_of(X, kernel=jm.k2), "kernel must be positive semidefinite"),
    "num_test": (lambda: oracle_of(X, num_test=0), "num_test must be at least 1, got 0"),
    "shapes held out": (
        lambda: lower_bound.held_out_error(jax.random.key(0), X, BETA[:2]),
        r"got \(3, 6\) and \(2,\)",
    ),
    "NaN held out": (
        lambda: lower_bound.held_out_error(jax.random.key(0), X, BETA * jnp.nan),
        "beta must be finite",
    ),
}


@pytest.mark.parametrize(("call", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
