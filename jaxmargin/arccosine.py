"""The arc-cosine functions of order 0 and 1, of which every relu kernel is made.

With c = cos(theta), for theta in [0, pi] (Cho and Saul 2009, eq. 6):

    kappa_0(c) = (pi - theta) / pi
    kappa_1(c) = (sin(theta) + (pi - theta) cos(theta)) / pi

Everything is computed from c and from how far |c| is below 1. The second is what decides the
angle near 0 and pi, where c itself has no digits left: 1 - c = 2 sin(theta/2)^2.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
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
    """Power series of the Chebyshev interpolant of arccos(1 - g) / sqrt(g) on [0, 1]."""

    def quotient(g: np.ndarray) -> np.ndarray:
        return 2 * np.arcsin(np.sqrt(g / 2)) / np.sqrt(g)

    fit = np.polynomial.Chebyshev.interpolate(quotient, degree, domain=[0, 1])
    return fit.convert(kind=np.polynomial.Polynomial, domain=[-1, 1], window=[-1, 1]).coef


# Relative error 5e-8 in float32 and 1.3e-15 in float64, rounding included; no degree does better.
_ANGLE_32 = _fit_angle(7)
_ANGLE_64 = _fit_angle(19)
