"""Layers of wide networks: the expectations against integrals, correlations in 40 digits."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from numpy.polynomial.hermite_e import hermegauss
from scipy import special
from scipy.integrate import quad

from jaxmargin.kernels import _layers as layers
from jaxmargin.kernels._arccosine import Cosine

COSINES = (-0.999, -0.6, 0.0, 0.3, 0.95, 1.0)
SMOOTH = {  # phi and its derivative
    "erf": (special.erf, lambda u: 2 / np.pi**0.5 * np.exp(-(u**2))),
    "gelu": (
        lambda u: u * special.ndtr(u),
        lambda u: special.ndtr(u) + u * np.exp(-(u**2) / 2) / (2 * np.pi) ** 0.5,
    ),
}


def units(x: float, z: float, cosines=COSINES) -> layers.Units:
    """Deviations x and z, and a column of correlations."""
    value = jnp.asarray(cosines)[:, None]
    c = Cosine(value, 1 - jnp.abs(value))
    return layers.Units(jnp.full(len(cosines), x), jnp.array([z]), c)


def covariance(active: layers.Units) -> np.ndarray:
    return np.asarray(active.x[:, None] * active.z[None, :] * active.c.value)[:, 0]


@pytest.mark.parametrize(("x", "z"), [(0.7, 0.7), (0.2, 1.1)])
@pytest.mark.parametrize("name", SMOOTH)
def test_expectations_are_those_of_gauss_hermite_quadrature(name: str, x: float, z: float):
    nodes, weights = hermegauss(90)
    first, second = np.meshgrid(nodes, nodes)
    mass = np.outer(weights, weights) / (2 * np.pi)
    phi, slope = SMOOTH[name]
    with jax.enable_x64(True):
        active, gain = getattr(layers, name)(units(x, z), jnp.zeros(()))
        found = covariance(active)
        gains = np.asarray(gain[:, 0] * active.x * active.z[0] / (x * z))
    for i, c in enumerate(COSINES):
        u, v = x * first, z * (c * first + np.sqrt(1 - c**2) * second)
        np.testing.assert_allclose(found[i], np.sum(mass * phi(u) * phi(v)), atol=1e-11)
        np.testing.assert_allclose(gains[i], np.sum(mass * slope(u) * slope(v)), atol=1e-10)
        np.testing.assert_allclose(active.x[i] ** 2, np.sum(mass * phi(u) ** 2), atol=1e-11)


@pytest.mark.parametrize("slope", [0.0, 0.3, -1.0, 1.0])
def test_expectations_of_rectifiers_are_integrals_over_the_angle(slope: float):
    def phi(u):
        return max(u, 0.0) + slope * min(u, 0.0)

    def d_phi(u):
        return 1.0 if u > 0 else slope

    with jax.enable_x64(True):
        active, gain = layers.rectified(units(0.5, 2.0), jnp.asarray(slope))
        found, gains = covariance(active), np.asarray(gain[:, 0]) * (1 + slope**2) / 2
    for i, c in enumerate(COSINES):
        turn = np.arccos(c)
        kinks = sorted((k * np.pi + shift) % (2 * np.pi) for k in (0.5, 1.5) for shift in (0, turn))

        def mean(function, turn=turn, kinks=kinks):
            def integrand(angle):
                return function(np.cos(angle)) * function(np.cos(angle - turn))

            return quad(integrand, 0, 2 * np.pi, points=kinks, epsabs=1e-13)[0] / (2 * np.pi)

        np.testing.assert_allclose(found[i], 2 * 0.5 * 2.0 * mean(phi), atol=1e-11)
        np.testing.assert_allclose(gains[i], mean(d_phi), atol=1e-11)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_correlation_keeps_the_digits_of_its_gap(side: float):
    """Of |u| and then of a bias, for angles of 1e-6 in float64, against 40 digits."""
    angles = np.array([1e-6, 1e-4, 1e-2])
    value = side * np.cos(angles)
    with jax.enable_x64(True):
        c = Cosine(jnp.asarray(value[:, None]), jnp.asarray(2 * np.sin(angles[:, None] / 2) ** 2))
        start = layers.Units(jnp.ones(3), jnp.ones(1), c)
        active, _ = layers.rectified(start, jnp.asarray(-1.0))
        behind, _ = layers._dense(active, jnp.asarray(0.5), jnp.asarray(2.0))
        with mpmath.workdps(40):
            for i, angle in enumerate(angles):
                theta = mpmath.mpf(angle)  # |u| does not see the side
                mean = mpmath.cos(theta) + 2 * (mpmath.sin(theta) - theta * mpmath.cos(theta)) / (
                    mpmath.pi
                )
                gap = float((1 - mean) / 5)  # c' = (0.5 mean + 2) / 2.5
                np.testing.assert_allclose(active.c.gap[i, 0], float(1 - mean), rtol=1e-9)
                np.testing.assert_allclose(behind.c.gap[i, 0], gap, rtol=1e-9)
