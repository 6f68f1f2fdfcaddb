"""Predictors in the span of a kernel's training data (section 2): f(x) = sum_i beta_i K(x_i, x).

Each `fit_*` takes the Gram matrix K of the training inputs, for any kernel, and returns the
coefficients beta, the norm of f in the reproducing kernel Hilbert space of K, and a number that
tells how accurate they are. There is no intercept, so f lies in the span of the data. If gram and y
have a leading axis t, each of the t trials is fitted by itself: one after the other on a CPU, and
in one batch on an accelerator.

The work is done in float64 whatever the dtype of the Gram matrix, and the result has that dtype.
If the rounding of the Gram matrix in its own dtype decides the answer, an error says so.
"""

from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_solve
from jaxtyping import Array, Float, Shaped

from jaxmargin._checks import require_positive
from jaxmargin.errors import ConvergenceError
from jaxmargin.kernels._fitting import (
    condition_number,
    for_each,
    per_trial,
    rounding_of,
    semidefinite,
)
from jaxmargin.kernels._inputs import check_labels, check_targets, raise_where
from jaxmargin.kernels._logistic import solve_logistic, solve_softmax
from jaxmargin.kernels._svm import solve_svm

_ACCEPTED = 1e-6  # relative duality gap or residual; the solvers stop far below


class KernelFit(NamedTuple):
    """A function fitted by interpolation or by ridge regression.

    Attributes:
        beta: coefficients, of the shape of the targets y.
        norm: ||f||_K = sqrt(beta' K beta), one for each trial and output.
        condition: condition number of the matrix that was inverted, one for each trial. The
            relative error of beta is up to this many times that of the Gram matrix.
    """

    beta: Float[Array, "*shape"]
    norm: Float[Array, "*outputs"]
    condition: Float[Array, "*t"]


class SvmFit(NamedTuple):
    """A support vector machine, or one for each class against the rest.

    Attributes:
        beta: coefficients, of the shape of the labels y, with a last axis for k classes.
        norm: ||f||_K = sqrt(beta' K beta), one for each trial and class. For the hard margin, 1 /
            norm is the distance of the closest sample from the decision boundary.
        gap: proven bound on how far the objective lies above its minimum, relative to that
            minimum. One for each trial: the largest over its classes.
    """

    beta: Float[Array, "*shape"]
    norm: Float[Array, "*outputs"]
    gap: Float[Array, "*t"]


class LogisticFit(NamedTuple):
    """A kernel logistic regression.

    Attributes:
        beta: coefficients, of the shape of the labels y, with a last axis for k classes.
        norm: ||f||_K = sqrt(beta' K beta), one for each trial and class.
        residual: how far beta is from the pull of the labels, -(d loss / d f) / (2 lam n), which
            it equals at the minimum: the largest difference over the largest entry, one for each
            trial.
    """

    beta: Float[Array, "*shape"]
    norm: Float[Array, "*outputs"]
    residual: Float[Array, "*t"]


def fit_interpolant(gram: Float[Array, "*t n n"], y: Float[Array, "*shape"]) -> KernelFit:
    """The function of least norm through the data: K beta = y.

    Among all f with f(x_i) = y_i it has the least ||f||_K; it is the limit of `fit_ridge` for a
    vanishing ridge and of gradient descent on the squared loss of a wide network from zero.

    Args:
        gram: (n, n) positive definite Gram matrix, or (t, n, n).
        y: (n,) targets or (n, k) several at once, with a leading t if gram has one.

    Returns:
        `KernelFit(beta, norm, condition)`.

    Raises:
        ValueError: gram is not square, symmetric, finite and positive definite to the precision
            of its dtype (the message tells its condition number), or y does not match it.
        TypeError: gram and y do not hold floats of one dtype, or they are traced: `fit_*` check
            values, so they cannot be inside `jit` or `vmap`.

    Example:
        >>> fit = fit_interpolant(jnp.array([[2.0, 0.0], [0.0, 4.0]]), jnp.array([1.0, 1.0]))
        >>> fit.beta.tolist(), round(float(fit.norm) ** 2, 4)
        ([0.5, 0.25], 0.75)

    Reference:
        Wei, Lee, Liu, Ma (2019), section 2.
    """
    gram, y = check_targets(gram, y)
    beta, norm, condition = per_trial(_solve_ridge, gram, y, 0.0)
    _check_condition(condition, gram, "fit_ridge with a positive ridge")
    return KernelFit(beta, norm, jnp.asarray(condition, gram.dtype))


def fit_ridge(
    gram: Float[Array, "*t n n"], y: Float[Array, "*shape"], *, ridge: float
) -> KernelFit:
    """Kernel ridge regression: (K + ridge I) beta = y.

    Minimises sum_i (f(x_i) - y_i)^2 + ridge ||f||_K^2. The loss is a sum over the samples, so
    `ridge` is the `alpha` of scikit-learn's `KernelRidge`, and n times the lam of a mean loss.

    Args:
        gram: (n, n) positive semidefinite Gram matrix, or (t, n, n).
        y: (n,) targets or (n, k) several at once, with a leading t if gram has one.
        ridge: strength of the penalty, > 0.

    Returns:
        `KernelFit(beta, norm, condition)`.

    Raises:
        ValueError: gram is not square, symmetric and finite, K + ridge I is not positive definite
            to the precision of its dtype, ridge <= 0, or y does not match gram.
        TypeError: gram and y do not hold floats of one dtype, they are traced, or ridge is not a
            number.

    Example:
        >>> gram = jnp.array([[2.0, 0.0], [0.0, 3.0]])
        >>> fit_ridge(gram, jnp.array([1.0, 1.0]), ridge=1.0).beta
        Array([0.33333334, 0.25      ], dtype=float32)

    Reference:
        Saunders, Gammerman, Vovk (1998).
    """
    require_positive("ridge", ridge)
    gram, y = check_targets(gram, y)
    beta, norm, condition = per_trial(_solve_ridge, gram, y, ridge)
    _check_condition(condition, gram, "a larger ridge")
    return KernelFit(beta, norm, jnp.asarray(condition, gram.dtype))


def fit_svm(
    gram: Float[Array, "*t n n"], y: Shaped[Array, "*t n"], *, c: float | None = None
) -> SvmFit:
    """Support vector machine without an intercept: hard margin, or soft with a given c.

    The hard margin minimises ||f||_K^2 / 2 subject to y_i f(x_i) >= 1 for every i. The soft margin
    minimises ||f||_K^2 / 2 + c sum_i max(0, 1 - y_i f(x_i)). Here c is the `C` of scikit-learn,
    whose `LinearSVC(fit_intercept=False, loss="hinge")` is this problem on explicit features; its
    `SVC` always has an intercept. Several classes are fitted one against the rest, and the largest
    score is the prediction.

    The duality gap is proven to be below 1e-6 of the objective. Up to degenerate ties, beta_i is
    exactly 0 where x_i is no support vector, and exactly y_i c where x_i lies inside the margin. If
    gram is singular, (sqrt(n) eps + n eps64) max_i K_ii is added to its diagonal, where eps is the
    precision of its dtype and eps64 that of float64. This is no more than its rounding.

    Args:
        gram: (n, n) positive semidefinite Gram matrix, or (t, n, n).
        y: (n,) floats -1, +1, or integers in [0, k); with a leading t if gram has one.
        c: price of a unit of margin that is missing, > 0; None for the hard margin.

    Returns:
        `SvmFit(beta, norm, gap)`, with beta (n,), or (n, k) for integer labels, and a leading t if
        gram has one.

    Raises:
        ConvergenceError: the gap did not close, because gram is too ill-conditioned; the `result`
            of the error is the `SvmFit` that was reached.
        ValueError: the labels cannot be separated (hard margin), gram is not square, symmetric,
            finite and positive semidefinite, labels are not -1, +1 or classes, c <= 0, or y does
            not match gram.
        TypeError: gram or y is of a wrong dtype or traced, or c is not a number.

    Example:
        >>> x = jnp.array([[2.0], [3.0], [-1.0]])
        >>> fit = fit_svm(x @ x.T, jnp.array([1.0, 1.0, -1.0]))
        >>> fit.beta.round(4).tolist(), round(1 / float(fit.norm), 4)  # the margin is 1 / norm
        ([0.0, 0.0, -1.0], 1.0)

    Reference:
        Cortes, Vapnik (1995); solved as Mehrotra (1992). Wei, Lee, Liu, Ma (2019), section 2.
    """
    gram, labels = check_labels(gram, y)
    signs = jnp.where(labels, 1, -1).astype(gram.dtype) if labels.dtype == bool else labels
    rounding = rounding_of(gram)
    if c is not None:
        require_positive("c", c)
    settings = () if c is None else (c,)
    beta, norm, quality = per_trial(_svm, gram, signs, rounding, *settings)
    sound, gap, radius_margin = quality
    fit = SvmFit(beta, norm, jnp.asarray(gap, gram.dtype))
    raise_where(~sound, ValueError, _NOT_SEMIDEFINITE)
    if c is None:
        raise_where(
            radius_margin * rounding > 1,
            ValueError,
            f"no f separates the labels by more than the rounding of {gram.dtype}: give c for a "
            "soft margin, look for equal inputs of different labels, or compute gram in float64",
        )
    raise_where(
        ~(gap <= _ACCEPTED),
        partial(ConvergenceError, result=fit),
        "the support vector machine did not converge: gram is too ill-conditioned for this margin; "
        "give c, or a smaller c, or drop near duplicates among the inputs",
    )
    return fit


def fit_kernel_logistic(
    gram: Float[Array, "*t n n"], y: Shaped[Array, "*t n"], *, lam: float
) -> LogisticFit:
    """Kernel logistic regression, for two classes and for several, without an intercept.

    Minimises (1/n) sum_i loss(f(x_i), y_i) + lam ||f||_K^2, which is the objective that
    `regularized` gives a network. The loss is the logistic one for labels -1, +1, and the
    cross-entropy for classes, where the penalty is the sum over the k outputs. It is scikit-learn's
    `LogisticRegression(fit_intercept=False)` on features that factor K, with C = 1 / (2 n lam).

    Args:
        gram: (n, n) positive semidefinite Gram matrix, or (t, n, n). If it is singular its diagonal
            is raised as in `fit_svm`.
        y: (n,) floats -1, +1, or integers in [0, k); with a leading t if gram has one.
        lam: strength of the penalty, > 0. (At 0 separable data has no minimiser.)

    Returns:
        `LogisticFit(beta, norm, residual)`, with beta (n,), or (n, k) for integer labels, and a
        leading t if gram has one.

    Raises:
        ConvergenceError: lam is too small for float64; the `result` of the error is the
            `LogisticFit` that was reached.
        ValueError: gram is not square, symmetric, finite and positive semidefinite, labels are not
            -1, +1 or classes, lam <= 0, or y does not match gram.
        TypeError: gram or y is of a wrong dtype or traced, or lam is not a number.

    Example:
        >>> fit = fit_kernel_logistic(jnp.eye(2), jnp.array([1.0, -1.0]), lam=0.1)
        >>> [round(b, 4) for b in fit.beta.tolist()]
        [0.7838, -0.7838]

    Reference:
        Rasmussen, Williams (2006), sections 3.4 and 3.5; Wei, Lee, Liu, Ma (2019), eq. 2.2.
    """
    require_positive("lam", lam)
    gram, labels = check_labels(gram, y)
    beta, norm, quality = per_trial(_logistic, gram, labels, rounding_of(gram), lam)
    sound, residual = quality
    fit = LogisticFit(beta, norm, jnp.asarray(residual, gram.dtype))
    raise_where(~sound, ValueError, _NOT_SEMIDEFINITE)
    raise_where(
        ~(residual <= _ACCEPTED),
        partial(ConvergenceError, result=fit),
        f"Newton's method did not converge in float64 for lam = {lam}: raise lam",
    )
    return fit


def kernel_predict(
    cross_gram: Float[Array, "*t n2 n"], beta: Float[Array, "*shape"]
) -> Float[Array, "*scores"]:
    """The values f(z_j) = sum_i beta_i K(z_j, x_i), in full precision of the dtype.

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


def _solve_ridge(gram: Array, y: Array, ridge: Array) -> tuple[Array, Array]:
    """(K + ridge I)^-1 y with one step of refinement, and the condition number."""
    matrix = gram + ridge * jnp.eye(len(gram))
    factor = (jnp.linalg.cholesky(matrix), True)
    beta = cho_solve(factor, y)
    beta = beta + cho_solve(factor, y - matrix @ beta)
    return beta, condition_number(matrix, factor)


def _svm(gram: Array, y: Array, rounding: Array, c: Array | None = None) -> tuple[Array, Any]:
    gram, sound = semidefinite(gram, rounding)
    limit = 1 / rounding if c is None else jnp.full_like(rounding, jnp.inf)
    if y.ndim == 1:
        found = solve_svm(gram, y, limit, c)
    else:
        found = for_each(lambda signs: solve_svm(gram, signs, limit, c), y.T)
        found = found._replace(beta=found.beta.T)
    return found.beta, (sound, jnp.max(found.gap), jnp.max(found.radius_margin))


def _logistic(gram: Array, y: Array, rounding: Array, lam: Array) -> tuple[Array, Any]:
    gram, sound = semidefinite(gram, rounding)
    solve = solve_logistic if y.ndim == 1 else solve_softmax
    beta, residual = solve(gram, y, lam)
    return beta, (sound, residual)


def _check_condition(condition: np.ndarray, gram: Array, remedy: str) -> None:
    resolved = 1 / float(jnp.finfo(gram.dtype).eps)
    worst = np.max(np.nan_to_num(condition, nan=np.inf))
    state = "not positive definite" if np.isinf(worst) else f"of condition number {worst:.2g}"
    raise_where(
        ~(condition <= resolved),
        ValueError,
        f"the matrix to invert is {state}, and {gram.dtype} resolves {resolved:.2g}: use {remedy}, "
        "drop equal inputs, or compute gram in float64 (jax.enable_x64)",
    )


_NOT_SEMIDEFINITE = (
    "gram is not positive semidefinite: it has a negative eigenvalue beyond its rounding"
)
