"""How well any predictor in the span of the samples can do when the population of D is known.

A kernel predictor is f(x; beta) = sum_i beta_i K(x_i, x). All inputs of D have |x|^2 = d - 1, so
K(x', x) = kappa(<x', x>), and the population's second moments are finite sums over overlaps: the
best fit of the population needs no sampling.
"""

import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from jax.scipy.stats import norm
from jaxtyping import Array, Float, PRNGKeyArray

from jaxmargin._checks import require_count, require_finite
from jaxmargin.data.synthetic import Groups, embed, groups_of_d, two_axis
from jaxmargin.kernels.closed_form import Kernel, two_layer_ntk
from jaxmargin.kernels.products import kernel_matvec


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


def best_in_span(
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
        >>> oracle = best_in_span(jax.random.key(1), x)
        >>> round(oracle.error, 1), round(best_in_span(jax.random.key(1), x,
        ...                                           target="half_space").error, 2)
        (0.4, 0.25)

    Reference:
        Wei, Lee, Liu, Ma (2019), Theorem B.1, which is about every beta.
    """
    groups = groups_of_d(target)
    require_count("num_test", num_test)
    inputs = _require_support(x)
    profile = _kernel_profile(kernel, inputs.shape[1])
    gram, second, mean = _population_moments(inputs, profile, groups)
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
    """Test error of `best_in_span` at n = ratio d^2 samples, for d to infinity.

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
    inputs: np.ndarray, profile: np.ndarray, groups: Groups
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """K(x_i, x_j) and, over the population, E[K(x_i, x) K(x_j, x)] and E[target(x) K(x_i, x)]."""
    dim = inputs.shape[1] - 2
    axis, z = inputs[:, :2].astype(int), inputs[:, 2:]
    agreements = np.rint((z @ z.T + dim) / 2).astype(int)
    gram = profile[axis @ axis.T + 1, agreements]
    table = _pair_moments(profile)
    average = profile @ scipy.stats.binom.pmf(np.arange(dim + 1), dim, 0.5)
    second, mean = np.zeros_like(gram), np.zeros(len(gram))
    for group, value in zip(*groups, strict=True):
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
