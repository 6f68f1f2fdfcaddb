"""Predictors in the span of a kernel's training data (section 2): f(x) = sum_i beta_i K(x_i, x).

This file has the support vector machine and logistic regression, and what a fit predicts; `ridge`
has interpolation and ridge regression. Each `fit_*` takes the Gram matrix K of the training inputs,
for any kernel, and returns the coefficients beta, the norm of f in the reproducing kernel Hilbert
space of K, and a number that tells how accurate they are. There is no intercept, so f lies in the
span of the data. If gram and y have a leading axis t, each of the t trials is fitted by itself: one
after the other on a CPU, and in one batch on an accelerator.

The work is done in float64 whatever the dtype of the Gram matrix, and the result has that dtype. A
float64 matrix of NumPy gives results of NumPy in float64, also where JAX has no float64. If the
rounding of the Gram matrix in its own dtype decides the answer, an error says so.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from jaxmargin._arrays import as_array
from jaxmargin._checks import (
    is_concrete,
    require_concrete,
    require_finite,
    require_positive,
)
from jaxmargin.errors import ConvergenceError
from jaxmargin.kernels._fits.active_set import svm_on_host
from jaxmargin.kernels._fits.logistic import solve_logistic, solve_softmax
from jaxmargin.kernels._fits.svm import solve_svm
from jaxmargin.kernels._fits.trials import (
    for_each,
    in_dtype,
    per_trial,
    rounding_of,
    semidefinite,
)
from jaxmargin.kernels._fits.verdicts import (
    in_range,
    raise_where,
    require_no_doubt,
    require_semidefinite,
)
from jaxmargin.kernels._inputs import check_labels, check_weights

_ACCEPTED = 1e-6  # relative duality gap or residual; the solvers stop far below


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


def fit_svm(
    gram: Float[Array | np.ndarray, "*t n n"],
    y: Shaped[Array | np.ndarray, "*t n"],
    *,
    c: float | None = None,
    sample_weight: Float[Array | np.ndarray, "*t n"]
    | Sequence[float]
    | Literal["balanced"]
    | None = None,
) -> SvmFit:
    """Support vector machine without an intercept: hard margin, or soft with a given c.

    The hard margin minimises ||f||_K^2 / 2 subject to y_i f(x_i) >= 1 for every i. The soft margin
    minimises ||f||_K^2 / 2 + c sum_i max(0, 1 - y_i f(x_i)). Here c is the `C` of scikit-learn,
    whose `LinearSVC(fit_intercept=False, loss="hinge")` is this problem on explicit features; its
    `SVC` always has an intercept. Several classes are fitted one against the rest, and the largest
    score is the prediction.

    The duality gap is proven to be below 1e-6 of the objective. Up to degenerate ties, beta_i is
    exactly 0 where x_i is no support vector, and exactly y_i c where x_i lies inside the margin.

    Rounding may give gram negative eigenvalues. They are set to 0, and the lowest of them measures
    the rounding e. It changes the objective by up to e |beta|^2 / 2; more than 1% is an error. Then
    compute gram in float64, under `jax.enable_x64` or with NumPy.

    Args:
        gram: (n, n) positive semidefinite Gram matrix, or (t, n, n).
        y: (n,) floats -1, +1, or integers in [0, k); with a leading t if gram has one.
        c: price of a unit of margin that is missing, > 0; None for the hard margin.
        sample_weight: one number > 0 for each sample, which multiplies c; None for 1; "balanced"
            for n / (k n_c), where n_c of the n samples are of its class.

    Returns:
        `SvmFit(beta, norm, gap)`, with beta (n,), or (n, k) for integer labels, and a leading t if
        gram has one.

    Raises:
        ConvergenceError: the gap did not close, because gram is too ill-conditioned, or the
            rounding of gram decides the answer; the `result` of the error is the `SvmFit` that was
            reached.
        ValueError: the labels cannot be separated (hard margin), gram is not square, symmetric,
            finite and positive semidefinite, labels are not -1, +1 or the classes 0 to k - 1, c or
            a weight is not > 0, there are weights without c, y or sample_weight does not match
            gram, or beta leaves the range of the dtype.
        TypeError: gram, y or sample_weight is of a wrong dtype or traced, or c is not a number.

    Example:
        >>> x = jnp.array([[2.0], [3.0], [-1.0]])
        >>> fit = fit_svm(x @ x.T, jnp.array([1.0, 1.0, -1.0]))
        >>> fit.beta.round(4).tolist(), round(1 / float(fit.norm), 4)  # the margin is 1 / norm
        ([0.0, 0.0, -1.0], 1.0)

    Reference:
        Cortes, Vapnik (1995); solved as Júdice, Pires (1994) by block pivoting, and where that
        fails, or on an accelerator, as Mehrotra (1992). Wei, Lee, Liu, Ma (2019), section 2.
    """
    _require_values("fit_svm", gram, y, c, sample_weight)
    gram, labels = check_labels(gram, y)
    prices = _prices(c, check_weights(gram, sample_weight, labels))
    rounding = rounding_of(gram)
    settings = () if c is None or prices is not None else (c,)
    found = per_trial(_svm, gram, labels, rounding, *settings, weights=prices, on_host=svm_on_host)
    sound, gap, radius_margin, doubt = found.quality
    fit = SvmFit(found.beta, found.norm, in_dtype(gap, gram.dtype))
    require_semidefinite(gram, sound)
    if c is None:
        raise_where(
            radius_margin * rounding > 1,
            ValueError,
            f"no f separates the labels by more than the rounding of {gram.dtype}: give c for a "
            "soft margin, or compute gram in float64 from inputs of which no two are equal with "
            "different labels",
        )
    failed = partial(ConvergenceError, result=fit)
    raise_where(
        ~(gap <= _ACCEPTED),
        failed,
        "the support vector machine did not converge: gram is too ill-conditioned for this margin; "
        "give c, or a smaller c, or drop near duplicates among the inputs",
    )
    require_no_doubt(gram, doubt, failed, "a smaller c" if c else "c for a soft margin")
    return in_range(fit, found)


def fit_kernel_logistic(
    gram: Float[Array | np.ndarray, "*t n n"],
    y: Shaped[Array | np.ndarray, "*t n"],
    *,
    lam: float,
    sample_weight: Float[Array | np.ndarray, "*t n"]
    | Sequence[float]
    | Literal["balanced"]
    | None = None,
) -> LogisticFit:
    """Kernel logistic regression, for two classes and for several, without an intercept.

    Minimises (1/n) sum_i loss(f(x_i), y_i) + lam ||f||_K^2, which is the objective that
    `regularized` gives a network. The loss is the logistic one for labels -1, +1, and the
    cross-entropy for classes, where the penalty is the sum over the k outputs. It is scikit-learn's
    `LogisticRegression(fit_intercept=False)` on features that factor K, with C = 1 / (2 n lam).

    Args:
        gram: (n, n) positive semidefinite Gram matrix, or (t, n, n). Its rounding is treated as in
            `fit_svm`.
        y: (n,) floats -1, +1, or integers in [0, k); with a leading t if gram has one.
        lam: strength of the penalty, > 0. (At 0 separable data has no minimiser.)
        sample_weight: one number > 0 for each sample, which multiplies its loss (the 1/n stays);
            None for 1; "balanced" for n / (k n_c), where n_c of the n samples are of its class.

    Returns:
        `LogisticFit(beta, norm, residual)`, with beta (n,), or (n, k) for integer labels, and a
        leading t if gram has one.

    Raises:
        ConvergenceError: lam is too small for float64 or for the rounding of gram; the `result` of
            the error is the `LogisticFit` that was reached.
        ValueError: gram is not square, symmetric, finite and positive semidefinite, labels are not
            -1, +1 or the classes 0 to k - 1, lam or a weight is not > 0, y or sample_weight does
            not match gram, or beta leaves the range of the dtype.
        TypeError: gram, y or sample_weight is of a wrong dtype or traced, or lam is not a number.

    Example:
        >>> fit = fit_kernel_logistic(jnp.eye(2), jnp.array([1.0, -1.0]), lam=0.1)
        >>> [round(b, 4) for b in fit.beta.tolist()]
        [0.7838, -0.7838]

    Reference:
        Rasmussen, Williams (2006), sections 3.4 and 3.5; Wei, Lee, Liu, Ma (2019), eq. 2.2.
    """
    _require_values("fit_kernel_logistic", gram, y, lam, sample_weight)
    require_positive("lam", lam)
    gram, labels = check_labels(gram, y)
    weights = check_weights(gram, sample_weight, labels)
    found = per_trial(_logistic, gram, labels, rounding_of(gram), lam, weights=weights)
    sound, residual, doubt = found.quality
    fit = LogisticFit(found.beta, found.norm, in_dtype(residual, gram.dtype))
    require_semidefinite(gram, sound)
    failed = partial(ConvergenceError, result=fit)
    raise_where(
        ~(residual <= _ACCEPTED),
        failed,
        f"Newton's method did not converge in float64 for lam = {lam}: raise lam",
    )
    require_no_doubt(gram, doubt, failed, "a larger lam")
    return in_range(fit, found)


def kernel_predict(
    cross_gram: Float[Array | np.ndarray, "*t n2 n"], beta: Float[Array | np.ndarray, "*shape"]
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
        TypeError: cross_gram or beta is no array of numbers.

    Example:
        >>> kernel_predict(jnp.array([[1.0, 2.0]]), jnp.array([3.0, 0.5])).tolist()
        [4.0]

    Reference:
        Wei, Lee, Liu, Ma (2019), section 2 (f_kernel).
    """
    cross, coefficients = as_array("cross_gram", cross_gram), as_array("beta", beta)
    batch = cross.ndim - 2
    columns = coefficients.ndim - batch - 1
    if (
        batch not in (0, 1)
        or columns not in (0, 1)
        or (coefficients.shape[: batch + 1] != (*cross.shape[:batch], cross.shape[-1]))
    ):
        raise ValueError(
            "cross_gram (n', n) needs beta (n,) or (n, k), and (t, n', n) needs (t, n) or "
            f"(t, n, k); got {cross.shape} and {coefficients.shape}: cross_gram is "
            "kernel(test, train)"
        )
    tall = coefficients if columns else coefficients[..., None]
    if cross.dtype == tall.dtype == np.float64 and is_concrete(cross, tall):
        with jax.enable_x64(True):
            scores = jnp.matmul(cross, tall)
        scores = in_dtype(scores, np.dtype("float64"))
    else:
        scores = jnp.matmul(cross, tall, precision="highest")
    return scores if columns else scores[..., 0]


def kernel_classify(
    cross_gram: Float[Array | np.ndarray, "*t n2 n"],
    beta: Float[Array | np.ndarray, "*shape"],
    classes: Shaped[Array | np.ndarray, " k"] | Sequence[Any] | None = None,
) -> Any:
    """The labels that f predicts, also by the names that the classes have.

    If the labels of the data are names or any numbers,
    `classes, y = np.unique(names, return_inverse=True)` makes the y that the fits take, and
    `kernel_classify(cross_gram, beta, classes)` gives names again.

    Args:
        cross_gram: (n', n) kernel of the test inputs with the training inputs, `kernel(z, x)`;
            or (t, n', n).
        beta: (n,) of labels -1, +1, or (n, k), with a leading t if cross_gram has one.
        classes: the k names, numbers or text, in the order of the columns; the two names of -1 and
            +1 for a beta of (n,). None for the labels that the fits take.

    Returns:
        (n',) labels, with a leading t if cross_gram has one: those of the largest scores, or of the
        sign of the score, where 0 counts as negative. Without classes they are integers in [0, k),
        or -1 and +1 in the dtype of beta.

    Raises:
        ValueError: shapes that do not match, also of classes, or scores that are not finite.
        TypeError: cross_gram or beta is no array of numbers, or they are traced and classes are
            text.

    Example:
        >>> scores = jnp.array([[0.2, 0.9, 0.1], [2.0, 0.0, 1.0]])
        >>> kernel_classify(jnp.eye(2), scores, ["ant", "bee", "cat"]).tolist()
        ['bee', 'ant']

    Reference:
        Wei, Lee, Liu, Ma (2019), section 4.1 (the class of the largest score).
    """
    scores = kernel_predict(cross_gram, beta)
    require_finite("cross_gram @ beta", scores)
    single = np.ndim(beta) == np.ndim(cross_gram) - 1
    if classes is None and single:
        return jnp.where(jnp.isnan(scores), scores, jnp.where(scores > 0, 1, -1))
    index = jnp.where(scores > 0, 1, 0) if single else jnp.argmax(scores, axis=-1)
    if classes is None:
        return index
    names, count = np.asarray(classes), 2 if single else scores.shape[-1]
    if names.shape != (count,):
        raise ValueError(f"classes must be {count} names or numbers, got shape {names.shape}")
    if names.dtype.kind not in "OUS":
        return jnp.asarray(as_array("classes", names))[index]
    require_concrete("kernel_classify with classes of text", scores)
    return names[np.asarray(index)]


def _require_values(function: str, *arguments: Any) -> None:
    if not is_concrete(arguments):
        raise TypeError(
            f"{function} checks values, so it cannot run inside jit, vmap or grad: call it "
            "outside, with a leading axis t for many trials"
        )


def _prices(c: Any, weights: np.ndarray | None) -> np.ndarray | None:
    """The price of each sample, if there are weights."""
    if c is not None:
        require_positive("c", c)
    if weights is None:
        return None
    if c is None:
        raise ValueError(
            "sample_weight needs a price c: the hard margin holds for every sample, whatever its "
            "weight"
        )
    prices = float(c) * weights
    require_finite("c * sample_weight", prices)
    return prices


def _svm(
    gram: Array, y: Array, scale: Array, rounding: Array, c: Array | None = None
) -> tuple[Array, Any]:
    known = semidefinite(gram, rounding)
    limit = 1 / rounding if c is None else jnp.full_like(rounding, jnp.inf)
    price = None if c is None else c * scale

    def one(signs: Array) -> tuple[Array, ...]:
        beta, gap, radius_margin = solve_svm(known.gram, signs, limit, price)
        objective = radius_margin / (2 * jnp.max(jnp.diagonal(known.gram)))
        return beta, gap, radius_margin, known.doubt(beta) / objective

    if y.ndim == 1:
        beta, *quality = one(y)
    else:
        beta, *quality = for_each(one, jnp.where(y, 1.0, -1.0).astype(gram.dtype).T)
        beta = beta.T
    return beta, (known.sound, *(jnp.max(value) for value in quality))


def _logistic(
    gram: Array,
    y: Array,
    scale: Array,
    rounding: Array,
    lam: Array,
    weights: Array | None = None,
) -> tuple[Array, Any]:
    known = semidefinite(gram, rounding)
    solve = solve_logistic if y.ndim == 1 else solve_softmax
    weights = jnp.ones(len(y)) if weights is None else weights
    beta, residual, objective = solve(known.gram, y, lam / scale, weights)
    doubt = 2 * lam / scale * known.doubt(beta) / objective
    return beta, (known.sound, residual, doubt)
