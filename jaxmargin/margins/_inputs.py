"""What margins and interpolants take: models, samples, labels, and directions."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from jaxmargin._arithmetic import widened
from jaxmargin._arrays import as_array, as_jax
from jaxmargin._checks import (
    is_concrete,
    require_callable,
    require_concrete,
    require_finite,
    require_floats,
    require_number,
    require_parameters,
    require_signs,
)
from jaxmargin.networks.homogeneity import homogeneity_degree
from jaxmargin.networks.models import Apply

_PARALLEL = 4  # units of rounding below which two samples lie on one ray
_HOMOGENEOUS = 1e-3  # largest residual of a network that counts as homogeneous


def checked_model(apply: Apply, params: PyTree, x: Any) -> tuple[PyTree, Array, Array]:
    """Parameters and inputs in 32 bits or more, and the scores (n,) or (n, k), all finite."""
    require_callable("apply", apply, "apply(params, x)")
    require_parameters("params", params)
    params, x = jax.tree.map(widened, (params, as_jax("x", x)))
    if x.ndim == 0 or 0 in x.shape:
        raise ValueError(f"x must be (n, ...) with n >= 1 samples, got shape {x.shape}")
    require_finite("params", params)
    require_finite("x", x)
    scores = apply(params, x)
    if not isinstance(scores, Array | np.ndarray):
        raise TypeError(f"apply(params, x) must return an array, got {type(scores).__name__}")
    require_floats("apply(params, x)", scores)
    if scores.ndim not in (1, 2) or len(scores) != len(x) or 0 in scores.shape:
        raise ValueError(
            f"apply(params, x) must be (n,) or (n, k) with n = {len(x)}, got {scores.shape}"
        )
    require_finite("apply(params, x)", scores)
    return params, x, widened(scores)


def hashable(apply: Apply) -> Apply:
    """The model as a static argument of a compiled function, which needs a hash.

    One that has none, such as a module that holds arrays, is wrapped, and compiled in each call.
    """
    try:
        hash(apply)
    except TypeError:
        return lambda params, x: apply(params, x)
    return apply


def measured_degree(apply: Apply, params: PyTree, x: Array) -> Float[Array, ""]:
    """The degree of a homogeneous network, a whole number where it nearly is; NaN of another."""
    return _whole(*homogeneity_degree(apply, params, x))


@jax.jit
def _whole(degree: Array, residual: Array) -> Array:
    near = jnp.round(degree)
    degree = jnp.where(jnp.abs(degree - near) <= _HOMOGENEOUS, near, degree)
    return jnp.where(residual <= _HOMOGENEOUS, degree, jnp.nan)


def degree_of(apply: Apply, params: PyTree, x: Array) -> Float[Array, ""]:
    """As `measured_degree`, with a ValueError in place of NaN where the values are known."""
    degree = measured_degree(apply, params, x)
    if is_concrete(degree) and not degree > 0:
        raise ValueError(
            "apply must be positively homogeneous in params and not 0 on all of x, but no degree "
            "fits: leave out biases, or give a constant feature in their place (append_one)"
        )
    return degree


def check_rows(
    function: str, name: str, rows: Array | np.ndarray, y: Array | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The rows in float64 and y as they are, or an error that names the fault."""
    require_concrete(function, rows, y)
    rows, y = np.asarray(as_array(name, rows)), np.asarray(as_array("y", y))
    if rows.ndim != 2 or 0 in rows.shape or y.shape != rows.shape[:1]:
        raise ValueError(
            f"{name} must be (n, {'d' if name == 'x' else 'p'}) and y (n,), got {rows.shape} and "
            f"{y.shape}"
        )
    require_floats(name, rows)
    require_finite(name, rows)
    require_finite("y", y)
    return rows.astype(float), y


def check_signs(y: np.ndarray) -> np.ndarray:
    """Labels -1 and +1, both of them present, in float64."""
    require_signs(y)
    if len(np.unique(y)) < 2:
        raise ValueError(
            f"y must have both labels, but all {len(y)} are {y[0]:+g}: a margin separates classes"
        )
    return y.astype(float)


def check_samples(
    function: str, x: Array | np.ndarray, y: Array | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Samples in float64, with labels -1 and +1 in float64 or integer classes."""
    points, y = check_rows(function, "x", x, y)
    if not np.issubdtype(y.dtype, np.integer) or np.any(y < 0):
        return points, check_signs(y)
    present = np.unique(y)
    if len(present) < 2:
        raise ValueError(
            f"y must have two classes or more, but all {len(y)} labels are {y[0]}: a margin "
            "separates classes (labels of two classes may also be -1 and +1)"
        )
    missing = np.setdiff1d(np.arange(present[-1]), present)
    if len(missing):
        raise ValueError(
            f"y has classes up to {present[-1]} but none of its samples is of class {missing[0]}: "
            "number the classes 0, ..., k-1 without gaps"
        )
    return points, y.astype(int)


def check_starts(starts: Array | np.ndarray | None, d: int) -> np.ndarray:
    """Directions (m, d), of which there may be none."""
    if starts is None:
        return np.empty((0, d))
    starts = np.asarray(as_array("starts", starts), float)
    if starts.ndim != 2 or starts.shape[1] != d:
        raise ValueError(f"starts must be (m, d = {d}) directions, got {starts.shape}")
    require_finite("starts", starts)
    return starts


def differences_of(labels: np.ndarray) -> np.ndarray:
    """The rows (n, c, k) that make the margins of a sample of its k outputs.

    Labels -1, +1 have the one row y_i. Class y_i has the rows e_{y_i} - e_j for all other j.
    """
    if labels.dtype == float:
        return labels[:, None, None]
    axes = np.eye(labels.max() + 1)
    return np.stack([np.delete(axes[label] - axes, label, axis=0) for label in labels])


def rounding_of(x: Array | np.ndarray) -> float:
    """Distance of unit vectors from samples of this dtype, below which they count as equal."""
    return _PARALLEL * float(jnp.finfo(np.asarray(x).dtype).eps)


def checked_delta(delta: Any, dtype: Any) -> Array:
    """A probability of failure in (0, 1)."""
    require_number("delta", delta)
    if is_concrete(delta) and not 0 < delta < 1:
        raise ValueError(f"delta must be in (0, 1), got {delta}: a probability of failure")
    return jnp.asarray(delta, dtype)
