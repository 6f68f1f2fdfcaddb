"""The layers of a network as arrays, or an error that names the fault."""

from typing import Any

from jaxtyping import Array

from jaxmargin._arrays import as_jax


def unit_weights(params: Any) -> tuple[Array, Array]:
    """U (m, d) and w (m,) or (m, k) of a `TwoLayer`."""
    u, w = as_jax("params.u", params.u), as_jax("params.w", params.w)
    if u.ndim != 2 or w.ndim not in (1, 2) or len(w) != len(u):
        raise ValueError(
            f"params.u must be (m, d) and params.w (m,) or (m, k) for its m units, got {u.shape} "
            f"and {w.shape}"
        )
    return u, w


def matrices_of(params: Any) -> list[Array]:
    """The matrices of an mlp."""
    if not isinstance(params, tuple | list):
        raise TypeError(
            f"params must be a tuple of matrices (fan_out, fan_in), the first layer first, got "
            f"{type(params).__name__}: take the matrices out of it, one for each layer"
        )
    if not params:
        raise ValueError("params must hold at least one matrix")
    matrices = [as_jax(f"params[{i}]", matrix) for i, matrix in enumerate(params)]
    for i, matrix in enumerate(matrices):
        if matrix.ndim != 2:
            raise ValueError(f"params[{i}] must be a matrix, got shape {matrix.shape}")
    return matrices
