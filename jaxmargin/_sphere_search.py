"""The largest |sum_i r_i relu(u . x_i)| over all unit vectors u, enumerated or searched.

The hyperplanes u . x_i = 0 cut the sphere into cells. Inside a cell the sum is linear, M_A u with
M_A = sum_{i in A} r_i x_i^T for the set A of active samples. Its length has a maximum inside the
cell only at the top right singular vector of M_A (at M_A^T itself, for scalar r). Every other
maximum lies on the boundary of the cell, where the same holds one dimension lower. For d <= 3 all
of these points can be enumerated, and the maximum is exact up to rounding. For d > 3 the same
points serve as steps of an ascent from many starts, which gives a lower bound of the maximum.

A point is found from a guess of its cell, and rounding may make the guess wrong. This does no harm:
the function itself is evaluated at every point, so that no value is larger than the true maximum.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri
from jaxtyping import Array, Float, PRNGKeyArray

EXACT_DIMENSION = 3  # up to which the maximum is enumerated

_BLOCK_ENTRIES = 2**20  # of an array (points x samples)
_PARALLEL = 1e3  # units of rounding; two samples with a smaller angle share one hyperplane
_ASCENT_STEPS = 60
_MAX_KINKS = 16  # on which an ascent may walk at once


class SphereMaximum(NamedTuple):
    """A maximum over the unit sphere, or p of them.

    Attributes:
        value: () or (p,) lengths |sum_i r_i relu(u . x_i)|; -inf where there are fewer than p.
        direction: (d,) or (p, d) unit vectors u.
    """

    value: Float[Array, "*p"]
    direction: Float[Array, "*p d"]


def separated(points: SphereMaximum, count: int, separation: float = 0.1) -> SphereMaximum:
    """The best `count` of p points such that any two are at least the angle `separation` apart."""
    values, directions = points
    near = jnp.cos(jnp.asarray(separation, values.dtype))

    def take(left: Array, _: None) -> tuple[Array, SphereMaximum]:
        best = jnp.argmax(left)
        close = (_dot(directions, directions[best]) > near).at[best].set(True)
        return jnp.where(close, -jnp.inf, left), SphereMaximum(left[best], directions[best])

    return jax.lax.scan(take, values, length=count)[1]


def relu_sum(x: Array, dual: Array, u: Array) -> Array:
    """sum_i r_i relu(u . x_i): () or (k,) for one u (d,), (p,) or (p, k) for p of them."""
    return _dot(jax.nn.relu(_dot(u, x.T)), dual)


def candidates(x: Array, dual: Array, starts: Array | None) -> SphereMaximum:
    """Points with their values: one is the maximum if d <= 3, else the best that was found."""
    if x.ndim != 2 or 0 in x.shape or dual.ndim not in (1, 2) or len(dual) != len(x):
        raise ValueError(
            f"x must be (n, d) and dual (n,) or (n, k) with n, d >= 1, got {x.shape} and "
            f"{dual.shape}"
        )
    if starts is not None and (starts.ndim != 2 or starts.shape[1] != x.shape[1]):
        raise ValueError(f"starts must be (p, d = {x.shape[1]}), got {starts.shape}")
    d = x.shape[1]
    if d == 1:
        ends = jnp.array([[1], [-1]], x.dtype)
        return SphereMaximum(_heights(x, dual, ends), ends)
    if d == 2:
        return _on_circle(x, dual)
    if d == 3:
        found = jax.lax.map(lambda normal: _on_great_circle(x, dual, normal), unit_rows(x))
        return SphereMaximum(found.value.ravel(), found.direction.reshape(-1, 3))
    return _climb(x, dual, _starts(x, starts))


def _on_circle(x: Array, dual: Array) -> SphereMaximum:
    """The best point of each sector between two kinks, its first kink included; d = 2."""

    def best(sector: tuple[Array, Array]) -> SphereMaximum:
        kink, middle = sector
        points = [kink, *_peaks(x, dual, _dot(x, middle) > 0)]
        return _best(x, dual, jnp.stack(points))

    return _map(best, _sectors(x), 3 * len(x))


def _on_great_circle(x: Array, dual: Array, normal: Array) -> SphereMaximum:
    """The best of each arc of the great circle across `normal` and the cells beside it; d = 3."""
    plane = _plane(normal)
    z, height = _dot(x, plane.T), _dot(x, normal)
    size = jnp.linalg.norm(x, axis=1)
    parallel = jnp.linalg.norm(z, axis=1) <= _PARALLEL * jnp.finfo(x.dtype).eps * size
    z = jnp.where(parallel[:, None], 0, z)

    def best(arc: tuple[Array, Array]) -> SphereMaximum:
        kink, middle = arc
        active = _dot(z, middle) > 0
        flat = [kink, *_peaks(z, dual, active)]
        above = _peaks(x, dual, jnp.where(parallel, height > 0, active))
        below = _peaks(x, dual, jnp.where(parallel, height < 0, active))
        lifted = _dot(jnp.stack(flat), plane)
        return _best(x, dual, jnp.concatenate([lifted, jnp.stack([*above, *below])]))

    return _map(best, _sectors(z), 7 * len(x))


def _plane(normal: Array) -> Array:
    """Two orthonormal rows across a unit vector of R^3."""
    axis = jnp.zeros_like(normal).at[jnp.argmin(jnp.abs(normal))].set(1)
    first = unit_rows(jnp.cross(normal, axis))
    return jnp.stack([first, jnp.cross(normal, first)])


def _sectors(z: Array) -> tuple[Array, Array]:
    """The 2n kinks, where u is across a z_i, by angle; and the middle of the sector after each."""
    across = jnp.stack([-z[:, 1], z[:, 0]], axis=1)
    kinks = unit_rows(jnp.concatenate([across, -across]))
    angles = jnp.arctan2(kinks[:, 1], kinks[:, 0])
    order = jnp.argsort(angles)
    begin = angles[order]
    end = jnp.roll(begin, -1).at[-1].add(2 * jnp.pi)
    middle = (begin + end) / 2
    return kinks[order], jnp.stack([jnp.cos(middle), jnp.sin(middle)], axis=1)


def _peaks(x: Array, dual: Array, active: Array) -> tuple[Array, Array]:
    """Where |sum_{i active} r_i (u . x_i)| is largest on the whole sphere: u and -u."""
    if dual.ndim == 1:
        peak = unit_rows(_dot(jnp.where(active, dual, 0), x))
    else:
        moments = _dot(jnp.where(active[:, None], dual, 0).T, x)
        peak = jnp.linalg.eigh(_dot(moments.T, moments))[1][:, -1]
    return peak, -peak


def _heights(x: Array, dual: Array, u: Array) -> Array:
    """|sum_i r_i relu(u . x_i)|, () for one u or (p,)."""
    total = relu_sum(x, dual, u)
    return jnp.abs(total) if dual.ndim == 1 else jnp.linalg.norm(total, axis=-1)


def _best(x: Array, dual: Array, points: Array) -> SphereMaximum:
    values = _heights(x, dual, points)
    best = jnp.argmax(values)
    return SphereMaximum(values[best], points[best])


def _starts(x: Array, given: Array | None) -> Array:
    """Both signs of the samples, spread-out directions, and those given."""
    parts = [x, -x, spread(64, x.shape[1], x.dtype)]
    return unit_rows(jnp.concatenate(parts if given is None else [*parts, given]))


def spread(count: int, dim: int, dtype) -> Array:
    """Well spread points (count, dim) without a random key.

    A Kronecker sequence fills the cube evenly; the inverse normal distribution function makes
    directions of its points that fill the sphere.
    """
    root = 2.0
    for _ in range(50):  # solves root^(dim + 1) = root + 1, as Roberts (2018) suggests
        root = (1 + root) ** (1 / (dim + 1))
    rates = root ** -jnp.arange(1, dim + 1, dtype=dtype)
    phase = (0.5 + jnp.arange(1, count + 1, dtype=dtype)[:, None] * rates[None, :]) % 1
    return ndtri(jnp.clip(phase, 1e-4, 1 - 1e-4))


def _climb(x: Array, dual: Array, starts: Array) -> SphereMaximum:
    """From each start, the highest point that the ascent reaches."""
    kinks = min(len(x), x.shape[1] - 1, _MAX_KINKS)

    def climb(start: Array) -> SphereMaximum:
        def advance(_: int, state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            u, value, step = state
            points = _uphill(x, dual, u, step, kinks)
            values = _heights(x, dual, points)
            best = jnp.argmax(values)
            better = values[best] > value
            step = jnp.where(values[0] > value, 2 * step, step / 2)
            return jnp.where(better, points[best], u), jnp.maximum(values[best], value), step

        first = (start, _heights(x, dual, start), jnp.ones((), x.dtype))
        u, value, _ = jax.lax.fori_loop(0, _ASCENT_STEPS, advance, first)
        return SphereMaximum(value, u)

    return _map(climb, starts, (kinks + 2) * len(x))


def _uphill(x: Array, dual: Array, u: Array, step: Array, kinks: int) -> Array:
    """The points that an ascent tries next from u.

    One is a step along the gradient. Another is the peak of u's cell, and the rest are this peak
    restricted to the 1, 2, ... nearest concave kinks. The slope falls across a concave kink, so
    that maxima gather there, and steps along the gradient alone would zigzag across it.
    """
    total = relu_sum(x, dual, u)
    pull = _dot(dual, unit_rows(total)) if total.ndim else dual * jnp.where(total < 0, -1, 1)
    heights = _dot(x, u)
    slope = _dot(jnp.where(heights > 0, pull, 0), x)
    distance = jnp.where(
        pull < 0, jnp.abs(heights) / _positive(jnp.linalg.norm(x, axis=1)), jnp.inf
    )
    nearest = jax.lax.top_k(-distance, kinks)[1]
    walls = jnp.linalg.qr(x[nearest].T)[0].T  # orthonormal, the nearest first
    along = jnp.cumsum(_dot(walls, slope)[:, None] * walls, axis=0)
    ahead = u + step * unit_rows(slope)
    return unit_rows(jnp.concatenate([ahead[None], slope[None], slope[None] - along]))


def _map(function: Callable, points: Any, entries: int) -> SphereMaximum:
    """`function` of each point, in blocks small enough that (points x entries) fits in memory."""
    size = max(1, _BLOCK_ENTRIES // entries)
    if size >= len(jax.tree.leaves(points)[0]):
        return jax.vmap(function)(points)
    return jax.lax.map(function, points, batch_size=size)


def _dot(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision="highest")


def _positive(length: Array) -> Array:
    return jnp.where(length == 0, 1, length)


def unit_rows(v: Array) -> Array:
    """Rows of length 1; a row of zeros becomes the first axis."""
    length = jnp.linalg.norm(v, axis=-1, keepdims=True)
    axis = jnp.zeros_like(v).at[..., 0].set(1)
    return jnp.where(length == 0, axis, v / _positive(length))


def uniform_directions(key: PRNGKeyArray, shape: tuple[int, ...], dtype: Any) -> Array:
    """Independent uniform unit rows, of the given shape."""
    normal = jax.random.normal(key, shape, dtype)
    return normal / jnp.linalg.norm(normal, axis=1, keepdims=True)
