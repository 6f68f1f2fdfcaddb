"""Tangent kernels of infinitely wide relu networks, in closed form (sections 2 and B.1).

A kernel here is a function `(x, z=None) -> Gram matrix` of the rows of x and z. Each one depends
on |x|, |z| and the cosine c of the angle between them:

    K(x, z) = |x| |z| f(c).

Without z the Gram matrix is that of x with itself, and its diagonal is exact. Gradients are
finite everywhere; where the kernel has a kink (x = +-z) or no direction (x = 0), the singular part
is given the derivative 0, the mean over all directions.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxmargin._checks import require_count, require_positive
from jaxmargin.kernels._arccosine import Composition, Cosine, by_angle, combination, cosine

Kernel = Callable[..., Float[Array, "n n2"]]
Profile = Callable[..., Array]


def k1(
    x: Float[Array, "n d"], z: Float[Array, "n2 d"] | None = None, *, precise: bool | None = None
) -> Float[Array, "n n2"]:
    """K1(x, z) = <x, z> (1 - arccos(c) / pi), the kernel of the gradient features.

    Args:
        x: (n, d) rows.
        z: (n', d) rows; None stands for x.
        precise: measure angles by differences of the rows; None does for d <= 4 (see
            `two_layer_ntk`).

    Returns:
        (n, n') Gram matrix in the dtype of x.

    Raises:
        ValueError: x or z is not a non-empty matrix, or they disagree about d.
        TypeError: they are not floats of one dtype.

    Example:
        >>> k1(jnp.array([[2.0, 0.0], [0.0, 1.0]])).tolist()
        [[4.0, 0.0], [0.0, 1.0]]

    Reference:
        Wei, Lee, Liu, Ma (2019), appendix B.1.
    """
    return _gram(combination, x, z, precise, 1.0, 0.0)


def k2(
    x: Float[Array, "n d"], z: Float[Array, "n2 d"] | None = None, *, precise: bool | None = None
) -> Float[Array, "n n2"]:
    """K2(x, z) = |x| |z| sqrt(1 - c^2) / pi; K1 + K2 is the kernel of the relu features.

    Args:
        x: (n, d) rows.
        z: (n', d) rows; None stands for x.
        precise: measure angles by differences of the rows; None does for d <= 4 (see
            `two_layer_ntk`).

    Returns:
        (n, n') Gram matrix in the dtype of x.

    Raises:
        ValueError: x or z is not a non-empty matrix, or they disagree about d.
        TypeError: they are not floats of one dtype.

    Example:
        >>> round(float(k2(jnp.array([[2.0, 0.0], [0.0, jnp.pi]]))[0, 1]), 4)
        2.0

    Reference:
        Wei, Lee, Liu, Ma (2019), appendix B.1.
    """
    return _gram(combination, x, z, precise, -1.0, 1.0)


def two_layer_ntk(
    x: Float[Array, "n d"],
    z: Float[Array, "n2 d"] | None = None,
    *,
    r_w: float = 1.0,
    r_u: float = 1.0,
    precise: bool | None = None,
) -> Float[Array, "n n2"]:
    """The tangent kernel of a hidden unit, E[<grad f(x), grad f(z)>], in closed form.

    With weights w ~ N(0, r_w^2) and u ~ N(0, r_u^2 I) the expectation of section 2 is

        K(x, z) = (r_w^2 / 2) K1 + (r_u^2 / 2) (K1 + K2).

    In float32 the cosine of two nearly collinear rows has an error of 1e-7, which is an error of
    3e-4 in their angle, and of up to 2e-4 |x| |z| in K1. With `precise` the angle comes from
    |x/|x| - z/|z|| and |x/|x| + z/|z|| instead, and the kernel is as good as one computed in
    float64 and rounded. That takes n n' d elementwise operations in place of a product of matrices:
    nothing to speak of for d <= 4, where rows often are nearly collinear and it is the default; 10
    times longer at d = 20 and 30 times at d = 784 on a CPU, with the same memory.

    Args:
        x: (n, d) rows.
        z: (n', d) rows; None stands for x.
        r_w: standard deviation of w, >= 0.
        r_u: standard deviation of each entry of u, >= 0.
        precise: measure angles by differences of the rows; None does for d <= 4.

    Returns:
        (n, n') Gram matrix in the dtype of x.

    Raises:
        ValueError: x or z is not a non-empty matrix, they disagree about d, or a standard
            deviation is negative.
        TypeError: they are not floats of one dtype.

    Example:
        >>> two_layer_ntk(jnp.array([[2.0, 0.0], [0.0, 1.0]]), r_u=0.0).tolist()
        [[2.0, 0.0], [0.0, 0.5]]

    Reference:
        Wei, Lee, Liu, Ma (2019), section 2 and eq. B.1.
    """
    require_positive("r_w", r_w, zero=True)
    require_positive("r_u", r_u, zero=True)
    return _gram(combination, x, z, precise, r_w**2 / 2, r_u**2 / 2)


def relu_nngp(
    x: Float[Array, "n d"],
    z: Float[Array, "n2 d"] | None = None,
    *,
    depth: int = 2,
    weight_variance: float | Sequence[float] = 2.0,
    precise: bool | None = None,
) -> Float[Array, "n n2"]:
    """Covariance E[f(x) f(z)] of an infinitely wide relu network of `depth` layers.

    The network of eq. 4.2 has no biases, and independent weights: those of layer j have the
    variance s_j / fan_in. With c_1 = c and c_{j+1} = kappa_1(c_j),

        K(x, z) = (s_1 ... s_q / 2^(q-1)) (|x| |z| / d) c_q.

    Args:
        x: (n, d) rows.
        z: (n', d) rows; None stands for x.
        depth: number q of weight matrices, >= 1 (2 has one hidden layer).
        weight_variance: s, one number >= 0 or one for each layer; 2 is that of `init_mlp`.
        precise: measure angles by differences of the rows; None does for d <= 4 (see
            `two_layer_ntk`).

    Returns:
        (n, n') Gram matrix in the dtype of x.

    Raises:
        ValueError: x or z is not a non-empty matrix, they disagree about d, depth < 1, or
            weight_variance is negative or of wrong length.
        TypeError: they are not floats of one dtype, or depth is not an integer.

    Example:
        >>> relu_nngp(jnp.array([[2.0, 0.0]]), depth=5).tolist()
        [[4.0]]

    Reference:
        Wei, Lee, Liu, Ma (2019), eq. 4.2; Cho and Saul (2009); Lee et al. (2018).
    """
    scale = _output_scale(x, depth, weight_variance)
    return _gram(_nngp_profile(depth), x, z, precise, scale)


def relu_ntk(
    x: Float[Array, "n d"],
    z: Float[Array, "n2 d"] | None = None,
    *,
    depth: int = 2,
    weight_variance: float | Sequence[float] = 2.0,
    precise: bool | None = None,
) -> Float[Array, "n n2"]:
    """Tangent kernel of an infinitely wide relu network of `depth` layers.

    The network of `relu_nngp` with the weights W_j = sqrt(s_j / fan_in) V_j, differentiated in V_j
    ~ N(0, 1) (the "NTK parameterization"). With c_1 = c and c_{j+1} = kappa_1(c_j),

        K(x, z) = (s_1 ... s_q / 2^(q-1)) (|x| |z| / d) sum_j c_j kappa_0(c_j) ... kappa_0(c_{q-1}).

    For depth 2 and s_j = 1 this is `two_layer_ntk(x, z) / d`.

    Args:
        x: (n, d) rows.
        z: (n', d) rows; None stands for x.
        depth: number q of weight matrices, >= 1 (2 has one hidden layer).
        weight_variance: s, one number >= 0 or one for each layer; 2 is that of `init_mlp`.
        precise: measure angles by differences of the rows; None does for d <= 4 (see
            `two_layer_ntk`).

    Returns:
        (n, n') Gram matrix in the dtype of x.

    Raises:
        ValueError: x or z is not a non-empty matrix, they disagree about d, depth < 1, or
            weight_variance is negative or of wrong length.
        TypeError: they are not floats of one dtype, or depth is not an integer.

    Example:
        >>> relu_ntk(jnp.array([[2.0, 0.0]]), depth=5).tolist()
        [[20.0]]

    Reference:
        Jacot, Gabriel, Hongler (2018), Theorem 1; Wei, Lee, Liu, Ma (2019), eq. 4.2.
    """
    scale = _output_scale(x, depth, weight_variance)
    return _gram(_ntk_profile(depth), x, z, precise, scale)


_PRECISE_DIMENSIONS = 4


@functools.cache  # one function for each depth, so that it compiles once
def _nngp_profile(depth: int) -> Profile:
    if depth == 1:
        return _linear_profile
    if depth == 2:
        return lambda c, scale: combination(c, jnp.zeros_like(scale), scale)

    def recursion(c: Cosine, arc_cosines: Callable) -> Any:  # NumPy too, for the series
        for _ in range(depth - 1):
            _, c = arc_cosines(c)
        return c.value

    return _scaled(recursion)


@functools.cache
def _ntk_profile(depth: int) -> Profile:
    if depth == 1:
        return _linear_profile
    if depth == 2:
        return lambda c, scale: combination(c, scale, scale)

    def recursion(c: Cosine, arc_cosines: Callable) -> Any:  # NumPy too, for the series
        total = c.value
        for _ in range(depth - 1):
            kappa_0, c = arc_cosines(c)
            total = total * kappa_0 + c.value
        return total

    return _scaled(recursion)


def _linear_profile(c: Cosine, scale: Array) -> Array:
    return scale * c.value


def _scaled(recursion: Composition) -> Profile:
    evaluate = by_angle(recursion)
    return lambda c, scale: scale * evaluate(c)


def _output_scale(x: Array, depth: int, weight_variance: float | Sequence[float]) -> float:
    """s_1 ... s_q / (2^(q-1) d)."""
    d = _require_matrix("x", jnp.asarray(x)).shape[1]
    require_count("depth", depth)
    variances = np.asarray(weight_variance, float)
    if variances.shape not in ((), (depth,)):
        raise ValueError(
            f"weight_variance must be one number or one a layer ({depth}), "
            f"got shape {variances.shape}"
        )
    for variance in variances.ravel():
        require_positive("weight_variance", variance, zero=True)
    return float(np.prod(np.broadcast_to(variances, depth))) / 2 ** (depth - 1) / d


def _gram(profile: Profile, x: Array, z: Array | None, precise: bool | None, *scales: Any) -> Array:
    """|x_i| |z_j| profile(c_ij, *scales) for all rows of x and z."""
    x, other = require_rows(x, z)
    if precise is None:
        precise = x.shape[1] <= _PRECISE_DIMENSIONS
    scales = tuple(jnp.asarray(scale, x.dtype) for scale in scales)
    return _compiled_gram(profile, precise, x, None if z is None else other, *scales)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _compiled_gram(
    profile: Profile, precise: bool, x: Array, z: Array | None, *scales: Array
) -> Array:
    """Compiled as one, because each step by itself would need memory for one more Gram matrix."""
    directions, lengths = _polar(x)
    other_directions, other_lengths = (directions, lengths) if z is None else _polar(z)
    if precise:
        c = _difference_cosines(directions, other_directions)
    else:
        products = _dot(directions, other_directions)
        c = cosine(_symmetric(products) if z is None else products)
    return profile(c, *scales) * (lengths[:, None] * other_lengths[None, :])


def _polar(x: Array) -> tuple[Array, Array]:
    """Unit rows x / |x| and lengths |x|; (0, 0) for a zero row, with derivative 0 of the length.

    Rows are first divided by their largest entry, so that no square over- or underflows. A row
    all of whose entries are denormal counts as zero: processors may flush them.
    """
    peak = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=1))
    alive = ~(peak < jnp.finfo(x.dtype).tiny)  # NaN is not zero
    peak = jnp.where(alive, peak, 1)
    scaled = jnp.where(alive[:, None], x / peak[:, None], 0)
    norm = jnp.sqrt(jnp.where(alive, jnp.sum(scaled**2, axis=1), 1))
    return scaled / norm[:, None], jnp.where(alive, peak * norm, 0)


def _dot(u: Array, v: Array) -> Array:
    return jnp.matmul(u, v.T, precision="highest")  # no bfloat16 or TF32: c decides the angle


def _symmetric(products: Array) -> Array:
    """Products of unit rows with themselves, without rounding errors on and across the diagonal."""
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


def require_rows(x: Any, z: Any) -> tuple[Array, Array]:
    """Both as arrays (x twice for None), checked to be non-empty matrices of floats."""
    x = _require_matrix("x", jnp.asarray(x))
    if z is None:
        return x, x
    z = _require_matrix("z", jnp.asarray(z))
    if z.shape[1] != x.shape[1]:
        raise ValueError(f"x and z must have the same d features, got {x.shape} and {z.shape}")
    if z.dtype != x.dtype:
        raise TypeError(f"x and z must have one dtype, got {x.dtype} and {z.dtype}: cast one")
    return x, z


def _require_matrix(name: str, rows: Array) -> Array:
    if rows.ndim != 2 or 0 in rows.shape:
        raise ValueError(f"{name} must be (n, d) with n, d >= 1, got shape {rows.shape}")
    if not jnp.issubdtype(rows.dtype, jnp.floating):
        raise TypeError(f"{name} must hold floats, got {rows.dtype}: cast it, say to float32")
    return rows
