"""What the functions of this folder accept: rows, Gram matrices, targets and labels."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from jaxmargin._checks import require_finite, require_signs


def require_rows(x: Any, z: Any) -> tuple[Array, Array]:
    """Both as arrays (x twice for None), checked to be non-empty matrices of floats."""
    x = require_matrix("x", jnp.asarray(x))
    if z is None:
        return x, x
    z = require_matrix("z", jnp.asarray(z))
    if z.shape[1] != x.shape[1]:
        raise ValueError(f"x and z must have the same d features, got {x.shape} and {z.shape}")
    if z.dtype != x.dtype:
        raise TypeError(f"x and z must have one dtype, got {x.dtype} and {z.dtype}: cast one")
    return x, z


def require_matrix(name: str, rows: Array) -> Array:
    if rows.ndim != 2 or 0 in rows.shape:
        raise ValueError(f"{name} must be (n, d) with n, d >= 1, got shape {rows.shape}")
    if not jnp.issubdtype(rows.dtype, jnp.floating):
        raise TypeError(f"{name} must hold floats, got {rows.dtype}: cast it, say to float32")
    return rows


def check_gram(gram: Array) -> Array:
    """Gram matrix as an array; raise unless it is one or several, concrete and symmetric."""
    if isinstance(gram, Tracer):
        raise TypeError(
            "fit_* check the values of gram, so they cannot run inside jit, vmap or grad: "
            "call them outside, with a leading axis t for many trials"
        )
    gram = jnp.asarray(gram)
    if gram.ndim not in (2, 3) or gram.shape[-1] != gram.shape[-2] or 0 in gram.shape:
        raise ValueError(f"gram must be (n, n) or (t, n, n) with n >= 1, got shape {gram.shape}")
    if not jnp.issubdtype(gram.dtype, jnp.floating):
        raise TypeError(f"gram must hold floats, got {gram.dtype}: cast it, say to float32")
    asymmetry, size = (float(value) for value in _asymmetry(gram))
    if not np.isfinite(asymmetry):
        require_finite("gram", gram)
    if not asymmetry <= np.sqrt(jnp.finfo(gram.dtype).eps) * size:
        raise ValueError(
            f"gram must be symmetric, but entries (i, j) and (j, i) differ by {asymmetry:.2g}: "
            "pass kernel(x), not kernel(x, z)"
        )
    return gram


@jax.jit
def _asymmetry(gram: Array) -> tuple[Array, Array]:
    return jnp.max(jnp.abs(gram - jnp.swapaxes(gram, -1, -2))), jnp.max(jnp.abs(gram))


def check_targets(gram: Array, y: Array) -> tuple[Array, Array]:
    """Both as arrays; raise unless y holds one target, or k of them, for each sample."""
    gram, y = check_gram(gram), jnp.asarray(y)
    batch = gram.shape[:-1]
    if y.shape[: len(batch)] != batch or y.ndim > len(batch) + 1 or 0 in y.shape:
        raise ValueError(f"y must be {batch} or {(*batch, 'k')} to match gram, got {y.shape}")
    if y.dtype != gram.dtype:
        raise TypeError(f"y must have the dtype of gram, {gram.dtype}, got {y.dtype}")
    require_finite("y", y)
    return gram, y


def check_labels(gram: Array, y: Array) -> tuple[Array, Array]:
    """The Gram matrix, and the labels as -1, +1 or as one-hot rows of bools."""
    gram, y = check_gram(gram), jnp.asarray(y)
    if y.shape != gram.shape[:-1]:
        raise ValueError(f"y must be {gram.shape[:-1]}, one label a sample, got {y.shape}")
    if jnp.issubdtype(y.dtype, jnp.floating):
        require_finite("y", y)
        require_signs(y)
        return gram, y
    if not jnp.issubdtype(y.dtype, jnp.integer):
        raise TypeError(f"y must hold floats -1, +1 or integers in [0, k), got {y.dtype}")
    least, most = int(jnp.min(y)), int(jnp.max(y))
    if least < 0 or most < 1:
        raise ValueError(
            f"integer labels must be the classes 0, 1, ..., k - 1 with k >= 2, got {least} to "
            f"{most}: labels -1, +1 must be floats"
        )
    return gram, jax.nn.one_hot(y, most + 1, dtype=bool)


def raise_where(
    fault: np.ndarray | np.bool_, error: Callable[[str], ValueError], message: str
) -> None:
    """Raise the error if there is a fault, and name the first trial that has it."""
    if not np.any(fault):
        return
    if np.ndim(fault):
        raise error(f"trial {int(np.argwhere(fault)[0][0])}: {message}")
    raise error(message)
