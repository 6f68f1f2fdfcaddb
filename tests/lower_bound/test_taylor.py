"""Lemma B.6: the polynomial g, and how close it is to the kernel."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmargin import lower_bound
from tests.lower_bound.cube import cube, kappa, orbit, slope


@pytest.mark.parametrize(("r_w", "r_u"), [(1.0, 1.0), (1.0, 0.0), (0.0, 1.0)])
def test_g_is_the_taylor_polynomial_of_degree_five(r_w, r_u):
    d = 12
    with jax.enable_x64(True):

        def k_tilde(nu):
            c = nu * (1 - jnp.arccos(nu) / jnp.pi)
            s = jnp.sqrt(1 - nu**2) / jnp.pi
            return (d - 1) * (r_w**2 / 2 * c + r_u**2 / 2 * (c + s))

        derivatives, f, factorial = [], k_tilde, 1.0
        for j in range(6):
            factorial *= max(j, 1)
            derivatives.append(float(f(0.0)) / factorial)
            f = jax.grad(f)
        g = np.asarray(lower_bound.taylor_coefficients(d, r_w=r_w, r_u=r_u))
    assert np.allclose([*g, 0.0], derivatives, atol=1e-13)
    tau1, tau2 = r_w**2 / 2, r_u**2 / 2
    # The coefficient of x^2 in g(x / (d - 1)), as the proof of Lemma B.3 has it.
    assert np.isclose(g[2] / (d - 1) ** 2, (tau1 + tau2 / 2) / (np.pi * (d - 1)))


def test_taylor_error_falls_as_one_over_d_squared():
    """Lemma B.6 claims log^2.5(d) / d^1.5 with probability 1 - d^-10; g is better than that."""
    dims, typical, quantile = [64, 256, 1024], [], []
    with jax.enable_x64(True):
        for d in dims:
            z, weight = orbit(d - 2)
            error = np.asarray(lower_bound.taylor_error(jnp.ones((1, d - 2)), jnp.asarray(z))[0])
            nu = (2 * np.arange(d - 1) - (d - 2)) / (d - 1)
            small = np.abs(nu) < 0.2
            first = -(d - 1) * 3.5 / (80 * np.pi) * nu**6
            assert np.allclose(error[small], first[small], rtol=0.06, atol=1e-12 * d)
            typical.append(np.sqrt(weight @ error**2))
            by_size = np.argsort(-np.abs(error))
            beyond = np.cumsum(weight[by_size]) > d**-10.0
            quantile.append(np.abs(error)[by_size][np.argmax(beyond)])
    assert abs(slope(dims, typical) + 2) < 0.1
    log, dims = np.log(dims), np.array(dims)
    assert np.all(np.diff(quantile / (log**2.5 / dims**1.5)) < 0)
    rate = quantile / (log**3 / dims**2)
    assert np.ptp(rate) < 0.05 * rate[0]


def test_taylor_error_of_every_pair():
    z = cube(5)
    with jax.enable_x64(True):
        error = lower_bound.taylor_error(jnp.asarray(z), r_w=0.5, r_u=2.0)
        t = z @ z.T
        g = np.polynomial.polynomial.polyval(
            t / 6, np.asarray(lower_bound.taylor_coefficients(7, r_w=0.5, r_u=2.0))
        )
        assert np.allclose(error, g - kappa(t, 7, 0.5, 2.0), rtol=0, atol=1e-13)


def test_integer_signs_are_as_good_as_floats():
    z: Any = np.where(np.random.default_rng(0).normal(size=(3, 7)) > 0, 1, -1)
    for call in (lower_bound.taylor_kernel, lower_bound.taylor_error):
        np.testing.assert_array_equal(call(z), call(jnp.asarray(z, float)))
