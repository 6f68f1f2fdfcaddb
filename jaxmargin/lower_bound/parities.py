"""Exact moments of polynomials of overlaps <z, z_i> over the hypercube {-1, +1}^dim.

Lemma B.6 replaces the kernel K~ by a polynomial g of the overlap <z', z>, and Lemmas B.7 and B.9
bound second moments of sums of such polynomials from below. Here those moments are computed
exactly, by Fourier analysis. For a set S of coordinates let z^S be the product of the entries of z
in S. These parities are an orthonormal basis of the functions of z. In this basis a power of the
overlap <z, z_i> has the coefficient c z_i^S, where c depends on the size of S only (eq. B.13). So
every expectation over z is a short sum over sizes, in any dimension.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxmargin._checks import finite_result, require_count
from jaxmargin.lower_bound._inputs import float_arrays, overlaps

_MAX_POWER = 1000  # its coefficients take a second, and those of twice the power eight times that


def parity_gram(
    z: Float[Array, "n dim"], z2: Float[Array, "n2 dim"] | None = None, *, size: int
) -> Float[Array, "n n2"]:
    """The sum of z_i^S z2_j^S over all sets S of `size` coordinates, for all rows z_i and z2_j.

    It is a polynomial e_size(t) of the overlap t = <z_i, z2_j>. These polynomials, named after
    Krawtchouk, follow from one another by

        (k + 1) e_{k+1} = t e_k - (dim - k + 1) e_{k-1},    e_0 = 1,  e_1 = t.

    Args:
        z: (n, dim) rows of -1, +1; integers become floats.
        z2: (n', dim) rows of -1, +1; None stands for z.
        size: number of coordinates in S, >= 0.

    Returns:
        (n, n') positive semidefinite Gram matrix of rank at most binomial(dim, size).

    Raises:
        ValueError: shapes do not match, size < 0, or there are more sets than the dtype holds.
        TypeError: z or z2 does not hold real numbers, or size is not an integer.

    Example:
        >>> parity_gram(jnp.array([[1.0, 1.0, -1.0], [1.0, 1.0, 1.0]]), size=2).tolist()
        [[3.0, -1.0], [-1.0, 3.0]]

    Reference:
        Wei, Lee, Liu, Ma (2019), eq. B.12; O'Donnell (2014), Analysis of Boolean Functions.
    """
    require_count("size", size, least=0)
    overlap, dim = overlaps(z, z2, "(n, dim), (n', dim)")
    lower, current = jnp.zeros_like(overlap), jnp.ones_like(overlap)
    if size > dim:
        return lower
    _require_range("the number of sets of `size` coordinates", _sets(dim, size), overlap.dtype)
    for k in range(size):
        following = (overlap * current - (dim - k + 1) * lower) / (k + 1)
        lower, current = current, following
    return current


def fourier_coefficients(power: int, dim: int) -> tuple[int, ...]:
    """The coefficients c_{q,k} = E_z[(z_1 + ... + z_dim)^q z_1 ... z_k] of eq. B.13, q = power.

    From one power to the next, c_{q+1,k} = k c_{q,k-1} + (dim - k) c_{q,k+1}. So c_{q,k} is
    positive if k <= min(q, dim) and q - k is even, and it is 0 otherwise.

    Args:
        power: the power q of the overlap, from 0 to 1000.
        dim: coordinates of the hypercube, >= 1.

    Returns:
        The integers c_{q,k} for k = 0, ..., min(power, dim).

    Raises:
        ValueError: power < 0, power > 1000 or dim < 1.
        TypeError: power or dim is not an integer.

    Example:
        >>> fourier_coefficients(2, 10), fourier_coefficients(4, 10)
        ((10, 0, 2), (280, 0, 104, 0, 24))

    Reference:
        Wei, Lee, Liu, Ma (2019), proof of Lemma B.9.
    """
    require_count("power", power, least=0)
    require_count("dim", dim)
    if power > _MAX_POWER:
        raise ValueError(f"power must be at most {_MAX_POWER}, got {power}")
    power, dim = int(power), int(dim)  # Python's integers do not overflow
    current = [1]
    for q in range(1, power + 1):
        below, above = [0, *current, 0], [*current[1:], 0, 0, 0]
        current = [k * below[k] + (dim - k) * above[k] for k in range(min(q, dim) + 1)]
    return tuple(current)


def cross_moment(
    z: Float[Array, "n dim"], beta: Float[Array, " n"], *, p: int, q: int
) -> Float[Array, ""]:
    """E_z[(sum_i beta_i <z, z_i>^q) (sum_i beta_i <z, z_i>^p)] (Lemma B.9), exactly.

    It equals sum_k c_{p,k} c_{q,k} sum_{|S| = k} (sum_i beta_i z_i^S)^2. So it is never negative,
    and it is 0 if exactly one of p and q is odd.

    Args:
        z: (n, dim) rows of -1, +1.
        beta: (n,) coefficients.
        p: one power, from 0 to 1000.
        q: the other power, from 0 to 1000.

    Returns:
        Scalar.

    Raises:
        ValueError: a power is out of range, shapes do not match, or the moment or its coefficients
            are beyond the dtype.
        TypeError: z or beta does not hold real numbers, or a power is not an integer.

    Example:
        >>> z = jnp.array([[1.0, 1.0, -1.0], [1.0, 1.0, 1.0]])
        >>> float(cross_moment(z, jnp.array([1.0, -1.0]), p=1, q=3))
        28.0

    Reference:
        Wei, Lee, Liu, Ma (2019), Lemma B.9.
    """
    z, beta = _rows_and_weights(z, beta)
    dim = z.shape[1]
    pairs = zip(fourier_coefficients(p, dim), fourier_coefficients(q, dim), strict=False)
    products = [a * b for a, b in pairs]
    _require_range("the largest c_{p,k} c_{q,k}", max(products), z.dtype)
    return _weighted_energies(z, beta, [float(product) for product in products])


def quadratic_form(
    z: Float[Array, "n dim"],
    beta: Float[Array, " n"],
    coefficients: Sequence[float] | Float[Array, " degree"],
) -> Float[Array, ""]:
    """E_z[(sum_i beta_i g(<z, z_i>))^2] for a polynomial g (Lemma B.7), exactly.

    Args:
        z: (n, dim) rows of -1, +1.
        beta: (n,) coefficients.
        coefficients: a_0, a_1, ... of g(t) = sum_j a_j t^j, of any sign; at most 1001 of them.

    Returns:
        Scalar >= 0.

    Raises:
        ValueError: shapes do not match, there are too many coefficients, or the moments of their
            powers or the result are beyond the dtype.
        TypeError: an argument does not hold real numbers.

    Example:
        >>> z = jnp.array([[1.0, 1.0, -1.0], [1.0, 1.0, 1.0]])
        >>> float(quadratic_form(z, jnp.array([1.0, -1.0]), [0.0, 0.0, 1.0]))
        32.0

    Reference:
        Wei, Lee, Liu, Ma (2019), Lemma B.7.
    """
    z, beta = _rows_and_weights(z, beta)
    (a,) = float_arrays(coefficients=coefficients)
    if a.ndim != 1 or not 1 <= len(a) <= _MAX_POWER + 1:
        raise ValueError(
            f"coefficients must be a vector a_0, a_1, ... of 1 to {_MAX_POWER + 1} numbers, "
            f"got shape {a.shape}"
        )
    a = a.astype(z.dtype)
    moments = np.zeros((a.shape[0], min(a.shape[0], z.shape[-1] + 1)))
    for j in range(a.shape[0]):
        c = fourier_coefficients(j, z.shape[-1])
        _require_range(f"the largest c_{{{j},k}}", max(c), z.dtype)
        moments[j, : len(c)] = c
    weights = jnp.matmul(a, jnp.asarray(moments, a.dtype), precision="highest") ** 2
    return _weighted_energies(z, beta, list(weights), a)


def _weighted_energies(z: Array, beta: Array, weights: Sequence, *causes: Array) -> Array:
    """The sum over k of weights_k sum_{|S| = k} (sum_i beta_i z_i^S)^2."""
    total = jnp.zeros((), z.dtype)
    for size, weight in enumerate(weights):
        gram = parity_gram(z, size=size)
        total += weight * jnp.vdot(beta, jnp.matmul(gram, beta, precision="highest"))
    return finite_result("the moment", total, "beta or the coefficients", z, beta, causes)


def _rows_and_weights(z: Any, beta: Any) -> tuple[Array, Array]:
    z, beta = float_arrays(z=z, beta=beta)
    if z.ndim != 2 or 0 in z.shape or beta.shape != z.shape[:1]:
        raise ValueError(f"z must be (n, dim) and beta (n,), got {z.shape} and {beta.shape}")
    return z, beta


def _sets(dim: int, size: int) -> int:
    """The most sets of one size <= `size` of dim coordinates; 2^1100 if beyond all floats."""
    size = min(size, dim // 2)
    return math.comb(dim, size) if size < _MAX_POWER else 2**1100


def _require_range(what: str, number: int, dtype: Any) -> None:
    if number > float(jnp.finfo(dtype).max):
        raise ValueError(
            f"{what} is beyond {dtype}: take fewer coordinates or smaller powers, or use float64"
        )


def quadratic_constant(z: Float[Array, "n dim"]) -> Float[Array, ""]:
    """The c with E_z[(sum_i beta_i g(<z, z_i>))^2] >= c a_2^2 dim^2 |beta|^2 (Lemma B.7).

    As in the lemma's proof, only the sets of size 2 and only the term a_2 t^2 of g are used: c is
    the least eigenvalue of the matrix 4 sum_{|S| = 2} z_i^S z_j^S = 2 (<z_i, z_j>^2 - dim), divided
    by dim^2. For random z it tends to 2 (1 - sqrt(n / N))^2 with N = dim (dim - 1) / 2. It is 0 as
    soon as n > N, because the matrix has rank N at most: that is where the lemma's "n <~ d^2" ends.

    Args:
        z: (n, dim) rows of -1, +1.

    Returns:
        Scalar >= 0 (up to rounding).

    Raises:
        ValueError: z is not a non-empty matrix.
        TypeError: z does not hold real numbers.

    Example:
        >>> import jax
        >>> z = jax.random.rademacher(jax.random.key(0), (20, 30), float)
        >>> bool(quadratic_constant(z) > 0.5)
        True

    Reference:
        Wei, Lee, Liu, Ma (2019), Lemma B.7 and eq. B.11 (which has half of this matrix).
    """
    (z,) = float_arrays(z=z)
    if z.ndim != 2 or 0 in z.shape:
        raise ValueError(f"z must be (n, dim) with n, dim >= 1, got shape {z.shape}")
    wide = z if z.dtype == jnp.float64 else z.astype(jnp.float32)  # no solver takes half precision
    least = jnp.linalg.eigvalsh(4 * parity_gram(wide, size=2))[0] / z.shape[1] ** 2
    return least.astype(z.dtype)
