"""Generalisation bounds of normalised networks, with their constants (section 4.1, appendix D).

The bounds hold for f(.; Theta / |Theta|_F), where f is a network of depth q without biases whose
activation is applied elementwise, 1-Lipschitz and positively homogeneous (relu, leaky relu, the
identity). By the inequality of the means, |W_1|_F ... |W_q|_F <= q^(-q/2) |Theta|_F^q. With
homogeneity it follows that these functions are those of the networks whose layers all have
|W_j|_F <= 1 / sqrt(q). This is the class of Lemma D.3, and |f(x)| <= q^(-q/2) |x| for all of it.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxmargin._arrays import as_array, as_floats
from jaxmargin._checks import (
    finite_result,
    is_concrete,
    require_count,
    require_finite,
    require_number,
    require_positive,
)
from jaxmargin.margins._inputs import checked_delta
from jaxmargin.margins.complexity import RademacherEstimate

_ROUNDING = 1e-4  # by which a margin may exceed the largest possible one


class MarginBound(NamedTuple):
    """A bound of the test error, and the terms whose sum it is. Above 1 it says nothing.

    Attributes:
        bound: () the sum of the four terms below.
        gamma: () the margin at which the bound is taken.
        margin_loss: () fraction of the samples with a margin below gamma.
        complexity: () 4 R_n / gamma, where R_n is `rademacher_bound` or, in
            `measured_margin_bound`, what was measured.
        uniformity: () sqrt(log log2(4 C / gamma) / n), the price of choosing gamma afterwards.
        confidence: () sqrt(log(1 / delta) / (2 n)).
    """

    bound: Float[Array, ""]
    gamma: Float[Array, ""]
    margin_loss: Float[Array, ""]
    complexity: Float[Array, ""]
    uniformity: Float[Array, ""]
    confidence: Float[Array, ""]


def rademacher_bound(
    *,
    n: int | Array,
    depth: int,
    radius: float | Float[Array, ""],
    layer_norms: Float[Array, " depth"] | None = None,
) -> Float[Array, ""]:
    """A bound of the Rademacher complexity R_n of networks of any width with |W_j|_F <= M_j.

    R_n <= radius (sqrt(2 q log 2) + 1) prod_j M_j / sqrt(n). The default M_j = 1 / sqrt(q) gives
    the class of normalised networks, |Theta|_F <= 1. Then the product is q^(-q/2).

    Args:
        n: number of samples, >= 1.
        depth: q, the number of weight matrices, >= 1.
        radius: the largest |x| over the data domain. Then the bound is one of the expected
            complexity, and of the empirical complexity of every sample of size n. If only the
            complexity of given samples is asked, the root mean square of their |x_i| is enough.
        layer_norms: (q,) the M_j; None takes 1 / sqrt(q) for each.

    Returns:
        Scalar, the bound.

    Raises:
        ValueError: n or depth below 1, radius not positive, layer_norms not of shape (depth,), a
            depth whose q^(-q/2) is below the least float, or a bound beyond the largest one.
        TypeError: n or depth not an integer.

    Example:
        >>> round(float(rademacher_bound(n=100, depth=2, radius=1.0)), 4)
        0.1333

    Reference:
        Golowich, Rakhlin, Shamir (2018), Theorem 1; Wei, Lee, Liu, Ma (2019), Lemma D.3.
    """
    n, depth, radius = _checked(n, depth, radius, None)
    if layer_norms is None:
        product: float | Array = _class_product(depth, radius.dtype)
    else:
        layer_norms = jnp.asarray(as_floats("layer_norms", layer_norms))
        if layer_norms.shape != (depth,):
            raise ValueError(
                f"layer_norms must be (depth,) = ({depth},), got {layer_norms.shape}: one for "
                "each weight matrix"
            )
        product = jnp.prod(layer_norms)
    bound = radius * (math.sqrt(2 * depth * math.log(2)) + 1) * product / jnp.sqrt(n)
    return finite_result("the bound", bound, "radius or layer_norms", n, radius, layer_norms)


def margin_bound(
    margin: float | Float[Array, ""],
    *,
    n: int | Array,
    depth: int,
    radius: float | Float[Array, ""],
    delta: float | Float[Array, ""],
) -> MarginBound:
    """A bound of the test error L of networks that separate their n samples with this margin.

    With probability 1 - delta over the samples, it holds for all such networks at once:

        L <= 4 R_n / gamma + sqrt(log log2(4 C / gamma) / n) + sqrt(log(1 / delta) / (2 n)).

    R_n is `rademacher_bound`, and C = radius q^(-q/2) is the largest |f(x)| of a normalised
    network. (The paper has C = radius, which is larger, so that its bound holds as well.) At the
    largest margin gamma* the bound is the limit lambda -> 0 of Corollary 4.2.

    Args:
        margin: gamma, the normalised margin on the n training samples, > 0. Under `jit` a margin
            <= 0 gives inf.
        n: number of samples, >= 1.
        depth: q, the number of weight matrices, >= 1; 2 for `two_layer`.
        radius: the largest |x| over the data domain (not only over the samples). A constant
            feature that `append_one` adds counts as an entry of x.
        delta: probability of failure, in (0, 1).

    Returns:
        `MarginBound`, with margin_loss 0. The bound is not clipped: above 1 it says nothing.

    Raises:
        ValueError: a margin <= 0 or above C, delta outside (0, 1), n or depth below 1, radius not
            positive.
        TypeError: n or depth not an integer, margin not a number.

    Example:
        The distribution D in d = 20 dimensions has gamma* = 1/8 and |x|^2 = 19:

        >>> found = margin_bound(1 / 8, n=10**6, depth=2, radius=19**0.5, delta=0.01)
        >>> [round(float(term), 4) for term in (found.bound, found.complexity)]
        [0.1887, 0.1859]

    Reference:
        Wei, Lee, Liu, Ma (2019), Proposition D.1 and Corollary 4.2.
    """
    gamma = _checked_margin(margin)
    n, depth, radius = _checked(n, depth, radius, gamma.dtype)
    _check_largest("margin", margin, radius, depth)
    complexity = rademacher_bound(n=n, depth=depth, radius=radius)
    largest = radius * _class_product(depth, radius.dtype)
    return _sum(0, gamma, complexity, n, largest, checked_delta(delta, gamma.dtype))


def measured_margin_bound(
    margin: float | Float[Array, ""],
    complexity: RademacherEstimate,
    *,
    radius: float | Float[Array, ""],
    delta: float | Float[Array, ""],
) -> MarginBound:
    """The `margin_bound` of two-layer networks, with the complexity that their samples show.

    `rademacher_complexity` is about a third of its bound. It is the mean over m draws of the signs.
    With C = radius / 2, the largest |f(x)|, and t = log(3 / delta), two inequalities lead from it
    to R_n, each of which fails with probability delta / 3. One sign changes the mean by at most
    2 C / (n m), so that the mean over all signs is at most S = mean + 2 C sqrt(t / (2 n m)). And as
    a function of the samples, it is self-bounding, so that

        R_n <= S + (C / n) (t + sqrt(t^2 + 2 t n S / C)).

    The bound takes this for R_n, and delta / 3 for what is left. From some thousand samples on it
    is the better one, with some tens of draws.

    Args:
        margin: gamma, the normalised margin on the n training samples, > 0. Under `jit` a margin
            <= 0 gives inf.
        complexity: `rademacher_complexity(key, x)` of these samples. Where its supremum is not
            `exact` it is an estimate from below, and so is what is returned here: no proven bound.
        radius: the largest |x| over the data domain (not only over the samples).
        delta: probability of failure, in (0, 1).

    Returns:
        `MarginBound`, with margin_loss 0. The bound is not clipped: above 1 it says nothing.

    Raises:
        ValueError: a margin <= 0 or above C, delta outside (0, 1), or radius not positive.
        TypeError: margin not a number, or complexity no result of `rademacher_complexity`.

    Example:
        Of samples on the unit circle:

        >>> from jaxmargin.margins import rademacher_complexity
        >>> x = jax.random.normal(jax.random.key(0), (10_000, 2))
        >>> x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
        >>> complexity = rademacher_complexity(jax.random.key(1), x, num_draws=20)
        >>> found = measured_margin_bound(0.25, complexity, radius=1.0, delta=0.01)
        >>> plain = margin_bound(0.25, n=10_000, depth=2, radius=1.0, delta=0.01)
        >>> round(float(found.complexity), 2), round(float(plain.complexity), 2)
        (0.16, 0.21)

    Reference:
        Boucheron, Lugosi, Massart (2000), "A sharp concentration inequality with applications",
        for self-bounding functions; Wei, Lee, Liu, Ma (2019), Proposition D.1.
    """
    if not isinstance(complexity, RademacherEstimate):
        raise TypeError(
            "complexity must be what rademacher_complexity returned, got "
            f"{type(complexity).__name__}"
        )
    gamma = _checked_margin(margin)
    n, depth, radius = _checked(complexity.n, 2, radius, gamma.dtype)
    _check_largest("margin", margin, radius, depth)
    third = checked_delta(delta, gamma.dtype) / 3
    largest, t = radius / 2, -jnp.log(third)
    signs = complexity.mean.astype(radius.dtype) + 2 * largest * jnp.sqrt(
        t / (2 * n * complexity.num_draws)
    )
    excess = largest / n * (t + jnp.sqrt(t**2 + 2 * t * n * signs / largest))
    return _sum(0, gamma, signs + excess, n, largest, third)


def margin_loss_bound(
    margins: Float[Array, " n"],
    *,
    depth: int,
    radius: float | Float[Array, ""],
    delta: float | Float[Array, ""],
    gamma: float | Float[Array, ""] | None = None,
) -> MarginBound:
    """A bound of the test error L of networks, whether they separate their samples or not.

    With probability 1 - delta over the samples, it holds for all networks and all gamma > 0 at
    once:

        L <= (1/n) sum_i 1(margin_i < gamma) + 4 R_n / gamma + sqrt(log log2(4 C / gamma) / n)
             + sqrt(log(1 / delta) / (2 n)).

    So the best gamma may be chosen afterwards. As gamma grows from one margin to the next, the
    first term stays the same and the others fall. Hence the best gamma is one of the margins, or C
    itself. R_n and C are those of `margin_bound`; an empirical estimate of R_n would need one more
    term.

    Args:
        margins: (n,) margins of the normalised network, as `margin_distribution` gives them, in
            any order.
        depth: q, the number of weight matrices, >= 1.
        radius: the largest |x| over the data domain.
        delta: probability of failure, in (0, 1).
        gamma: the margin at which to take the bound, > 0; None takes the best.

    Returns:
        `MarginBound`. The bound is not clipped: above 1 it says nothing.

    Raises:
        ValueError: margins that are not (n,) with n >= 1, that are NaN, or above C; gamma <= 0,
            delta outside (0, 1), depth below 1, radius not positive.
        TypeError: depth not an integer, gamma not a number.

    Example:
        >>> margins = jnp.concatenate([jnp.full(9_900, 0.5), jnp.full(100, -0.5)])
        >>> found = margin_loss_bound(margins, depth=2, radius=1.0, delta=0.01)
        >>> [round(float(part), 3) for part in (found.bound, found.gamma, found.margin_loss)]
        [0.14, 0.5, 0.01]

    Reference:
        Wei, Lee, Liu, Ma (2019), Theorem D.2; Kakade, Sridharan, Tewari (2008), Theorem 2.
    """
    margins = jnp.asarray(as_floats("margins", margins))
    if margins.ndim != 1 or not len(margins):
        raise ValueError(f"margins must be (n,) with n >= 1, got {margins.shape}")
    require_finite("margins", margins)
    n, depth, radius = _checked(len(margins), depth, radius, margins.dtype)
    _check_largest("margins", margins, radius, depth)
    delta = checked_delta(delta, margins.dtype)
    ascending = jnp.sort(margins)
    if gamma is None:
        gammas = jnp.append(ascending, radius * _class_product(depth, radius.dtype))
    else:
        require_positive("gamma", gamma)
        gammas = jnp.asarray(gamma, margins.dtype)[None]
    losses = jnp.searchsorted(ascending, gammas).astype(margins.dtype) / n
    complexity = rademacher_bound(n=n, depth=depth, radius=radius)
    largest = radius * _class_product(depth, radius.dtype)

    def at(loss: Array, gamma: Array) -> MarginBound:
        return _sum(loss, gamma, complexity, n, largest, delta)

    found = jax.vmap(at)(losses, gammas)
    best = jnp.argmin(found.bound)
    return jax.tree.map(lambda leaf: leaf[best], found)


def _checked_margin(margin: float | Array) -> Array:
    if is_concrete(margin):
        require_number("margin", margin)
        if margin <= 0:
            raise ValueError(
                f"margin must be > 0, got {margin}: these parameters do not separate the samples; "
                "margin_loss_bound allows for errors"
            )
        require_positive("margin", margin)
    return jnp.asarray(as_floats("margin", margin))


def _sum(
    loss: Array | float, gamma: Array, rademacher: Array, n: Array, largest: Array, delta: Array
) -> MarginBound:
    """Theorem D.2 at one gamma; inf where gamma <= 0, for which the theorem says nothing."""
    positive = gamma > 0
    gamma = jnp.where(positive, gamma, 1)
    # log2(4 C / gamma), but at least 2, its value at gamma = C. Above C every sample is an error.
    octaves = 2 + jnp.maximum(jnp.log2(largest / gamma), 0)
    terms = (
        jnp.asarray(loss, gamma.dtype),
        jnp.where(positive, 4 * rademacher / gamma, jnp.inf),
        jnp.sqrt(jnp.log(octaves) / n),
        jnp.sqrt(-jnp.log(delta) / (2 * n)),
    )
    return MarginBound(terms[0] + terms[1] + terms[2] + terms[3], gamma, *terms)


def _checked(n: Any, depth: int, radius: Any, dtype: Any) -> tuple[Array, int, Array]:
    """Sample size, depth and radius, once they are in range; all but the depth as floats."""
    if not isinstance(n, jax.Array):
        require_count("n", n)
    elif is_concrete(as_array("n", n)) and n.ndim == 0 and n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    require_count("depth", depth)
    require_positive("radius", radius)
    radius = jnp.asarray(as_floats("radius", radius), dtype)
    return jnp.asarray(n, radius.dtype), int(depth), radius


def _class_product(depth: int, dtype: Any) -> float:
    """q^(-q/2), the largest product of the layers' norms of a normalised network."""
    product = depth ** (-depth / 2)
    if product < float(jnp.finfo(dtype).tiny):
        raise ValueError(
            f"depth must be smaller, got {depth}: depth**(-depth / 2) = {product:.2g} is below "
            f"the least {dtype}, give layer_norms or use float64"
        )
    return product


def _check_largest(name: str, margins: float | Array, radius: Array, depth: int) -> None:
    if not is_concrete(margins, radius):
        return
    largest = float(radius) * _class_product(depth, radius.dtype)
    if np.max(margins) > largest * (1 + _ROUNDING):
        raise ValueError(
            f"{name} must be at most radius * depth**(-depth / 2) = {largest:g}, as those of every "
            f"normalised network are, got {np.max(margins):g}: normalise them, or correct radius"
        )
