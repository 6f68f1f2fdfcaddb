"""Products with a Gram matrix that is never stored."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmargin._checks import require_callable, require_count
from jaxmargin.kernels.closed_form import Kernel, require_rows


def kernel_matvec(
    kernel: Kernel,
    x: Float[Array, "n d"],
    v: Float[Array, "n2 *k"],
    z: Float[Array, "n2 d"] | None = None,
    *,
    block_size: int | None = None,
) -> Float[Array, "n *k"]:
    """K(x, z) v without the Gram matrix: memory for `block_size` of its rows at a time.

    Derivatives recompute the blocks, and take no more memory.

    Args:
        kernel: `kernel(rows, z)`, and `kernel(rows)` with an exact diagonal when z is None. Give
            z=x for a kernel that always wants two arguments.
        x: (n, d) rows.
        v: (n',) vector or (n', k) matrix.
        z: (n', d) rows; None stands for x.
        block_size: rows of a block, from 1; it need not divide n. None takes blocks of about
            two million entries.

    Returns:
        (n,) or (n, k).

    Raises:
        ValueError: shapes that do not match, or block_size < 1.
        TypeError: kernel is not callable, block_size is not an integer, or dtypes differ.

    Example:
        >>> x = jnp.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
        >>> kernel_matvec(k1, x, jnp.array([1.0, 2.0, 3.0]), block_size=2).tolist()
        [1.0, 2.0, 3.0]

    Reference:
        Wei, Lee, Liu, Ma (2019), section 2 (f_kernel = sum_i beta_i K(x_i, x)).
    """
    require_callable("kernel", kernel, "kernel(x, z=None)")
    x, other = require_rows(x, z)
    v = jnp.asarray(v)
    if v.ndim not in (1, 2) or v.shape[0] != other.shape[0]:
        raise ValueError(
            f"v must be (n',) or (n', k) with n' = {other.shape[0]}, one entry for each row of "
            f"{'x' if z is None else 'z'}, got {v.shape}"
        )
    if v.dtype != x.dtype:
        raise TypeError(f"v must have the dtype of x, {x.dtype}, got {v.dtype}")
    n = x.shape[0]
    if block_size is None:
        block_size = max(1, _BLOCK_ENTRIES // other.shape[0])
    require_count("block_size", block_size)
    size = min(block_size, n)
    # The last block begins early enough to be whole, and repeats rows of the one before it.
    starts = jnp.minimum(jnp.arange(0, n, size), n - size)

    product = functools.partial(jnp.matmul, precision="highest")

    @jax.checkpoint
    def block(start: Array) -> Array:
        rows = jax.lax.dynamic_slice_in_dim(x, start, size)
        if z is not None:
            return product(kernel(rows, other), v)
        own = jax.lax.dynamic_slice_in_dim(v, start, size)
        outside = jax.lax.dynamic_update_slice_in_dim(v, jnp.zeros_like(own), start, axis=0)
        return product(kernel(rows, other), outside) + product(kernel(rows), own)

    blocks = jax.lax.map(block, starts)
    *_, last = blocks
    whole = (len(starts) - 1) * size
    return jnp.concatenate([blocks[:-1].reshape(whole, *v.shape[1:]), last[whole - n :]])


_BLOCK_ENTRIES = 2**21
