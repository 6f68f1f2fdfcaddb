"""The tangent kernel of a network of finite width, at given parameters (section 2)."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxmargin._arrays import as_array, result_shape
from jaxmargin._checks import (
    finite_result,
    require_callable,
    require_choice,
    require_own_rows,
    require_parameters,
)
from jaxmargin.networks.models import Apply

# From (n, k of x, k of z), for one row of z.
_OUTPUTS = {
    "full": lambda pairs: pairs,
    "trace": lambda pairs: jnp.trace(pairs, axis1=1, axis2=2),
    "diagonal": lambda pairs: jnp.diagonal(pairs, axis1=1, axis2=2),
}


def empirical_ntk(
    apply: Apply,
    params: PyTree,
    x: Float[Array, "n ..."],
    z: Float[Array, "n2 ..."] | None = None,
    *,
    outputs: Literal["full", "trace", "diagonal"] = "full",
) -> Float[Array, "n n2 *kk"]:
    """K(x, z) = <grad f(x), grad f(z)>, with gradients in the parameters.

    The matrix is made column by column. The gradient at one row of z is a direction in parameter
    space, along which the network, linearised at all of x, is then differentiated. So there is
    never a matrix of gradients: the memory is that of k gradients and k forward passes over x, and
    the work is that of n' forward passes over x for each output. To call it more than once, compile
    it (`jax.jit` of a function of params, x and z).

    Args:
        apply: `apply(params, x)` giving (n,) or (n, k), each row from its own row of x.
        params: any pytree of float arrays, all of them trained. What is not trained, such as the
            running statistics of batch normalisation, stays inside apply: with flax,
            `lambda params, x: model.apply({"params": params, "batch_stats": statistics}, x)`.
        x: (n, ...) inputs, floats or integers.
        z: (n', ...) inputs; None stands for x.
        outputs: which pairs of the k outputs: "full" for all of them, "diagonal" for those of an
            output with itself, "trace" for the sum of the latter. Of a scalar network all three
            are the same.

    Returns:
        (n, n') for a scalar network. For k outputs (n, n', k, k), where entry [i, j, a, b] is
        <grad f_a(x_i), grad f_b(z_j)>; its diagonal (n, n', k); or its trace (n, n').

        As one matrix of n k rows, `K.transpose(0, 2, 1, 3).reshape(n * k, n2 * k)` is the Gram
        matrix of all outputs, in the order of `y.reshape(n * k)` for targets y of shape (n, k).

    Raises:
        ValueError: outputs is none of the three, x or z is empty, their rows have different shapes,
            apply does not return (n,) or (n, k), or its rows depend on one another, as with batch
            normalisation or dropout in training mode (noticed where the values are known), or the
            kernel is beyond the dtype (under `jit` it is infinite).
        TypeError: a leaf of params does not hold floats, x or z is no array of numbers, or apply is
            no function or returns no floats.

    Example:
        >>> apply = lambda w, x: jnp.tanh(x @ w)
        >>> empirical_ntk(apply, jnp.zeros(2), jnp.array([[1.0, 0.0], [1.0, 2.0]])).tolist()
        [[1.0, 1.0], [1.0, 5.0]]

    Reference:
        Wei, Lee, Liu, Ma (2019), section 2; Novak, Sohl-Dickstein, Schoenholz (2022), section 3.3.
    """
    require_choice("outputs", outputs, _OUTPUTS)
    x, z = _require_inputs(apply, params, x, z)
    _require_scores(result_shape("apply(params, x)", apply, params, x), len(x))
    scores, push_forward = jax.linearize(lambda p: apply(p, x), params)
    require_own_rows(apply, params, x, scores)

    def column(row: Array) -> Array:
        _, pull_back = jax.vjp(lambda p: apply(p, row[None])[0], params)

        def product(direction: Array) -> Array:
            return push_forward(*pull_back(direction))

        if scores.ndim == 1:
            return product(jnp.ones((), scores.dtype))
        pairs = jax.vmap(product)(jnp.eye(scores.shape[1], dtype=scores.dtype))
        return _OUTPUTS[outputs](jnp.moveaxis(pairs, 0, 2))

    kernel = jnp.moveaxis(jax.lax.map(column, z), 0, 1)
    return finite_result("the tangent kernel", kernel, "params, x or z", params, x, z)


def _require_inputs(apply: Apply, params: PyTree, x: Any, z: Any) -> tuple[Array, Array]:
    """Both as arrays, x twice where z is None."""
    require_callable("apply", apply, "apply(params, x)")
    x = jnp.asarray(as_array("x", x))
    z = x if z is None else jnp.asarray(as_array("z", z))
    require_parameters("params", params)
    if x.ndim == 0 or z.ndim == 0 or 0 in x.shape or 0 in z.shape:
        raise ValueError(f"x and z must be non-empty (n, ...), got {x.shape} and {z.shape}")
    if x.shape[1:] != z.shape[1:]:
        raise ValueError(f"rows of x and z must have one shape, got {x.shape} and {z.shape}")
    return x, z


def _require_scores(scores: jax.ShapeDtypeStruct, n: int) -> None:
    """Raise unless these are (n,) or (n, k)."""
    if scores.ndim not in (1, 2) or scores.shape[0] != n or 0 in scores.shape:
        raise ValueError(
            f"apply(params, x) must be (n,) or (n, k) with n = {n}, got {scores.shape}"
        )
