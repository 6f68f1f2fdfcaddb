"""Gram matrices of kernels that depend on lengths and angles: K(x, z) = |x| |z| f(c).

Here c is the cosine of the angle between two rows, and f is called the profile of the kernel. This
file computes lengths and cosines so that neither the scale of the data nor the rounding near
c = +-1 spoils them; the profiles are in `closed_form`.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxmargin._arrays import as_floats
from jaxmargin.kernels._arccosine import Cosine, cosine
from jaxmargin.kernels._inputs import require_rows

Profile = Callable[..., Array]  # profile(c, *scales), elementwise in c and linear in the scales
PRECISE_DIMENSIONS = 4  # up to which angles are measured by differences of the rows


def gram(profile: Profile, x: Any, z: Any, precise: bool | None, *scales: Any) -> Array:
    """|x_i| |z_j| profile(c_ij, *scales) for all rows of x and z."""
    x, other, precise = rows_and_precision(x, z, precise)
    scales = tuple(_as_scale(scale, x.dtype) for scale in scales)
    return _compiled_gram(profile, precise, z is None, x, other, *scales)


def rows_and_precision(x: Any, z: Any, precise: bool | None) -> tuple[Array, Array, bool]:
    """Both as arrays of rows (x twice for None), and whether to take differences of the rows."""
    x, other = require_rows(as_floats("x", x), None if z is None else as_floats("z", z))
    if precise is not None and not isinstance(precise, bool | np.bool_):
        raise TypeError(f"precise must be True, False or None, got {precise!r:.80}")
    return x, other, x.shape[1] <= PRECISE_DIMENSIONS if precise is None else bool(precise)


def _as_scale(scale: Any, dtype: Any) -> Array:
    """A factor of the kernel; raise if the dtype does not hold a concrete one."""
    if isinstance(scale, float):
        require_held_scale(scale, dtype)
    return jnp.asarray(scale, dtype)


def require_held_scale(scale: float, dtype: Any) -> None:
    """Raise ValueError unless the dtype holds a factor of the kernel, or it is 0."""
    limits = jnp.finfo(dtype)
    if scale and not float(limits.tiny) <= abs(scale) <= float(limits.max):
        raise ValueError(
            f"the variances and the depth multiply the kernel by {scale:.2g}, which {dtype} "
            "does not hold: choose others, or use float64"
        )


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _compiled_gram(
    profile: Profile, precise: bool, own: bool, x: Array, z: Array, *scales: Array
) -> Array:
    """The Gram matrix, compiled as a whole: each step alone would take memory for one more."""
    angles = polar_angles(precise, own, x, z)
    return profile(angles.c, *scales) * (angles.lengths[:, None] * angles.other_lengths[None, :])


@_compiled_gram.defjvp
@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _compiled_gram_jvp(profile: Profile, precise: bool, own: bool, primals, tangents):
    """The derivative by the rows themselves.

    With f the profile, u = x / |x| and v = z / |z| it is

        dK = f a + f' (b - c a),    a = u.dx |z| + |x| v.dz,    b = dx.v |z| + |x| u.dz.

    No term has the product |x| |z|, so a derivative is right wherever the dtype holds it, also
    where K itself over- or underflows. At x = 0, where u is taken as 0, it is that of f'(0) <x, z>.
    """
    (x, z, *scales), (dx, dz, *d_scales) = primals, tangents
    c, u, lengths, v, other_lengths = polar_angles(precise, own, x, z)
    left, right = lengths[:, None], other_lengths[None, :]
    along = jnp.sum(u * dx, axis=1)[:, None] * right + left * jnp.sum(v * dz, axis=1)[None, :]
    across = _dot(dx, v) * right + left * _dot(u, dz)
    f, change = jax.jvp(
        lambda value: profile(Cosine(value, c.gap), *scales),
        (c.value,),
        (across - c.value * along,),
    )
    by_scales = left * profile(c, *d_scales) * right  # profiles are linear in their scales
    return f * (left * right), f * along + change + by_scales


class Angles(NamedTuple):
    """Rows in polar coordinates, and the cosines between them."""

    c: Cosine
    directions: Array
    lengths: Array
    other_directions: Array
    other_lengths: Array


def polar_angles(precise: bool, own: bool, x: Array, z: Array) -> Angles:
    """Those of the rows of x with those of z, which are the rows of x if `own` is set."""
    u, lengths = _polar(x)
    v, other_lengths = (u, lengths) if own else _polar(z)
    if precise:
        c = _difference_cosines(u, v)
    else:
        products = _dot(u, v)
        c = cosine(_symmetric(products) if own else products)
    return Angles(c, u, lengths, v, other_lengths)


def _polar(x: Array) -> tuple[Array, Array]:
    """Unit rows x / |x| and lengths |x|; (0, 0) for a zero row, with derivative 0 of the length.

    Rows are first divided by their largest entry, so that no square over- or underflows. A row
    counts as zero if all of its entries are denormal, because processors may flush those to 0.
    """
    peak = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=1))
    alive = ~(peak < jnp.finfo(x.dtype).tiny)  # NaN is not zero
    peak = jnp.where(alive, peak, 1)
    scaled = jnp.where(alive[:, None], x / peak[:, None], 0)
    norm = jnp.sqrt(jnp.where(alive, jnp.sum(scaled**2, axis=1), 1))
    return scaled / norm[:, None], jnp.where(alive, peak * norm, 0)


def _dot(u: Array, v: Array) -> Array:
    return jnp.matmul(u, v.T, precision="highest")  # bfloat16 or TF32 would spoil the angle


def _symmetric(products: Array) -> Array:
    """Products of unit rows with themselves, made symmetric and with a diagonal of exactly 1."""
    if products.dtype == jnp.float64:
        # In float32 XLA's products are symmetric to the last bit, in float64 they are not.
        products = (products + products.T) / 2
    return jnp.where(jnp.eye(products.shape[0], dtype=bool), 1, products)


@jax.custom_jvp
def _difference_cosines(u: Array, v: Array) -> Cosine:
    """Cosines from q = |u - v|^2 and p = |u + v|^2: 1 - |c| = 2 min(p, q) / (p + q)."""
    columns = v.T  # sums over its rows run along whole vectors of columns

    def row(u_i: Array) -> Array:
        apart = jnp.sum((u_i[:, None] - columns) ** 2, axis=0)
        along = jnp.sum((u_i[:, None] + columns) ** 2, axis=0)
        total = apart + along  # 0 for two zero rows, which count as orthogonal
        gap = jnp.where(total > 0, 2 * jnp.minimum(apart, along) / total, 1)
        return jnp.copysign(gap, along - apart)

    signed_gap = jax.lax.map(row, u)  # one array, to keep the memory low
    gap = jnp.abs(signed_gap)
    return Cosine(jnp.copysign(1 - gap, signed_gap), gap)


@_difference_cosines.defjvp
def _difference_cosines_jvp(primals, tangents):
    (u, v), (du, dv) = primals, tangents
    c = _difference_cosines(u, v)
    return c, Cosine(_dot(du, v) + _dot(u, dv), jnp.zeros_like(c.gap))
