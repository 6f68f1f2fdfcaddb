"""A bound of the test loss in regression, from the norm of the parameters (appendix B.3)."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmargin._arrays import as_floats
from jaxmargin._checks import is_concrete, require_positive
from jaxmargin.margins._inputs import checked_delta
from jaxmargin.margins.bounds import rademacher_bound


class TruncatedLossBound(NamedTuple):
    """A bound of the mean truncated squared loss, and the terms whose sum it is.

    Attributes:
        bound: () the sum of the four terms below. Above 1 it says nothing.
        train_loss: () the mean truncated loss on the samples.
        complexity: () 8 R_n max(||Theta||^q, 1 / (2 C)), with R_n as in `rademacher_bound`.
        uniformity: () sqrt(log log2(8 max(C ||Theta||^q, 1)) / n), the price of all norms at once.
        confidence: () sqrt(log(1 / delta) / (2 n)).
    """

    bound: Float[Array, ""]
    train_loss: Float[Array, ""]
    complexity: Float[Array, ""]
    uniformity: Float[Array, ""]
    confidence: Float[Array, ""]


def truncated_loss_bound(
    train_loss: float | Float[Array, ""],
    norm: float | Float[Array, ""],
    *,
    n: int | Array,
    depth: int,
    radius: float | Float[Array, ""],
    delta: float | Float[Array, ""],
) -> TruncatedLossBound:
    """A bound of the expected `truncated_squared_loss` L of networks with this norm.

    The loss min((f - y)^2, 1) is 2-Lipschitz in f and at most 1, and networks with
    ||Theta||_F <= B have B^q times the complexity R_n of those with norm 1. So with probability
    1 - delta over the samples L is at most the mean on the samples, plus 4 B^q R_n, plus
    sqrt(log(1 / delta) / (2 n)), for one B that is chosen before. With C B^q = 1, 2, 4, ... at
    once, where C = radius q^(-q/2) is the largest |f(x)| of a network with norm 1, it is for all
    networks

        L <= train_loss + 8 R_n max(||Theta||^q, 1 / (2 C))
             + sqrt(log log2(8 max(C ||Theta||^q, 1)) / n) + sqrt(log(1 / delta) / (2 n)).

    At the interpolant of least norm, which regularized networks tend to as lambda -> 0, the first
    term is 0 and the norm is that of `min_norm_interpolant`.

    Args:
        train_loss: the mean of `truncated_squared_loss` on the samples, in [0, 1].
        norm: ||Theta||_F, `norms.l2(params)`, >= 0.
        n: number of samples, >= 1.
        depth: q, the number of weight matrices, >= 1; 2 for `two_layer`.
        radius: the largest |x| over the data domain (not only over the samples).
        delta: probability of failure, in (0, 1).

    Returns:
        `TruncatedLossBound`.

    Raises:
        ValueError: train_loss outside [0, 1], a negative norm, delta outside (0, 1), n or depth
            below 1, or radius not positive.
        TypeError: n or depth not an integer, train_loss or norm not a number.

    Example:
        On D in d = 20 dimensions, where |x|^2 = 19, four units of ||Theta||^2 = 8 fit the labels:

        >>> found = truncated_loss_bound(0.0, 8**0.5, n=10**6, depth=2, radius=19**0.5, delta=0.01)
        >>> [round(float(term), 4) for term in (found.bound, found.complexity)]
        [0.3747, 0.3717]

    Reference:
        Wei, Lee, Liu, Ma (2019), appendix B.3, which has it without constants; Golowich, Rakhlin,
        Shamir (2018), Theorem 1; Bartlett, Mendelson (2002) for Lipschitz losses.
    """
    require_positive("train_loss", train_loss, zero=True)
    require_positive("norm", norm, zero=True)
    if is_concrete(train_loss) and train_loss > 1:
        raise ValueError(f"train_loss must be in [0, 1], as truncated losses are, got {train_loss}")
    norm = jnp.asarray(as_floats("norm", norm))
    single = rademacher_bound(n=n, depth=depth, radius=radius).astype(norm.dtype)
    delta = checked_delta(delta, norm.dtype)
    n = jnp.asarray(n, norm.dtype)
    depth = int(depth)
    size = norm**depth
    if is_concrete(size) and not jnp.isfinite(size):
        raise ValueError(
            f"norm must be smaller, got {norm:g}: norm**depth is infinite in {norm.dtype}, use "
            "float64"
        )
    largest = jnp.asarray(as_floats("radius", radius), norm.dtype) * depth ** (-depth / 2)
    terms = (
        jnp.asarray(as_floats("train_loss", train_loss)).astype(norm.dtype),
        8 * single * jnp.maximum(size, 1 / (2 * largest)),
        jnp.sqrt(jnp.log(3 + jnp.log2(jnp.maximum(largest * size, 1))) / n),
        jnp.sqrt(-jnp.log(delta) / (2 * n)),
    )
    return TruncatedLossBound(terms[0] + terms[1] + terms[2] + terms[3], *terms)
