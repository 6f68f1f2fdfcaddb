"""The empirical Rademacher complexity of two-layer networks, computed (appendix D.1).

`bounds.rademacher_bound` bounds this number; here it is estimated for given samples. The supremum
over all networks is that over single units, which is a maximum over the unit sphere.
"""

import math
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from jaxmargin._arithmetic import power_of_two
from jaxmargin._arrays import as_array, require_key
from jaxmargin._checks import require_count, require_entries, require_finite, require_rows
from jaxmargin._sphere.great_circles import enumerable
from jaxmargin.sphere import maximum


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class RademacherEstimate:
    """An estimate of a Rademacher complexity: the mean over random signs.

    Attributes:
        mean: () the estimate.
        standard_error: () of the mean.
        exact: whether the supremum for each draw of the signs was enumerated. Otherwise it was
            searched, and the mean estimates a lower bound of the complexity.
        n: number of samples.
        num_draws: how often the signs were drawn.
    """

    mean: Any
    standard_error: Any
    exact: bool = field(metadata={"static": True})
    n: int = field(metadata={"static": True})
    num_draws: int = field(metadata={"static": True})


def rademacher_complexity(
    key: PRNGKeyArray, x: Float[Array, "n d"], *, num_draws: int = 100
) -> RademacherEstimate:
    """Empirical Rademacher complexity of two-layer relu networks of any width, |Theta|_F <= 1.

    With signs e and h(u) = sum_i e_i relu(u . x_i),

        sum_i e_i f(x_i) = sum_j w_j |u_j| h(u_j / |u_j|) <= max_{|u|=1} |h(u)| sum_j |w_j| |u_j|
                         <= max |h| |Theta|_F^2 / 2.

    One neuron at the maximiser, with |w| = |u| = 1 / sqrt(2), attains this bound. Hence the
    complexity is E_e[max |h|] / (2 n).

    Args:
        key: random key of the signs.
        x: (n, d) samples.
        num_draws: how often the n signs are drawn, >= 2. A draw takes time O(n^(d-1) log n) where
            its maximum is enumerated, and else some hundreds of ascents.

    Returns:
        `RademacherEstimate`; its `exact` is True for d <= 3, and for d = 4 and 5 up to some 160
        and 58 samples.

    Raises:
        ValueError: x not (n, d) with n, d >= 1, or not finite; num_draws < 2, or more signs than
            32 bits count; several keys.
        TypeError: key is no key, x not of floats, or num_draws not an integer.

    Example:
        >>> x = jax.random.normal(jax.random.key(0), (50, 2))
        >>> found = rademacher_complexity(jax.random.key(1), x)
        >>> round(float(found.mean), 2), found.exact
        (0.08, True)

    Reference:
        Bartlett, Mendelson (2002); Wei, Lee, Liu, Ma (2019), appendix D.1.
    """
    require_key(key)
    require_count("num_draws", num_draws, least=2)
    x = jnp.asarray(as_array("x", x))
    require_rows("x", x)
    require_finite("x", x)
    require_entries("the signs", num_draws=num_draws, n=len(x))
    suprema = _suprema(key, x, num_draws)
    size = power_of_two(jax.lax.stop_gradient(jnp.max(suprema)))  # squares of 1e30 would overflow
    error = size * jnp.std(suprema / size, ddof=1) / math.sqrt(num_draws)
    exact = enumerable(len(x), x.shape[1], 1)
    return RademacherEstimate(jnp.mean(suprema), error, exact, len(x), num_draws)


@partial(jax.jit, static_argnames="num_draws")
def _suprema(key: PRNGKeyArray, x: Array, num_draws: int) -> Array:
    signs = jax.random.rademacher(key, (num_draws, len(x)), x.dtype)
    return jax.lax.map(lambda e: maximum(x, e).value, signs) / (2 * len(x))
