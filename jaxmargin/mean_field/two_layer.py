"""Two-layer networks as mean-field problems, with three losses (example 3.2).

Particles are theta = (w, u_1, ..., u_d), or (w_1, ..., w_k, u_1, ..., u_d) for k outputs. The risk
is the SUM over the samples, as in the paper's example, not the mean.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jaxmargin._arithmetic import safe_power
from jaxmargin._checks import (
    require_class_labels,
    require_classes,
    require_count,
    require_finite,
    require_floats,
    require_positive,
    require_signs,
)
from jaxmargin.mean_field.measure import Measure
from jaxmargin.mean_field.problem import MeanField
from jaxmargin.mean_field.risks import CrossEntropyRisk, LogisticRisk, SquaredRisk
from jaxmargin.networks.models import TwoLayer

Strength = float | Float[Array, ""]  # an array where many are swept


class SquaredNorm(NamedTuple):
    """V(theta) = lam |theta|^2, the l2 regularizer of a network's unit.

    Attributes:
        lam: strength, > 0.
    """

    lam: Float[Array, ""]

    def __call__(self, theta: Array) -> Array:
        """Value at one particle (D,), or at each row of (..., D)."""
        return self.lam * jnp.sum(theta**2, axis=-1)


def split_unit(theta: Array, x: Array) -> tuple[Array, Array]:
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

    Attributes:
        x: (n, d) samples. A particle of D = d + 1 entries gives outputs (n,), one of d + k (n, k).
    """

    x: Float[Array, "n d"]

    def __call__(self, theta: Array) -> Array:
        """(n,) or (n, k) outputs of one particle (d + 1,) or (d + k,)."""
        w, u = split_unit(theta, self.x)
        return _outer(jax.nn.relu(self.x @ u), w)

    def _hidden(self, u: Array) -> Array:
        return jax.nn.relu(u @ self.x.T)

    def integrate(self, theta: Array, mass: Array) -> Array:
        """sum_j mass_j Phi(theta_j)."""
        w, u = split_unit(theta, self.x)
        if w.ndim == 1:
            return (mass * w) @ self._hidden(u)
        return self._hidden(u).T @ (mass[:, None] * w)

    def pull_back(self, dual: Array, theta: Array) -> tuple[Array, Array]:
        """<dual, Phi(theta)> and its gradient in theta, of each particle.

        With s = sum_i dual_i 1(u . x_i > 0) x_i the value is w (u . s), since relu is
        1-homogeneous, and the gradient (u . s, w s): only the activation pattern is needed.
        """
        w, u = split_unit(theta, self.x)
        active = u @ self.x.T > 0
        if w.ndim == 1:
            s = jnp.where(active, dual[None, :], 0) @ self.x
            height = jnp.sum(u * s, axis=1)
            return w * height, jnp.concatenate([height[:, None], w[:, None] * s], axis=1)
        s = jnp.where(active, w @ dual.T, 0) @ self.x
        heights = self._hidden(u) @ dual
        return jnp.sum(w * heights, axis=1), jnp.concatenate([heights, s], axis=1)


class SmoothTwoLayerFeatures(NamedTuple):
    """Two-layer features with a smooth activation, so that Theorem E.21 applies.

    Phi_i(theta) = w (z + sqrt(z^2 + width^2 |theta|^2)) / 2 with z = u . x_i: 2-homogeneous, with
    Lipschitz gradients on the sphere, and relu in the limit of width 0.

    Attributes:
        x: (n, d) samples.
        width: how far the kink is spread, > 0.
    """

    x: Float[Array, "n d"]
    width: Float[Array, ""]

    def __call__(self, theta: Array) -> Array:
        """(n,) or (n, k) outputs of one particle (d + 1,) or (d + k,)."""
        w, u = split_unit(theta, self.x)
        z = self.x @ u
        spread = self.width**2 * jnp.sum(theta**2)
        square = z**2 + spread
        zero = square == 0  # theta = 0, where the derivative is 0; or the kink, if spread is 0
        root = jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, square)))
        return _outer((z + root) / 2, w)


def two_layer_problem(
    x: Float[Array, "n d"],
    y: Shaped[Array, "n *k"],
    loss: Literal["logistic", "cross_entropy", "squared"],
    *,
    lam: Strength,
    k: int | None = None,
    smoothing: Strength = 0.0,
) -> MeanField:
    """Regularized two-layer networks as a mean-field problem: theta = (w, u), V = lam |theta|^2.

    The loss is summed over the samples.

    Args:
        x: (n, d) samples.
        y: (n,) labels -1 or +1 for "logistic", (n,) integers in [0, k) for "cross_entropy", (n,)
            targets or (n, k) targets of k >= 2 outputs for "squared".
        loss: "logistic", "cross_entropy" or "squared".
        lam: strength of the regularizer, > 0.
        k: number of classes of "cross_entropy", >= 2; the other losses read it off y.
        smoothing: width of the smooth activation of `SmoothTwoLayerFeatures`; 0 takes relu.

    Returns:
        `MeanField` for particles of D = d + 1 entries, or d + k for k outputs.

    Raises:
        ValueError: an unknown loss, shapes that do not fit, NaN, other labels, lam not positive,
            smoothing negative, k < 2 or where it does not belong.
        TypeError: x and y are not floats of one dtype; class labels or k are not integers.

    Example:
        >>> from jaxmargin import Measure, energy
        >>> problem = two_layer_problem(jnp.eye(2), jnp.array([1.0, 2.0]), "squared", lam=0.1)
        >>> float(energy(problem, Measure(jnp.zeros((1, 3)), jnp.ones(1))))
        5.0

    Reference:
        Wei, Lee, Liu, Ma (2019), example 3.2; appendices B.3 and C.1 for the other losses.
    """
    if loss not in _RISKS:
        raise ValueError(f"loss must be one of {', '.join(_RISKS)}, got {loss!r}")
    if (loss == "cross_entropy") != (k is not None):
        raise ValueError(f'k is the number of classes of "cross_entropy", got k={k} with {loss!r}')
    x, y = jnp.asarray(x), jnp.asarray(y)
    return _problem(x, _RISKS[loss](x, y, k), lam, smoothing)


def _logistic_risk(x: Array, y: Array, _: None) -> LogisticRisk:
    _check_samples(x, y, "y", (x.shape[0],) if x.ndim else ())
    _check_float_targets(x, y)
    require_signs(y)
    return LogisticRisk(y)


def _cross_entropy_risk(x: Array, labels: Array, k: int) -> CrossEntropyRisk:
    require_count("k", k, least=2)
    _check_samples(x, labels, "y", (x.shape[0],) if x.ndim else ())
    require_class_labels(jax.ShapeDtypeStruct((len(x), k), x.dtype), labels)
    require_classes(labels, k)
    return CrossEntropyRisk(labels, k)


def _squared_risk(x: Array, y: Array, _: None) -> SquaredRisk:
    _check_samples(x, y, "y", (x.shape[0], *y.shape[1:]) if x.ndim and y.ndim < 3 else ())
    _check_float_targets(x, y)
    if y.shape[1:] in {(0,), (1,)}:
        raise ValueError(
            f"y must be (n,), or (n, k) for k >= 2 outputs, got {y.shape}: one column is y[:, 0]"
        )
    return SquaredRisk(y)


_RISKS: dict[str, Callable] = {
    "logistic": _logistic_risk,
    "cross_entropy": _cross_entropy_risk,
    "squared": _squared_risk,
}


def _problem(x: Array, risk: Any, lam: Strength, smoothing: Strength) -> MeanField:
    require_positive("lam", lam)
    require_positive("smoothing", smoothing, zero=True)
    if isinstance(smoothing, float | int) and smoothing == 0:
        phi = TwoLayerFeatures(x)
    else:
        phi = SmoothTwoLayerFeatures(x, jnp.asarray(smoothing, x.dtype))
    return MeanField(phi, risk, SquaredNorm(jnp.asarray(lam, x.dtype)))


def _check_samples(x: Array, y: Array, name: str, shape: tuple[int, ...]) -> None:
    if x.ndim != 2 or 0 in x.shape or y.shape != shape:
        raise ValueError(
            f"x must be (n, d) with n, d >= 1 and {name} have one entry a sample, got {x.shape} "
            f"and {y.shape}"
        )
    require_floats("x", x)
    require_finite("x", x)
    require_finite(name, y)


def _check_float_targets(x: Array, y: Array) -> None:
    if y.dtype != x.dtype:
        raise TypeError(f"x and y must hold floats of one dtype, got {x.dtype} and {y.dtype}")


def as_network(measure: Measure, *, k: int | None = None) -> TwoLayer:
    """The network whose outputs are int Phi drho: unit j is sqrt(mass_j) theta_j.

    Args:
        measure: particles (m, d + 1), or (m, d + k), with masses (m,).
        k: number of outputs; None for a scalar network.

    Returns:
        `TwoLayer(u=(m, d), w=(m,) or (m, k))`. Its ||Theta||_F^2 is the measure's second moment.

    Raises:
        ValueError: particles too short to hold w and u, or k < 1.
        TypeError: k is not an integer.

    Example:
        >>> network = as_network(Measure(jnp.array([[2.0, 3.0]]), jnp.array([0.25])))
        >>> network.w.tolist(), network.u.tolist()
        ([1.0], [[1.5]])

    Reference:
        Wei, Lee, Liu, Ma (2019), example 3.2.
    """
    theta, mass = measure.checked()
    if k is not None:
        require_count("k", k)
    outputs = k or 1
    if theta.shape[1] <= outputs:
        raise ValueError(
            f"measure.theta must be (m, d + {outputs}) = (w, u) with d >= 1, got {theta.shape}"
        )
    # A particle without mass is a unit without weights; there the root's derivative is infinite.
    root = jax.vmap(safe_power, (0, None))(mass, 0.5)
    units = root[:, None] * theta
    w = units[:, 0] if k is None else units[:, :k]
    return TwoLayer(u=units[:, outputs:], w=w)


def from_network(params: TwoLayer) -> Measure:
    """The probability measure with the network's outputs.

    Its m particles are sqrt(m) (w_j, u_j), of mass 1/m each.

    Args:
        params: `TwoLayer` with u (m, d) and w (m,) or (m, k).

    Returns:
        `Measure(theta=(m, d + 1) or (m, d + k), mass=(m,))`.

    Raises:
        ValueError: u and w disagree about the number of units, or there is none.

    Example:
        >>> network = TwoLayer(u=jnp.array([[3.0]]), w=jnp.array([2.0]))
        >>> from_network(network)
        Measure(theta=Array([[2., 3.]], dtype=float32), mass=Array([1.], dtype=float32))

    Reference:
        Wei, Lee, Liu, Ma (2019), section 3.
    """
    u, w = params
    if u.ndim != 2 or w.ndim not in (1, 2) or len(u) != len(w) or not len(u):
        raise ValueError(
            "params must hold u (m, d) and w (m,) or (m, k) for one m >= 1, "
            f"got {u.shape} and {w.shape}"
        )
    m = len(u)
    theta = jnp.concatenate([w.reshape(m, -1), u], axis=1) * m**0.5
    return Measure(theta, jnp.full(m, 1 / m, theta.dtype))
