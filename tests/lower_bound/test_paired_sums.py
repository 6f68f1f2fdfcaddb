"""Lemma B.2 by enumeration, its rate and its constant."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from jaxmargin import data, lower_bound
from tests.lower_bound.cube import draw, ntk, orbit, slope, support


def orbit_deviation(d: int, r_w: float = 1.0, r_u: float = 1.0):
    """|f+ - 2 f~| and c for one sample with beta = 1, one z for each overlap; and its weights."""
    z, weight = orbit(d - 2)
    kernel = partial(jm.two_layer_ntk, r_w=r_w, r_u=r_u)
    with jax.enable_x64(True):
        x = data.embed(jnp.ones((1, d - 2)), 1, 0)
        found = lower_bound.deviation(x, jnp.ones(1), jnp.asarray(z), kernel=kernel)
        assert float(jnp.abs(found.minus).max()) < 1e-12 * d
        return *map(np.asarray, found[::2]), weight


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
        for label, expected in ((1, f[0] + f[1]), (-1, f[2] + f[3])):
            found = lower_bound.paired_sum(*args, label=label, kernel=kernel)
            assert np.allclose(found, expected, atol=1e-12)
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
