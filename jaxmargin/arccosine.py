"""The arc-cosine functions of order 0 and 1, of which every relu kernel is made.

With c = cos(theta), for theta in [0, pi] (Cho and Saul 2009, eq. 6):

    kappa_0(c) = (pi - theta) / pi
    kappa_1(c) = (sin(theta) + (pi - theta) cos(theta)) / pi

Everything is computed from c and from how far |c| is below 1. The second is what decides the
angle near 0 and pi, where c itself has no digits left: 1 - c = 2 sin(theta/2)^2.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.fft
from jaxtyping import Array, Float


class Cosine(NamedTuple):
    """Cosines of angles, with their distance from the ends of [-1, 1].

    Attributes:
        value: c in [-1, 1].
        gap: 1 - |c|, to as many digits as the caller knows it. It carries no derivative of its
            own: the rules below express all derivatives by that of `value`.
    """

    value: Float[Array, "*shape"]
    gap: Float[Array, "*shape"]


def cosine(value: Float[Array, "*shape"]) -> Cosine:
    """The `Cosine` of computed values, which rounding may have put slightly outside [-1, 1]."""
    value = jnp.clip(value, -1, 1)
    return Cosine(value, 1 - jnp.abs(value))


@jax.custom_jvp
def sine(c: Cosine) -> Float[Array, "*shape"]:
    """sin(theta) = sqrt((1 - c)(1 + c)), with the derivative -c / sin(theta), but 0 at c = +-1."""
    return jnp.sqrt(c.gap * (2 - c.gap))


@sine.defjvp
def _sine_jvp(primals, tangents):
    (c,), (dc,) = primals, tangents
    s = sine(c)
    return s, -c.value * _reciprocal(s) * dc.value


@jax.custom_jvp
def arc_cosines(c: Cosine) -> tuple[Float[Array, "*shape"], Cosine]:
    """kappa_0(c), and kappa_1(c) as a `Cosine`: together, since they share all the work.

    With the acute angle phi = arccos|c| and h = (sin(phi) - phi cos(phi)) / pi,

        kappa_0 = [c >= 0] - sign(c) phi / pi,    kappa_1 = max(c, 0) + h,

    so no digits cancel at either end, and 1 - kappa_1 = (1 - c) - h for c >= 0. The derivatives are
    kappa_0' = 1 / (pi sin(theta)) and kappa_1' = kappa_0. The first is taken as 0 at c = +-1: there
    kappa_0 has a cusp in x, and 0 is the mean over all directions of approach.

    Args:
        c: cosines of any shape.

    Returns:
        kappa_0(c), and kappa_1(c) with 1 - kappa_1(c).

    Reference:
        Cho and Saul (2009), eq. 6; Wei, Lee, Liu, Ma (2019), K1 and K2 of appendix B.1.
    """
    turn = _acute_angle(c.gap) / np.pi
    h = jnp.sqrt(c.gap * (2 - c.gap)) / np.pi - (1 - c.gap) * turn
    acute = c.value >= 0
    kappa_0 = jnp.where(acute, 1 - turn, turn)
    kappa_1 = jnp.where(acute, c.value, 0) + h
    return kappa_0, Cosine(kappa_1, jnp.where(acute, c.gap, 1) - h)


@arc_cosines.defjvp
def _arc_cosines_jvp(primals, tangents):
    (c,), (dc,) = primals, tangents
    kappa_0, kappa_1 = arc_cosines(c)
    d_kappa_0 = _reciprocal(sine(c)) * dc.value / np.pi
    d_kappa_1 = kappa_0 * dc.value
    return (kappa_0, kappa_1), (d_kappa_0, Cosine(d_kappa_1, jnp.zeros_like(d_kappa_1)))


def by_angle(function: Callable[[Cosine], Array]) -> Callable[[Cosine], Array]:
    """The same function of a cosine, evaluated faster where that is known to pay.

    Compositions of arc-cosine functions are analytic in the angle (not in the cosine). On CPU one
    Chebyshev series in theta therefore replaces all of them: in float32 it has 15 terms up to
    depth 10, and 30 at depth 20. Derivatives remain those of `function`.

    Args:
        function: composed of `arc_cosines` and polynomials.

    Returns:
        A function with the values of `function` up to rounding, and its derivatives.
    """
    series = functools.cache(functools.partial(_angle_series, function))

    @jax.custom_jvp
    def evaluate(c: Cosine) -> Array:
        tolerance = 1e-15 if c.value.dtype == jnp.float64 else 1e-8
        return jax.lax.platform_dependent(
            c, cpu=lambda c: _evaluate_series(series(tolerance), c), default=function
        )

    @evaluate.defjvp
    def _evaluate_jvp(primals, tangents):
        return jax.jvp(function, primals, tangents)

    return evaluate


def _angle_series(function: Callable[[Cosine], Array], tolerance: float) -> np.ndarray:
    """Chebyshev coefficients on [0, pi] of function(cos(theta)), without a negligible rest."""

    def sample(theta: np.ndarray) -> np.ndarray:
        gap = 2 * np.minimum(np.sin(theta / 2), np.cos(theta / 2)) ** 2
        with jax.ensure_compile_time_eval(), jax.enable_x64(True):
            return np.asarray(function(Cosine(jnp.cos(theta), jnp.asarray(gap))))

    series = _chebyshev(sample, 512, np.pi)
    rest = np.cumsum(np.abs(series[::-1]))[::-1]
    return series[rest > tolerance * rest[0]]


def _evaluate_series(series: np.ndarray, c: Cosine) -> Array:
    """Clenshaw's recurrence in t = 2 theta / pi - 1: stable at every degree, unlike powers of t."""
    turn = _acute_angle(c.gap) * (2 / np.pi)
    t = jnp.where(c.value >= 0, turn - 1, 1 - turn)
    b, b_next = jnp.full_like(t, series[-1]), jnp.zeros_like(t)
    for coefficient in series[-2:0:-1]:
        b, b_next = 2 * t * b - b_next + float(coefficient), b
    return t * b - b_next + float(series[0])


def _chebyshev(function: Callable, degree: int, high: float) -> np.ndarray:
    """Chebyshev coefficients of the polynomial through function at the nodes of [0, high]."""
    nodes = np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))
    coefficients = scipy.fft.dct(function(high * (nodes + 1) / 2)) / (degree + 1)
    coefficients[0] /= 2
    return coefficients


def _reciprocal(s: Array) -> Array:
    """1 / s, and 0 at s = 0 with derivative 0."""
    positive = s > 0
    return jnp.where(positive, 1 / jnp.where(positive, s, 1), 0)


def _acute_angle(gap: Array) -> Array:
    """arccos(1 - gap) in [0, pi/2], in the form chosen for the platform that it runs on.

    On CPU the polynomial is 40 times faster than XLA's atan2 or arccos, and no less accurate. No
    accelerator has been measured: there it is Kahan's closed form. A row here changes that.
    """
    return jax.lax.platform_dependent(gap, cpu=_angle_by_polynomial, default=_angle_by_atan2)


def _angle_by_atan2(gap: Array) -> Array:
    """2 atan2(sin(phi/2), cos(phi/2)) (Kahan): accurate at every angle."""
    return 2 * jnp.arctan2(jnp.sqrt(gap), jnp.sqrt(2 - gap))


def _angle_by_polynomial(gap: Array) -> Array:
    """sqrt(gap) P(gap): the angle over sqrt(gap) is analytic for |gap| < 2."""
    coefficients = _ANGLE_64 if gap.dtype == jnp.float64 else _ANGLE_32
    value = jnp.full_like(gap, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = value * gap + float(coefficient)
    return jnp.sqrt(gap) * value


def _fit_angle(degree: int) -> np.ndarray:
    """Coefficients of the powers of g in the interpolant of arccos(1 - g) / sqrt(g) on [0, 1]."""
    fit = _chebyshev(lambda g: 2 * np.arcsin(np.sqrt(g / 2)) / np.sqrt(g), degree, 1.0)
    series = np.polynomial.Chebyshev(fit, domain=[0, 1])
    return series.convert(kind=np.polynomial.Polynomial, domain=[-1, 1], window=[-1, 1]).coef


# Relative error 7e-8 in float32 and 5e-16 in float64, rounding included; no degree does better.
_ANGLE_32 = _fit_angle(7)
_ANGLE_64 = _fit_angle(18)
