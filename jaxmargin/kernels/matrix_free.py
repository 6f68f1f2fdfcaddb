"""Kernel ridge regression without the Gram matrix, on every device at hand.

(K + ridge I) beta = y by conjugate gradients. A product K v computes the Gram matrix block by
block and keeps none of it; each device does so for its share of the rows. The Nystroem
approximation of K from some landmark rows is the preconditioner.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float

from jaxmargin._checks import require_callable, require_count, require_finite, require_positive
from jaxmargin.errors import ConvergenceError
from jaxmargin.kernels.closed_form import Kernel
from jaxmargin.kernels.products import kernel_matvec

DEFAULT_LANDMARKS = 1000
ROWS = PartitionSpec("rows")


class RidgeFit(NamedTuple):
    """Coefficients and the course of the solver.

    Attributes:
        beta: (n,) or (n, k), where y lies.
        residuals: (iterations + 1,) relative residuals |y - (K + ridge I) beta| / |y|, the largest
            over the outputs. Those inside are by recursion, the last one is of beta itself.
        iterations: products with K that were spent on steps.
        converged: whether the last residual is within the tolerance.
    """

    beta: Float[Array, "n *k"]
    residuals: np.ndarray
    iterations: int
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
    on_iteration: Callable[[int, float], None] | None = None,
) -> RidgeFit:
    """Kernel ridge regression of any size: `fit_ridge` without the n x n matrix.

    Minimises sum_i (f(x_i) - y_i)^2 + ridge ||f||_K^2 over f = sum_i beta_i K(x_i, .), by
    preconditioned conjugate gradients on (K + ridge I) beta = y. The rows of x are shared out to
    the devices. Each iteration evaluates the kernel n^2 times; memory is O(n (num_landmarks + d))
    and a block of K.

    The landmarks are evenly spaced rows of x. Their choice affects the number of iterations, never
    the answer; where the order of the rows has a period, shuffle them.

    Args:
        kernel: positive semidefinite `kernel(rows, z)`, and `kernel(rows)` with an exact diagonal.
        x: (n, d) training inputs.
        y: (n,) targets or (n, k) several at once, in the dtype of x.
        ridge: strength of the penalty, > 0.
        num_landmarks: rank of the preconditioner, from 1 to n; None for 1000, or n if less. More
            landmarks cost memory and save iterations.
        tol: relative residual to reach; None for the square root of the dtype's precision. The
            predictions on x are then within tol |y| of the exact ones.
        max_iterations: most iterations.
        block_size: rows of a block of K, as `kernel_matvec` takes it.
        devices: devices to use; None for all.
        on_iteration: called as `on_iteration(iteration, relative_residual)` after each iteration
            (a progress bar).

    Returns:
        `RidgeFit(beta, residuals, iterations, converged)`.

    Raises:
        ConvergenceError: the tolerance was not reached; its `fit` is the `RidgeFit` so far.
        ValueError: NaN in the data, shapes that do not match, a number out of range, a kernel that
            is not symmetric and positive semidefinite.
        TypeError: not floats of one dtype, kernel or on_iteration not a function.

    Example:
        >>> from jaxmargin import fit_ridge, k1
        >>> x = jax.random.normal(jax.random.key(0), (300, 5))
        >>> fit = fit_ridge_matrix_free(k1, x, x[:, 0], ridge=0.1, num_landmarks=50)
        >>> exact = fit_ridge(k1(x), x[:, 0], ridge=0.1)
        >>> error = jnp.linalg.norm(k1(x) @ (fit.beta - exact)) / jnp.linalg.norm(x[:, 0])
        >>> fit.converged, bool(error < 1e-3)
        (True, True)

    Reference:
        Frangella, Tropp, Udell (2023), Randomized Nystroem preconditioning; Williams, Seeger
        (2001) for the landmarks.
    """
    x, y = jnp.asarray(x), jnp.asarray(y)
    _check_data(x, y)
    n = len(x)
    num_landmarks = min(n, DEFAULT_LANDMARKS) if num_landmarks is None else num_landmarks
    tol = float(np.sqrt(jnp.finfo(x.dtype).eps)) if tol is None else tol
    _check_settings(kernel, n, ridge, num_landmarks, tol, max_iterations, on_iteration)
    product = _Product(kernel, _row_mesh(devices), n, block_size)
    rows = product.share(x, mode="edge")
    targets = product.share(y.reshape(n, -1), mode="constant")
    system = _System(
        rows, jnp.asarray(ridge, x.dtype), _nystroem(product, rows, _evenly(x, num_landmarks))
    )
    beta, residuals = _solve(product, system, targets, tol, max_iterations, on_iteration)
    fit = RidgeFit(
        jax.device_put(beta[:n].reshape(y.shape), y.sharding),
        np.array(residuals),
        len(residuals) - 1,
        residuals[-1] <= tol,
    )
    if not fit.converged:
        raise ConvergenceError(
            f"the relative residual is {residuals[-1]:.2g} after {fit.iterations} iterations, "
            f"above tol = {tol:.2g}: {_advice(fit, max_iterations, x.dtype)}",
            fit=fit,
        )
    return fit


@dataclass(frozen=True)
class _Product:
    """v -> K v for v whose rows are shared out to the devices as those of x are.

    Rows beyond n make the shares equal. They hold 0 in every vector, before and after.
    """

    kernel: Kernel
    mesh: Mesh
    n: int
    block_size: int | None

    def share(self, values: Array, mode: str) -> Array:
        """Pad to equal shares, and place them."""
        padding = -self.n % self.mesh.size
        padded = jnp.pad(values, ((0, padding), (0, 0)), mode=mode)
        return jax.device_put(padded, NamedSharding(self.mesh, ROWS))

    def __call__(self, x: Array, v: Array) -> Array:
        return self._per_share(self._own_rows, x, v)

    def with_landmarks(self, x: Array, landmarks: Array, v: Array) -> Array:
        """K(x, landmarks) v."""

        def own_rows(x: Array) -> Array:
            return kernel_matvec(self.kernel, x, v, landmarks, block_size=self.block_size)

        return self._per_share(own_rows, x)

    def _per_share(self, own_rows: Callable[..., Array], *args: Array) -> Array:
        share = jax.shard_map(
            own_rows, mesh=self.mesh, in_specs=ROWS, out_specs=ROWS, check_vma=False
        )
        with jax.default_matmul_precision("highest"):  # TF32 would stall the iteration
            out = share(*args)
        return jnp.where(jnp.arange(len(out))[:, None] < self.n, out, 0)

    def _own_rows(self, x: Array, v: Array) -> Array:
        """This device's rows of K v: its square block, then the columns of the other devices."""
        product = kernel_matvec(self.kernel, x, v, block_size=self.block_size)
        if self.mesh.size == 1:
            return product

        def others(values: Array) -> Array:
            everything = jax.lax.all_gather(values, "rows", tiled=True)
            own_first = jnp.roll(everything, -len(x) * jax.lax.axis_index("rows"), axis=0)
            return own_first[len(x) :]

        return product + kernel_matvec(
            self.kernel, x, others(v), others(x), block_size=self.block_size
        )


class _LowRank(NamedTuple):
    """U diag(eigenvalues) U', close to K."""

    basis: Float[Array, "n m"]
    eigenvalues: Float[Array, " m"]


class _System(NamedTuple):
    """The arrays of (K + ridge I) beta = y, and of its preconditioner."""

    x: Float[Array, "n d"]
    ridge: Float[Array, ""]
    approximation: _LowRank

    def precondition(self, r: Array) -> Array:
        """A multiple of (U diag(eigenvalues) U' + ridge I)^-1 r.

        On the complement of U it is the identity, as if K had there the smallest eigenvalue of
        the approximation.
        """
        basis, eigenvalues = self.approximation
        damping = (eigenvalues[-1] + self.ridge) / (eigenvalues + self.ridge) - 1
        return r + _matmul(basis, damping[:, None] * _matmul(basis.T, r))


def _nystroem(product: _Product, x: Array, landmarks: Array) -> _LowRank:
    """K(x, z) K(z, z)^-1 K(z, x) by its eigenvectors, without those that drown in rounding."""
    core = product.kernel(landmarks)
    _check_core(core, len(landmarks))
    whitener, _ = _inverse_root(core)
    factor, gram = _landmark_factor(product, x, landmarks, whitener)
    rotation, eigenvalues = _inverse_root(gram)
    return _LowRank(_matmul(factor, rotation), eigenvalues)


def _inverse_root(matrix: Array) -> tuple[Array, Array]:
    """W with W'MW = I, and the eigenvalues of M that it keeps, the largest first."""
    values, vectors = np.linalg.eigh(np.asarray(matrix, np.float64))
    values, vectors = values[::-1], vectors[:, ::-1]
    keep = values > 10 * jnp.finfo(matrix.dtype).eps * values[0]
    root = vectors[:, keep] / np.sqrt(values[keep])
    return jnp.asarray(root, matrix.dtype), jnp.asarray(values[keep], matrix.dtype)


@partial(jax.jit, static_argnums=0)
def _landmark_factor(
    product: _Product, x: Array, landmarks: Array, whitener: Array
) -> tuple[Array, Array]:
    """L with L L' the Nystroem approximation, and L'L."""
    factor = product.with_landmarks(x, landmarks, whitener)
    return factor, _matmul(factor.T, factor)


_matmul = jax.jit(partial(jnp.matmul, precision="highest"))


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
def _multiply(product: _Product, system: _System, v: Array) -> Array:
    return product(system.x, v) + system.ridge * v


@jax.jit
def _advance(system: _System, now: _Iterate, image: Array) -> tuple[_Iterate, Array]:
    """One step along the direction with this image, and the least curvature: columns are apart."""
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
    """|residual| / |y|, the largest over the columns; 0 for y = 0."""
    size = jnp.linalg.norm(y, axis=0)
    return float(jnp.max(jnp.linalg.norm(residual, axis=0) / jnp.where(size > 0, size, 1)))


def _solve(
    product: _Product, system: _System, y: Array, tol: float, max_iterations: int, on_iteration
) -> tuple[Array, list[float]]:
    """Solve for beta; also the relative residuals.

    When the recursion says that the residual is small it is computed anew, and the iteration
    starts again from there, for as long as that still halves it.
    """
    beta, residual = jnp.zeros_like(y), y
    residuals = [_relative(residual, y)]
    while True:
        before = residuals[-1]
        now = _restart(system, beta, residual)
        while residuals[-1] > tol and len(residuals) <= max_iterations:
            now, curvature = _advance(system, now, _multiply(product, system, now.direction))
            _check_curvature(float(curvature), y.dtype)
            residuals.append(_relative(now.residual, y))
            if on_iteration is not None:
                on_iteration(len(residuals) - 1, residuals[-1])
        beta = now.beta
        residual = y - _multiply(product, system, beta)
        residuals[-1] = _relative(residual, y)
        done = residuals[-1] <= tol or len(residuals) > max_iterations
        if done or not residuals[-1] <= before / 2:
            return beta, residuals


def _evenly(x: Array, count: int) -> Array:
    """`count` rows of x, evenly spaced."""
    return x[np.arange(count) * len(x) // count]


def _row_mesh(devices: Sequence | None) -> Mesh:
    chosen = jax.devices() if devices is None else list(devices)
    require_count("the number of devices", len(chosen))
    return jax.make_mesh((len(chosen),), ("rows",), (AxisType.Auto,), devices=chosen)


def _advice(fit: RidgeFit, max_iterations: int, dtype: Any) -> str:
    if fit.iterations == max_iterations:
        return "raise max_iterations, num_landmarks or ridge"
    return f"the rounding of {dtype} allows no less; raise tol or ridge, or give float64 data"


def _check_data(x: Array, y: Array) -> None:
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"x must be (n, d) with n, d >= 1, got shape {x.shape}")
    if y.ndim not in (1, 2) or y.shape[0] != x.shape[0] or 0 in y.shape:
        raise ValueError(f"y must be (n,) or (n, k) with n = {x.shape[0]}, got shape {y.shape}")
    if not jnp.issubdtype(x.dtype, jnp.floating) or y.dtype != x.dtype:
        raise TypeError(f"x and y must hold floats of one dtype, got {x.dtype} and {y.dtype}")
    require_finite("x", x)
    require_finite("y", y)


def _check_settings(kernel, n, ridge, num_landmarks, tol, max_iterations, on_iteration) -> None:
    require_callable("kernel", kernel, "kernel(x, z=None)")
    if on_iteration is not None:
        require_callable("on_iteration", on_iteration, "on_iteration(iteration, residual)")
    require_positive("ridge", ridge)
    require_positive("tol", tol)
    require_count("max_iterations", max_iterations)
    require_count("num_landmarks", num_landmarks)
    if num_landmarks > n:
        raise ValueError(f"num_landmarks must be at most n = {n}, got {num_landmarks}")


def _check_core(core: Array, m: int) -> None:
    """Raise unless the kernel gave a finite symmetric m x m Gram matrix."""
    if core.shape != (m, m):
        raise ValueError(f"kernel of {m} rows must give shape {(m, m)}, got {core.shape}")
    require_finite("the kernel's Gram matrix", core)
    if not float(jnp.max(jnp.diagonal(core))) > 0:
        raise ValueError("kernel must be positive semidefinite and not 0, but K(x, x) <= 0")
    asymmetry = float(jnp.max(jnp.abs(core - core.T)))
    if asymmetry > np.sqrt(jnp.finfo(core.dtype).eps) * float(jnp.max(jnp.abs(core))):
        raise ValueError(f"kernel must be symmetric, but K - K' has entries of {asymmetry:.2g}")


def _check_curvature(curvature: float, dtype: Any) -> None:
    if not curvature > 0:
        raise ValueError(
            f"K + ridge I is not positive definite in {dtype}: the kernel must be positive "
            "semidefinite, and ridge above the rounding of its sums; raise ridge, or use float64"
        )
