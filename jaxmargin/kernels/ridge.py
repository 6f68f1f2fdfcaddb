"""Interpolation and ridge regression in the span of a kernel's training data (section 2).

As all predictors of this folder (see `predictors`): in float64 inside, without an intercept, and
for many trials. These two solve linear systems, so they can be traced as well.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_solve
from jaxtyping import Array, Float

from jaxmargin._arrays import as_array
from jaxmargin._checks import is_concrete, require_positive
from jaxmargin.kernels._fits.host import ridge_on_host
from jaxmargin.kernels._fits.trials import Fitted, condition_number, in_dtype, per_trial
from jaxmargin.kernels._fits.verdicts import cause_of, in_range, nan_where, raise_where
from jaxmargin.kernels._inputs import check_targets, check_weights


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


class RidgePath(NamedTuple):
    """Ridge regressions of the same data, with r ridges.

    Attributes:
        beta: coefficients (r, *shape), where shape is that of the targets y; with several trials
            (t, r, ...), as for the other fields.
        norm: ||f||_K of each ridge and output.
        condition: condition number of K + ridge I, one for each ridge.
        left_out: (r, *shape) residuals y_i - f(x_i) of the f that is fitted without sample i.
    """

    beta: Float[Array, "*shape"]
    norm: Float[Array, "*outputs"]
    condition: Float[Array, "*r"]
    left_out: Float[Array, "*shape"]


def fit_interpolant(
    gram: Float[Array | np.ndarray, "*t n n"], y: Float[Array | np.ndarray, "*shape"]
) -> KernelFit:
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
            of its dtype (the message tells its condition number and the likely cause), y does not
            match it, or beta leaves the range of the dtype.
        TypeError: gram and y do not hold floats of one dtype.

    It can be differentiated, mapped and jitted. Traced values give NaN in place of an error.

    Example:
        >>> fit = fit_interpolant(jnp.array([[2.0, 0.0], [0.0, 4.0]]), jnp.array([1.0, 1.0]))
        >>> fit.beta.tolist(), round(float(fit.norm) ** 2, 4)
        ([0.5, 0.25], 0.75)

    Reference:
        Wei, Lee, Liu, Ma (2019), section 2.
    """
    gram, y = check_targets(gram, y)
    return _ridge_fit(gram, y, 0.0, "use fit_ridge with a positive ridge")


def fit_ridge(
    gram: Float[Array | np.ndarray, "*t n n"],
    y: Float[Array | np.ndarray, "*shape"],
    *,
    ridge: float | Array,
    sample_weight: Float[Array | np.ndarray, "*t n"] | Sequence[float] | None = None,
) -> KernelFit:
    """Kernel ridge regression: (K + ridge I) beta = y.

    Minimises sum_i (f(x_i) - y_i)^2 + ridge ||f||_K^2. The loss is a sum over the samples, so
    `ridge` is the `alpha` of scikit-learn's `KernelRidge`, and n times the lam of a mean loss.
    With weights w_i it is sum_i w_i (f(x_i) - y_i)^2, and (K + ridge diag(1 / w)) beta = y.

    Args:
        gram: (n, n) positive semidefinite Gram matrix, or (t, n, n).
        y: (n,) targets or (n, k) several at once, with a leading t if gram has one.
        ridge: strength of the penalty, > 0.
        sample_weight: w, one number > 0 for each sample; None for 1. Of w_i = 2 the effect is that
            of sample i given twice.

    Returns:
        `KernelFit(beta, norm, condition)`.

    Raises:
        ValueError: gram is not square, symmetric and finite, K + ridge I is not positive definite
            to the precision of its dtype, ridge or a weight is not > 0, y or sample_weight does not
            match gram, or beta leaves the range of the dtype.
        TypeError: gram and y do not hold floats of one dtype, ridge is not a number, or
            sample_weight does not hold numbers.

    It can be differentiated, mapped and jitted, also in `ridge` and `sample_weight`. Traced values
    give NaN in place of an error. `fit_ridge_path` fits many ridges at once.

    Example:
        >>> gram = jnp.array([[2.0, 0.0], [0.0, 3.0]])
        >>> fit_ridge(gram, jnp.array([1.0, 1.0]), ridge=1.0).beta
        Array([0.33333334, 0.25      ], dtype=float32)

    Reference:
        Saunders, Gammerman, Vovk (1998).
    """
    require_positive("ridge", ridge)
    gram, y = check_targets(gram, y)
    allowed = ridge if is_concrete(ridge) else jnp.where(ridge > 0, ridge, jnp.nan)
    weights = check_weights(gram, sample_weight)
    return _ridge_fit(gram, y, allowed, "use a larger ridge", weights)


def fit_ridge_path(
    gram: Float[Array | np.ndarray, "*t n n"],
    y: Float[Array | np.ndarray, "*shape"],
    *,
    ridges: Float[Array | np.ndarray, " r"] | Sequence[float],
) -> RidgePath:
    """Kernel ridge regression for many ridges, with the leave-one-out residuals of each.

    One eigendecomposition of K serves all ridges. With M = K + ridge I and beta = M^-1 y, the
    function that is fitted without sample i misses y_i by

        y_i - f_{-i}(x_i) = beta_i / (M^-1)_ii,

    so that no fit has to be repeated. The mean of its squares is Allen's PRESS statistic over n.

    Args:
        gram: (n, n) positive semidefinite Gram matrix, or (t, n, n).
        y: (n,) targets or (n, k) several at once, with a leading t if gram has one.
        ridges: (r,) strengths of the penalty, > 0, in any order; as `ridge` of `fit_ridge`.

    Returns:
        `RidgePath(beta, norm, condition, left_out)`, whose entry i is the fit with `ridges[i]`.

    Raises:
        ValueError: gram is not square, symmetric and finite, K + ridge I is not positive definite
            to the precision of its dtype, ridges are not r >= 1 numbers > 0, y does not match gram,
            or beta leaves the range of the dtype.
        TypeError: gram and y do not hold floats of one dtype, or ridges are not numbers.

    It can be differentiated, mapped and jitted, also in `ridges`; a derivative inverts one matrix
    for each ridge. Traced values give NaN in place of an error.

    Example:
        >>> gram, y = jnp.array([[2.0, 1.0], [1.0, 2.0]]), jnp.array([1.0, 2.0])
        >>> path = fit_ridge_path(gram, y, ridges=jnp.array([0.1, 1.0, 10.0]))
        >>> [round(error, 2) for error in jnp.mean(path.left_out**2, axis=1).tolist()]
        [1.16, 1.44, 2.18]

    Reference:
        Allen (1974); Hastie, Tibshirani, Friedman (2009), section 7.10.
    """
    gram, y = check_targets(gram, y)
    ridges = as_array("ridges", ridges)
    if ridges.ndim != 1 or not ridges.size:
        raise ValueError(f"ridges must be (r,) with r >= 1, got shape {ridges.shape}")
    if is_concrete(ridges):
        for ridge in np.asarray(ridges, float):
            require_positive("ridges", float(ridge))
    else:
        ridges = jnp.where(ridges > 0, ridges, jnp.nan)
    _require_traceable(gram, y, ridges)
    found = per_trial(_solve_path, gram, _repeated(y, gram.ndim - 1, len(ridges)), ridges)
    condition, pivots = (in_dtype(value, gram.dtype) for value in found.quality)

    def by_ridge(columns: Any) -> Any:
        """From (..., k r) to (..., r, k), or (..., r) for one target a sample."""
        apart = columns.reshape(*columns.shape[:-1], -1, len(ridges)).swapaxes(-1, -2)
        return apart if y.ndim == gram.ndim else apart[..., 0]

    beta = by_ridge(found.beta).swapaxes(gram.ndim - 2, gram.ndim - 1)
    pivots = pivots if y.ndim < gram.ndim else pivots[..., None]
    path = RidgePath(beta, by_ridge(found.norm), condition, beta * pivots)
    return _judged(path, found, gram, "use larger ridges")


def _ridge_fit(
    gram: Any, y: Any, ridge: float | Array, remedy: str, weights: Any = None
) -> KernelFit:
    _require_traceable(gram, y, ridge, weights)
    on_host = ridge_on_host if weights is None else None
    found = per_trial(_solve_ridge, gram, y, ridge, weights=weights, on_host=on_host)
    fit = KernelFit(found.beta, found.norm, in_dtype(found.quality, gram.dtype))
    return _judged(fit, found, gram, remedy)


def _require_traceable(gram: Any, *others: Any) -> None:
    if not is_concrete(gram, others) and gram.dtype == np.float64 != jnp.array(0.0).dtype:
        raise TypeError(
            "gram is float64, which JAX does not have inside jit, vmap and grad without "
            "jax.enable_x64: enter that, or call fit_* outside"
        )


def _judged(fit: Any, found: Fitted, gram: Any, remedy: str) -> Any:
    """The fit; what could not be inverted is an error, or NaN where it is traced."""
    resolved = 1 / float(jnp.finfo(gram.dtype).eps)
    if not is_concrete(fit):
        fault = ~(fit.condition <= resolved)
        numbers = {name: nan_where(fault, value) for name, value in fit._asdict().items()}
        return fit._replace(**numbers | {"condition": fit.condition})
    condition = np.asarray(fit.condition, float)
    condition = condition.max(axis=-1) if condition.ndim == gram.ndim - 1 else condition
    fault = ~(condition <= resolved)
    if np.any(fault):
        worst = np.max(np.where(np.isnan(condition), np.inf, condition))
        state = "not positive definite" if np.isinf(worst) else f"of condition number {worst:.2g}"
        raise_where(
            fault,
            ValueError,
            f"the matrix to invert is {state}, and {gram.dtype} resolves {resolved:.2g}: {remedy}; "
            f"gram: {cause_of(gram, fault)}",
        )
    return in_range(fit, found)


def _solve_ridge(
    gram: Array, y: Array, scale: Array, ridge: Array, weights: Array | None = None
) -> tuple[Array, Array]:
    """(K + ridge I)^-1 y with one step of refinement, and the condition number.

    With weights and D = diag(sqrt(w)) it is D (D K D + ridge I)^-1 D y.
    """
    root = None
    if weights is not None:
        root = jnp.sqrt(weights)
        gram, root = gram * jnp.outer(root, root), root.reshape(-1, *(1,) * (y.ndim - 1))
        y = root * y
    matrix = gram + ridge / scale * jnp.eye(len(gram))
    factor = (jnp.linalg.cholesky(matrix), True)
    beta = cho_solve(factor, y)
    beta = beta + cho_solve(factor, y - matrix @ beta)
    fixed = jax.lax.stop_gradient((matrix, factor[0]))
    condition = condition_number(fixed[0], (fixed[1], True))
    return beta if root is None else root * beta, condition


def _repeated(y: Any, axis: int, count: int) -> Any:
    """The targets as columns behind the axis of the samples, each of them `count` times."""
    tall = y.reshape(*y.shape[:axis], -1)
    return (np if isinstance(y, np.ndarray) else jnp).repeat(tall, count, axis=-1)


def _solve_path(gram: Array, y: Array, scale: Array, ridges: Array) -> tuple[Array, Any]:
    """The columns of y, one for each target and ridge, with their ridges."""
    beta, inverse, condition = _along_path(gram, y.reshape(len(y), -1, len(ridges)), ridges / scale)
    return beta.reshape(y.shape), (condition, scale / inverse)


@jax.custom_jvp
def _along_path(gram: Array, y: Array, ridges: Array) -> tuple[Array, Array, Array]:
    """M^-1 y (n, k, r), the diagonal of M^-1 (r, n), and the condition number of M (r,)."""
    values, vectors = jnp.linalg.eigh(gram)
    shifted = values[None, :] + ridges[:, None]
    condition = jnp.where(shifted[:, 0] > 0, shifted[:, -1] / shifted[:, 0], jnp.inf)
    along = jnp.einsum("ji,jkr->ikr", vectors, y) / shifted.T[:, None, :]
    beta = jnp.einsum("ij,jkr->ikr", vectors, along)
    return beta, (1 / shifted) @ (vectors**2).T, condition


@_along_path.defjvp
def _along_path_jvp(primals, tangents):
    """By the inverses themselves: the derivative of equal eigenvalues' vectors is not defined."""

    def each(gram: Array, y: Array, ridges: Array) -> tuple[Array, Array]:
        def one(y: Array, ridge: Array) -> tuple[Array, Array]:
            inverse = jnp.linalg.inv(gram + ridge * jnp.eye(len(gram)))
            return inverse @ y, jnp.diagonal(inverse)

        return jax.vmap(one, (2, 0), (2, 0))(y, ridges)

    found = _along_path(*primals)
    _, (d_beta, d_inverse) = jax.jvp(each, primals, tangents)
    return found, (d_beta, d_inverse, jnp.zeros_like(found[2]))
