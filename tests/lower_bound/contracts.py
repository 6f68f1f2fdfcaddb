"""The contracts of `jaxmargin.lower_bound`: see `tests/contracts.py`."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

import jaxmargin as jm
from jaxmargin import data, lower_bound
from tests.contracts import Contract, normal


def cube(n: int, dtype, seed: int = 0):
    return jnp.where(normal(n, 4, dtype=dtype, seed=seed) > 0, 1.0, -1.0).astype(dtype)


def spanned(dtype):
    """Inputs of D, a coefficient for each, and points of the hypercube."""
    x = data.embed(cube(3, dtype), 1, 0).at[2, :2].set(jnp.array([0, -1], dtype))
    return x, normal(3, dtype=dtype), cube(2, dtype, seed=1)


def _on_cube(name: str, call: Callable) -> Contract:
    return Contract(f"lower_bound.{name}", call, lambda dtype: (cube(3, dtype),))


def _in_span(name: str, call: Callable) -> Contract:
    # The samples lie near the points, where float32 knows the cosine to 2e-4 at best.
    return Contract(f"lower_bound.{name}", call, spanned, float32_error=2e-3)


CONTRACTS = [
    _on_cube("tilde", lower_bound.tilde(jm.two_layer_ntk)),
    _on_cube("taylor_kernel", partial(lower_bound.taylor_kernel, r_w=0.5, r_u=2.0)),
    _on_cube("taylor_error", lower_bound.taylor_error),
    _on_cube("parity_gram", partial(lower_bound.parity_gram, size=3)),
    _on_cube("quadratic_constant", lower_bound.quadratic_constant),
    Contract(
        "lower_bound.cross_moment",
        partial(lower_bound.cross_moment, p=1, q=3),
        lambda dtype: (cube(3, dtype), normal(3, dtype=dtype)),
    ),
    Contract(
        "lower_bound.quadratic_form",
        lower_bound.quadratic_form,
        lambda dtype: (cube(3, dtype), normal(3, dtype=dtype), normal(6, dtype=dtype, seed=1)),
    ),
    _in_span("f_tilde", lower_bound.f_tilde),
    _in_span("paired_sum", partial(lower_bound.paired_sum, label=1)),
    _in_span("paired_sum", partial(lower_bound.paired_sum, label=-1)),
    _in_span("deviation", lower_bound.deviation),
    _in_span("paired_error_bound", lower_bound.paired_error_bound),
    Contract(
        "lower_bound.least_squares_limit",
        lower_bound.least_squares_limit,
        lambda dtype: (jnp.array([0.1, 0.25, 0.4], dtype),),
        edges=lambda dtype: [(jnp.array([1e-3, 0.5, 0.7], dtype),)],
    ),
]
DRIVERS = {
    "lower_bound.best_in_span",
    "lower_bound.fourier_coefficients",
    "lower_bound.held_out_error",
    "lower_bound.taylor_coefficients",
}


def _held_out():
    x, beta, _ = spanned("float32")
    return lower_bound.held_out_error(jax.random.key(0), x, beta, num_test=10)


CONTAINERS: dict[str, Callable[[], Any]] = {
    "lower_bound.Deviation": lambda: lower_bound.deviation(*spanned("float32")),
    "lower_bound.HeldOut": _held_out,
    "lower_bound.SpanFit": lambda: lower_bound.best_in_span(spanned("float32")[0]),
}
TYPES: set[str] = set()
