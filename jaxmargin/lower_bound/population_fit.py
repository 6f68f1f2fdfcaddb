"""How well a predictor in the span of the samples can do if the whole distribution D is known.

A kernel predictor is f(x; beta) = sum_i beta_i K(x_i, x). All inputs of D have |x|^2 = d - 1, so
K(x', x) = kappa(<x', x>), and the second moments of D are finite sums over overlaps. So the
best fit to the whole distribution needs no sampling.
"""

import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm
from jaxtyping import Array, Float, PRNGKeyArray

from jaxmargin._arrays import as_result, require_key
from jaxmargin._checks import (
    is_concrete,
    require_callable,
    require_concrete,
    require_count,
    require_entries,
    require_finite,
)
from jaxmargin.data.synthetic import Groups, embed, groups_of_d, two_axis
from jaxmargin.kernels.closed_form import Kernel, two_layer_ntk
from jaxmargin.kernels.products import kernel_matvec
from jaxmargin.lower_bound._inputs import float_arrays


class SpanFit(NamedTuple):
    """The predictor in the span of some samples that fits the whole distribution best.

    Attributes:
        beta: (n,) coefficients.
        squared_error: E[(f(x) - target(x))^2] over the distribution D, exact.
    """

    beta: Float[Array, " n"]
    squared_error: float


def best_in_span(
    x: Float[Array, "n d"],
    *,
    kernel: Kernel = two_layer_ntk,
    target: Literal["label", "half_space"] = "label",
) -> SpanFit:
    """The predictor in the span of the samples that fits the whole distribution D best.

    It minimises E[(f(x; beta) - target(x))^2] over D exactly, as a fit to infinitely many fresh
    samples would: the expectations are sums over overlaps, without sampling. The fit to the label
    is better than squared or logistic fits to 100 n fresh samples up to n = d^2 / 4, and its test
    error is that of `least_squares_limit`. Some other predictor in the span has a smaller test
    error: the target "half_space" is sign(x_1 - 1/2), which is wrong on one of the four groups of D
    only, and its fit errs near 1/4 as soon as n >> d. So the 1/4 of Lemma B.2 is sharp.
    `held_out_error` estimates these errors.

    Args:
        x: (n, d) inputs from D, d >= 3; float64 is used inside.
        kernel: a kernel that depends on lengths and angles only, as all of this package do.
        target: the function of x that f is fitted to.

    Returns:
        `SpanFit(beta, squared_error)`. beta has the dtype of x, and is 0 at inputs that add
        nothing to the span, such as repeated ones.

    Raises:
        ValueError: x is not from D, the kernel is not positive semidefinite, or target is unknown.
        TypeError: x does not hold real numbers, or kernel is not a function; called under `jit`.

    Example:
        >>> x, _ = two_axis(jax.random.key(0), 100, 20)
        >>> fits = [best_in_span(x, target=target) for target in ("label", "half_space")]
        >>> [round(held_out_error(jax.random.key(1), x, fit.beta).error, 2) for fit in fits]
        [0.41, 0.25]

    Reference:
        Wei, Lee, Liu, Ma (2019), Theorem B.1, which is about every beta.
    """
    require_concrete("best_in_span", x)
    groups = groups_of_d(target)
    require_callable("kernel", kernel, "kernel(x, z)")
    (x,) = float_arrays(x=x)
    inputs = _require_support(x)
    profile = _kernel_profile(kernel, inputs.shape[1])
    gram, second, mean = _population_moments(inputs, profile, groups)
    coefficients = _least_squares(gram, second, mean)
    return SpanFit(jnp.asarray(coefficients, x.dtype), float(1 - mean @ coefficients))


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
    """An estimate of Pr[f(x; beta) y <= 0] over the distribution D, from fresh samples.

    Args:
        key: random key of the fresh samples.
        x: (n, d) training inputs, which span the predictor.
        beta: (n,) coefficients, from any method.
        kernel: the kernel K.
        num_test: number of fresh samples.

    Returns:
        `HeldOut(error, standard_error)`.

    Raises:
        ValueError: shapes do not match, x or beta has NaN, num_test is < 1 or asks for more
            entries than 32 bits count, or several keys.
        TypeError: key is no random key, x or beta does not hold real numbers, kernel is not a
            function, num_test is not an integer, or dtypes differ.

    Example:
        >>> x = jnp.array([[1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]])
        >>> error, standard_error = held_out_error(jax.random.key(0), x, jnp.array([1.0, 1.0]))
        >>> 0 < error < 1, round(standard_error, 3)
        (True, 0.001)

    Reference:
        Wei, Lee, Liu, Ma (2019), Theorem B.1.
    """
    require_key(key)
    x, beta = float_arrays(x=x, beta=beta)
    if x.ndim != 2 or 0 in x.shape or beta.shape != x.shape[:1]:
        raise ValueError(f"x and beta must be (n, d) and (n,), got {x.shape} and {beta.shape}")
    if x.dtype != beta.dtype:
        raise TypeError(f"x and beta must have one dtype, got {x.dtype} and {beta.dtype}")
    require_callable("kernel", kernel, "kernel(x, z)")
    require_count("num_test", num_test)
    require_entries("the fresh samples", num_test=num_test, d=x.shape[1])
    require_finite("x", x)
    require_finite("beta", beta)
    fresh, y = two_axis(key, num_test, x.shape[1])
    scores = kernel_matvec(kernel, fresh.astype(x.dtype), beta, x)
    error = float(jnp.mean(scores * y.astype(x.dtype) <= 0))
    return HeldOut(error, (error * (1 - error) / num_test) ** 0.5)


def least_squares_limit(ratio: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The test error of `best_in_span` at n = ratio d^2 samples as d tends to infinity.

    For every kernel of angles with kappa''(0) != 0 it is Phi(-sqrt(ratio / (8 (1 - 2 ratio)))), and
    0 from ratio 1/2 on. This is a heuristic: it takes f to be normal given the label, and the
    products z_a z_b to have the Gram matrix of independent features (docs, "The kernel lower
    bound").

    Args:
        ratio: n / d^2, >= 0; any shape.

    Returns:
        Errors in [0, 1/2], of the same shape; NaN where ratio < 0. The derivative at 0 is -inf.

    Raises:
        ValueError: a concrete ratio is negative or not finite.
        TypeError: ratio does not hold real numbers.

    Example:
        >>> [round(v, 3) for v in least_squares_limit(jnp.array([0.0, 0.25, 0.5])).tolist()]
        [0.5, 0.401, 0.0]

    Reference:
        jaxmargin; the law of the Gram matrix is from Marchenko, Pastur (1967).
    """
    (ratio,) = float_arrays(ratio=ratio)
    require_finite("ratio", ratio)
    if is_concrete(ratio) and np.any(np.asarray(ratio) < 0):
        raise ValueError(f"ratio must be n / d^2 >= 0, got {np.min(ratio)}")
    below = ratio < 0.5
    safe = jnp.where(below, ratio, 0.25)
    # The root of the ratio alone: 1 / (1 - 2 ratio) under it would make NaN of the slope at 0.
    return jnp.where(below, norm.cdf(-jnp.sqrt(safe) / jnp.sqrt(8 * (1 - 2 * safe))), 0.0)


def _kernel_profile(kernel: Kernel, d: int) -> np.ndarray:
    """Values kappa(t + c), (3, d - 1), by c = -1, 0, 1 and by how many of the d - 2 signs agree.

    Here t is the overlap of the signs, and c that of the first two coordinates.
    """
    agree = np.tril(np.ones((d - 1, d - 2)), -1)
    with jax.enable_x64(True):  # float32 would lose the label, of size 1/d beside kappa ~ d
        z = jnp.asarray(2 * agree - 1)
        anchor = embed(jnp.ones((1, d - 2), z.dtype), 1, 0)
        grams = [
            as_result("kernel(x, z)", kernel(anchor, embed(z, *axis)))
            for axis in ((-1, 0), (0, 1), (1, 0))
        ]
        if {gram.shape for gram in grams} != {(1, d - 1)}:
            raise ValueError(
                f"kernel(x, z) of 1 and {d - 1} rows must be {(1, d - 1)}, got {grams[0].shape}"
            )
        return np.concatenate([np.asarray(gram) for gram in grams])


def _pair_moments(profile: np.ndarray) -> np.ndarray:
    """E_z[kappa(<z, z_i> + a) kappa(<z, z_j> + b)], (3, 3, d - 1), by a, b and agreements of i, j.

    Let z_i and z_j agree in p places and differ in the other q. If z agrees with both in u of the
    p, and with z_i in v of the q, then it agrees with z_i in u + v places, with z_j in u + q - v.
    """
    dim = profile.shape[1] - 1
    table = np.empty((3, 3, dim + 1))
    for p in range(dim + 1):
        q = dim - p
        u, v = np.arange(p + 1), np.arange(q + 1)
        weight = np.outer(_heads(p), _heads(q))
        of_i = profile[:, u[:, None] + v] * weight
        of_j = profile[:, u[:, None] + q - v]
        table[:, :, p] = np.tensordot(of_i, of_j, axes=((1, 2), (1, 2)))
    return table


def _heads(n: int) -> np.ndarray:
    """Probabilities of 0, ..., n heads in n tosses of a fair coin."""
    from scipy.stats import binom  # here, because its import takes a quarter of a second

    return binom.pmf(np.arange(n + 1), n, 0.5)


def _population_moments(
    inputs: np.ndarray, profile: np.ndarray, groups: Groups
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """K(x_i, x_j) and, over the population, E[K(x_i, x) K(x_j, x)] and E[target(x) K(x_i, x)]."""
    dim = inputs.shape[1] - 2
    axis, z = inputs[:, :2].astype(int), inputs[:, 2:]
    agreements = np.rint((z @ z.T + dim) / 2).astype(int)
    gram = profile[axis @ axis.T + 1, agreements]
    table = _pair_moments(profile)
    average = profile @ _heads(dim)
    second, mean = np.zeros_like(gram), np.zeros(len(gram))
    for group, value in zip(*groups, strict=True):
        c = axis @ group + 1
        second += table[c[:, None], c, agreements] / 4
        mean += value * average[c] / 4
    return gram, second, mean


def _least_squares(gram: np.ndarray, second: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """The minimiser of beta' second beta - 2 mean' beta, over linearly independent K(x_i, .).

    The problem is solved in an orthonormal basis of their span in the RKHS, where its condition
    number is about the square root of that of `second`. Pivoting finds independent functions; the
    others get beta = 0.
    """
    from scipy import linalg  # here, because its import takes a tenth of a second

    (pivoted_cholesky,) = linalg.get_lapack_funcs(("pstrf",), (gram,))
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
    solve = functools.partial(linalg.solve_triangular, factor, lower=True)
    whitened = solve(solve(second[np.ix_(kept, kept)]).T)
    solution = linalg.cho_solve(linalg.cho_factor(whitened), solve(mean[kept]))
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
