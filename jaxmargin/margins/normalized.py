"""Margins of any network: plain, normalised, and their distribution (section 4, appendix C).

The margin of a sample tells how far the network's output is on the side of the label. The outputs
of a network grow with its parameters, so that margins of different networks can be compared only
once the parameters are divided by their norm.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree, Shaped

from jaxmargin._arithmetic import own_and_others
from jaxmargin._checks import require_class_labels, require_same_shape
from jaxmargin.networks import norms
from jaxmargin.networks.models import Apply
from jaxmargin.networks.norms import Norm


def sample_margins(scores: Float[Array, "n *k"], y: Shaped[Array, " n"]) -> Float[Array, " n"]:
    """How far each output is on the side of its label: y f(x), or f_y - max_{j != y} f_j.

    Args:
        scores: (n,) of a scalar network, or (n, k) logits.
        y: (n,) floats -1, +1 for scalar scores; integers in [0, k) for logits.

    Returns:
        (n,) margins; positive where the sample is classified correctly.

    Raises:
        ValueError: shapes that do not match.
        TypeError: labels of logits that are not integers.

    Example:
        >>> sample_margins(jnp.array([2.0, 0.5]), jnp.array([1.0, -1.0])).tolist()
        [2.0, -0.5]
        >>> sample_margins(jnp.array([[2.0, 0.5, 1.0]]), jnp.array([0])).tolist()
        [1.0]

    Reference:
        Wei, Lee, Liu, Ma (2019), section 4; appendix C.1 for several classes.
    """
    if scores.ndim == y.ndim:
        require_same_shape(scores, y)
        return y * scores
    require_class_labels(scores, y)
    own, others = own_and_others(scores, y)
    return own[..., 0] - jnp.max(jnp.where(others, scores, -jnp.inf), axis=-1)


def margin_distribution(
    apply: Apply,
    params: PyTree,
    x: Float[Array, "n d"],
    y: Shaped[Array, " n"],
    *,
    norm: Norm = norms.l2,
) -> Float[Array, " n"]:
    """Margins of f(.; Theta / ||Theta||) on every sample, in ascending order.

    Args:
        apply: `apply(params, x)` giving (n,) or (n, k).
        params: any pytree of float arrays.
        x: (n, d) inputs.
        y: (n,) labels, as `sample_margins` takes them.
        norm: the norm of the parameters.

    Returns:
        (n,) margins in ascending order; the first is the normalised margin. All are 0 at Theta = 0.

    Raises:
        ValueError: shapes that do not match.
        TypeError: labels of logits that are not integers.

    Example:
        >>> from jaxmargin import TwoLayer, two_layer
        >>> params = TwoLayer(u=jnp.array([[2.0]]), w=jnp.array([2.0]))
        >>> x, y = jnp.array([[3.0], [1.0]]), jnp.ones(2)
        >>> margin_distribution(two_layer, params, x, y).round(6).tolist()
        [0.5, 1.5]

    Reference:
        Bartlett, Foster, Telgarsky (2017); Wei, Lee, Liu, Ma (2019), section 4.
    """
    return jnp.sort(_unit_margins(apply, params, x, y, norm))


def normalized_margin(
    apply: Apply,
    params: PyTree,
    x: Float[Array, "n d"],
    y: Shaped[Array, " n"],
    *,
    norm: Norm = norms.l2,
) -> Float[Array, ""]:
    """The smallest margin of f(.; Theta / ||Theta||) over the samples: gamma of section 4.

    Args:
        apply: `apply(params, x)` giving (n,) or (n, k).
        params: any pytree of float arrays.
        x: (n, d) inputs.
        y: (n,) labels, as `sample_margins` takes them.
        norm: the norm of the parameters.

    Returns:
        Scalar; positive if the network separates the samples, 0 at Theta = 0.

    Raises:
        ValueError: shapes that do not match.
        TypeError: labels of logits that are not integers.

    Example:
        The four units that attain the largest margin on the support of D (appendix B.2):

        >>> from jaxmargin import TwoLayer, data, two_layer
        >>> u = jnp.array([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]])
        >>> params = TwoLayer(u=u, w=jnp.array([1.0, 1.0, -1.0, -1.0]))
        >>> x, y = data.two_axis(jax.random.key(0), 50, 3)
        >>> round(float(normalized_margin(two_layer, params, x, y)), 6)
        0.125

    Reference:
        Wei, Lee, Liu, Ma (2019), section 4; appendix C.1 for several classes.
    """
    return jnp.min(_unit_margins(apply, params, x, y, norm))


def _unit_margins(apply: Apply, params: PyTree, x: Array, y: Array, norm: Norm) -> Array:
    """Margins of f(.; Theta / ||Theta||), in the order of the samples."""
    size = norm(params)
    scale = jnp.where(size > 0, size, jnp.ones_like(size))
    unit = jax.tree.map(lambda leaf: leaf / scale.astype(leaf.dtype), params)
    return sample_margins(apply(unit, x), y)
