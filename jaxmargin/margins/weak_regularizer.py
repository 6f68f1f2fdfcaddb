"""How weak a regularizer must be for approximate minimisers to have a large margin (Theorem C.2).

As lambda -> 0 the margin of the minimiser tends to the largest one, gamma*. An optimiser stops at
an approximate minimiser, and at a lambda > 0: these functions say which margin gamma' it has then.
With p = r/a and mu = lam / gamma*^p, the ratio gamma' / gamma* depends only on mu, p, n, k and
alpha. Everything is computed from logarithms in float64, since mu may be far below the least float.
"""

import math

import numpy as np
import scipy  # its parts load on first use
from jaxtyping import Array, Float

from jaxmargin._checks import (
    require_concrete,
    require_count,
    require_number,
    require_positive,
)

_LOG_LARGEST = 709.0  # of the floats, rounded down
_LOG_LEAST = math.log(2.0**-1022)  # of the positive floats
_LEAST_POWER = 1e-6  # r / a, so that the root of this order can be computed
_BELOW_ONE = math.nextafter(1.0, 0.0)
_EXACT = {
    "xtol": 1e-300,
    "rtol": 1e-15,
    "maxiter": 5000,
}  # a root to its last digits, however small
_ROOT = 1e-12  # tolerance of a logarithm, relative to 1 + |logarithm|


def guaranteed_margin(
    lam: float,
    margin_star: float | Float[Array, ""],
    *,
    n: int,
    degree: float,
    r: float = 2.0,
    k: int = 2,
    alpha: float = 1.0,
) -> float:
    """The normalised margin that every alpha-approximate minimiser has at least.

    The objective is the *mean* cross-entropy plus lam |Theta|^r. Its infimum is at most
    min_B log(1 + (k-1) exp(-B^a gamma*)) + lam B^r. Let U be alpha times this. If the objective at
    Theta' is at most U, then its norm N and its normalised margin gamma' satisfy
    log(1 + exp(-N^a gamma')) / n + lam N^r <= U. Solved for gamma', this is

        gamma' >= min_{lam N^r < U} -log(expm1(n (U - lam N^r))) / N^a,  if n U < log 2.

    If n U >= log 2, then Theta' = 0 may be such a point, and nothing is guaranteed. (The paper
    bounds N^r <= U / lam and the loss <= U separately, which gives less.) The guarantee is the best
    possible for n = 1 and k = 2: if f takes every value up to gamma* at norm 1, some Theta' attains
    it.

    Args:
        lam: strength of the regularizer, > 0.
        margin_star: gamma*, the largest normalised margin, or a lower bound of it, > 0.
        n: number of samples, >= 1.
        degree: a, the degree of homogeneity, > 0; 2 for two-layer networks.
        r: power of the norm in the regularizer, > 0.
        k: number of classes, >= 2; 2 is the logistic loss.
        alpha: L(Theta') is at most alpha times the infimum of L; >= 1. (The theorem has
            alpha <= 2.)

    Returns:
        A float, >= 0; 0 if nothing is guaranteed. It tends to gamma* / alpha^(a/r) as lam -> 0.

    Raises:
        ValueError: an argument outside its range.
        TypeError: called under `jit`; n or k not an integer, another argument no number.

    Example:
        >>> [round(guaranteed_margin(lam, 0.5, n=10, degree=2), 3) for lam in (0.01, 1e-4, 1e-40)]
        [0.0, 0.362, 0.487]

    Reference:
        Wei, Lee, Liu, Ma (2019), Theorem C.2 and its proof. For alpha = 1 it is Theorem 4.1 with a
        rate.
    """
    _check_problem("guaranteed_margin", margin_star, n, degree, r, k, alpha, lam=lam)
    power = float(r) / float(degree)
    log_mu = math.log(lam) - power * math.log(margin_star)
    return float(margin_star) * _margin_ratio(log_mu, power, n, k, alpha)


def regularization_for_margin(
    margin_star: float | Float[Array, ""],
    *,
    n: int,
    degree: float,
    r: float = 2.0,
    k: int = 2,
    alpha: float = 1.0,
    fraction: float = 0.1,
) -> float:
    """The largest lam at which `guaranteed_margin` is at least fraction * gamma* / alpha^(a/r).

    The default fraction is that of Theorem C.2. Smaller lam guarantee more.

    Args:
        margin_star: gamma*, the largest normalised margin, or a lower bound of it, > 0.
        n: number of samples, >= 1.
        degree: a, the degree of homogeneity, > 0.
        r: power of the norm in the regularizer, > 0.
        k: number of classes, >= 2.
        alpha: L(Theta') is at most alpha times the infimum of L; >= 1.
        fraction: of the margin that lam -> 0 guarantees, in (0, 1).

    Returns:
        A float, > 0. The search ends at gamma*^(r/a); a larger lam can have the guarantee only for
        n = 1 or r/a > 40.

    Raises:
        ValueError: an argument outside its range, or a lam below the smallest float.
        TypeError: called under `jit`; n or k not an integer, another argument no number.

    Example:
        >>> lam = regularization_for_margin(0.5, n=10, degree=2, alpha=2.0)
        >>> round(lam, 5), round(guaranteed_margin(lam, 0.5, n=10, degree=2, alpha=2.0), 4)
        (0.0028, 0.0561)

    Reference:
        Wei, Lee, Liu, Ma (2019), Theorem C.2.
    """
    _check_problem("regularization_for_margin", margin_star, n, degree, r, k, alpha)
    require_number("fraction", fraction)
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must be in (0, 1), got {fraction}")
    power = float(r) / float(degree)
    least, shift = fraction * alpha ** (-1 / power), power * math.log(margin_star)

    def excess(log_mu: float) -> float:
        return _margin_ratio(log_mu, power, n, k, alpha) - least

    low, high = 0.0, 0.0
    while excess(low) < 0:
        low, high = 2 * low - 1, low
        if low + shift < _LOG_LEAST:
            raise ValueError(
                f"fraction = {fraction} needs a lam below exp({low + shift:.0f}), which is no "
                "float: lower fraction"
            )
    if high > low:
        root = scipy.optimize.brentq(excess, low, high, xtol=_ROOT / 10)
        low = root - _ROOT * (1 - root)  # to the side that has the guarantee
    return math.exp(low + shift)


def log_theorem_regularization(
    margin_star: float | Float[Array, ""],
    *,
    n: int,
    degree: float,
    c: float,
    r: float = 2.0,
    k: int = 2,
) -> float:
    """Logarithm of the lam that Theorem C.2 names.

    With p = r/a it is lam = exp(-(2^p - 1)^(-1/p)) gamma*^p / (n (k-1))^c. The theorem leaves c
    open. For p = 1/5 the first factor is exp(-13755), which is why the logarithm is returned.

    Args:
        margin_star: gamma*, the largest normalised margin, > 0.
        n: number of samples, >= 1.
        degree: a, the degree of homogeneity, > 0.
        c: the exponent, > 0.
        r: power of the norm in the regularizer, > 0.
        k: number of classes, >= 2.

    Returns:
        A float. For n = 1 and k = 2 it does not depend on c, and the theorem does not hold: with
        alpha = 2 and r = a, Theta' = 0 is an approximate minimiser.

    Raises:
        ValueError: an argument outside its range, or a logarithm that is no float.
        TypeError: called under `jit`; n or k not an integer, another argument no number.

    Example:
        >>> round(log_theorem_regularization(0.5, n=10, degree=2, c=3.0), 3)
        -8.601

    Reference:
        Wei, Lee, Liu, Ma (2019), Theorem C.2.
    """
    _check_problem("log_theorem_regularization", margin_star, n, degree, r, k, 1.0, c=c)
    p = float(r) / float(degree)
    log_root = -math.log(2) - math.log1p(-(2**-p)) / p  # of (2^p - 1)^(-1/p)
    if log_root > _LOG_LARGEST:
        raise ValueError(
            f"r / degree = {p:.2g} needs a lam whose logarithm is below all floats: raise r"
        )
    first = math.exp(log_root)
    return p * math.log(margin_star) - c * math.log(n * (k - 1)) - first


def _margin_ratio(log_mu: float, power: float, n: int, k: int, alpha: float) -> float:
    """What is guaranteed of gamma' / gamma*.

    With v = lam N^r / U it is the least -log(expm1(n U (1 - v))) (mu / (v U))^(1/p) over 0 < v < 1.
    The derivative in v has the sign of `slope`, which is negative near v = 0 and changes once.
    """
    log_u = math.log(alpha) + _log_infimum(log_mu, power, k)
    log_nu = math.log(n) + log_u
    if log_nu >= math.log(math.log(2)):
        return 0.0

    def slope(v: float) -> float:
        x = math.exp(log_nu) * (1 - v)
        return power * v / (1 - v) * (x / -math.expm1(-x) if x else 1) + log_expm1(v)

    def log_expm1(v: float) -> float:
        log_x = log_nu + math.log1p(-v)
        return log_x if log_x < -40 else math.log(math.expm1(math.exp(log_x)))

    if slope(0.0) >= 0:  # n U is log 2 within rounding
        return 0.0
    v = _BELOW_ONE
    if slope(v) > 0:
        v = scipy.optimize.brentq(slope, 0.0, v, **_EXACT)
    return -log_expm1(v) * math.exp((log_mu - log_u - math.log(v)) / power)


def _log_infimum(log_mu: float, power: float, k: int) -> float:
    """Logarithm of min_t log(1 + (k-1) e^-t) + mu t^p, with t = B^a gamma*.

    Every t gives an upper bound of the infimum, so that an inexact minimum is still correct.
    """

    def log_value(log_t):
        z = math.log(k - 1) - np.exp(log_t)
        log_loss = np.where(z < -50, z, np.log(np.logaddexp(0, np.maximum(z, -50))))
        return np.logaddexp(log_loss, log_mu + power * log_t)

    last = 4 * (abs(log_mu) + abs(math.log(power)) + math.log(k) + 10)
    grid = np.linspace(math.log(1e-3), math.log(last), 400)
    i = int(np.clip(np.argmin(log_value(grid)), 1, len(grid) - 2))
    found = scipy.optimize.minimize_scalar(
        log_value, bounds=(grid[i - 1], grid[i + 1]), method="bounded", options={"xatol": 1e-10}
    )
    return min(float(found.fun), math.log(math.log(k)))  # t = 0


def _check_problem(
    function: str,
    margin_star: float | Float[Array, ""],
    n: int,
    degree: float,
    r: float,
    k: int,
    alpha: float,
    **more,
) -> None:
    """Raise unless these arguments of the named function are in range; `more` are > 0 as well."""
    numbers = {"margin_star": margin_star, "degree": degree, "r": r, "alpha": alpha, **more}
    require_concrete(function, numbers, n, k)
    for name, value in numbers.items():
        require_number(name, value)
    if margin_star <= 0:
        raise ValueError(
            f"margin_star must be > 0, got {margin_star}: the samples must be separable"
        )
    for name, value in numbers.items():
        require_positive(name, value)
    require_count("n", n)
    require_count("k", k, least=2)
    if not _LEAST_POWER <= float(r) / float(degree) <= 1 / _LEAST_POWER:
        raise ValueError(
            f"r / degree must be from {_LEAST_POWER:g} to {1 / _LEAST_POWER:g}, got {r} / {degree}"
        )
    if alpha < 1:
        raise ValueError(f"alpha must be >= 1, got {alpha}: no point is below the infimum")
