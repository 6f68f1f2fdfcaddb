"""Measures over units: weighted particles, and what a measure integrates (section 3)."""

from typing import NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmargin._arrays import as_jax
from jaxmargin._checks import finite_result


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
        """mass_j |theta_j|^2, which is what a particle's size and mass together amount to.

        The integral of a 2-homogeneous function depends on the direction of each particle and on
        this product, and not on how the product is split into a mass and a size.
        """
        return self.mass * jnp.sum(self.theta**2, axis=1)

    def checked(self) -> "Measure":
        """The same measure as JAX arrays, after a check of its type, shapes and dtypes."""
        if not isinstance(self, Measure):  # called as Measure.checked(anything)
            raise TypeError(f"measure must be a Measure(theta, mass), got {type(self).__name__}")
        theta, mass = as_jax("measure.theta", self.theta), as_jax("measure.mass", self.mass)
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


@runtime_checkable
class Features(Protocol):
    """The outputs Phi of a unit, with the two passes over many units that a flow needs.

    A plain function `phi(theta) -> (k,)` does as well: both passes are then derived from it by
    `vmap` and `grad`. Write a class with these three methods where the passes have a faster form,
    as they have for two-layer networks.

    Attributes:
        integrate: `integrate(theta, mass) -> (k,)`, the sum over j of mass_j Phi(theta_j), for
            particles theta (m, D) with masses (m,).
        pull_back: `pull_back(dual, theta) -> ((m,), (m, D))`, the numbers <dual, Phi(theta_j)> and
            their gradients in theta_j, for particles theta (m, D). The dual has the shape of Phi.

    Reference:
        Wei, Lee, Liu, Ma (2019), section 3.
    """

    def __call__(self, theta: Array) -> Array:
        """Phi(theta) of one particle (D,)."""
        ...

    def integrate(self, theta: Array, mass: Array) -> Array:
        """The sum over j of mass_j Phi(theta_j)."""
        ...

    def pull_back(self, dual: Array, theta: Array) -> tuple[Array, Array]:
        """<dual, Phi(theta_j)> and its gradient, for each j."""
        ...


def second_moment(measure: Measure) -> Float[Array, ""]:
    """W^2 = int |theta|^2 drho, which no perturbation may let grow without bound (Lemma E.5).

    Args:
        measure: particles (m, D) with masses (m,).

    Returns:
        Scalar.

    Raises:
        ValueError: the shapes do not fit, there is no particle, or the moment is beyond the dtype
            (under `jit` it is inf).
        TypeError: no `Measure`, or its particles and masses are not floats of one dtype.

    Example:
        >>> float(second_moment(Measure(jnp.ones((3, 2)), jnp.full(3, 0.5))))
        3.0

    Reference:
        Wei, Lee, Liu, Ma (2019), section E.2, where W_t is its square root.
    """
    measure = Measure.checked(measure)
    moment = jnp.sum(measure.weights)
    return finite_result("the second moment", moment, "the particles or their masses", measure)
