"""The constants of Assumptions E.1 to E.3, of a problem that `two_layer_problem` makes.

Lemma E.14 needs |grad h| <= M on the sphere, radial part included. A Lipschitz constant on the
sphere bounds only the tangential part (the radial one is 2 h). M_Phi here bounds the whole
gradient, and with it the differences.
"""

import math
from typing import NamedTuple, Protocol, runtime_checkable

import jax
from jaxtyping import Array

from jaxmargin._checks import require_count, require_finite, require_number, require_positive
from jaxmargin.mean_field._particles.checks import require_problem
from jaxmargin.mean_field.problem import MeanField
from jaxmargin.mean_field.risks import BoundedRisk
from jaxmargin.mean_field.two_layer import SquaredNorm

_SMALLEST = 2.0**-1022  # positive float64
_ROUNDING_UP = 1 + 1e-12  # keeps bounds computed in float64 upper bounds


class Regularity(NamedTuple):
    """Constants of Assumptions E.1 to E.3 and of Theorem E.21.

    Those of Phi and V hold on the unit sphere. b_V is a lower bound, the others are upper bounds.

    Attributes:
        k: number of outputs of Phi, which is n, or n times the number of classes.
        M_R: bound of |grad R|, where R <= level.
        C_R: bound of the operator norm of the Hessian of R.
        B_Phi: bound of |Phi|.
        M_Phi: bound of |grad Phi_i| of each output, hence a Lipschitz constant of Phi_i.
        b_V: bound of V from below, > 0.
        B_V: bound of V from above.
        M_V: bound of |grad V|.
        C_Phi: Lipschitz constant of grad Phi_i; inf for relu, where Phi has kinks.
        C_V: Lipschitz constant of grad V.
        level: M_R holds where R <= level; inf if it holds everywhere.
    """

    k: int
    M_R: float
    C_R: float
    B_Phi: float
    M_Phi: float
    b_V: float  # noqa: N815
    B_V: float
    M_V: float
    C_Phi: float = math.inf
    C_V: float = math.inf
    level: float = math.inf

    @property
    def B_L(self) -> float:  # noqa: N802
        """M_R B_Phi + B_V, which |L'| never exceeds on the sphere (Lemma E.10)."""
        return self.M_R * self.B_Phi + self.B_V

    @property
    def c1(self) -> float:
        """max(k C_R B_Phi^2, k C_R B_Phi M_Phi, B_L), the constant of Lemma E.6."""
        coupling = self.k * self.C_R * self.B_Phi
        return max(coupling * self.B_Phi, coupling * self.M_Phi, self.B_L)

    @property
    def c2(self) -> float:
        """sqrt(k) M_R M_Phi + M_V, a Lipschitz constant of L' on the sphere (Lemma E.15)."""
        return self.k**0.5 * self.M_R * self.M_Phi + self.M_V

    def checked(self, level: float) -> "Regularity":
        """The same, after a check of its values; M_R must hold where L[rho] is up to `level`."""
        if not isinstance(self, Regularity):  # called as Regularity.checked(anything)
            raise TypeError(f"constants must be a Regularity, got {self!r}")
        require_count("constants.k", self.k)
        for name in ("M_R", "C_R", "B_Phi", "M_Phi", "M_V"):
            require_positive(f"constants.{name}", getattr(self, name), zero=True)
        for name in ("b_V", "B_V"):
            require_positive(f"constants.{name}", getattr(self, name))
        if not self.level > level:
            raise ValueError(
                f"constants.level must be above the energy {level:.4g}, got {self.level}: "
                "M_R must hold where the flow is"
            )
        return self

    def log_share(self, log_depth: float, dim: int) -> float:
        """log(beta), a least share of the sphere of R^dim on which L' is low (Lemma E.16).

        If L' <= -tau somewhere on the sphere, then L' <= -tau + depth on a share of at least
        beta = (r / 2)^(dim - 1) / 2, r = min(depth / c2, 2). It comes as a logarithm, and takes
        one, since both underflow.
        """
        log_radius = min(log_depth - math.log(max(self.c2, _SMALLEST)), math.log(2))
        return (dim - 1) * (log_radius - math.log(2)) - math.log(2)


@runtime_checkable
class _BoundedFeatures(Protocol):
    """Phi of samples x, with its bounds (B_Phi, M_Phi, C_Phi)."""

    @property
    def x(self) -> Array: ...

    def __call__(self, theta: Array) -> Array: ...

    def bounds(self) -> tuple[float, float, float]: ...


def regularity(problem: MeanField, dim: int, *, level: float | None = None) -> Regularity:
    """The constants of Assumptions E.1 to E.3 of a ready two-layer problem.

    They are read off the method `bounds` of the problem's features, risk and potential, where they
    are derived.

    Args:
        problem: from `two_layer_problem`.
        dim: D, entries of a particle.
        level: the squared loss is not Lipschitz, and its M_R is that on {R <= level}. The other
            losses ignore it.

    Returns:
        `Regularity` of floats.

    Raises:
        ValueError: dim does not fit the problem; NaN in its samples; squared loss without level;
            level not positive.
        TypeError: another problem, whose constants you must give yourself; dim is no integer, level
            no number.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmargin import two_layer_problem
        >>> problem = two_layer_problem(jnp.eye(2), jnp.array([1.0, -1.0]), "logistic", lam=0.25)
        >>> found = regularity(problem, 3)
        >>> round(found.M_R, 4), found.C_R, round(found.B_Phi, 4), found.b_V, found.M_V
        (1.4142, 0.25, 0.5, 0.25, 0.5)

    Reference:
        Wei, Lee, Liu, Ma (2019), Assumptions E.1, E.2, E.3.
    """
    require_problem(problem)
    require_count("dim", dim)
    if level is not None:
        require_number("level", level)
    phi, risk, potential = problem.phi, problem.loss, problem.potential
    if not (
        isinstance(phi, _BoundedFeatures)
        and isinstance(risk, BoundedRisk)
        and isinstance(potential, SquaredNorm)
    ):
        raise TypeError(
            "problem must be one that two_layer_problem makes; for a problem of your own, give "
            "theoretical_rate a Regularity"
        )
    require_finite("problem.phi.x", phi.x)
    output = jax.eval_shape(phi, jax.ShapeDtypeStruct((dim,), phi.x.dtype))
    jax.eval_shape(risk, output)  # raises where dim does not fit the labels
    slope, curvature, valid = risk.bounds(level)
    B_Phi, M_Phi, C_Phi = (_ROUNDING_UP * bound for bound in phi.bounds())
    b_V, B_V, M_V, C_V = potential.bounds()
    M_R = _ROUNDING_UP * slope
    return Regularity(
        output.size, M_R, curvature, B_Phi, M_Phi, b_V, B_V, M_V, C_Phi, C_V, level=valid
    )
