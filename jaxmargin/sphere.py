"""Points on the unit sphere: uniform ones (eq. 3.2), and the best units for a dual vector.

For a vector r with one entry a sample, the height of a unit with direction u is
|sum_i r_i relu(u . x_i)|. Its maximum over the sphere says which unit changes the outputs most
along r. Certificates (section 3), l1-SVMs (appendix B.4) and Rademacher complexities need it.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from jaxmargin._checks import require_count
from jaxmargin._sphere_search import SphereMaximum, candidates, separated, uniform_directions

__all__ = ["SphereMaximum", "maxima", "maximum", "sample_sphere"]


def maximum(
    x: Float[Array, "n d"], dual: Float[Array, "n *k"], *, starts: Array | None = None
) -> SphereMaximum:
    """The largest |sum_i r_i relu(u . x_i)| over all unit vectors u.

    It is exact up to rounding for d <= 3. For d > 3 it is the highest point that an ascent from
    many starts has met, which is a lower bound of the maximum.

    Args:
        x: (n, d) samples.
        dual: r, (n,), or (n, k) for k outputs. The sum is then a vector, and |.| its length.
        starts: (p, d) more points to climb from, where d > 3.

    Returns:
        `SphereMaximum(value=(), direction=(d,))`.

    Raises:
        ValueError: shapes that do not fit.

    Example:
        >>> found = maximum(jnp.eye(2), jnp.array([3.0, 4.0]))
        >>> round(float(found.value), 4), [round(float(u), 4) for u in found.direction]
        (5.0, [0.6, 0.8])

    Reference:
        Wei, Lee, Liu, Ma (2019), section 3 and appendix B.4. For the cells between the hyperplanes
        u . x_i = 0, Pilanci and Ergen (2020), "Neural networks are convex regularizers".
    """
    points = candidates(x, dual, starts)
    best = jnp.argmax(points.value)
    return SphereMaximum(points.value[best], points.direction[best])


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
        ValueError: shapes that do not fit.

    Example:
        >>> found = maxima(jnp.array([[1.0], [-1.0]]), jnp.array([3.0, 4.0]), 2)
        >>> found.value.tolist(), found.direction.tolist()
        ([4.0, 3.0], [[-1.0], [1.0]])

    Reference:
        As for `maximum`.
    """
    return separated(candidates(x, dual, starts), count, separation)


def sample_sphere(key: PRNGKeyArray, m: int, dim: int) -> Float[Array, "m dim"]:
    """Independent uniform points on the unit sphere of R^dim (the paper's U^d, dim = d + 1).

    Args:
        key: random key.
        m: number of points, >= 1.
        dim: dimension of the space, >= 1.

    Returns:
        (m, dim) unit rows, in JAX's default float type.

    Raises:
        ValueError: a count below 1.
        TypeError: a count that is not an integer.

    Example:
        >>> import jax
        >>> jnp.linalg.norm(sample_sphere(jax.random.key(0), 2, 5), axis=1).round(5).tolist()
        [1.0, 1.0]

    Reference:
        Wei, Lee, Liu, Ma (2019), eq. 3.2.
    """
    require_count("m", m)
    require_count("dim", dim)
    return uniform_directions(key, (m, dim), jnp.result_type(float))
