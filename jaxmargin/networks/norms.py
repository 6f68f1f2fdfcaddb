"""Norms of a pytree of parameters (section 4, where the norm of Theta is a general one).

A norm is any function `pytree -> scalar`. Those of this module see the parameters as one long
vector, or layer by layer, or unit by unit. They are exact for entries of 1e30 or 1e-30 in float32,
and their derivative at the zero vector is 0. An entry that is NaN or infinite makes the norm NaN or
infinite. Those of float16 and bfloat16 parameters are computed and returned in float32.
"""

import functools
import math
from collections.abc import Callable
from numbers import Real

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxmargin._arithmetic import safe_power, scaled_power_sum, widened
from jaxmargin._arrays import as_result
from jaxmargin._checks import finite_result, require_callable, require_parameters
from jaxmargin.networks._units import by_unit, unit_axes

__all__ = ["Norm", "l1", "l2", "linf", "lp", "per_layer", "per_unit", "sum_of_squares"]

Norm = Callable[[PyTree], Float[Array, ""]]
"""A norm of parameters: `norm(params)` gives a scalar >= 0."""


def _leaves(params: PyTree) -> list[Array]:
    require_parameters("params", params)
    leaves = [widened(leaf) for leaf in jax.tree.leaves(params)]
    if not leaves:
        raise ValueError("params has no array leaves: a norm needs at least one parameter")
    return leaves


def _absolute(leaf: Array) -> Array:
    """|leaf|, with derivative 0 at 0 (jnp.abs has 1 there, and would move a zero weight)."""
    return leaf * jnp.sign(leaf)


# Each is one program: a first call by itself would else compile a score of single operations.
@jax.jit
def _sum_of_absolutes(leaves: list[Array]) -> Float[Array, ""]:
    return functools.reduce(jnp.add, [jnp.sum(_absolute(leaf)) for leaf in leaves])


@jax.jit
def _largest(leaves: list[Array]) -> Float[Array, ""]:
    return functools.reduce(jnp.maximum, [jnp.max(_absolute(x), initial=0.0) for x in leaves])


@functools.partial(jax.jit, static_argnums=1)
def _of_powers(leaves: list[Array], p: float) -> Float[Array, ""]:
    peak = jax.lax.stop_gradient(_largest(leaves))
    # c * (sum |x/c|^p)^(1/p) does not depend on c, so its derivative in c may be dropped.
    # An infinite peak would make NaN of itself: inf / inf.
    scale = jnp.where((peak > 0) & (peak < jnp.inf), peak, jnp.ones_like(peak))
    powers = [scaled_power_sum(leaf, scale, p) for leaf in leaves]
    return scale * safe_power(functools.reduce(jnp.add, powers), 1 / p)


def l1(params: PyTree) -> Float[Array, ""]:
    """Sum of absolute values over every leaf.

    Args:
        params: pytree of float arrays, any shapes.

    Returns:
        Scalar >= 0.

    Raises:
        ValueError: the pytree has no array.
        TypeError: a leaf does not hold floats.

    Example:
        >>> float(l1({"a": jnp.array([1.0, -2.0]), "b": jnp.array(3.0)}))
        6.0

    Reference:
        Wei, Lee, Liu, Ma (2019), section 4 (general norm).
    """
    return _sum_of_absolutes(_leaves(params))


def linf(params: PyTree) -> Float[Array, ""]:
    """Largest absolute value over every leaf.

    Args:
        params: pytree of float arrays, any shapes.

    Returns:
        Scalar >= 0.

    Raises:
        ValueError: the pytree has no array.
        TypeError: a leaf does not hold floats.

    Example:
        >>> float(linf({"a": jnp.array([1.0, -2.0]), "b": jnp.array(3.0)}))
        3.0

    Reference:
        Wei, Lee, Liu, Ma (2019), section 4 (general norm).
    """
    return _largest(_leaves(params))


def lp(p: float) -> Norm:
    """The l_p norm, (sum_i |theta_i|^p)^(1/p), as a function of a pytree.

    Args:
        p: exponent in [1, inf].

    Returns:
        A norm `pytree -> scalar`; `lp(1)` is `l1` and `lp(inf)` is `linf`. For p < 2 the second
        derivative at an entry 0, which is infinite, is given as 0.

    Raises:
        ValueError: p < 1 (no triangle inequality) or NaN.
        TypeError: p is not a number.

    Example:
        >>> round(float(lp(3)(jnp.array([1.0, 2.0, 2.0]))), 4)
        2.5713

    Reference:
        Wei, Lee, Liu, Ma (2019), section 4 (general norm).
    """
    if isinstance(p, bool) or not isinstance(p, Real):
        raise TypeError(f"p must be a number, got {type(p).__name__}")
    if not p >= 1:
        raise ValueError(f"p must be in [1, inf] for l_p to be a norm, got {p}")
    if p == 1:
        return l1
    if math.isinf(p):
        return linf

    def norm(params: PyTree) -> Float[Array, ""]:
        return _of_powers(_leaves(params), p)

    norm.__name__ = norm.__qualname__ = f"l{p:g}"
    return norm


_euclidean = lp(2)


def l2(params: PyTree) -> Float[Array, ""]:
    """Euclidean norm of all parameters as one vector (Frobenius norm of a matrix).

    Args:
        params: pytree of float arrays, any shapes.

    Returns:
        Scalar >= 0.

    Raises:
        ValueError: the pytree has no array.
        TypeError: a leaf does not hold floats.

    Example:
        >>> float(l2({"a": jnp.array([3.0, 0.0]), "b": jnp.array(4.0)}))
        5.0

    Reference:
        Wei, Lee, Liu, Ma (2019), eq. 2.2 (||Theta||_F).
    """
    return _euclidean(params)


def sum_of_squares(params: PyTree) -> Float[Array, ""]:
    """l2(params)**2, computed as the plain sum of squares: in one pass, and smooth at zero.

    Args:
        params: pytree of float arrays, any shapes.

    Returns:
        Scalar >= 0.

    Raises:
        ValueError: the pytree has no array, or the sum is beyond the dtype, as where an entry
            exceeds the square root of the largest float (under `jit` it is inf).
        TypeError: a leaf does not hold floats.

    Example:
        >>> float(sum_of_squares((jnp.array([3.0]), jnp.array([4.0]))))
        25.0

    Reference:
        Wei, Lee, Liu, Ma (2019), eq. 2.2 (the penalty ||Theta||_F^2).
    """
    total = functools.reduce(jnp.add, [jnp.sum(leaf * leaf) for leaf in _leaves(params)])
    return finite_result("the sum of squares", total, "params", params)


def per_layer(inner: Norm, outer: Norm) -> Norm:
    """A norm in two steps: the inner norm of each leaf, and the outer norm of these numbers.

    `per_layer(l2, linf)` is the largest Frobenius norm of a layer, which Lemma D.3 bounds.

    Args:
        inner: norm taken of each leaf (layer) by itself.
        outer: norm taken of the resulting vector, one entry a layer.

    Returns:
        A norm `pytree -> scalar`.

    Raises:
        TypeError: inner or outer is not a function of one argument, or returns no floats.

    Example:
        >>> layers = (jnp.array([[3.0, 4.0]]), jnp.array([[1.0]]))
        >>> float(per_layer(l2, linf)(layers)), float(per_layer(l2, l1)(layers))
        (5.0, 6.0)

    Reference:
        Wei, Lee, Liu, Ma (2019), Lemma D.3; Golowich, Rakhlin, Shamir (2018), Theorem 1.
    """
    require_callable("inner", inner, "inner(params)")
    require_callable("outer", outer, "outer(params)")

    def norm(params: PyTree) -> Float[Array, ""]:
        sizes = [as_result("inner(params)", inner(leaf)) for leaf in _leaves(params)]
        return as_result("outer(params)", outer(jnp.stack(sizes)))

    return norm


def per_unit(inner: Norm, outer: Norm, *, unit_axis: PyTree) -> Norm:
    """A norm in two steps: the inner norm of each unit, and the outer norm of these numbers.

    A unit consists of all weights that share its index, taken over all leaves that have a unit
    axis. Leaves without one are left out. `per_unit(l2, l1, unit_axis=...)` is the penalty of the
    group lasso, whose minimisers have whole units at 0; its derivative at a unit that is 0 is 0.

    `inner` gets the parameters of one unit, in the structure of all: of a `TwoLayer` its u (d,) and
    its w. With `lambda unit: l2(unit.u) * l2(unit.w)` and l1 the result is the path norm
    sum_j |w_j| |u_j| (no norm, since it is 2-homogeneous).

    Args:
        inner: norm taken of each unit.
        outer: norm taken of the resulting vector, one entry a unit.
        unit_axis: the axis that counts the units, for each leaf of the parameters: a pytree of
            integers and None, as in `perturb_units`, or one number for all leaves. Rows of every
            layer by itself are `per_layer(per_unit(l2, l1, unit_axis=0), l1)`.

    Returns:
        A norm `pytree -> scalar`.

    Raises:
        ValueError: at the call, unit_axis is not a prefix of the parameters, names no leaf, or
            names an axis that a leaf lacks; leaves have different numbers of units.
        TypeError: inner or outer is not a function; at the call, an axis is not an integer, or a
            leaf does not hold floats.

    Example:
        >>> from jaxmargin import TwoLayer
        >>> params = TwoLayer(u=jnp.array([[3.0, 0.0], [0.0, 0.0]]), w=jnp.array([4.0, 2.0]))
        >>> float(per_unit(l2, l1, unit_axis=0)(params))
        7.0
        >>> float(per_unit(lambda unit: l2(unit.u) * l2(unit.w), l1, unit_axis=0)(params))
        12.0

    Reference:
        Wei, Lee, Liu, Ma (2019), section 4 (general norm). Yuan, Lin (2006), "Model selection and
        estimation in regression with grouped variables"; Neyshabur, Tomioka, Srebro (2015), path
        norm.
    """
    require_callable("inner", inner, "inner(params)")
    require_callable("outer", outer, "outer(vector)")

    def norm(params: PyTree) -> Float[Array, ""]:
        require_parameters("params", params)
        axes, _ = unit_axes(unit_axis, params)
        return outer(jax.vmap(inner)(by_unit(params, axes)))

    return norm
