"""The lazy regime: models that are scaled until training is that of a kernel method (section 5).

A model that starts at 0 and is multiplied by a large alpha fits its data while the parameters
hardly move, and is then linear in them: its training is that of its tangent kernel at the start. A
small alpha gives the rich regime, in which the features are learned.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxmargin._arithmetic import widened
from jaxmargin._checks import (
    is_concrete,
    require_callable,
    require_finite,
    require_parameters,
    require_positive,
)
from jaxmargin.networks import norms
from jaxmargin.networks.models import Apply


def centred(apply: Apply, params0: PyTree, *, alpha: float | Array) -> Apply:
    """The model alpha (f(x; Theta) - f(x; Theta_0)), which is 0 at its start Theta_0.

    Descend from Theta_0 on the loss divided by alpha^2, as the source does: then the time that
    training takes does not depend on alpha, and the parameters move by a distance that falls as
    1 / alpha. With an objective of this model that is
    `lambda params, x, y: objective(params, x, y) / alpha**2`; gradient descent may divide its
    learning rate by alpha^2 instead. As alpha grows, the limit of training on the squared loss
    tends to the interpolant of `empirical_ntk(apply, params0, x)`, the one of `fit_interpolant`.

    Args:
        apply: `apply(params, x)`, any model.
        params0: the parameters at the start, any pytree of float arrays.
        alpha: the scale, > 0; large is lazy, small is rich.

    Returns:
        A function `centred_apply(params, x)`, of the shape and dtype of `apply`. At large alpha its
        rounding is that of f times alpha.

    Raises:
        ValueError: alpha not positive.
        TypeError: apply is not a function, a leaf of params0 does not hold floats, or alpha is not
            a number.

    Example:
        >>> apply = lambda w, x: x @ w**2
        >>> start, x = jnp.array([1.0, 2.0]), jnp.array([[1.0, 1.0]])
        >>> lazy = centred(apply, start, alpha=10.0)
        >>> lazy(start, x).tolist(), lazy(start + 1.0, x).tolist()
        ([0.0], [80.0])

    Reference:
        Chizat, Oyallon, Bach (2019), "On lazy training in differentiable programming".
    """
    require_callable("apply", apply, "apply(params, x)")
    require_parameters("params0", params0)
    require_positive("alpha", alpha)

    def centred_apply(params: PyTree, x: Array) -> Array:
        change = apply(params, x) - apply(params0, x)
        return jnp.asarray(alpha).astype(change.dtype) * change

    return centred_apply


class Distance(NamedTuple):
    """How far parameters have moved, relative to where they started.

    Attributes:
        total: () ||Theta - Theta_0|| / ||Theta_0|| of all parameters as one vector.
        layers: the same of each leaf by itself, in a pytree like the parameters.
    """

    total: Float[Array, ""]
    layers: PyTree


def distance_from_start(before: PyTree, after: PyTree) -> Distance:
    """||Theta - Theta_0|| / ||Theta_0||, for all parameters and for each layer.

    In the lazy regime it is small: it falls as 1 / alpha for `centred` models.

    Args:
        before: Theta_0, any pytree of float arrays; no leaf may be 0, as biases are in some models
            at the start: give the other leaves.
        after: Theta, of the same structure and shapes.

    Returns:
        `Distance(total, layers)`.

    Raises:
        ValueError: structures or shapes that differ, values that are not finite, or a leaf of
            `before` that is 0 everywhere (NaN under `jit`).
        TypeError: a leaf does not hold floats.

    Example:
        >>> from jaxmargin import TwoLayer
        >>> before = TwoLayer(u=jnp.array([[3.0, 0.0]]), w=jnp.array([4.0]))
        >>> after = TwoLayer(u=jnp.array([[3.0, 1.5]]), w=jnp.array([2.0]))
        >>> total, layers = distance_from_start(before, after)
        >>> float(total), [float(layer) for layer in layers]
        (0.5, [0.5, 0.5])

    Reference:
        Chizat, Oyallon, Bach (2019), "On lazy training in differentiable programming".
    """
    for name, params in (("before", before), ("after", after)):
        require_parameters(name, params)
        require_finite(name, params)
    before, after = jax.tree.map(widened, (before, after))
    _require_alike(before, after)
    change = jax.tree.map(lambda start, end: end - start, before, after)

    def relative(change: PyTree, start: PyTree) -> Array:
        return norms.l2(change) / norms.l2(start)

    return Distance(relative(change, before), jax.tree.map(relative, change, before))


def _require_alike(before: PyTree, after: PyTree) -> None:
    """Raise unless both have one structure and the same shapes, and no leaf of the first is 0."""
    if jax.tree.structure(before) != jax.tree.structure(after):
        raise ValueError(
            "before and after must be pytrees of one structure: parameters of the same model"
        )
    leaves = jax.tree_util.tree_leaves_with_path(before)
    for (path, start), end in zip(leaves, jax.tree.leaves(after), strict=True):
        place = jax.tree_util.keystr(path)
        if jnp.shape(start) != jnp.shape(end):
            raise ValueError(
                f"before{place} and after{place} must have one shape, got {jnp.shape(start)} and "
                f"{jnp.shape(end)}"
            )
        if is_concrete(start) and not jnp.any(start):
            raise ValueError(
                f"before{place} must not be 0 everywhere, as a distance relative to it has no "
                "meaning: give the other leaves"
            )
