"""The Nystroem approximation of a Gram matrix from some landmark rows, as a preconditioner."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxmargin._arithmetic import power_of_two
from jaxmargin._arrays import as_result
from jaxmargin._checks import require_finite
from jaxmargin.kernels._fits.shared_product import SharedProduct


class LowRank(NamedTuple):
    """U diag(eigenvalues) U', close to K over its scale."""

    basis: Float[Array, "n m"]  # U, with orthonormal columns
    eigenvalues: Float[Array, " m"]  # the largest first

    def precondition(self, weight: Array, ridge: Array, r: Array) -> Array:
        """A multiple of (weight U diag(eigenvalues) U' + ridge I)^-1 r.

        On the complement of U it is the identity: there K is taken to have the smallest eigenvalue
        of the approximation.
        """
        basis, eigenvalues = self
        damping = weight * (eigenvalues[-1] - eigenvalues) / (weight * eigenvalues + ridge)
        return r + _matmul(basis, damping[:, None] * _matmul(basis.T, r))


_matmul = jax.jit(partial(jnp.matmul, precision="highest"))


def nystroem(product: SharedProduct, x: Array, landmarks: Array) -> tuple[LowRank, Array]:
    """K(x, z) K(z, z)^-1 K(z, x) for landmarks z, by those of its eigenvectors above rounding.

    Returns:
        The approximation of K / scale, and the scale: the power of two near max_z K(z, z).
    """
    core = as_result("kernel(x)", product.kernel(landmarks))
    _check_core(core, len(landmarks))
    scale = power_of_two(jnp.max(jnp.diagonal(core)))
    whitener, _ = _inverse_root(core / scale)
    factor, gram = _landmark_factor(product, x, landmarks, whitener, scale)
    rotation, eigenvalues = _inverse_root(gram)
    return LowRank(_matmul(factor, rotation), eigenvalues), scale


def _inverse_root(matrix: Array) -> tuple[Array, Array]:
    """W with W'MW = I, and the eigenvalues of M above its rounding, the largest first."""
    values, vectors = np.linalg.eigh(np.asarray(matrix, np.float64))
    values, vectors = values[::-1], vectors[:, ::-1]
    keep = values > 10 * jnp.finfo(matrix.dtype).eps * values[0]
    root = vectors[:, keep] / np.sqrt(values[keep])
    return jnp.asarray(root, matrix.dtype), jnp.asarray(values[keep], matrix.dtype)


@partial(jax.jit, static_argnums=0)
def _landmark_factor(
    product: SharedProduct, x: Array, landmarks: Array, whitener: Array, scale: Array
) -> tuple[Array, Array]:
    """L with L L' the Nystroem approximation, and L'L."""
    factor = product.with_landmarks(x, landmarks, whitener) / scale
    return factor, _matmul(factor.T, factor)


def _check_core(core: Array, m: int) -> None:
    """Raise unless the kernel gave a finite symmetric m x m Gram matrix."""
    if core.shape != (m, m):
        raise ValueError(f"kernel of {m} rows must give shape {(m, m)}, got {core.shape}")
    require_finite("the kernel's Gram matrix", core)
    if not float(jnp.max(jnp.diagonal(core))) > 0:
        raise ValueError(
            "kernel must be positive semidefinite and not 0, but K(x, x) <= 0: if x is so small "
            f"that K(x, x) rounds to 0 in {core.dtype}, scale x up"
        )
    asymmetry = float(jnp.max(jnp.abs(core - core.T)))
    if asymmetry > np.sqrt(jnp.finfo(core.dtype).eps) * float(jnp.max(jnp.abs(core))):
        raise ValueError(f"kernel must be symmetric, but K - K' has entries of {asymmetry:.2g}")
