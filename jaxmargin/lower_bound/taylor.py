"""The degree-4 Taylor polynomial of the tangent kernel (Lemma B.6)."""

import functools

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmargin._checks import is_concrete, require_count, require_positive
from jaxmargin.kernels.closed_form import two_layer_ntk
from jaxmargin.lower_bound._inputs import overlaps
from jaxmargin.lower_bound.restriction import tilde


def taylor_coefficients(d: int, *, r_w: float = 1.0, r_u: float = 1.0) -> Float[Array, "5"]:
    """Coefficients of the polynomial g of Lemma B.6, from the one of nu^0 to the one of nu^4.

        g(nu) = tau1 (d - 1) (nu / 2 + nu^2 / pi + nu^4 / (6 pi))
              + tau2 (d - 1) (1 / pi + nu / 2 + nu^2 / (2 pi) + nu^4 / (24 pi))

    is the Taylor polynomial of K~ in nu = <z', z> / (d - 1). It has degree 4 and is exact to degree
    5, because the coefficient of nu^5 is 0.

    Args:
        d: number of features, >= 3.
        r_w: standard deviation of w; tau1 = r_w^2 / 2.
        r_u: standard deviation of each entry of u; tau2 = r_u^2 / 2.

    Returns:
        (5,) in JAX's default float type.

    Raises:
        ValueError: d < 3, or a standard deviation is negative or too large.
        TypeError: d is not an integer, or a standard deviation is not a number.

    Example:
        >>> [round(a * 3.14159, 3) for a in taylor_coefficients(11, r_u=0.0).tolist()]
        [0.0, 7.854, 5.0, 0.0, 0.833]

    Reference:
        Wei, Lee, Liu, Ma (2019), Lemma B.6.
    """
    require_count("d", d, least=3)
    require_positive("r_w", r_w, zero=True)
    require_positive("r_u", r_u, zero=True)
    tau1, tau2 = (jnp.asarray(r, float) ** 2 / 2 for r in (r_w, r_u))
    for name, r in (("r_w", r_w), ("r_u", r_u)):
        if is_concrete(r) and not d * float(r) ** 2 <= float(jnp.finfo(jnp.result_type(float)).max):
            raise ValueError(
                f"{name}**2 d is beyond {jnp.result_type(float)}: choose a smaller {name}"
            )
    scaled = [tau2, (tau1 + tau2) * jnp.pi / 2, tau1 + tau2 / 2, 0.0, tau1 / 6 + tau2 / 24]
    return (d - 1) / jnp.pi * jnp.stack([jnp.asarray(a, float) for a in scaled])


def taylor_kernel(
    z: Float[Array, "n d_minus_2"],
    z2: Float[Array, "n2 d_minus_2"] | None = None,
    *,
    r_w: float = 1.0,
    r_u: float = 1.0,
) -> Float[Array, "n n2"]:
    """The polynomial kernel g(<z, z2> / (d - 1)), which replaces K~ in the proof of Lemma B.3.

    Args:
        z: (n, d - 2) rows of -1, +1; integers become floats.
        z2: (n', d - 2) rows of -1, +1; None stands for z.
        r_w: standard deviation of w.
        r_u: standard deviation of each entry of u.

    Returns:
        (n, n') Gram matrix.

    Raises:
        ValueError: shapes do not match, or a standard deviation is negative or too large.
        TypeError: z or z2 does not hold real numbers, or a standard deviation is not a number.

    Example:
        >>> z = jnp.where(jnp.arange(38) % 2 == 0, 1.0, -1.0)[None]
        >>> gap = taylor_kernel(z, jnp.ones_like(z)) - tilde(two_layer_ntk)(z, jnp.ones_like(z))
        >>> bool(abs(gap[0, 0]) < 1e-5)
        True

    Reference:
        Wei, Lee, Liu, Ma (2019), Lemmas B.3 and B.6.
    """
    overlap, width = overlaps(z, z2, "(n, d - 2), (n', d - 2)")
    coefficients = taylor_coefficients(width + 2, r_w=r_w, r_u=r_u).astype(overlap.dtype)
    return jnp.polyval(coefficients[::-1], overlap / (width + 1))


def taylor_error(
    z: Float[Array, "n d_minus_2"],
    z2: Float[Array, "n2 d_minus_2"] | None = None,
    *,
    r_w: float = 1.0,
    r_u: float = 1.0,
) -> Float[Array, "n n2"]:
    """The approximation error g - K~ of Lemma B.6.

    Its first term is -(d - 1) (6 tau1 + tau2) nu^6 / (80 pi), of order 1 / d^2 at a random pair.

    Args:
        z: (n, d - 2) rows of -1, +1; integers become floats.
        z2: (n', d - 2) rows of -1, +1; None stands for z.
        r_w: standard deviation of w.
        r_u: standard deviation of each entry of u.

    Returns:
        (n, n') errors. In float32 rounding alone gives about 1e-7 d.

    Raises:
        ValueError: shapes do not match, or a standard deviation is negative or too large.
        TypeError: z or z2 does not hold real numbers, or a standard deviation is not a number.

    Example:
        >>> round(float(taylor_error(jnp.ones((1, 8)))[0, 0]), 2)
        -0.13

    Reference:
        Wei, Lee, Liu, Ma (2019), Lemma B.6.
    """
    exact = functools.partial(two_layer_ntk, r_w=r_w, r_u=r_u)
    return taylor_kernel(z, z2, r_w=r_w, r_u=r_u) - tilde(exact)(z, z2)
