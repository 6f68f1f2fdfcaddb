"""Points on the unit sphere: uniform ones (eq. 3.2), and the best units for a dual vector.

For a vector r with one entry a sample, the height of a unit with direction u is
|sum_i r_i relu(u . x_i)|. Its maximum over the sphere says which unit changes the outputs most
along r. Certificates (section 3), l1-SVMs (appendix B.4) and Rademacher complexities need it.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from jaxmargin._arrays import as_floats, require_key
from jaxmargin._checks import (
    require_count,
    require_entries,
    require_finite,
    require_positive,
)
from jaxmargin._sphere.relu_sum import scaled
from jaxmargin._sphere.unit_maximum import highest
from jaxmargin._sphere_search import SphereMaximum, relu_sum, uniform_directions

__all__ = ["SphereMaximum", "maxima", "maximum", "sample_sphere"]


def maximum(
    x: Float[Array, "n d"], dual: Float[Array, "n *k"], *, starts: Array | None = None
) -> SphereMaximum:
    """The largest |sum_i r_i relu(u . x_i)| over all unit vectors u.

    It is exact up to rounding where the samples span at most 3 dimensions, whatever d is; or 4 or 5
    dimensions, if there are not too many samples (some 160 and 58 for one output). Beyond that it
    is the highest point that ascents from many starts have met, a lower bound of the maximum.

    The time of an exact maximum grows as n log n where the samples span 2 dimensions, as n^2 log n
    in 3, and as n^(r - 1) log n in r. With one output 10^5 samples in the plane, or 1000 in 3
    dimensions, take seconds; 3000 take ten times as long as 1000.

    The direction is found on the host in float64, and has no derivative. The value is computed at
    that direction, so that its derivatives are those of the maximum wherever the latter is
    attained at one point only (Danskin's theorem).

    Args:
        x: (n, d) samples.
        dual: r, (n,), or (n, k) for k outputs. The sum is then a vector, and |.| its length.
        starts: (p, d) more points to climb from.

    Returns:
        `SphereMaximum(value=(), direction=(d,))`.

    Raises:
        ValueError: shapes that do not fit, or entries that are not finite.
        TypeError: an array does not hold real numbers.

    Example:
        >>> found = maximum(jnp.eye(2), jnp.array([3.0, 4.0]))
        >>> round(float(found.value), 4), [round(float(u), 4) for u in found.direction]
        (5.0, [0.6, 0.8])

    Reference:
        Wei, Lee, Liu, Ma (2019), section 3 and appendix B.4. For the cells between the hyperplanes
        u . x_i = 0, Pilanci and Ergen (2020), "Neural networks are convex regularizers".
        Danskin (1966), "The theory of max-min, with applications".
    """
    best = maxima(x, dual, 1, starts=starts)
    return SphereMaximum(best.value[0], best.direction[0])


def maxima(
    x: Float[Array, "n d"],
    dual: Float[Array, "n *k"],
    count: int,
    *,
    separation: float = 0.1,
    starts: Array | None = None,
) -> SphereMaximum:
    """The highest points of |sum_i r_i relu(u . x_i)| that lie apart from one another.

    Args:
        x: (n, d) samples.
        dual: r, (n,) or (n, k).
        count: how many, the best first. The first is that of `maximum`.
        separation: the least angle between any two of them, in radians.
        starts: as for `maximum`.

    Returns:
        `SphereMaximum(value=(count,), direction=(count, d))`. Where fewer lie apart, the values of
        the rest are -inf.

    Raises:
        ValueError: shapes that do not fit, entries that are not finite, count < 1, or a separation
            that is negative or no finite number.
        TypeError: an array does not hold real numbers, or count is not an integer.

    Example:
        >>> found = maxima(jnp.array([[1.0], [-1.0]]), jnp.array([3.0, 4.0]), 2)
        >>> found.value.tolist(), found.direction.tolist()
        ([4.0, 3.0], [[-1.0], [1.0]])

    Reference:
        As for `maximum`.
    """
    x, dual, starts = _check(x, dual, starts)
    require_count("count", count)
    require_entries("the directions", count=count, d=x.shape[1])
    require_positive("separation", separation, zero=True)
    inputs = jax.lax.stop_gradient((x, dual, starts))

    def directions(x: Array, dual: Array, starts: Array | None) -> np.ndarray:
        given = None if starts is None else np.asarray(starts)
        function = scaled(np.asarray(x), np.asarray(dual))
        values, u, _ = highest(function, given, count, separation)
        return np.where(values[:, None] == -np.inf, np.nan, u).astype(dtype)

    dtype = jnp.result_type(x, dual)
    shape = jax.ShapeDtypeStruct((count, x.shape[1]), dtype)
    u = jax.pure_callback(directions, shape, *inputs, vmap_method="sequential")
    missing = jnp.isnan(u[:, 0])
    u = jnp.where(missing[:, None], u[:1], u)
    return SphereMaximum(jnp.where(missing, -jnp.inf, _heights(x, dual, u)), u)


def _check(x: Any, dual: Any, starts: Any) -> tuple[Array, Array, Array | None]:
    x, dual = (jnp.asarray(as_floats(*named)) for named in (("x", x), ("dual", dual)))
    starts = None if starts is None else jnp.asarray(as_floats("starts", starts))
    if (
        x.ndim != 2
        or 0 in x.shape
        or dual.ndim not in (1, 2)
        or 0 in dual.shape
        or len(dual) != len(x)
    ):
        raise ValueError(
            f"x must be (n, d) and dual (n,) or (n, k) with n, d >= 1, got {x.shape} and "
            f"{dual.shape}"
        )
    if starts is not None and (starts.ndim != 2 or starts.shape[1] != x.shape[1]):
        raise ValueError(f"starts must be (p, d = {x.shape[1]}), got {starts.shape}")
    for name, values in (("x", x), ("dual", dual), ("starts", starts)):
        require_finite(name, values)
    return x, dual, starts


def _heights(x: Array, dual: Array, u: Array) -> Array:
    """|sum_i r_i relu(u . x_i)| of (p, d) unit vectors; its square may overflow."""
    totals = relu_sum(x, dual, u)
    if dual.ndim == 1:
        return jnp.abs(totals)
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(totals), axis=1))
    safe = jnp.where(largest > 0, largest, 1)
    nothing = (largest == 0)[:, None]
    parts = jnp.where(nothing, 1, totals / safe[:, None])  # the slope of a length at 0 is no number
    return largest * jnp.linalg.norm(parts, axis=1)


def sample_sphere(key: PRNGKeyArray, m: int, dim: int) -> Float[Array, "m dim"]:
    """Independent uniform points on the unit sphere of R^dim (the paper's U^d, dim = d + 1).

    Args:
        key: random key.
        m: number of points, >= 1.
        dim: dimension of the space, >= 1.

    Returns:
        (m, dim) unit rows, in JAX's default float type.

    Raises:
        ValueError: a count below 1, more entries than 32 bits count, or several keys.
        TypeError: key is no random key, or a count is not an integer.

    Example:
        >>> import jax
        >>> jnp.linalg.norm(sample_sphere(jax.random.key(0), 2, 5), axis=1).round(5).tolist()
        [1.0, 1.0]

    Reference:
        Wei, Lee, Liu, Ma (2019), eq. 3.2.
    """
    require_key(key)
    require_count("m", m)
    require_count("dim", dim)
    require_entries("the points", m=m, dim=dim)
    return uniform_directions(key, (m, dim), jnp.result_type(float))
