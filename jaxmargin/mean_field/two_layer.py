"""Two-layer networks as mean-field problems, with three losses (example 3.2).

A particle is one hidden unit with its weights, theta = (w, u_1, ..., u_d), or
(w_1, ..., w_k, u_1, ..., u_d) where the network has k outputs.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from jaxmargin._arithmetic import safe_power
from jaxmargin._arrays import as_jax
from jaxmargin._checks import (
    require_choice,
    require_class_labels,
    require_classes,
    require_count,
    require_finite,
    require_floats,
    require_held,
    require_positive,
    require_signs,
    shown,
)
from jaxmargin.mean_field._particles.checks import check_measure, require_problem
from jaxmargin.mean_field.measure import Measure
from jaxmargin.mean_field.problem import MeanField
from jaxmargin.mean_field.risks import (
    BoundedRisk,
    CrossEntropyRisk,
    LogisticRisk,
    MeanRisk,
    SquaredRisk,
)
from jaxmargin.networks.models import TwoLayer

# Features from which products with the samples first are faster: at d = 784 by a factor of 1.2 to
# 1.4 on two CPU cores; at d = 20 they take three times as long.
_WIDE = 640

_Strength = float | Float[Array, ""]  # an array where many are swept


class SquaredNorm(NamedTuple):
    """V(theta) = lam |theta|^2: over all units of a network, lam times its squared l2 norm.

    Attributes:
        lam: strength of the regularizer, > 0.
    """

    lam: Float[Array, ""]

    def __call__(self, theta: Array) -> Array:
        """Value at one particle (D,), or at each row of (..., D)."""
        return self.lam * jnp.sum(theta**2, axis=-1)

    def bounds(self) -> tuple[float, float, float, float]:
        """The constants b_V, B_V, M_V and C_V of `Regularity`."""
        lam = float(self.lam)
        return lam, lam, 2 * lam, 2 * lam


def _split_unit(theta: Array, x: Array) -> tuple[Array, Array]:
    """The w, (...) for k = 1 or (..., k), and u (..., d) of theta (..., d + k)."""
    k = theta.shape[-1] - x.shape[-1]
    if k < 1:
        raise ValueError(
            f"theta must be (..., d + k) = (w, u) with d = {x.shape[-1]} features and k >= 1 "
            f"outputs, got shape {theta.shape}"
        )
    return (theta[..., 0] if k == 1 else theta[..., :k]), theta[..., k:]


def _outer(hidden: Array, w: Array) -> Array:
    """(n,) for a number w, (n, k) for w (k,)."""
    return hidden * w if w.ndim == 0 else hidden[:, None] * w[None, :]


class TwoLayerFeatures(NamedTuple):
    """Phi_i(theta) = w [u . x_i]_+ of theta = (w, u_1, ..., u_d), for w in R or R^k.

    A particle of d + 1 entries gives outputs (n,), one of d + k entries gives outputs (n, k).

    Attributes:
        x: (n, d) samples.
    """

    x: Float[Array, "n d"]

    def __call__(self, theta: Array) -> Array:
        """(n,) or (n, k) outputs of one particle (d + 1,) or (d + k,)."""
        w, u = _split_unit(theta, self.x)
        return _outer(jax.nn.relu(self.x @ u), w)

    @property
    def _wide(self) -> bool:
        """Whether products have the samples first, (n, m), and not the particles."""
        return self.x.shape[1] >= _WIDE

    def integrate(self, theta: Array, mass: Array) -> Array:
        """sum_j mass_j Phi(theta_j)."""
        w, u = _split_unit(theta, self.x)
        weights = mass * w if w.ndim == 1 else mass[:, None] * w
        if self._wide:
            return jax.nn.relu(self.x @ u.T) @ weights
        hidden = jax.nn.relu(u @ self.x.T)
        return weights @ hidden if w.ndim == 1 else hidden.T @ weights

    def pull_back(self, dual: Array, theta: Array) -> tuple[Array, Array]:
        """<dual, Phi(theta)> and its gradient in theta, of each particle.

        Let s = sum_i dual_i 1(u . x_i > 0) x_i. Since relu is 1-homogeneous, the value is
        w (u . s) and the gradient is (u . s, w s), which needs the activation pattern only.
        """
        w, u = _split_unit(theta, self.x)
        if self._wide:
            pre = self.x @ u.T
            pull = dual[:, None] if w.ndim == 1 else dual @ w.T
            s = jnp.where(pre > 0, pull, 0).T @ self.x
        else:
            pre = u @ self.x.T
            pull = dual[None, :] if w.ndim == 1 else w @ dual.T
            s = jnp.where(pre > 0, pull, 0) @ self.x
        if w.ndim == 1:
            height = jnp.sum(u * s, axis=1)
            return w * height, jnp.concatenate([height[:, None], w[:, None] * s], axis=1)
        hidden = jax.nn.relu(pre)
        heights = (hidden.T if self._wide else hidden) @ dual
        return jnp.sum(w * heights, axis=1), jnp.concatenate([heights, s], axis=1)

    def bounds(self) -> tuple[float, float, float]:
        """The constants B_Phi, M_Phi and C_Phi of `Regularity`, in float64.

        With sigma_max the largest singular value of x, |Phi| <= |w| |x u| <= sigma_max / 2 and
        |grad Phi_i| <= |x_i|. Relu is not differentiable at its kink (footnote 3 of the paper).
        The second bound holds for every subgradient, so that Phi is Lipschitz all the same; its
        gradient is not.
        """
        largest, longest = _spectrum(self.x)
        return largest / 2, longest, math.inf


class SmoothTwoLayerFeatures(NamedTuple):
    """Two-layer features with a smooth activation, as Theorem E.21 requires.

    Phi_i(theta) = w (z + sqrt(z^2 + width^2 |theta|^2)) / 2 with z = u . x_i. This is
    2-homogeneous, its gradient is Lipschitz on the sphere, and the limit of width 0 is relu.

    Attributes:
        x: (n, d) samples.
        width: over which the kink of relu is spread, > 0.
    """

    x: Float[Array, "n d"]
    width: Float[Array, ""]

    def __call__(self, theta: Array) -> Array:
        """(n,) or (n, k) outputs of one particle (d + 1,) or (d + k,)."""
        w, u = _split_unit(theta, self.x)
        z = self.x @ u
        spread = self.width**2 * jnp.sum(theta**2)
        square = z**2 + spread
        # Zero at theta = 0, where the derivative is 0, and at the kink if the spread is 0.
        zero = square == 0
        root = jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, square)))
        return _outer((z + root) / 2, w)

    def bounds(self) -> tuple[float, float, float]:
        """The constants B_Phi, M_Phi and C_Phi of `Regularity`, in float64.

        For a width s, |Phi| <= sigma_max / 2 + s sqrt(n) / 2 and |grad Phi_i| <= |x_i| + s. With
        h^2 = |x_i|^2 + s^2, the Hessian of Phi_i is at most |x_i| + h + h^2 / (2 s).
        """
        largest, longest = _spectrum(self.x)
        width = float(self.width)
        if width == 0:
            return TwoLayerFeatures(self.x).bounds()
        hypotenuse = math.hypot(longest, width)
        bend = longest + hypotenuse + hypotenuse**2 / (2 * width)
        return largest / 2 + width * len(self.x) ** 0.5 / 2, longest + width, bend


def _spectrum(x: Array) -> tuple[float, float]:
    """The largest singular value of x and the length of its longest row, in float64."""
    wide = np.asarray(x, np.float64)
    return float(np.linalg.norm(wide, 2)), float(np.linalg.norm(wide, axis=1).max())


def two_layer_problem(
    x: Float[Array, "n d"],
    y: Shaped[Array, "n *k"],
    loss: Literal["logistic", "cross_entropy", "squared"],
    *,
    lam: _Strength,
    k: int | None = None,
    reduction: Literal["sum", "mean"] = "sum",
    smoothing: _Strength = 0.0,
) -> MeanField:
    """Regularized two-layer networks as a mean-field problem over their units theta = (w, u).

    The energy of a measure is R + lam W^2, where R is the loss on all samples and W^2 is the
    second moment of the measure, the squared l2 norm of the network. As in the paper's example, R
    is the sum over the samples. The mean over n samples with strength lam has the same optima as
    the sum with strength n lam, and 1/n of its energy.

    Args:
        x: (n, d) samples.
        y: (n,) labels -1.0 or +1.0 for "logistic"; (n,) integer labels in [0, k) for
            "cross_entropy"; for "squared" (n,) targets, or (n, k) targets of k >= 2 outputs. Labels
            -1 and +1 and targets are floats of the dtype of x.
        loss: "logistic", "cross_entropy" or "squared".
        lam: strength of the regularizer, > 0.
        k: number of classes, >= 2. Needed for "cross_entropy", since some classes may have no
            sample; the other losses read the number of outputs off y and take no k.
        reduction: "sum" or "mean", over the samples.
        smoothing: width of the smooth activation of `SmoothTwoLayerFeatures`; 0 takes relu.

    Returns:
        `MeanField` for particles of D = d + 1 entries, or of D = d + k entries where there are k
        outputs ("cross_entropy", and "squared" with targets (n, k)).

    Raises:
        ValueError: an unknown loss or reduction; shapes that do not fit; NaN; other labels; lam not
            positive; smoothing negative; k below 2, missing, or given where it does not belong.
        TypeError: x and y are not floats of one dtype; class labels or k are not integers; lam or
            smoothing is no number.

    Example:
        >>> from jaxmargin import Measure, energy
        >>> x, y = jnp.eye(2), jnp.array([1.0, 2.0])
        >>> nothing = Measure(jnp.zeros((1, 3)), jnp.ones(1))
        >>> float(energy(two_layer_problem(x, y, "squared", lam=0.1), nothing))
        5.0
        >>> float(energy(two_layer_problem(x, y, "squared", lam=0.1, reduction="mean"), nothing))
        2.5

    Reference:
        Wei, Lee, Liu, Ma (2019), example 3.2; appendices B.3 and C.1 for the other losses.
    """
    require_choice("loss", loss, _RISKS)
    require_choice("reduction", reduction, _REDUCTIONS)
    if (loss == "cross_entropy") != (k is not None):
        raise ValueError(
            f'k is the number of classes of "cross_entropy", got k={shown(k)} with {loss!r}'
        )
    x, y = as_jax("x", x), as_jax("y", y)
    risk = _REDUCTIONS[reduction](_RISKS[loss](x, y, k))
    require_positive("lam", lam)
    require_positive("smoothing", smoothing, zero=True)
    require_held(x.dtype, lam=lam, smoothing=smoothing)
    if isinstance(smoothing, float | int) and smoothing == 0:
        phi = TwoLayerFeatures(x)
    else:
        phi = SmoothTwoLayerFeatures(x, jnp.asarray(smoothing, x.dtype))
    return MeanField(phi, risk, SquaredNorm(jnp.asarray(lam, x.dtype)))


def _logistic_risk(x: Array, y: Array, _: None) -> LogisticRisk:
    _check_samples(x, y, (x.shape[0],) if x.ndim else ())
    _check_float_targets(x, y)
    require_signs(y)
    return LogisticRisk(y)


def _cross_entropy_risk(x: Array, labels: Array, k: int) -> CrossEntropyRisk:
    require_count("k", k, least=2)
    _check_samples(x, labels, (x.shape[0],) if x.ndim else ())
    require_class_labels(jax.ShapeDtypeStruct((len(x), k), x.dtype), labels)
    require_classes(labels, k)
    return CrossEntropyRisk(labels, k)


def _squared_risk(x: Array, y: Array, _: None) -> SquaredRisk:
    _check_samples(x, y, (x.shape[0], *y.shape[1:]) if x.ndim and y.ndim < 3 else ())
    _check_float_targets(x, y)
    if y.shape[1:] in {(0,), (1,)}:
        raise ValueError(
            f"y must be (n,), or (n, k) for k >= 2 outputs, got {y.shape}: one column is y[:, 0]"
        )
    return SquaredRisk(y)


_RISKS: dict[str, Callable[..., BoundedRisk]] = {
    "logistic": _logistic_risk,
    "cross_entropy": _cross_entropy_risk,
    "squared": _squared_risk,
}
_REDUCTIONS: dict[str, Callable[[BoundedRisk], BoundedRisk]] = {
    "sum": lambda risk: risk,
    "mean": MeanRisk,
}


def _check_samples(x: Array, y: Array, shape: tuple[int, ...]) -> None:
    if x.ndim != 2 or 0 in x.shape or y.shape != shape:
        raise ValueError(
            f"x must be (n, d) with n, d >= 1 and y have one entry a sample, got {x.shape} "
            f"and {y.shape}"
        )
    require_floats("x", x)
    require_finite("x", x)
    require_finite("y", y)


def _check_float_targets(x: Array, y: Array) -> None:
    if y.dtype != x.dtype:
        raise TypeError(f"x and y must hold floats of one dtype, got {x.dtype} and {y.dtype}")


def as_network(problem: MeanField, measure: Measure) -> TwoLayer:
    """The network with the outputs int Phi drho, whose unit j is sqrt(mass_j) theta_j.

    Args:
        problem: from `two_layer_problem`; it tells how many entries of a particle are weights w.
        measure: particles (m, d + 1), or (m, d + k) where there are k outputs, with masses (m,).

    Returns:
        `TwoLayer(u=(m, d), w=(m,) or (m, k))`. Its ||Theta||_F^2 is the measure's second moment.

    Raises:
        ValueError: particles that do not fit the problem, or there is none; NaN, or a negative
            mass.
        TypeError: a problem that `two_layer_problem` did not make; particles and masses that are
            not floats of one dtype.

    Example:
        >>> problem = two_layer_problem(jnp.eye(1), jnp.ones(1), "squared", lam=0.1)
        >>> network = as_network(problem, Measure(jnp.array([[2.0, 3.0]]), jnp.array([0.25])))
        >>> network.w.tolist(), network.u.tolist()
        ([1.0], [[1.5]])

    Reference:
        Wei, Lee, Liu, Ma (2019), example 3.2.
    """
    require_problem(problem)
    phi = problem.phi
    if not isinstance(phi, TwoLayerFeatures | SmoothTwoLayerFeatures):
        raise TypeError(
            "problem must be one that two_layer_problem makes: only its particles are known to be "
            "(w, u)"
        )
    theta, mass = check_measure(problem, measure)
    # A particle without mass is a unit whose weights are 0. The derivative of the root is infinite
    # there; `safe_power` takes 0.
    root = jax.vmap(safe_power, (0, None))(mass, 0.5)
    w, u = _split_unit(root[:, None] * theta, phi.x)
    return TwoLayer(u=u, w=w)


def from_network(params: TwoLayer) -> Measure:
    """The probability measure whose outputs are the network's.

    Its m particles are sqrt(m) (w_j, u_j), each with mass 1/m.

    Args:
        params: `TwoLayer` with u (m, d) and w (m,) or (m, k).

    Returns:
        `Measure(theta=(m, d + 1) or (m, d + k), mass=(m,))`.

    Raises:
        ValueError: u and w disagree about the number of units, or there are none.
        TypeError: no `TwoLayer`, or one that does not hold floats.

    Example:
        >>> network = TwoLayer(u=jnp.array([[3.0]]), w=jnp.array([2.0]))
        >>> from_network(network)
        Measure(theta=Array([[2., 3.]], dtype=float32), mass=Array([1.], dtype=float32))

    Reference:
        Wei, Lee, Liu, Ma (2019), section 3.
    """
    if not isinstance(params, TwoLayer):
        raise TypeError(f"params must be a TwoLayer(u, w), got {type(params).__name__}")
    u, w = as_jax("params.u", params.u), as_jax("params.w", params.w)
    require_floats("params.u", u)
    require_floats("params.w", w)
    if u.ndim != 2 or w.ndim not in (1, 2) or len(u) != len(w) or not len(u):
        raise ValueError(
            "params must hold u (m, d) and w (m,) or (m, k) for one m >= 1, "
            f"got {u.shape} and {w.shape}"
        )
    m = len(u)
    theta = jnp.concatenate([w.reshape(m, -1), u], axis=1) * m**0.5
    return Measure(theta, jnp.full(m, 1 / m, theta.dtype))
