"""The arc-cosine functions of order 0 and 1, from which every relu kernel is built.

With c = cos(theta), for theta in [0, pi] (Cho and Saul 2009, eq. 6):

    kappa_0(c) = (pi - theta) / pi
    kappa_1(c) = (sin(theta) + (pi - theta) cos(theta)) / pi

Everything is computed from c and from the gap 1 - |c|. Near 0 and pi it is the gap that decides
the angle, because 1 - c = 2 sin(theta/2)^2 and c itself has no digits left. In terms of the acute
angle phi = arccos|c| and of h = (sin(phi) - phi cos(phi)) / pi,

    kappa_0 = [c >= 0] - sign(c) phi / pi,    kappa_1 = max(c, 0) + h,

and in this form no digits cancel at either end.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


class Cosine(NamedTuple):
    """Cosines of angles, with their distance from the ends of [-1, 1].

    Attributes:
        value: c.
        gap: 1 - |c|, to as many digits as the caller knows. It carries no derivative of its own:
            the rules below express every derivative by that of `value`.
    """

    value: Float[Array, "*shape"]
    gap: Float[Array, "*shape"]


Composition = Callable[[Cosine, Callable], Any]


def cosine(value: Float[Array, "*shape"]) -> Cosine:
    """The `Cosine` of computed values, which rounding may have put slightly outside [-1, 1]."""
    return Cosine(value, jnp.maximum(1 - jnp.abs(value), 0))


def on_cpu(fast: Callable, plain: Callable) -> Callable:
    """`fast` on a CPU and `plain` on other platforms, with the derivatives of `plain` on both.

    Every choice by platform is made here. On a CPU the polynomials below take 0.3 ns an element,
    where XLA's atan2 or arccos takes 20 ns. No accelerator has been measured, so all of them get
    the plain closed forms.
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
    """kappa_0(c), and kappa_1(c) as a `Cosine`: both at once, because they share all the work.

    The derivatives are kappa_0' = 1 / (pi sin(theta)) and kappa_1' = kappa_0. At c = +-1 the first
    is taken as 0. There kappa_0, as a function of the two rows whose cosine is c, has a cusp, and 0
    is the mean derivative over all directions of approach.

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
    """(a + b) max(c, 0) + [b h - a |c| phi / pi]; the bracket is sqrt(gap) times one polynomial."""
    powers, integrated = _powers(c.gap.dtype)
    of_h = np.append(0, integrated)
    of_turn = np.append(powers, 0) - np.append(0, powers)
    bracket = [b * float(q) - a * float(p) for p, q in zip(of_turn, of_h, strict=True)]
    return (a + b) * jnp.maximum(c.value, 0) + jnp.sqrt(c.gap) * _polynomial(bracket, c.gap)


_combination = on_cpu(_combination_by_powers, _combination_of_arc_cosines)


def combination(c: Cosine, a: Float[Array, ""], b: Float[Array, ""]) -> Float[Array, "*shape"]:
    """The kernels of one hidden layer, a c kappa_0(c) + b kappa_1(c), for numbers a and b.

    For example, a = -1 and b = 1 give sin(theta) / pi.
    """
    return _combination(c, a, b)


def by_angle(composition: Composition) -> Callable[[Cosine], Array]:
    """A composition of arc-cosine functions, on CPU as one Chebyshev series in the angle.

    Such compositions are analytic in theta, though not in c. Up to six layers the series has at
    most 18 terms in float32 and 31 in float64; for 20 layers it has 30 and 47.

    Args:
        composition: `composition(c, arc_cosines)`, made of the arc-cosine functions and of
            polynomials.

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
    """Chebyshev coefficients in theta, on [0, pi], of the composition at c = cos(theta)."""

    def sample(theta: np.ndarray) -> np.ndarray:
        gap: Any = 2 * np.minimum(np.sin(theta / 2), np.cos(theta / 2)) ** 2
        value: Any = np.cos(theta)
        return composition(Cosine(value, gap), _arc_cosines_in_numpy)

    series = _chebyshev(sample, 512, np.pi)
    size = np.abs(series)
    return series[: np.flatnonzero(size > tolerance * size.max())[-1] + 1]


def _evaluate_series(series: np.ndarray, c: Cosine) -> Array:
    """Clenshaw's recurrence in t = 2 theta / pi - 1, which is stable at every degree."""
    turn, _ = _turn_and_h(c.gap)
    t = jnp.where(c.value >= 0, 2 * turn - 1, 1 - 2 * turn)
    b, b_next = jnp.full_like(t, series[-1]), jnp.zeros_like(t)
    for coefficient in series[-2:0:-1]:
        b, b_next = 2 * t * b - b_next + float(coefficient), b
    return t * b - b_next + float(series[0])


def _chebyshev(function: Callable, degree: int, high: float) -> np.ndarray:
    """Chebyshev coefficients of the polynomial through function at the nodes of [0, high].

    They are the cosine transform of the values, here a Fourier transform of the values and their
    mirror image. NumPy's own `Chebyshev.interpolate` multiplies by a matrix instead, and the
    rounding of that product costs one digit at degree 18 and two at degree 512.
    """
    order = np.arange(degree + 1)
    values = function(high * (np.cos(np.pi * (order + 0.5) / (degree + 1)) + 1) / 2)
    spectrum = np.fft.fft(np.concatenate([values, values[::-1]]))[: degree + 1]
    coefficients = (spectrum * np.exp(-0.5j * np.pi * order / (degree + 1))).real / (degree + 1)
    coefficients[0] /= 2
    return coefficients


@functools.cache
def _powers(dtype: jnp.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients p_k, q_k of phi/pi = sqrt(gap) sum p_k gap^k and h = gap^(3/2) sum q_k gap^k.

    The first series is fitted: phi / sqrt(gap) is analytic for |gap| < 2. The second is its
    integral, because dh/dgap = phi/pi. Rounding included, the largest relative error is 2e-7 in
    float32 and 7e-16 in float64, and no other degree does better.
    """

    def quotient(gap: np.ndarray) -> np.ndarray:
        return 2 / np.pi * np.arcsin(np.sqrt(gap / 2)) / np.sqrt(gap)

    degree = 18 if dtype == jnp.float64 else 7
    fit = np.polynomial.Chebyshev(_chebyshev(quotient, degree, 1.0), domain=[0, 1])
    polynomial = fit.convert(kind=np.polynomial.Polynomial, domain=[-1, 1], window=[-1, 1])
    powers = np.asarray(polynomial.coef, float)
    return powers, powers / (np.arange(degree + 1) + 1.5)


def _polynomial(coefficients, x: Array) -> Array:
    """The sum of coefficients[k] x^k by Horner's rule, for numbers or scalars of the dtype of x."""
    value = jnp.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = value * x + jnp.asarray(coefficient, x.dtype)
    return value
