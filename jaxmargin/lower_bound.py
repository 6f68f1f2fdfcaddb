"""Why kernels need d^2 samples of the distribution D: the objects of appendix B.1, and oracles.

A kernel predictor is f(x; beta) = sum_i beta_i K(x_i, x). Points of D are (+-1, 0, z) with label
+1 and (0, +-1, z) with label -1, for signs z. Summed over the sign of its first coordinates, f
hardly depends on them: both sums are 2 f~(z) up to O(1/d). Every function here takes any kernel
`(x, z=None) -> Gram matrix`; the polynomial g alone belongs to `two_layer_ntk`.

All inputs of D have |x|^2 = d - 1, so K(x', x) = kappa(<x', x>), and with t = <z_i, z> the
deviation is a second difference, kappa(t + 1) - 2 kappa(t) + kappa(t - 1), that is kappa''(0)
at leading order. In float32 it is lost in rounding from d of a few hundred on: use float64 there.
"""

import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
import scipy.stats
from jax.scipy.stats import norm
from jaxtyping import Array, Float, PRNGKeyArray

from jaxmargin.data import two_axis
from jaxmargin.hypercube import embed, tilde
from jaxmargin.kernels import Kernel, kernel_matvec, two_layer_ntk
from jaxmargin.numerics import require_count, require_finite


def f_tilde(
    x: Float[Array, "n d"],
    beta: Float[Array, " n"],
    z: Float[Array, "n2 d_minus_2"],
    *,
    kernel: Kernel = two_layer_ntk,
) -> Float[Array, " n2"]:
    """f~(z; beta) = sum_i beta_i K~(z_i, z), with z_i the last d - 2 coordinates of x_i.

    Args:
        x: (n, d) training inputs, d >= 3.
        beta: (n,) coefficients.
        z: (n', d - 2) signs.
        kernel: the kernel K.

    Returns:
        (n',) values.

    Raises:
        ValueError: shapes that do not match.

    Example:
        >>> x, beta, z = jnp.array([[1.0, 0.0, 1.0]]), jnp.array([2.0]), jnp.array([[-1.0]])
        >>> [round(v, 3) for v in f_tilde(x, beta, z).tolist()]
        [-0.115]

    Reference:
        Wei, Lee, Liu, Ma (2019), appendix B.1, above Lemma B.2.
    """
    _check_shapes(x, beta, z)
    return kernel_matvec(tilde(kernel), z, beta, x[:, 2:])


def f_plus(
    x: Float[Array, "n d"],
    beta: Float[Array, " n"],
    z: Float[Array, "n2 d_minus_2"],
    *,
    kernel: Kernel = two_layer_ntk,
) -> Float[Array, " n2"]:
    """f+(z; beta) = f((1, 0, z); beta) + f((-1, 0, z); beta), over the two inputs of label +1.

    Args:
        x: (n, d) training inputs, d >= 3.
        beta: (n,) coefficients.
        z: (n', d - 2) signs.
        kernel: the kernel K.

    Returns:
        (n',) values.

    Raises:
        ValueError: shapes that do not match.

    Example:
        >>> x, beta, z = jnp.array([[1.0, 0.0, 1.0]]), jnp.array([2.0]), jnp.array([[-1.0]])
        >>> [round(v, 3) for v in f_plus(x, beta, z).tolist()]
        [0.636]

    Reference:
        Wei, Lee, Liu, Ma (2019), Lemma B.2.
    """
    _check_shapes(x, beta, z)
    return kernel_matvec(functools.partial(_pair_sum, kernel), embed(z, 1, 0), beta, x)


def f_minus(
    x: Float[Array, "n d"],
    beta: Float[Array, " n"],
    z: Float[Array, "n2 d_minus_2"],
    *,
    kernel: Kernel = two_layer_ntk,
) -> Float[Array, " n2"]:
    """f-(z; beta) = f((0, 1, z); beta) + f((0, -1, z); beta), over the two inputs of label -1.

    Args:
        x: (n, d) training inputs, d >= 3.
        beta: (n,) coefficients.
        z: (n', d - 2) signs.
        kernel: the kernel K.

    Returns:
        (n',) values.

    Raises:
        ValueError: shapes that do not match.

    Example:
        >>> x, beta, z = jnp.array([[1.0, 0.0, 1.0]]), jnp.array([2.0]), jnp.array([[-1.0]])
        >>> [round(v, 3) for v in f_minus(x, beta, z).tolist()]
        [-0.231]

    Reference:
        Wei, Lee, Liu, Ma (2019), Lemma B.2.
    """
    _check_shapes(x, beta, z)
    return kernel_matvec(functools.partial(_pair_sum, kernel), embed(z, 0, 1), beta, x)


class Deviation(NamedTuple):
    """How far f+ and f- are from 2 f~ (Lemma B.2).

    Attributes:
        plus: (n',) f+ - 2 f~.
        minus: (n',) f- - 2 f~.
        constant: (n',) the least c for which eq. B.2 holds at z; 0 for beta = 0.
    """

    plus: Float[Array, " n2"]
    minus: Float[Array, " n2"]
    constant: Float[Array, " n2"]


def deviation(
    x: Float[Array, "n d"],
    beta: Float[Array, " n"],
    z: Float[Array, "n2 d_minus_2"],
    *,
    kernel: Kernel = two_layer_ntk,
) -> Deviation:
    """f+ - 2 f~ and f- - 2 f~, at most c (tau1 + tau2) sum_i |beta_i| / d (Lemma B.2).

    Only samples on the axis of the sum contribute, each kappa''(0) = (2 tau1 + tau2) / (pi (d - 1))
    times beta_i at leading order: c tends to at most 2 / pi for almost all z. At the few z that
    (nearly) repeat a sample it grows like sqrt(d).

    Args:
        x: (n, d) training inputs, d >= 3.
        beta: (n,) coefficients.
        z: (n', d - 2) signs.
        kernel: the kernel K; tau1 + tau2 is K(x, x) / |x|^2, taken at the first input.

    Returns:
        `Deviation(plus, minus, constant)`.

    Raises:
        ValueError: shapes that do not match.

    Example:
        >>> x = jnp.ones((1, 20)).at[0, 1].set(0.0)
        >>> z = jnp.where(jnp.arange(18) % 2 == 0, 1.0, -1.0)[None]
        >>> plus, minus, constant = deviation(x, jnp.array([1.0]), z)
        >>> round(plus.item(), 4), minus.item(), round(constant.item(), 3)
        (0.0251, 0.0, 0.503)

    Reference:
        Wei, Lee, Liu, Ma (2019), Lemmas B.2, B.4 and B.5.
    """
    _check_shapes(x, beta, z)

    def gram(point: Array, x: Array) -> Array:
        # Subtracted before the sum over i, where the terms are smaller than their sum by far.
        return _pair_sum(kernel, point, x) - 2 * tilde(kernel)(point[:, 2:], x[:, 2:])

    plus, minus = (kernel_matvec(gram, embed(z, *axis), beta, x) for axis in ((1, 0), (0, 1)))
    taus = kernel(x[:1])[0, 0] / jnp.sum(x[0] ** 2)
    unit = taus * jnp.sum(jnp.abs(beta)) / x.shape[1]
    constant = jnp.maximum(jnp.abs(plus), jnp.abs(minus)) / jnp.where(unit > 0, unit, 1)
    return Deviation(plus, minus, constant)


def paired_error_bound(
    x: Float[Array, "n d"],
    beta: Float[Array, " n"],
    z: Float[Array, "n2 d_minus_2"],
    *,
    kernel: Kernel = two_layer_ntk,
) -> Float[Array, ""]:
    """(Pr_z[f+ <= 0] + Pr_z[f- >= 0]) / 4, which no test error is below (end of Lemma B.2).

    If f+(z) <= 0, one of the two inputs (+-1, 0, z) is misclassified; if f-(z) >= 0, one of
    (0, +-1, z) is. Where |f~| exceeds the deviation, f+ and f- have one sign and exactly one of
    these happens: the paper's 1/4.

    Args:
        x: (n, d) training inputs, d >= 3.
        beta: (n,) coefficients.
        z: (n', d - 2) signs over which the probabilities are taken.
        kernel: the kernel K.

    Returns:
        Scalar in [0, 1/2].

    Raises:
        ValueError: shapes that do not match.

    Example:
        >>> x, beta, z = jnp.array([[1.0, 0.0, 1.0]]), jnp.array([2.0]), jnp.array([[1.0], [-1.0]])
        >>> float(paired_error_bound(x, beta, z))
        0.125

    Reference:
        Wei, Lee, Liu, Ma (2019), Lemma B.2.
    """
    wrong_plus = f_plus(x, beta, z, kernel=kernel) <= 0
    wrong_minus = f_minus(x, beta, z, kernel=kernel) >= 0
    return (jnp.mean(wrong_plus, dtype=x.dtype) + jnp.mean(wrong_minus, dtype=x.dtype)) / 4


class Oracle(NamedTuple):
    """The coefficients that know the population, and how they do on it.

    Attributes:
        beta: (n,) coefficients.
        error: fraction of fresh samples with f(x) y <= 0.
        standard_error: of `error`.
        squared_error: E[(f(x) - target)^2], exact.
    """

    beta: Float[Array, " n"]
    error: float
    standard_error: float
    squared_error: float


TARGETS = {  # at (1, 0, z), (-1, 0, z), (0, 1, z), (0, -1, z)
    "label": (1.0, 1.0, -1.0, -1.0),
    "half_space": (1.0, -1.0, -1.0, -1.0),
}


def oracle_beta(
    key: PRNGKeyArray,
    x: Float[Array, "n d"],
    *,
    kernel: Kernel = two_layer_ntk,
    target: Literal["label", "half_space"] = "label",
    num_test: int = 100_000,
) -> Oracle:
    """The beta in the span of the samples that fits the whole population best.

    It minimises E[(f(x; beta) - target(x))^2] over the distribution D exactly, as infinitely many
    fresh samples would: the expectations are sums over overlaps, without sampling. The fit of the
    label is stronger than squared or logistic fits to 100 n fresh samples up to n = d^2 / 4, and
    errs as `least_squares_limit` says. It is not the least 0-1 error: "half_space" fits
    sign(x_1 - 1/2), which is wrong on one of the four groups of D only, and errs near 1/4 as soon
    as n >> d. The 1/4 of Lemma B.2 is sharp.

    Args:
        key: random key of the held-out samples.
        x: (n, d) inputs from D, d >= 3; float64 is used inside.
        kernel: a kernel that depends on lengths and angles only, as all of this package do.
        target: what f is fitted to.
        num_test: fresh samples on which the error is measured.

    Returns:
        `Oracle(beta, error, standard_error, squared_error)`; beta in the dtype of x, and 0
        at inputs that add nothing to the span (repeated ones).

    Raises:
        ValueError: x is not from D, the kernel is not positive semidefinite, an unknown target,
            or num_test < 1.

    Example:
        >>> x, _ = two_axis(jax.random.key(0), 100, 20)
        >>> oracle = oracle_beta(jax.random.key(1), x)
        >>> round(oracle.error, 1), round(oracle_beta(jax.random.key(1), x,
        ...                                           target="half_space").error, 2)
        (0.4, 0.25)

    Reference:
        Wei, Lee, Liu, Ma (2019), Theorem B.1, which is about every beta.
    """
    if target not in TARGETS:
        raise ValueError(f"target must be one of {', '.join(TARGETS)}, got {target!r}")
    require_count("num_test", num_test)
    inputs = _require_support(x)
    profile = _kernel_profile(kernel, inputs.shape[1])
    gram, second, mean = _population_moments(inputs, profile, TARGETS[target])
    coefficients = _least_squares(gram, second, mean)
    beta = jnp.asarray(coefficients, x.dtype)
    held_out = held_out_error(key, x, beta, kernel=kernel, num_test=num_test)
    return Oracle(beta, *held_out, squared_error=float(1 - mean @ coefficients))


class HeldOut(NamedTuple):
    """A test error on fresh samples.

    Attributes:
        error: fraction of samples with f(x) y <= 0.
        standard_error: its standard error.
    """

    error: float
    standard_error: float


def held_out_error(
    key: PRNGKeyArray,
    x: Float[Array, "n d"],
    beta: Float[Array, " n"],
    *,
    kernel: Kernel = two_layer_ntk,
    num_test: int = 100_000,
) -> HeldOut:
    """Pr[f(x; beta) y <= 0] over the distribution D, on fresh samples.

    Args:
        key: random key of the samples.
        x: (n, d) training inputs.
        beta: (n,) coefficients, from any method.
        kernel: the kernel K.
        num_test: fresh samples.

    Returns:
        `HeldOut(error, standard_error)`.

    Raises:
        ValueError: shapes that do not match, NaN in x or beta, or num_test < 1.

    Example:
        >>> x = jnp.array([[1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]])
        >>> error, standard_error = held_out_error(jax.random.key(0), x, jnp.array([1.0, 1.0]))
        >>> 0 < error < 1, round(standard_error, 3)
        (True, 0.001)

    Reference:
        Wei, Lee, Liu, Ma (2019), Theorem B.1.
    """
    if x.ndim != 2 or beta.shape != x.shape[:1]:
        raise ValueError(f"x and beta must be (n, d) and (n,), got {x.shape} and {beta.shape}")
    require_count("num_test", num_test)
    require_finite("x", x)
    require_finite("beta", beta)
    fresh, y = two_axis(key, num_test, x.shape[1])
    scores = kernel_matvec(kernel, fresh.astype(x.dtype), beta, x)
    error = float(jnp.mean(scores * y.astype(x.dtype) <= 0))
    return HeldOut(error, (error * (1 - error) / num_test) ** 0.5)


def least_squares_limit(ratio: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Test error of `oracle_beta` at n = ratio d^2 samples, for d to infinity.

    Phi(-sqrt(ratio / (8 (1 - 2 ratio)))), and 0 from ratio 1/2 on, for every kernel of angles
    with kappa''(0) != 0. Heuristic: it takes f as normal given the label, and the Gram matrix of
    the products z_a z_b as that of independent features (docs, "The kernel lower bound").

    Args:
        ratio: n / d^2, >= 0; any shape.

    Returns:
        Errors in [0, 1/2], of the same shape.

    Example:
        >>> [round(v, 3) for v in least_squares_limit(jnp.array([0.0, 0.25, 0.5])).tolist()]
        [0.5, 0.401, 0.0]

    Reference:
        jaxmargin; the law of the Gram matrix is from Marchenko, Pastur (1967).
    """
    below = ratio < 0.5
    safe = jnp.where(below, ratio, 0.25)
    return jnp.where(below, norm.cdf(-jnp.sqrt(safe / (8 * (1 - 2 * safe)))), 0.0)


AXES = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])


def _kernel_profile(kernel: Kernel, d: int) -> np.ndarray:
    """kappa(t + c), (3, d - 1): by c = -1, 0, 1 and by how many of the d - 2 signs agree."""
    agree = np.tril(np.ones((d - 1, d - 2)), -1)
    with jax.enable_x64(True):  # float32 would lose the label, of size 1/d beside kappa ~ d
        z = jnp.asarray(2 * agree - 1)
        anchor = embed(jnp.ones((1, d - 2), z.dtype), 1, 0)
        rows = [kernel(anchor, embed(z, *axis))[0] for axis in ((-1, 0), (0, 1), (1, 0))]
        return np.stack([np.asarray(row) for row in rows])


def _pair_moments(profile: np.ndarray) -> np.ndarray:
    """E_z[kappa(<z, z_i> + a) kappa(<z, z_j> + b)], (3, 3, d - 1): by a, b, and agreements of i, j.

    Of the p signs that z_i and z_j share z has u, of the other q it has v as in z_i: it agrees
    with z_i in u + v and with z_j in u + q - v places.
    """
    dim = profile.shape[1] - 1
    table = np.empty((3, 3, dim + 1))
    for p in range(dim + 1):
        q = dim - p
        u, v = np.arange(p + 1), np.arange(q + 1)
        weight = np.outer(scipy.stats.binom.pmf(u, p, 0.5), scipy.stats.binom.pmf(v, q, 0.5))
        of_i = profile[:, u[:, None] + v] * weight
        of_j = profile[:, u[:, None] + q - v]
        table[:, :, p] = np.tensordot(of_i, of_j, axes=((1, 2), (1, 2)))
    return table


def _population_moments(
    inputs: np.ndarray, profile: np.ndarray, target: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """K(x_i, x_j) and, over the population, E[K(x_i, x) K(x_j, x)] and E[target(x) K(x_i, x)]."""
    dim = inputs.shape[1] - 2
    axis, z = inputs[:, :2].astype(int), inputs[:, 2:]
    agreements = np.rint((z @ z.T + dim) / 2).astype(int)
    gram = profile[axis @ axis.T + 1, agreements]
    table = _pair_moments(profile)
    average = profile @ scipy.stats.binom.pmf(np.arange(dim + 1), dim, 0.5)
    second, mean = np.zeros_like(gram), np.zeros(len(gram))
    for group, value in zip(AXES, target, strict=True):
        c = axis @ group + 1
        second += table[c[:, None], c, agreements] / 4
        mean += value * average[c] / 4
    return gram, second, mean


def _least_squares(gram: np.ndarray, second: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """argmin_beta beta' second beta - 2 mean' beta, over linearly independent K(x_i, .).

    In an orthonormal basis of their span in the RKHS the condition number is about the square
    root of that of `second`. Pivoting finds the independent ones; the others get beta = 0.
    """
    (pivoted_cholesky,) = scipy.linalg.get_lapack_funcs(("pstrf",), (gram,))
    factor, pivots, rank, _ = pivoted_cholesky(gram, lower=1)
    if rank < len(gram):
        lower, order = np.tril(factor)[:, :rank], pivots - 1
        rest = np.abs(gram[np.ix_(order, order)] - lower @ lower.T).max()
        if rest > 1e-8 * np.abs(gram).max():
            raise ValueError(
                "kernel must be positive semidefinite, and its Gram matrix of x is not "
                "(K2 alone is no kernel, K1 + K2 is one)"
            )
    factor, kept = factor[:rank, :rank], pivots[:rank] - 1
    solve = functools.partial(scipy.linalg.solve_triangular, factor, lower=True)
    whitened = solve(solve(second[np.ix_(kept, kept)]).T)
    solution = scipy.linalg.cho_solve(scipy.linalg.cho_factor(whitened), solve(mean[kept]))
    beta = np.zeros(len(mean))
    beta[kept] = solve(solution, trans=1)
    return beta


def _require_support(x: Array) -> np.ndarray:
    """The inputs in float64, checked to be points of D."""
    inputs = np.asarray(x, np.float64)
    if inputs.ndim != 2 or inputs.shape[0] == 0 or inputs.shape[1] < 3:
        raise ValueError(f"x must be (n, d) with n >= 1 and d >= 3, got shape {inputs.shape}")
    size = np.abs(inputs)
    outside = np.flatnonzero(
        (size[:, 2:] != 1).any(1) | (size[:, :2].sum(1) != 1) | (size[:, :2].max(1) != 1)
    )
    if len(outside):
        raise ValueError(
            f"x must be samples of D, (+-1, 0, z) or (0, +-1, z) with signs z, but row "
            f"{outside[0]} begins {inputs[outside[0], :3].tolist()}: draw them by data.two_axis"
        )
    return inputs


def _pair_sum(kernel: Kernel, point: Array, x: Array) -> Array:
    """K(p, x) + K(p', x) for rows p and p', p with its first two coordinates negated."""
    return kernel(point, x) + kernel(point.at[:, :2].multiply(-1), x)


def _check_shapes(x: Array, beta: Array, z: Array) -> None:
    if x.ndim != 2 or x.shape[1] < 3 or beta.shape != x.shape[:1]:
        raise ValueError(
            f"x must be (n, d) with d >= 3 and beta (n,), got {x.shape} and {beta.shape}"
        )
    if z.ndim != 2 or z.shape[1] != x.shape[1] - 2:
        raise ValueError(f"z must be (n', d - 2) = (n', {x.shape[1] - 2}), got {z.shape}")
