"""How far a network is from first-order optimality of the maximum-margin problem.

By homogeneity, to maximise the normalised margin is to minimise ||Theta||^2 / 2 subject to margins
of at least 1. This problem is not convex, so that its first-order conditions are all that descent
can be expected to reach, and they can be checked for any network.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy  # its parts load on first use
from jaxtyping import Array, Float, PyTree, Shaped

from jaxmargin._arithmetic import own_and_others, widened
from jaxmargin._checks import checked_labels, require_concrete
from jaxmargin.margins._inputs import checked_model, degree_of, hashable
from jaxmargin.margins.normalized import log_normalized_margin
from jaxmargin.networks import norms
from jaxmargin.networks.models import Apply


class KKT(NamedTuple):
    """First-order optimality of min ||Theta||^2 / 2 subject to q_i(Theta) >= 1 for all i.

    The parameters are scaled to the smallest margin 1 first; Theta are these.

    Attributes:
        epsilon: min over mu >= 0 of ||Theta - sum_i mu_i grad q_i(Theta)||.
        delta: max_i mu_i (q_i(Theta) - 1), of the mu of `multipliers`.
        multipliers: mu; (n,) for scalar scores. For logits (n, k), where entry i, j belongs to the
            margin f_{y_i} - f_j, and is 0 for j = y_i.
        norm: ||Theta||, which is gamma^(-1/a) for the normalised margin gamma and the degree a.
            epsilon / norm does not depend on the scale of the inputs: it is the sine of the angle
            between Theta and the cone of the gradients.
    """

    epsilon: float
    delta: float
    multipliers: Float[np.ndarray, "n *k"]
    norm: float


def kkt_residual(
    apply: Apply,
    params: PyTree,
    x: Float[Array | np.ndarray, "n d"],
    y: Shaped[Array | np.ndarray, " n"],
) -> KKT:
    """How far a network that separates its samples is from a KKT point of the margin problem.

    The parameters are scaled to the smallest margin 1, where they are an (epsilon, delta)-KKT point
    of min ||Theta||^2 / 2 subject to q_i(Theta) >= 1. Every limit of the directions of a gradient
    flow is a KKT point, with epsilon = delta = 0; so is the network of the largest margin. For a
    linear model no other point is one. For other networks there may be many. Both numbers count:
    epsilon alone is 0 wherever Theta is a combination of the gradients of any of the margins.

    The multipliers come from nonnegative least squares on the Gram matrix of the gradients of the
    margins, the tangent kernel. It is (n, n), or (n (k-1), n (k-1)) for k classes, and is made
    column by column: there is never a matrix with a column for each parameter. Where the gradients
    are linearly dependent and several multipliers have the least epsilon, those of the least
    sum_i mu_i (q_i - 1) are taken.

    At a kink the gradient is the one that JAX takes: the derivative of `jax.nn.relu` at 0 is 0, and
    that of `jnp.maximum` is 1/2. The definition allows any element of Clarke's subdifferential, so
    epsilon is then an upper bound. The network of `max_margin` has such kinks: each of its units is
    orthogonal to some samples, up to rounding, and rounding decides on which side they are.

    Args:
        apply: `apply(params, x)` giving (n,) or (n, k), positively homogeneous in params. Its
            degree is measured.
        params: any pytree of float arrays.
        x: (n, d) inputs.
        y: (n,) numbers -1, +1 for scalar scores; integers in [0, k) for logits.

    Returns:
        `KKT(epsilon, delta, multipliers, norm)`. For logits every margin f_{y_i} - f_j over another
        class is a constraint of its own.

    Raises:
        ValueError: a network that does not separate the samples, is not homogeneous or vanishes on
            x, scores or products of gradients that are not finite, shapes that do not match, no
            samples, or labels out of range.
        TypeError: a leaf of params that does not hold floats, labels of logits that are not
            integers, apply is no function that returns an array of floats, or called under `jit`.

    Example:
        The linear model of the largest margin, and another one:

        >>> apply = lambda w, x: x @ w
        >>> x, y = jnp.array([[1.0, 1.0], [2.0, -1.0], [-3.0, 0.0]]), jnp.array([1.0, 1.0, -1.0])
        >>> best = kkt_residual(apply, jnp.array([6.0, 3.0]), x, y)
        >>> round(best.epsilon / best.norm, 4), best.multipliers.round(4).tolist()
        (0.0, [0.4444, 0.1111, 0.0])
        >>> other = kkt_residual(apply, jnp.array([2.0, 3.0]), x, y)
        >>> round(other.epsilon / other.norm, 4), round(other.delta, 4)
        (0.1961, 10.0)

    Reference:
        Lyu, Li (2020), "Gradient descent maximizes the margin of homogeneous neural networks",
        Theorem 4.4 and Definition C.6; appendix F for several classes.
    """
    require_concrete("kkt_residual", params, x, y)
    params, x, scores = checked_model(apply, params, x)
    labels = checked_labels(scores, y)
    theta = _at_margin_one(apply, params, x, labels)
    others = None if scores.ndim == 1 else own_and_others(scores, labels)[1].nonzero()
    model = hashable(apply), theta, x, labels, others
    values, gram, pull = jax.tree.map(np.asarray, _products(*model))
    if not np.all(np.isfinite(gram)):
        raise ValueError(
            f"x is so large that products of gradients are not finite in {values.dtype}: scale x "
            "down, which epsilon / norm does not depend on, or use float64"
        )
    slack = np.maximum(values.astype(float) - 1, 0)
    rounding = len(values) * float(jnp.finfo(values.dtype).eps)
    mu = _multipliers(gram.astype(float), pull.astype(float), slack, rounding)
    residual = _residual(*model, jnp.asarray(mu, values.dtype))
    return KKT(
        epsilon=float(norms.l2(residual)),
        delta=float(np.max(mu * slack)),
        multipliers=mu if others is None else _by_class(mu, scores.shape, others),
        norm=float(norms.l2(theta)),
    )


def _gaps(apply: Apply, theta: PyTree, x: Array, labels: Array, others: Any) -> Array:
    """The margins; those of k classes are the gaps between each sample's class and the others."""
    scores = widened(apply(theta, x))
    if others is None:
        return labels * scores
    rows, classes = others
    return scores[rows, labels[rows]] - scores[rows, classes]


@partial(jax.jit, static_argnums=0)
def _products(
    apply: Apply, theta: PyTree, x: Array, labels: Array, others: Any
) -> tuple[Array, Array, Array]:
    """The margins, the Gram matrix of their gradients, and the products of these with theta."""

    def gaps(theta: PyTree) -> Array:
        return _gaps(apply, theta, x, labels, others)

    values, push_forward = jax.linearize(gaps, theta)
    _, pull_back = jax.vjp(gaps, theta)
    axes = jnp.eye(len(values), dtype=values.dtype)
    gram = jax.lax.map(lambda axis: push_forward(*pull_back(axis)), axes)
    return values, gram, push_forward(theta)


@partial(jax.jit, static_argnums=0)
def _residual(
    apply: Apply, theta: PyTree, x: Array, labels: Array, others: Any, mu: Array
) -> PyTree:
    """What the multipliers leave of theta: theta - sum_i mu_i grad q_i(theta)."""
    _, pull_back = jax.vjp(lambda theta: _gaps(apply, theta, x, labels, others), theta)
    return jax.tree.map(jnp.subtract, theta, *pull_back(mu))


def _at_margin_one(apply: Apply, params: PyTree, x: Array, y: Array) -> PyTree:
    """The parameters, scaled so that the smallest margin is 1."""
    degree = degree_of(apply, params, x)
    margin = log_normalized_margin(apply, params, x, y)
    if margin.sign <= 0:
        raise ValueError(
            "params must separate the samples, but their normalised margin is not positive: train "
            "longer, or drop the samples that are not on the side of their labels"
        )
    scale = jnp.exp(-margin.log / degree) / norms.l2(params).astype(degree.dtype)
    return jax.tree.map(lambda leaf: leaf * scale.astype(leaf.dtype), params)


def _multipliers(
    gram: np.ndarray, pull: np.ndarray, slack: np.ndarray, rounding: float
) -> np.ndarray:
    """The mu >= 0 of least mu' G mu / 2 - b' mu and, where several have it, of least slack . mu."""
    sizes, axes = np.linalg.eigh(gram)
    kept = sizes > rounding * sizes[-1]
    roots = np.sqrt(sizes[kept])
    table, target = (axes[:, kept] * roots).T, axes[:, kept].T @ pull / roots
    mu = scipy.optimize.nnls(table, target)[0]
    nearest = table @ mu
    size = np.linalg.norm(nearest)
    if kept.all() or size == 0:
        return mu
    # The nearest point of the cone is unique, and a linear program chooses how to combine it.
    best = scipy.optimize.linprog(slack, A_eq=table, b_eq=nearest / size)
    used = best.x > 0 if best.success else mu > 0
    mu = np.zeros_like(mu)
    mu[used] = scipy.optimize.nnls(table[:, used], target)[0]
    return mu


def _by_class(mu: np.ndarray, shape: tuple[int, ...], others: tuple[Array, ...]) -> np.ndarray:
    """Multipliers of the pairs of a sample and another class, as (n, k)."""
    table = np.zeros(shape)
    table[tuple(map(np.asarray, others))] = mu
    return table
