"""Margins of any network: plain, normalised, and their distribution (section 4, appendix C).

The margin of a sample tells how far the network's output is on the side of the label. The outputs
of a network grow with its parameters, so that margins of different networks can be compared only
once the parameters are divided by their norm.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree, Shaped

from jaxmargin._arithmetic import held_octaves, own_and_others, scaled, widened
from jaxmargin._arrays import as_array, as_floats, as_result
from jaxmargin._checks import checked_labels, is_concrete, require_callable, require_parameters
from jaxmargin.margins._inputs import measured_degree
from jaxmargin.networks import norms
from jaxmargin.networks.models import Apply
from jaxmargin.networks.norms import Norm


def sample_margins(scores: Float[Array, "n *k"], y: Shaped[Array, " n"]) -> Float[Array, " n"]:
    """How far each output is on the side of its label: y f(x), or f_y - max_{j != y} f_j.

    Args:
        scores: (n,) of a scalar network, or (n, k) logits.
        y: (n,) numbers -1, +1 for scalar scores; integers in [0, k) for logits.

    Returns:
        (n,) margins; positive where the sample is classified correctly. Under `jit` a label out of
        range has margin NaN.

    Raises:
        ValueError: shapes that do not match, or labels out of range.
        TypeError: scores or y that are not numbers, or labels of logits that are not integers.

    Example:
        >>> sample_margins(jnp.array([2.0, 0.5]), jnp.array([1.0, -1.0])).tolist()
        [2.0, -0.5]
        >>> sample_margins(jnp.array([[2.0, 0.5, 1.0]]), jnp.array([0])).tolist()
        [1.0]

    Reference:
        Wei, Lee, Liu, Ma (2019), section 4; appendix C.1 for several classes.
    """
    scores = jnp.asarray(as_floats("scores", scores))
    y = checked_labels(scores, y)
    if scores.ndim == y.ndim:
        return y * scores
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
        ValueError: shapes that do not match, no samples, or labels out of range.
        TypeError: a leaf of params that does not hold floats, x of no numbers, labels of logits
            that are not integers, or an apply or norm that is no such function.

    Example:
        >>> from jaxmargin import TwoLayer, two_layer
        >>> params = TwoLayer(u=jnp.array([[2.0]]), w=jnp.array([2.0]))
        >>> x, y = jnp.array([[3.0], [1.0]]), jnp.ones(2)
        >>> margin_distribution(two_layer, params, x, y).round(6).tolist()
        [0.5, 1.5]

    Reference:
        Bartlett, Foster, Telgarsky (2017); Wei, Lee, Liu, Ma (2019), section 4.
    """
    margins, octaves = _unit_margins(apply, params, x, y, norm)
    return jnp.sort(_times_power(margins, octaves))


def normalized_margin(
    apply: Apply,
    params: PyTree,
    x: Float[Array, "n d"],
    y: Shaped[Array, " n"],
    *,
    norm: Norm = norms.l2,
) -> Float[Array, ""]:
    """The smallest margin of f(.; Theta / ||Theta||) over the samples: gamma of section 4.

    Where the outputs of f(.; Theta / ||Theta||) leave the range of floats, as those of deep
    networks do, a homogeneous f is evaluated at another scale of Theta, and its degree measured.

    Args:
        apply: `apply(params, x)` giving (n,) or (n, k).
        params: any pytree of float arrays.
        x: (n, d) inputs.
        y: (n,) labels, as `sample_margins` takes them.
        norm: the norm of the parameters.

    Returns:
        Scalar; positive if the network separates the samples, 0 at Theta = 0. A margin below the
        least float is 0: `log_normalized_margin` has its sign and logarithm.

    Raises:
        ValueError: shapes that do not match, no samples, or labels out of range.
        TypeError: a leaf of params that does not hold floats, x of no numbers, labels of logits
            that are not integers, or an apply or norm that is no such function.

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
    margins, octaves = _unit_margins(apply, params, x, y, norm)
    return _times_power(jnp.min(margins), octaves)


class SignedLog(NamedTuple):
    """A number as its sign and the logarithm of its size.

    Attributes:
        sign: () 1, -1 or 0.
        log: () natural logarithm of the absolute value; -inf for 0.
    """

    sign: Float[Array, ""]
    log: Float[Array, ""]


def log_normalized_margin(
    apply: Apply,
    params: PyTree,
    x: Float[Array, "n d"],
    y: Shaped[Array, " n"],
    *,
    norm: Norm = norms.l2,
) -> SignedLog:
    """The sign of the normalised margin, and the logarithm of its size.

    At norm 1 the product of q layers is at most q**(-q / 2), so that the normalised margin of a
    network of 40 layers may be 1e-75, which float32 does not hold. Its logarithm and its sign are
    held at any depth.

    Args:
        apply: `apply(params, x)` giving (n,) or (n, k), positively homogeneous in params where
            its outputs at norm 1 leave the range of floats.
        params: any pytree of float arrays.
        x: (n, d) inputs.
        y: (n,) labels, as `sample_margins` takes them.
        norm: the norm of the parameters.

    Returns:
        `SignedLog(sign, log)`.

    Raises:
        ValueError: shapes that do not match, no samples, or labels out of range.
        TypeError: a leaf of params that does not hold floats, x of no numbers, labels of logits
            that are not integers, or an apply or norm that is no such function.

    Example:
        Of f(x) = theta^q x, whose normalised margin is x, and with a second weight beside theta:

        >>> apply = lambda params, x: (params[0] ** 100 + params[1] ** 100) * x
        >>> params = jnp.array([2.0, 2.0])
        >>> found = log_normalized_margin(apply, params, jnp.ones(1), jnp.ones(1))
        >>> float(found.sign), round(float(found.log), 2)  # log of 2 * 2 ** -50
        (1.0, -33.96)

    Reference:
        Wei, Lee, Liu, Ma (2019), section 4; Lyu, Li (2020), "Gradient descent maximizes the margin
        of homogeneous neural networks", for the logarithm.
    """
    margins, octaves = _unit_margins(apply, params, x, y, norm)
    return _signed_log(jnp.min(margins), octaves)


@jax.jit
def _signed_log(margin: Array, octaves: Array) -> SignedLog:
    size = jnp.abs(jnp.where(margin == 0, 1, margin))
    log = jnp.log(size) + octaves * jnp.log(2.0).astype(octaves.dtype)
    return SignedLog(jnp.sign(margin), jnp.where(margin == 0, -jnp.inf, log))


def _unit_margins(
    apply: Apply, params: PyTree, x: Array, y: Array, norm: Norm
) -> tuple[Array, Array]:
    """Margins of f(.; Theta / ||Theta||), in the order of the samples, divided by 2**octaves.

    Returns:
        (n,) such margins, and () the octaves.
    """
    require_callable("apply", apply, "apply(params, x)")
    require_callable("norm", norm, "norm(params)")
    require_parameters("params", params)
    params, x = jax.tree.map(widened, (params, as_array("x", x)))
    size = as_result("norm(params)", norm(params))
    if size.shape:
        raise ValueError(f"norm(params) must be a scalar, got shape {size.shape}")
    unit = _over(params, size)

    def outputs(octaves: Array | float) -> Array:
        return widened(as_result("apply(params, x)", apply(scaled(unit, octaves), x)))

    shape = jax.eval_shape(outputs, 0.0)
    if not shape.size:
        raise ValueError("x must have at least one sample: the margin is the smallest of them")
    dtype = shape.dtype
    least = float(jnp.finfo(dtype).tiny) ** 0.5
    octaves = held_octaves(outputs, dtype, least=least)
    degree = _degree_at(apply, scaled(jax.lax.stop_gradient(unit), octaves), x, octaves)
    octaves = jnp.where(jnp.isnan(degree), 0, octaves)  # elsewhere such a network is another one
    margins = sample_margins(outputs(octaves), y)
    return margins, -octaves * jnp.where(jnp.isnan(degree), 0, degree)


@jax.jit
def _over(params: PyTree, size: Array) -> PyTree:
    """The parameters over their norm; where it is 0, the parameters."""
    scale = jnp.where(size > 0, size, jnp.ones_like(size))
    return jax.tree.map(lambda leaf: leaf / scale.astype(leaf.dtype), params)


def _degree_at(apply: Apply, params: PyTree, x: Array, octaves: Array) -> Array:
    """The degree of a homogeneous network; NaN of another one, and where no octaves ask for it."""

    def measure() -> Array:
        return measured_degree(apply, params, x).astype(octaves.dtype)

    none = jnp.full_like(octaves, jnp.nan)
    if is_concrete(octaves):  # nothing to compile
        return none if octaves == 0 else measure()
    return jax.lax.cond(octaves == 0, lambda: none, measure)


@jax.jit
def _times_power(values: Array, octaves: Array) -> Array:
    """The values times 2**octaves, which need not be a float where the products are."""
    half = jnp.exp2(octaves / 2).astype(values.dtype)
    return values * half * half
