"""Predictors in the span of a kernel's training data (section 2): f(x) = sum_i beta_i K(x_i, x).

Each `fit_*` takes the Gram matrix K of the training inputs, of any kernel, and gives beta. None
has an intercept: f lies in the span. With a leading axis t of gram and y every trial is fitted by
itself, one after the other on a CPU, batched on an accelerator.

The work is done in float64 whatever the dtype of the Gram matrix, and the result has that dtype;
a Gram matrix whose rounding in its own dtype decides the answer is an error, never a silent one.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_solve
from jaxtyping import Array, Float, Shaped

from jaxmargin._checks import (
    is_concrete,
    require_finite,
    require_floats,
    require_positive,
    require_signs,
)
from jaxmargin.errors import ConvergenceError
from jaxmargin.kernels._logistic import solve_logistic, solve_softmax
from jaxmargin.kernels._svm import solve_svm

ACCEPTED = 1e-6  # relative duality gap or residual; the solvers stop far below


def fit_interpolant(
    gram: Float[Array, "*t n n"], y: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """The function of least norm through the data: K beta = y.

    Among all f with f(x_i) = y_i it has the least ||f||_K; it is the limit of `fit_ridge` for a
    vanishing ridge and of gradient descent on the squared loss of a wide network from zero.

    Args:
        gram: (n, n) positive definite Gram matrix, or (t, n, n).
        y: (n,) targets or (n, k) several at once, with a leading t if gram has one.

    Returns:
        beta of the shape and dtype of y.

    Raises:
        ValueError: gram is not square, symmetric, finite and positive definite to the precision
            of its dtype (its condition number is told); y does not match.
        TypeError: not floats of one dtype, or traced: `fit_*` checks values, so it cannot be
            inside `jit` or `vmap`.

    Example:
        >>> fit_interpolant(jnp.array([[2.0, 0.0], [0.0, 4.0]]), jnp.array([1.0, 1.0])).tolist()
        [0.5, 0.25]

    Reference:
        Wei, Lee, Liu, Ma (2019), section 2.
    """
    gram, y = _check_targets(gram, y)
    beta, condition = _per_trial(_solve_ridge, gram, y, 0.0)
    _check_condition(condition, gram, "fit_ridge with a positive ridge")
    return beta


def fit_ridge(
    gram: Float[Array, "*t n n"], y: Float[Array, "*shape"], *, ridge: float
) -> Float[Array, "*shape"]:
    """Kernel ridge regression: (K + ridge I) beta = y.

    Minimises sum_i (f(x_i) - y_i)^2 + ridge ||f||_K^2: a sum over the samples, so `ridge` is
    the `alpha` of scikit-learn's `KernelRidge`, and n times the lam of a mean loss.

    Args:
        gram: (n, n) positive semidefinite Gram matrix, or (t, n, n).
        y: (n,) targets or (n, k) several at once, with a leading t if gram has one.
        ridge: strength of the penalty, > 0.

    Returns:
        beta of the shape and dtype of y.

    Raises:
        ValueError: gram is not square, symmetric and finite, or K + ridge I is not positive
            definite to the precision of its dtype; ridge <= 0; y does not match.
        TypeError: not floats of one dtype, or traced.

    Example:
        >>> fit_ridge(jnp.array([[2.0, 0.0], [0.0, 3.0]]), jnp.array([1.0, 1.0]), ridge=1.0)
        Array([0.33333334, 0.25      ], dtype=float32)

    Reference:
        Saunders, Gammerman, Vovk (1998).
    """
    require_positive("ridge", ridge)
    gram, y = _check_targets(gram, y)
    beta, condition = _per_trial(_solve_ridge, gram, y, ridge)
    _check_condition(condition, gram, "a larger ridge")
    return beta


def fit_svm(
    gram: Float[Array, "*t n n"], y: Shaped[Array, "*t n"], *, c: float | None = None
) -> Float[Array, "*shape"]:
    """Support vector machine without an intercept: hard margin, or soft with a given c.

    The hard margin minimises ||f||_K^2 / 2 subject to y_i f(x_i) >= 1 for every i. The soft margin
    minimises ||f||_K^2 / 2 + c sum_i max(0, 1 - y_i f(x_i)): c is scikit-learn's `C`, but its
    `SVC` always has an intercept, as `LinearSVC(fit_intercept=False, loss="hinge")` has not.
    Several classes are fitted one against the rest; the largest score is the prediction.

    The duality gap is proven to be below 1e-6 of the objective. beta is exactly 0 where x_i
    supports nothing, and y_i c where it lies inside the margin (up to degenerate ties). If gram is
    singular, (sqrt(n) eps + n eps64) max_i K_ii is added to its diagonal, with eps the precision of
    its dtype: that is within its rounding.

    Args:
        gram: (n, n) positive semidefinite Gram matrix, or (t, n, n).
        y: (n,) floats -1, +1, or integers in [0, k); with a leading t if gram has one.
        c: price of a unit of margin that is missing, > 0; None for the hard margin.

    Returns:
        beta (n,), or (n, k) for integer labels, with a leading t if gram has one.

    Raises:
        ConvergenceError: the gap did not close, because gram is too ill-conditioned.
        ValueError: the labels cannot be separated (hard margin); gram is not square, symmetric,
            finite and positive semidefinite; labels are not -1, +1; c <= 0; y does not match.
        TypeError: gram is not of floats, or traced.

    Example:
        >>> x = jnp.array([[2.0], [3.0], [-1.0]])
        >>> fit_svm(x @ x.T, jnp.array([1.0, 1.0, -1.0])).round(4).tolist()
        [0.0, 0.0, -1.0]

    Reference:
        Cortes, Vapnik (1995); solved as Mehrotra (1992). Wei, Lee, Liu, Ma (2019), section 2.
    """
    gram, labels = _check_labels(gram, y)
    signs = jnp.where(labels, 1, -1).astype(gram.dtype) if labels.dtype == bool else labels
    rounding = _rounding(gram)
    if c is not None:
        require_positive("c", c)
    settings = () if c is None else (c,)
    beta, quality = _per_trial(_svm, gram, signs, rounding, *settings)
    sound, gap, radius_margin = quality
    _raise_where(~sound, ValueError, NOT_SEMIDEFINITE)
    if c is None:
        _raise_where(
            radius_margin * rounding > 1,
            ValueError,
            f"no f separates the labels by more than the rounding of {gram.dtype}: give c for a "
            "soft margin, look for equal inputs of different labels, or compute gram in float64",
        )
    _raise_where(
        ~(gap <= ACCEPTED),
        ConvergenceError,
        "the support vector machine did not converge: gram is too ill-conditioned for this margin; "
        "give c, or a smaller c, or drop near duplicates among the inputs",
    )
    return beta


def fit_kernel_logistic(
    gram: Float[Array, "*t n n"], y: Shaped[Array, "*t n"], *, lam: float
) -> Float[Array, "*shape"]:
    """Kernel logistic regression, for two classes and for several, without an intercept.

    Minimises (1/n) sum_i loss(f(x_i), y_i) + lam ||f||_K^2, the objective that `regularized`
    gives a network: for the logistic loss, or for the cross-entropy and the sum of the k norms.
    In scikit-learn's `LogisticRegression` on features that factor K, C = 1 / (2 n lam).

    Args:
        gram: (n, n) positive semidefinite Gram matrix, or (t, n, n). If it is singular its diagonal
            is raised as in `fit_svm`.
        y: (n,) floats -1, +1, or integers in [0, k); with a leading t if gram has one.
        lam: strength of the penalty, > 0 (separable data has no minimiser at 0).

    Returns:
        beta (n,), or (n, k) for integer labels, with a leading t if gram has one.

    Raises:
        ConvergenceError: lam is too small for float64.
        ValueError: gram is not square, symmetric, finite and positive semidefinite; labels are
            not -1, +1; lam <= 0; y does not match.
        TypeError: gram is not of floats, or traced.

    Example:
        >>> beta = fit_kernel_logistic(jnp.eye(2), jnp.array([1.0, -1.0]), lam=0.1)
        >>> [round(float(b), 4) for b in beta]
        [0.7838, -0.7838]

    Reference:
        Rasmussen, Williams (2006), sections 3.4 and 3.5; Wei, Lee, Liu, Ma (2019), eq. 2.2.
    """
    require_positive("lam", lam)
    gram, labels = _check_labels(gram, y)
    beta, (sound, residual) = _per_trial(_logistic, gram, labels, _rounding(gram), lam)
    _raise_where(~sound, ValueError, NOT_SEMIDEFINITE)
    _raise_where(
        ~(residual <= ACCEPTED),
        ConvergenceError,
        f"Newton's method did not converge in float64 for lam = {lam}: raise lam",
    )
    return beta


def kernel_predict(
    cross_gram: Float[Array, "*t n2 n"], beta: Float[Array, "*shape"]
) -> Float[Array, "*scores"]:
    """f(z_j) = sum_i beta_i K(z_j, x_i), in full precision of the dtype.

    Args:
        cross_gram: (n', n) kernel of the test inputs with the training inputs, `kernel(z, x)`;
            or (t, n', n).
        beta: (n,) or (n, k), with a leading t if cross_gram has one.

    Returns:
        (n',) or (n', k) scores, with a leading t if cross_gram has one.

    Raises:
        ValueError: shapes that do not match.

    Example:
        >>> kernel_predict(jnp.array([[1.0, 2.0]]), jnp.array([3.0, 0.5])).tolist()
        [4.0]

    Reference:
        Wei, Lee, Liu, Ma (2019), section 2 (f_kernel).
    """
    batch = cross_gram.ndim - 2
    columns = beta.ndim - batch - 1
    if (
        batch not in (0, 1)
        or columns not in (0, 1)
        or (beta.shape[: batch + 1] != (*cross_gram.shape[:batch], cross_gram.shape[-1]))
    ):
        raise ValueError(
            "cross_gram (n', n) needs beta (n,) or (n, k), and (t, n', n) needs (t, n) or "
            f"(t, n, k); got {cross_gram.shape} and {beta.shape}: cross_gram is kernel(test, train)"
        )
    tall = beta if columns else beta[..., None]
    scores = jnp.matmul(cross_gram, tall, precision="highest")
    return scores if columns else scores[..., 0]


def _per_trial(solve: Callable, gram: Array, y: Array, *settings: float) -> tuple[Array, Any]:
    """solve(gram, y, *settings) in float64, of the one trial or of each."""
    with jax.enable_x64(True):
        scalars = [jnp.asarray(setting, jnp.float64) for setting in settings]
        beta, quality = _compiled(solve, gram, y, *scalars)
    return beta, jax.tree.map(np.asarray, quality)


@partial(jax.jit, static_argnums=0)
def _compiled(solve: Callable, gram: Array, y: Array, *settings: Array) -> tuple[Array, Any]:
    def one(gram: Array, y: Array) -> tuple[Array, Any]:
        wide = gram.astype(jnp.float64)
        y = y if y.dtype == bool else y.astype(jnp.float64)
        beta, quality = solve((wide + wide.T) / 2, y, *settings)
        return beta.astype(gram.dtype), quality

    return one(gram, y) if gram.ndim == 2 else _for_each(one, gram, y)


def _for_each(function: Callable, *args: Array):
    """Apply the function over the leading axis of args: in turn on a CPU, else batched."""
    return jax.lax.platform_dependent(
        *args,
        cpu=lambda *args: jax.lax.map(lambda one: function(*one), args),
        default=jax.vmap(function),
    )


def _solve_ridge(gram: Array, y: Array, ridge: Array) -> tuple[Array, Array]:
    """(K + ridge I)^-1 y with one step of refinement, and the condition number."""
    matrix = gram + ridge * jnp.eye(len(gram))
    factor = (jnp.linalg.cholesky(matrix), True)
    beta = cho_solve(factor, y)
    beta = beta + cho_solve(factor, y - matrix @ beta)
    return beta, _condition_number(matrix, factor)


def _condition_number(matrix: Array, factor: tuple[Array, bool]) -> Array:
    """|M|_1 |M^-1|_2, the second by the power method; NaN if M has no Cholesky factor."""

    def power(_, v: Array) -> Array:
        v = cho_solve(factor, v)
        return v / jnp.linalg.norm(v)

    generic = jax.random.normal(jax.random.key(0), (len(matrix),))
    v = jax.lax.fori_loop(0, 8, power, generic)
    return jnp.max(jnp.sum(jnp.abs(matrix), axis=0)) * jnp.linalg.norm(cho_solve(factor, v))


def _svm(gram: Array, y: Array, rounding: Array, c: Array | None = None) -> tuple[Array, Any]:
    gram, sound = _semidefinite(gram, rounding)
    limit = 1 / rounding if c is None else jnp.full_like(rounding, jnp.inf)
    if y.ndim == 1:
        found = solve_svm(gram, y, limit, c)
    else:
        found = _for_each(lambda signs: solve_svm(gram, signs, limit, c), y.T)
        found = found._replace(beta=found.beta.T)
    return found.beta, (sound, jnp.max(found.gap), jnp.max(found.radius_margin))


def _logistic(gram: Array, y: Array, rounding: Array, lam: Array) -> tuple[Array, Any]:
    gram, sound = _semidefinite(gram, rounding)
    solve = solve_logistic if y.ndim == 1 else solve_softmax
    beta, residual = solve(gram, y, lam)
    return beta, (sound, residual)


def _semidefinite(gram: Array, rounding: Array) -> tuple[Array, Array]:
    """K, or K + rounding I if K has no Cholesky factor; and whether the result has one."""
    own = jnp.eye(len(gram))
    jitter = rounding * jnp.max(jnp.diagonal(gram)) * own

    def definite(matrix: Array) -> Array:
        return jnp.isfinite(jnp.linalg.cholesky(matrix)).all()

    gram = jnp.where(definite(gram), gram, gram + jitter)
    return gram, definite(gram)


def _rounding(gram: Array) -> float:
    """What rounding does to the eigenvalues of K and to its factor, over max_i K_ii."""
    n = gram.shape[-1]
    return float(np.sqrt(n) * jnp.finfo(gram.dtype).eps + n * np.finfo(np.float64).eps)


def _check_gram(gram: Array) -> Array:
    """Gram matrix as an array; raise unless it is one or several, concrete and symmetric."""
    if not is_concrete(gram):
        raise TypeError(
            "fit_* check the values of gram, so they cannot run inside jit, vmap or grad: "
            "call them outside, with a leading axis t for many trials"
        )
    gram = jnp.asarray(gram)
    if gram.ndim not in (2, 3) or gram.shape[-1] != gram.shape[-2] or 0 in gram.shape:
        raise ValueError(f"gram must be (n, n) or (t, n, n) with n >= 1, got shape {gram.shape}")
    require_floats("gram", gram)
    asymmetry, size = (float(value) for value in _asymmetry(gram))
    if not np.isfinite(asymmetry):
        require_finite("gram", gram)
    if not asymmetry <= np.sqrt(jnp.finfo(gram.dtype).eps) * size:
        raise ValueError(
            f"gram must be symmetric, but entries (i, j) and (j, i) differ by {asymmetry:.2g}: "
            "pass kernel(x), not kernel(x, z)"
        )
    return gram


@jax.jit
def _asymmetry(gram: Array) -> tuple[Array, Array]:
    return jnp.max(jnp.abs(gram - jnp.swapaxes(gram, -1, -2))), jnp.max(jnp.abs(gram))


def _check_targets(gram: Array, y: Array) -> tuple[Array, Array]:
    gram, y = _check_gram(gram), jnp.asarray(y)
    batch = gram.shape[:-1]
    if y.shape[: len(batch)] != batch or y.ndim > len(batch) + 1 or 0 in y.shape:
        raise ValueError(f"y must be {batch} or {(*batch, 'k')} to match gram, got {y.shape}")
    if y.dtype != gram.dtype:
        raise TypeError(f"y must have the dtype of gram, {gram.dtype}, got {y.dtype}")
    require_finite("y", y)
    return gram, y


def _check_labels(gram: Array, y: Array) -> tuple[Array, Array]:
    """gram, and the labels as -1, +1 or as one-hot rows of bools."""
    gram, y = _check_gram(gram), jnp.asarray(y)
    if y.shape != gram.shape[:-1]:
        raise ValueError(f"y must be {gram.shape[:-1]}, one label a sample, got {y.shape}")
    if jnp.issubdtype(y.dtype, jnp.floating):
        require_finite("y", y)
        require_signs(y)
        return gram, y
    if not jnp.issubdtype(y.dtype, jnp.integer):
        raise TypeError(f"y must hold floats -1, +1 or integers in [0, k), got {y.dtype}")
    least, most = int(jnp.min(y)), int(jnp.max(y))
    if least < 0 or most < 1:
        raise ValueError(
            f"integer labels must be the classes 0, 1, ..., k - 1 with k >= 2, got {least} to "
            f"{most}: labels -1, +1 must be floats"
        )
    return gram, jax.nn.one_hot(y, most + 1, dtype=bool)


def _check_condition(condition: np.ndarray, gram: Array, remedy: str) -> None:
    resolved = 1 / float(jnp.finfo(gram.dtype).eps)
    worst = np.max(np.nan_to_num(condition, nan=np.inf))
    state = "not positive definite" if np.isinf(worst) else f"of condition number {worst:.2g}"
    _raise_where(
        ~(condition <= resolved),
        ValueError,
        f"the matrix to invert is {state}, and {gram.dtype} resolves {resolved:.2g}: use {remedy}, "
        "drop equal inputs, or compute gram in float64 (jax.enable_x64)",
    )


NOT_SEMIDEFINITE = (
    "gram is not positive semidefinite: it has a negative eigenvalue beyond its rounding"
)


def _raise_where(fault: np.ndarray | np.bool_, error: type[ValueError], message: str) -> None:
    """Raise the error if there is a fault, naming the first trial that has it."""
    if not np.any(fault):
        return
    if np.ndim(fault):
        raise error(f"trial {int(np.argwhere(fault)[0][0])}: {message}")
    raise error(message)
