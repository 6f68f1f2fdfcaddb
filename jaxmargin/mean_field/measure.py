"""Measures over units: weighted particles (section 3)."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class Measure(NamedTuple):
    """Weighted particles, sum_j mass_j delta(theta_j).

    Attributes:
        theta: (m, D) one particle a row.
        mass: (m,) weights >= 0; 1/m each for a finite network of m units.
    """

    theta: Float[Array, "m dim"]
    mass: Float[Array, " m"]

    @property
    def weights(self) -> Float[Array, " m"]:
        """mass_j |theta_j|^2: a 2-homogeneous function does not see how a weight is split."""
        return self.mass * jnp.sum(self.theta**2, axis=1)

    def checked(self) -> "Measure":
        """The same as JAX arrays, once their shapes and dtypes are seen to fit."""
        theta, mass = jnp.asarray(self.theta), jnp.asarray(self.mass)
        if theta.ndim != 2 or 0 in theta.shape or mass.shape != theta.shape[:1]:
            raise ValueError(
                "measure must hold theta (m, D) and mass (m,) for m >= 1 particles, "
                f"got {theta.shape} and {mass.shape}"
            )
        if not jnp.issubdtype(theta.dtype, jnp.floating) or theta.dtype != mass.dtype:
            raise TypeError(
                f"measure must hold floats of one dtype, got {theta.dtype} and {mass.dtype}"
            )
        return Measure(theta, mass)


def second_moment(measure: Measure) -> Float[Array, ""]:
    """W^2 = int |theta|^2 drho, which no perturbation may let grow (Lemma E.5).

    Args:
        measure: particles (m, D) with masses (m,).

    Returns:
        Scalar.

    Raises:
        ValueError: shapes that do not fit, or no particle.
        TypeError: particles and masses are not floats of one dtype.

    Example:
        >>> float(second_moment(Measure(jnp.ones((3, 2)), jnp.full(3, 0.5))))
        3.0

    Reference:
        Wei, Lee, Liu, Ma (2019), appendix E.2 (W_t).
    """
    return jnp.sum(measure.checked().weights)
