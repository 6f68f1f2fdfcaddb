"""The arc-cosine functions of order 0 and 1, of which every relu kernel is made.

With c = cos(theta), for theta in [0, pi] (Cho and Saul 2009, eq. 6):

    kappa_0(c) = (pi - theta) / pi
    kappa_1(c) = (sin(theta) + (pi - theta) cos(theta)) / pi

Everything is computed from c and from how far |c| is below 1. The second is what decides the
angle near 0 and pi, where c itself has no digits left: 1 - c = 2 sin(theta/2)^2. In terms of the
acute angle phi = arccos|c| and h = (sin(phi) - phi cos(phi)) / pi,

    kappa_0 = [c >= 0] - sign(c) phi / pi,    kappa_1 = max(c, 0) + h,

where no digits cancel at either end.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.fft
from jaxtyping import Array, Float


class Cosine(NamedTuple):
    """Cosines of angles, with their distance from the ends of [-1, 1].

    Attributes:
        value: c.
        gap: 1 - |c|, to as many digits as the caller knows it. It carries no derivative of its
            own: the rules below express all derivatives by that of `value`.
    """

    value: Float[Array, "*shape"]
    gap: Float[Array, "*shape"]


Composition = Callable[[Cosine, Callable], Any]


def cosine(value: Float[Array, "*shape"]) -> Cosine:
    """The `Cosine` of computed values; rounding may have put them slightly outside [-1, 1]."""
    return Cosine(value, jnp.maximum(1 - jnp.abs(value), 0))


def on_cpu(fast: Callable, plain: Callable) -> Callable:
    """`fast` on CPU and `plain` on other platforms, with the derivatives of `plain` on both.

    All choices by platform are made here. On CPU the polynomials below take 0.3 ns where XLA's
    atan2 or arccos takes 20. No accelerator has been measured: they get the plain closed forms.
    """

    @jax.custom_jvp
    def evaluate(*args):
        return jax.lax.platform_dependent(*args, cpu=fast, default=plain)

    @evaluate.defjvp
    def _evaluate_jvp(primals, tangents):
        return jax.jvp(plain, primals, tangents)

    return evaluate


def _turn_and_h_by_atan2(gap: Any, xp: Any = jnp) -> tuple[Any, Any]:
    """phi/pi and h by Kahan's phi = 2 atan2(sin(phi/2), cos(phi/2)), accurate at every angle."""
    phi = 2 * xp.arctan2(xp.sqrt(gap), xp.sqrt(2 - gap))
    h = (xp.sqrt(gap * (2 - gap)) - (1 - gap) * phi) / np.pi
    return phi / np.pi, xp.clip(h, 0, gap)  # rounding may exceed an h of the order gap^(3/2)


def _turn_and_h_by_powers(gap: Array) -> tuple[Array, Array]:
    powers, integrated = _powers(gap.dtype)
    root = jnp.sqrt(gap)
    return root * _polynomial(powers, gap), root * gap * _polynomial(integrated, gap)


_turn_and_h = on_cpu(_turn_and_h_by_powers, _turn_and_h_by_atan2)


@jax.custom_jvp
def arc_cosines(c: Cosine) -> tuple[Float[Array, "*shape"], Cosine]:
    """kappa_0(c), and kappa_1(c) as a `Cosine`: together, since they share all the work.

    The derivatives are kappa_0' = 1 / (pi sin(theta)) and kappa_1' = kappa_0. The first is taken
    as 0 at c = +-1: there kappa_0 has a cusp as a function of the rows whose cosine c is, and 0 is
    the mean over all directions of approach.

    Args:
        c: cosines of any shape.

    Returns:
        kappa_0(c), and kappa_1(c) with 1 - kappa_1(c).

    Reference:
        Cho and Saul (2009), eq. 6; Wei, Lee, Liu, Ma (2019), K1 and K2 of appendix B.1.
    """
    return _assemble(c, *_turn_and_h(c.gap))


def _assemble(c: Cosine, turn: Any, h: Any, xp: Any = jnp) -> tuple[Any, Cosine]:
    acute = c.value >= 0
    kappa_0 = xp.where(acute, 1 - turn, turn)
    kappa_1 = xp.where(acute, c.value, 0) + h
    return kappa_0, Cosine(kappa_1, xp.where(acute, c.gap, 1) - h)


def _arc_cosines_in_numpy(c: Cosine) -> tuple[Any, Cosine]:
    turn, h = _turn_and_h_by_atan2(c.gap, np)
    return _assemble(c, turn, h, np)


@arc_cosines.defjvp
def _arc_cosines_jvp(primals, tangents):
    (c,), (dc,) = primals, tangents
    kappa_0, kappa_1 = arc_cosines(c)
    d_kappa_0 = _cosecant(c) * dc.value / np.pi
    d_kappa_1 = kappa_0 * dc.value
    return (kappa_0, kappa_1), (d_kappa_0, Cosine(d_kappa_1, jnp.zeros_like(d_kappa_1)))


@jax.custom_jvp
def _cosecant(c: Cosine) -> Array:
    """1 / sin(theta), with derivative c / sin(theta)^3; both are taken as 0 at c = +-1."""
    regular = c.gap > 0
    gap = jnp.where(regular, c.gap, 1)
    return jnp.where(regular, 1 / jnp.sqrt(gap * (2 - gap)), 0)


@_cosecant.defjvp
def _cosecant_jvp(primals, tangents):
    (c,), (dc,) = primals, tangents
    cosecant = _cosecant(c)
    return cosecant, c.value * cosecant**3 * dc.value


def _combination_of_arc_cosines(c: Cosine, a: Array, b: Array) -> Array:
    kappa_0, kappa_1 = arc_cosines(c)
    return a * c.value * kappa_0 + b * kappa_1.value


def _combination_by_powers(c: Cosine, a: Array, b: Array) -> Array:
    """(a + b) max(c, 0) + [b h - a |c| phi / pi], where [] is sqrt(gap) times one polynomial."""
    powers, integrated = _powers(c.gap.dtype)
    of_h = np.append(0, integrated)
    of_turn = np.append(powers, 0) - np.append(0, powers)
    bracket = [b * float(q) - a * float(p) for p, q in zip(of_turn, of_h, strict=True)]
    return (a + b) * jnp.maximum(c.value, 0) + jnp.sqrt(c.gap) * _polynomial(bracket, c.gap)


_combination = on_cpu(_combination_by_powers, _combination_of_arc_cosines)


def combination(c: Cosine, a: Float[Array, ""], b: Float[Array, ""]) -> Float[Array, "*shape"]:
    """The kernels of one hidden layer, a c kappa_0(c) + b kappa_1(c), for numbers a and b.

    sin(theta) / pi is the one with a = -1, b = 1.
    """
    return _combination(c, a, b)


def by_angle(composition: Composition) -> Callable[[Cosine], Array]:
    """A composition of arc-cosine functions, on CPU as one Chebyshev series in the angle.

    Such compositions are analytic in theta (not in c). Up to six layers the series has 20 terms in
    float32 and 31 in float64; for 20 layers it has 33 and 47.

    Args:
        composition: `composition(c, arc_cosines)`, of these and of polynomials.

    Returns:
        The function of a `Cosine`, with the derivatives of the composition.
    """

    @functools.cache
    def series(tolerance: float) -> np.ndarray:
        return _angle_series(composition, tolerance)

    def evaluate(c: Cosine) -> Array:
        tolerance = 1e-15 if c.value.dtype == jnp.float64 else 1e-9
        return _evaluate_series(series(tolerance), c)

    return on_cpu(evaluate, lambda c: composition(c, arc_cosines))


def _angle_series(composition: Composition, tolerance: float) -> np.ndarray:
    """Chebyshev coefficients on [0, pi] of its values at cos(theta), without a negligible tail."""

    def sample(theta: np.ndarray) -> np.ndarray:
        gap: Any = 2 * np.minimum(np.sin(theta / 2), np.cos(theta / 2)) ** 2
        value: Any = np.cos(theta)
        return composition(Cosine(value, gap), _arc_cosines_in_numpy)

    series = _chebyshev(sample, 512, np.pi)
    size = np.abs(series)
    return series[: np.flatnonzero(size > tolerance * size.max())[-1] + 1]


def _evaluate_series(series: np.ndarray, c: Cosine) -> Array:
    """Clenshaw's recurrence in t = 2 theta / pi - 1: stable at every degree, unlike powers of t."""
    turn, _ = _turn_and_h(c.gap)
    t = jnp.where(c.value >= 0, 2 * turn - 1, 1 - 2 * turn)
    b, b_next = jnp.full_like(t, series[-1]), jnp.zeros_like(t)
    for coefficient in series[-2:0:-1]:
        b, b_next = 2 * t * b - b_next + float(coefficient), b
    return t * b - b_next + float(series[0])


def _chebyshev(function: Callable, degree: int, high: float) -> np.ndarray:
    """Chebyshev coefficients of the polynomial through function at the nodes of [0, high]."""
    nodes = np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))
    coefficients = np.asarray(scipy.fft.dct(function(high * (nodes + 1) / 2))) / (degree + 1)
    coefficients[0] /= 2
    return coefficients


@functools.cache
def _powers(dtype: jnp.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients p_k, q_k of phi/pi = sqrt(gap) sum p_k gap^k and h = gap^(3/2) sum q_k gap^k.

    The first is fitted: phi / sqrt(gap) is analytic for |gap| < 2. The second is its integral, for
    dh/dgap = phi/pi. The relative error is 7e-8 in float32 and 5e-16 in float64, rounding
    included, and no degree does better.
    """

    def quotient(gap: np.ndarray) -> np.ndarray:
        return 2 / np.pi * np.arcsin(np.sqrt(gap / 2)) / np.sqrt(gap)

    degree = 18 if dtype == jnp.float64 else 7
    fit = np.polynomial.Chebyshev(_chebyshev(quotient, degree, 1.0), domain=[0, 1])
    polynomial = fit.convert(kind=np.polynomial.Polynomial, domain=[-1, 1], window=[-1, 1])
    powers = np.asarray(polynomial.coef, float)
    return powers, powers / (np.arange(degree + 1) + 1.5)


def _polynomial(coefficients, x: Array) -> Array:
    """Sum of coefficients[k] x^k by Horner's rule; numbers, or scalars of x's dtype."""
    value = jnp.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = value * x + jnp.asarray(coefficient, x.dtype)
    return value
