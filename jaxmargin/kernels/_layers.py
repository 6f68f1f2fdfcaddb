"""Wide networks layer by layer: the covariance of their units, and the tangent kernel.

The units of a layer have the variances S_xx and S_zz at x and z, and the covariance S_xz. They are
kept as standard deviations s_x, s_z and as the correlation c = S_xz / (s_x s_z), with its distance
from +-1. So neither the scale of the inputs nor nearly collinear rows spoil them. The tangent
kernel T is kept as T / (s_x s_z). An activation phi and a dense layer of variances w and b make

    S <- w E[phi(u) phi(v)] + b,    T <- S + w E[phi'(u) phi'(v)] T,    (u, v) ~ N(0, S),

and E[phi' phi'] is the derivative of E[phi phi] in S_xz (Daniely, Frostig, Singer 2016).
"""

import functools
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxmargin._arithmetic import power_of_two
from jaxmargin._arrays import as_array
from jaxmargin._checks import is_concrete, require_count, require_positive
from jaxmargin.kernels._arccosine import Cosine, arc_cosines
from jaxmargin.kernels._gram import polar_angles

_MAX_DEPTH = 200  # beyond it, compiling the kernels of relu takes minutes


def require_depth(depth: int) -> None:
    require_count("depth", depth)
    if depth > _MAX_DEPTH:
        raise ValueError(f"depth must be at most {_MAX_DEPTH}, got {depth}")


def layer_variances(name: str, value: Any, depth: int) -> Any:
    """(depth,) variances, in NumPy's float64 or traced; what is traced and negative is NaN."""
    # Numbers are known also inside jit, where an array of them would be traced.
    with jax.ensure_compile_time_eval() if is_concrete(value) else nullcontext():
        given = as_array(name, value)
    if given.shape not in ((), (depth,)):
        raise ValueError(
            f"{name} must be one number or one a layer ({depth}), got shape {given.shape}"
        )
    if not is_concrete(given):
        return jnp.broadcast_to(jnp.where(given >= 0, given, jnp.nan), depth)
    variances = np.asarray(given, float)
    for variance in variances.ravel():
        require_positive(name, float(variance), zero=True)
    return np.broadcast_to(variances, depth)


class Units(NamedTuple):
    """Units of one layer, before or after their activation.

    Attributes:
        x: standard deviations at the rows of x.
        z: those at the rows of z.
        c: correlations.
    """

    x: Float[Array, " n"]
    z: Float[Array, " n2"]
    c: Cosine


# From the units before an activation: those behind it, and E[phi'(u) phi'(v)] s_x s_z over the
# product of their deviations.
Activation = Callable[[Units, Array], tuple[Units, Array]]


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def deep_kernel(
    activation: Activation,
    tangent: bool,
    precise: bool,
    own: bool,
    x: Array,
    z: Array,
    weights: Array,
    biases: Array,
    slope: Array,
) -> Array:
    """The tangent kernel, or the covariance of the outputs, of a network with such layers.

    Args:
        activation: of all hidden layers.
        tangent: whether to give the tangent kernel.
        precise: whether to measure angles by differences of the rows.
        own: whether z is x.
        x: (n, d) rows.
        z: (n', d) rows.
        weights: (q,) variances of the weights, times fan_in.
        biases: (q,) variances of the biases.
        slope: of the activation for negative arguments, if it has one.
    """
    units = _first_layer(precise, own, x, z, weights[0], biases[0])
    kernel = units.c.value
    for weight, bias in zip(weights[1:], biases[1:], strict=True):
        active, gain = activation(units, slope)
        units, share = _dense(active, weight, bias)
        kernel = units.c.value + share * gain * kernel
    return (kernel if tangent else units.c.value) * (units.x[:, None] * units.z[None, :])


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _first_layer(precise: bool, own: bool, x: Array, z: Array, weight: Array, bias: Array) -> Units:
    """S = w <x, z> / d + b.

    A deviation of 0 becomes the least that has an inverse. So a derivative at x = 0 passes through
    it, and that of a smooth kernel is right there.
    """
    angles = polar_angles(precise, own, x, z)
    root = x.shape[1] ** 0.5
    inputs = Units(angles.lengths / root, angles.other_lengths / root, angles.c)
    units, _ = _dense(inputs, weight, bias)
    zero = (units.x == 0)[:, None] | (units.z == 0)[None, :]
    value, gap = jnp.where(zero, 0, units.c.value), jnp.where(zero, 1, units.c.gap)
    least = 1024 * float(jnp.finfo(x.dtype).tiny)
    by_x, by_z = (jnp.where(deviation == 0, least, deviation) for deviation in units[:2])
    return Units(by_x, by_z, Cosine(value, gap))


@_first_layer.defjvp
def _first_layer_jvp(precise: bool, own: bool, primals, tangents):
    """By S itself, which is smooth also at x = 0, where the row has no direction."""
    (x, z, weight, bias), (dx, dz, d_weight, d_bias) = primals, tangents
    units = _first_layer(precise, own, x, z, weight, bias)
    weight, d_weight = weight / x.shape[1], d_weight / x.shape[1]
    per_x, per_z = _inverse(units.x), _inverse(units.z)
    u, v = x * per_x[:, None], z * per_z[:, None]

    def of_deviation(rows: Array, change: Array, per_row: Array) -> Array:
        own_change = jnp.sum(rows * per_row[:, None] * (weight * change + d_weight / 2 * rows), 1)
        return own_change + d_bias / 2 * per_row

    d_x, d_z = of_deviation(x, dx, per_x), of_deviation(z, dz, per_z)
    of_covariance = (
        weight * (_dot(dx * per_x[:, None], v) + _dot(u, dz * per_z[:, None]))
        + d_weight * _dot(u, v)
        + d_bias * jnp.minimum(_outer(per_x, per_z), float(jnp.finfo(x.dtype).max))
    )
    of_deviations = (d_x * per_x)[:, None] + (d_z * per_z)[None, :]
    d_c = of_covariance - units.c.value * of_deviations
    if own:  # where c = 1 at all x, and rounding would be multiplied by 1 / sin
        d_c = jnp.where(jnp.eye(len(x), dtype=bool) & (units.c.gap == 0), 0, d_c)
    return units, Units(d_x, d_z, Cosine(d_c, jnp.zeros_like(d_c)))


def _dense(units: Units, weight: Array, bias: Array) -> tuple[Units, Array]:
    """Units of variance w s^2 + b, and which share of their deviations the weights make.

    With the unit vectors (a_x, b_x) = (sqrt(w) s_x, sqrt(b)) / s'_x, and likewise for z,

        1 - c' = a_x a_z (1 - c) + ((a_x - a_z)^2 + (b_x - b_z)^2) / 2,

    and with c and b_z of the other sign for 1 + c'. No digits cancel in these sums.
    """
    (weight, root), (bias, offset) = _unit_and_root(weight), _unit_and_root(bias)
    most = float(jnp.finfo(weight.dtype).max) ** 0.45  # of what a variance of 0 multiplies
    fixed = jax.lax.stop_gradient

    def of_rows(deviation: Array) -> tuple[Array, Array, Array]:
        linear = root * deviation
        size = fixed(jnp.maximum(jnp.where(weight > 0, linear, 0), jnp.where(bias > 0, offset, 0)))
        size = jnp.where(size > 0, size, 1)
        linear, constant = jnp.minimum(linear / size, most), jnp.minimum(offset / size, most)
        square = weight * linear**2 + bias * constant**2
        total = jnp.sqrt(jnp.where(square == 0, 1, square))
        return size * jnp.where(square == 0, 0, total), linear / total, constant / total

    x, linear_x, constant_x = of_rows(units.x)
    z, linear_z, constant_z = of_rows(units.z)
    share = weight * _outer(linear_x, linear_z)
    c = share * units.c.value + bias * _outer(constant_x, constant_z)

    by_weights = fixed(weight * (linear_x[:, None] - linear_z[None, :]) ** 2)
    ahead = c >= 0
    opposite = jnp.where(ahead, constant_z[None, :], -constant_z[None, :])
    by_biases = fixed(bias * (constant_x[:, None] - opposite) ** 2)
    apart = jnp.where(ahead & (units.c.value < 0), 2 - units.c.gap, units.c.gap)
    gap = fixed(share * apart) + (by_weights + by_biases) / 2
    snapped = jnp.where(gap < 0.25, jnp.copysign(1 - gap, c), c)  # has the digits of the gap
    return Units(x, z, Cosine(c + fixed(snapped - c), gap)), share


def _unit_and_root(variance: Array) -> tuple[Array, Array]:
    """The pair v / r^2 and r, a power of two near sqrt(v); 0 and 1 for v = 0."""
    root = power_of_two(jnp.sqrt(jnp.maximum(jax.lax.stop_gradient(variance), 0)))
    return variance / root / root, root


def _inverse(deviation: Array) -> Array:
    """1 / s, and 0 for s = 0."""
    return jnp.where(deviation > 0, 1 / jnp.where(deviation > 0, deviation, 1), 0)


def _outer(x: Array, z: Array) -> Array:
    return x[:, None] * z[None, :]


def _dot(u: Array, v: Array) -> Array:
    return jnp.matmul(u, v.T, precision="highest")


def rectified(units: Units, slope: Array) -> tuple[Units, Array]:
    """Leaky relu, phi(u) = max(u, 0) + a min(u, 0), for the slope a: 0 of relu, -1 of |u|.

    With e = 2a / (1 + a^2) the correlation is e c + (1 - e) kappa_1(c), and the gain is
    e + (1 - e) kappa_0(c): leaky relu lies between the identity and relu, and |u| beyond.
    """
    linear, c = 2 * slope / (1 + slope**2), units.c
    kappa_0, kappa_1 = arc_cosines(c)
    value = linear * c.value + (1 - linear) * kappa_1.value
    gap = jnp.where(
        c.value >= 0,
        linear * c.gap + (1 - linear) * kappa_1.gap,
        jnp.where(
            value < 0,
            (1 - linear) * (1 + kappa_1.value) + linear * c.gap,
            (1 + linear) - linear * c.gap - (1 - linear) * kappa_1.value,
        ),
    )
    root = jnp.sqrt((1 + slope**2) / 2)
    gap = jax.lax.stop_gradient(jnp.maximum(gap, 0))
    active = Units(units.x * root, units.z * root, Cosine(value, gap))
    return active, linear + (1 - linear) * kappa_0


def erf(units: Units, _: Array) -> tuple[Units, Array]:
    """The error function as phi.

    E[phi phi] = (2 / pi) arcsin(r) for r = 2 S_xz / sqrt((1 + 2 S_xx)(1 + 2 S_zz)), Williams
    (1997), eq. 11.
    """
    least = float(jnp.finfo(units.x.dtype).tiny)
    (share_x, rest_x), (share_z, rest_z) = (
        _bounded(2**0.5 * deviation, least) for deviation in (units.x, units.z)
    )
    r, cosine = _correlation(share_x, share_z, rest_x, rest_z, units.c)
    own_x, own_z = (
        jnp.sqrt(_arcsine_quotient(share**2, jnp.sqrt(rest * (2 - rest))))
        for share, rest in ((share_x, rest_x), (share_z, rest_z))
    )
    scale = _outer(own_x, own_z)
    active = Units(
        (2 / np.pi) ** 0.5 * share_x * own_x,
        (2 / np.pi) ** 0.5 * share_z * own_z,
        _rounded(units.c.value * _arcsine_quotient(r, cosine) / scale),
    )
    return active, 1 / (cosine * scale)


def gelu(units: Units, _: Array) -> tuple[Units, Array]:
    """GELU, phi(u) = u Phi(u), for the distribution function Phi of N(0, 1).

    Let n and n' ~ N(0, 1) be independent of u and v. Then E[phi phi] = E[u v; n < u, n' < v], and
    integration by parts (Stein's lemma) gives, with A = 1 + S_xx, B = 1 + S_zz,
    r = S_xz / sqrt(A B) and D = A B - S_xz^2,

        E[phi phi]   = S_xz (1/4 + arcsin(r) / 2 pi)
                       + (S_xx S_zz + S_xz^2 (1/A + 1/B - 1)) / (2 pi sqrt(D)),
        E[phi' phi'] = 1/4 + (arcsin(r) + (1/A + 1/B) S_xz / sqrt(D) + S_xz / D^(3/2)) / 2 pi.
    """
    least = float(jnp.finfo(units.x.dtype).eps) ** 2
    (share_x, rest_x), (share_z, rest_z) = (_bounded(s, least) for s in (units.x, units.z))
    r, cosine = _correlation(share_x, share_z, rest_x, rest_z, units.c)
    angle, c = jnp.arctan2(r, cosine), units.c.value
    # Over the cosine each by itself, which keeps the derivatives at large deviations in range.
    over_x, over_z = rest_x[:, None] / cosine, rest_z[None, :] / cosine
    bracket = _square_of_sine(units.c) / cosine + c**2 * (over_x + over_z)
    mean = c * (0.25 + angle / (2 * np.pi)) + _outer(share_x, share_z) * bracket / (2 * np.pi)
    turned = angle + r * (over_x + over_z + over_x * over_z / cosine)

    def own(share: Array, rest: Array) -> Array:
        cosine = jnp.sqrt(rest * (2 - rest))
        by_angle = jnp.arctan2(share**2, cosine) / (2 * np.pi)
        return jnp.sqrt(0.25 + by_angle + share**2 * rest / (np.pi * cosine))

    own_x, own_z = own(share_x, rest_x), own(share_z, rest_z)
    scale = _outer(own_x, own_z)
    active = Units(units.x * own_x, units.z * own_z, _rounded(mean / scale))
    return active, (0.25 + turned / (2 * np.pi)) / scale


def _bounded(deviation: Array, least: float) -> tuple[Array, Array]:
    """The pair s / sqrt(1 + s^2) and 1 / (1 + s^2), which is kept from falling below `least`."""
    root = jnp.hypot(1, deviation)
    return deviation / root, jnp.maximum((1 / root) ** 2, least)


def _correlation(
    share_x: Array, share_z: Array, rest_x: Array, rest_z: Array, c: Cosine
) -> tuple[Array, Array]:
    """The pair r = share_x share_z c and sqrt(1 - r^2), for rest = 1 - share^2."""
    share = _outer(share_x, share_z)
    rest = rest_x[:, None] + rest_z[None, :] - _outer(rest_x, rest_z)
    return share * c.value, jnp.sqrt(rest + share**2 * _square_of_sine(c))


def _square_of_sine(c: Cosine) -> Array:
    """1 - c^2 by the gap, with its derivative by c."""
    plain = 1 - c.value**2
    return plain + jax.lax.stop_gradient(c.gap * (2 - c.gap) - plain)


def _arcsine_quotient(r: Array, cosine: Array) -> Array:
    """arcsin(r) / r for the cosine sqrt(1 - r^2); its series near 0, where both vanish."""
    small = jnp.abs(r) < 0.05
    square = jnp.where(small, r, 0) ** 2
    series = jnp.zeros_like(r)
    for coefficient in (945 / 42240, 105 / 3456, 15 / 336, 3 / 40, 1 / 6, 1.0):
        series = series * square + coefficient
    away = jnp.where(small, 1, r)
    return jnp.where(small, series, jnp.arctan2(away, jnp.where(small, 1, cosine)) / away)


def _rounded(value: Array) -> Cosine:
    """A correlation that is known up to its rounding."""
    return Cosine(value, jax.lax.stop_gradient(jnp.maximum(1 - jnp.abs(value), 0)))
