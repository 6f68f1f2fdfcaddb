"""Kernel ridge regression without the Gram matrix, on every device at hand.

The system (K + ridge I) beta = y is solved by conjugate gradients. A product K v computes the Gram
matrix block by block and keeps none of it, and each device does so for its share of the rows. The
preconditioner is the Nystroem approximation of K from some landmark rows.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxmargin._arithmetic import power_of_two
from jaxmargin._arrays import as_array
from jaxmargin._checks import (
    require_callable,
    require_concrete,
    require_count,
    require_finite,
    require_positive,
    require_range,
)
from jaxmargin._devices import device_mesh
from jaxmargin.errors import ConvergenceError
from jaxmargin.kernels._fits.nystroem import LowRank, nystroem
from jaxmargin.kernels._fits.shared_product import AXIS, SharedProduct
from jaxmargin.kernels.closed_form import Kernel

_DEFAULT_LANDMARKS = 1000


class RidgeHistory(NamedTuple):
    """The course of the solver: arrays of length s, or the numbers of one record.

    Attributes:
        step: iterations done, from 0.
        residual: relative residual |y - (K + ridge I) beta| / |y|, the largest over the outputs.
            The iteration updates it without computing it anew. Only the last one of a history is
            computed from beta itself.
    """

    step: np.ndarray
    residual: np.ndarray


class RidgeFit(NamedTuple):
    """Coefficients and the course of the solver.

    Attributes:
        beta: (n,) or (n, k) coefficients, on the devices of y.
        history: one record for each iteration, and one for the start at beta = 0. Each iteration
            takes one product with K.
        converged: whether the last residual is within the tolerance. It is False only in the
            result of a `ConvergenceError`.
    """

    beta: Float[Array, "n *k"]
    history: RidgeHistory
    converged: bool


def fit_ridge_matrix_free(
    kernel: Kernel,
    x: Float[Array, "n d"],
    y: Float[Array, "n *k"],
    *,
    ridge: float,
    num_landmarks: int | None = None,
    tol: float | None = None,
    max_iterations: int = 200,
    block_size: int | None = None,
    devices: Sequence | None = None,
    on_record: Callable[[int, RidgeHistory], None] | None = None,
) -> RidgeFit:
    """Kernel ridge regression of any size: `fit_ridge` without the n x n matrix.

    Minimises sum_i (f(x_i) - y_i)^2 + ridge ||f||_K^2 over f = sum_i beta_i K(x_i, .), by
    preconditioned conjugate gradients on (K + ridge I) beta = y. The rows of x are shared out to
    the devices. Each iteration evaluates the kernel n^2 times. The memory is that of O(n
    (num_landmarks + d)) numbers and of one block of K.

    The landmarks are evenly spaced rows of x. Their choice affects the number of iterations, never
    the answer. If the order of the rows has a period, shuffle them first.

    Args:
        kernel: positive semidefinite `kernel(rows, z)`, and `kernel(rows)` with an exact diagonal.
        x: (n, d) training inputs.
        y: (n,) targets or (n, k) several at once, in the dtype of x.
        ridge: strength of the penalty, > 0.
        num_landmarks: rank of the preconditioner, from 1 to n; None for 1000, or n if less. More
            landmarks cost memory and save iterations.
        tol: relative residual to reach; None for the square root of the dtype's precision. The
            predictions on x are then within tol |y| of the exact ones.
        max_iterations: iterations after which to give up, >= 1.
        block_size: rows of a block of K, as `kernel_matvec` takes it.
        devices: devices to use; None for all.
        on_record: called as `on_record(step, record)` at the start and after each iteration, with a
            `RidgeHistory` of two numbers, say to move a progress bar.

    Returns:
        `RidgeFit(beta, history, converged)`.

    Raises:
        ConvergenceError: the tolerance was not reached; its `result` is the `RidgeFit` so far.
        ValueError: the data has NaN, shapes do not match, a number is out of range, the kernel is
            not symmetric and positive semidefinite, or beta leaves the range of its dtype.
        TypeError: x and y do not hold floats of one dtype, kernel or on_record is not a function,
            or a setting is not a number.

    Example:
        >>> from jaxmargin import fit_ridge, k1
        >>> x = jax.random.normal(jax.random.key(0), (300, 5))
        >>> fit = fit_ridge_matrix_free(k1, x, x[:, 0], ridge=0.1, num_landmarks=50)
        >>> exact = fit_ridge(k1(x), x[:, 0], ridge=0.1).beta
        >>> error = jnp.linalg.norm(k1(x) @ (fit.beta - exact)) / jnp.linalg.norm(x[:, 0])
        >>> fit.converged, bool(error < 1e-3)
        (True, True)

    Reference:
        Frangella, Tropp, Udell (2023), Randomized Nystroem preconditioning; Williams, Seeger
        (2001) for the landmarks.
    """
    require_concrete("fit_ridge_matrix_free", x, y, ridge)
    x, y = jnp.asarray(as_array("x", x)), jnp.asarray(as_array("y", y))
    _check_data(x, y)
    n = len(x)
    num_landmarks = min(n, _DEFAULT_LANDMARKS) if num_landmarks is None else num_landmarks
    tol = float(np.sqrt(jnp.finfo(x.dtype).eps)) if tol is None else tol
    if block_size is not None:
        require_count("block_size", block_size)
    _check_settings(kernel, n, ridge, num_landmarks, tol, max_iterations, on_record)
    product = SharedProduct(kernel, device_mesh(AXIS, devices), n, block_size)
    rows = product.share(x, mode="edge")
    targets = product.share(y.reshape(n, -1), mode="constant")
    approximation, kernel_scale = nystroem(product, rows, _evenly_spaced(x, num_landmarks))
    system, scale = _scaled_system(rows, ridge, approximation, kernel_scale)
    sizes = power_of_two(jnp.max(jnp.abs(targets), axis=0, keepdims=True))
    solution, residuals = _solve(product, system, targets / sizes, tol, max_iterations, on_record)
    beta = _rescaled(solution, np.asarray(sizes, np.float64) / scale)
    fit = RidgeFit(
        jax.device_put(beta[:n].reshape(y.shape), y.sharding),
        RidgeHistory(np.arange(len(residuals)), np.array(residuals)),
        residuals[-1] <= tol,
    )
    if not fit.converged:
        raise _not_converged(fit, tol, max_iterations)
    return fit


def _not_converged(fit: RidgeFit, tol: float, max_iterations: int) -> ConvergenceError:
    iterations, residual = (column[-1] for column in fit.history)
    advice = "raise max_iterations, num_landmarks or ridge"
    if iterations < max_iterations:
        dtype = fit.beta.dtype
        advice = f"the rounding of {dtype} allows no less; raise tol or ridge, or give float64 data"
    return ConvergenceError(
        f"the relative residual is {residual:.2g} after {iterations} iterations, above "
        f"tol = {tol:.2g}: {advice}",
        result=fit,
    )


def _evenly_spaced(x: Array, count: int) -> Array:
    """`count` rows of x, evenly spaced."""
    return x[np.arange(count) * len(x) // count]


class _System(NamedTuple):
    """The arrays of (weight K / scale + ridge I) beta = y, and of its preconditioner."""

    x: Float[Array, "n d"]
    scale: Float[Array, ""]  # near max_i K(x_i, x_i)
    weight: Float[Array, ""]  # this and the ridge are at most 2, and one of them is near 1
    ridge: Float[Array, ""]
    approximation: LowRank

    def precondition(self, r: Array) -> Array:
        return self.approximation.precondition(self.weight, self.ridge, r)


def _scaled_system(
    x: Array, ridge: float, approximation: LowRank, kernel_scale: Array
) -> tuple[_System, float]:
    """K + ridge I over a number near its size, and this number.

    Inner products square what they are given: with matrix and targets near 1 none over- or
    underflows.
    """
    scale = max(float(kernel_scale), float(power_of_two(float(ridge), np)))
    weight = jnp.asarray(float(kernel_scale) / scale, x.dtype)
    share = jnp.asarray(float(ridge) / scale, x.dtype)
    return _System(x, kernel_scale, weight, share, approximation), scale


def _rescaled(solution: Array, factors: np.ndarray) -> Array:
    """The solution times a factor for each column; raise if this leaves the range of its dtype."""
    size = np.asarray(jnp.max(jnp.abs(solution), axis=0, keepdims=True), np.float64) * factors
    require_range("beta", size, solution.dtype, "y, the kernel or ridge")
    half = power_of_two(np.sqrt(factors), np)  # a factor may itself leave the range
    halves = (jnp.asarray(value, solution.dtype) for value in (half, factors / half))
    return solution * next(halves) * next(halves)


class _Iterate(NamedTuple):
    beta: Float[Array, "n k"]
    residual: Float[Array, "n k"]
    direction: Float[Array, "n k"]
    descent: Float[Array, "1 k"]  # residual' P^-1 residual


@jax.jit
def _restart(system: _System, beta: Array, residual: Array) -> _Iterate:
    direction = system.precondition(residual)
    return _Iterate(beta, residual, direction, _columns(residual, direction))


@partial(jax.jit, static_argnums=0)
def _multiply(product: SharedProduct, system: _System, v: Array) -> Array:
    return system.weight * (product(system.x, v) / system.scale) + system.ridge * v


@jax.jit
def _advance(system: _System, now: _Iterate, image: Array) -> tuple[_Iterate, Array]:
    """One step along the direction with this image, for each column apart; the least curvature."""
    curvature = _columns(now.direction, image)
    active = now.descent > 0
    length = jnp.where(active, now.descent / jnp.where(active, curvature, 1), 0)
    beta = now.beta + length * now.direction
    residual = now.residual - length * image
    preconditioned = system.precondition(residual)
    descent = _columns(residual, preconditioned)
    turn = jnp.where(active, descent / jnp.where(active, now.descent, 1), 0)
    direction = preconditioned + turn * now.direction
    least = jnp.min(jnp.where(active, curvature, jnp.inf))
    return _Iterate(beta, residual, direction, descent), least


def _columns(a: Array, b: Array) -> Float[Array, "1 k"]:
    """The inner product of each column of a with that of b."""
    return jnp.sum(a * b, axis=0, keepdims=True)


def _relative(residual: Array, y: Array) -> float:
    """The largest |residual| / |y| of the columns, and 0 for those where y = 0."""
    size = jnp.linalg.norm(y, axis=0)
    return float(jnp.max(jnp.linalg.norm(residual, axis=0) / jnp.where(size > 0, size, 1)))


def _solve(
    product: SharedProduct, system: _System, y: Array, tol: float, max_iterations: int, on_record
) -> tuple[Array, list[float]]:
    """Solve for beta, and give the relative residual before the first and after each iteration.

    An iteration updates the residual, and its rounding errors add up. When the residual seems small
    enough it is computed anew from beta, and the iteration starts again from there, for as long as
    that still halves it.
    """
    beta, residual = jnp.zeros_like(y), y
    residuals = []

    def record(residual: Array) -> None:
        step = len(residuals)
        residuals.append(_relative(residual, y))
        if on_record is not None:
            on_record(step, RidgeHistory(np.asarray(step), np.asarray(residuals[-1])))

    record(residual)
    while True:
        before = residuals[-1]
        now = _restart(system, beta, residual)
        while residuals[-1] > tol and len(residuals) <= max_iterations:
            now, curvature = _advance(system, now, _multiply(product, system, now.direction))
            _check_curvature(float(curvature), y.dtype)
            record(now.residual)
        beta = now.beta
        residual = y - _multiply(product, system, beta)
        residuals[-1] = _relative(residual, y)
        done = residuals[-1] <= tol or len(residuals) > max_iterations
        if done or not residuals[-1] <= before / 2:
            return beta, residuals


def _check_data(x: Array, y: Array) -> None:
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"x must be (n, d) with n, d >= 1, got shape {x.shape}")
    if y.ndim not in (1, 2) or y.shape[0] != x.shape[0] or 0 in y.shape:
        raise ValueError(f"y must be (n,) or (n, k) with n = {x.shape[0]}, got shape {y.shape}")
    if not jnp.issubdtype(x.dtype, jnp.floating) or y.dtype != x.dtype:
        raise TypeError(f"x and y must hold floats of one dtype, got {x.dtype} and {y.dtype}")
    require_finite("x", x)
    require_finite("y", y)


def _check_settings(kernel, n, ridge, num_landmarks, tol, max_iterations, on_record) -> None:
    require_callable("kernel", kernel, "kernel(x, z=None)")
    if on_record is not None:
        require_callable("on_record", on_record, "on_record(step, record)")
    require_positive("ridge", ridge)
    require_positive("tol", tol)
    require_count("max_iterations", max_iterations)
    require_count("num_landmarks", num_landmarks)
    if num_landmarks > n:
        raise ValueError(f"num_landmarks must be at most n = {n}, got {num_landmarks}")


def _check_curvature(curvature: float, dtype: Any) -> None:
    if not curvature > 0:
        raise ValueError(
            f"K + ridge I is not positive definite in {dtype}: the kernel must be positive "
            "semidefinite, and ridge above the rounding of its sums; raise ridge, or use float64"
        )
