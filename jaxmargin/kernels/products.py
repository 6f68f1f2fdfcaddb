"""Products with a Gram matrix that is never stored (f_kernel of section 2 at many points)."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmargin._blocks import overlapping_blocks, rows, with_rows
from jaxmargin._checks import require_callable, require_count
from jaxmargin.kernels._inputs import require_rows
from jaxmargin.kernels.closed_form import Kernel

_BLOCK_ENTRIES = 2**21  # of K, in a block whose size the caller leaves open


def kernel_matvec(
    kernel: Kernel,
    x: Float[Array, "n d"],
    v: Float[Array, "n2 *k"],
    z: Float[Array, "n2 d"] | None = None,
    *,
    block_size: int | None = None,
) -> Float[Array, "n *k"]:
    """The product K(x, z) v without the Gram matrix.

    At any time there is memory for `block_size` rows of K only. Derivatives compute the blocks
    anew, so that they take no more memory.

    Args:
        kernel: `kernel(rows, z)`; where z is None, also `kernel(rows)` with an exact diagonal. For
            a kernel that always wants two arguments, give z=x.
        x: (n, d) rows.
        v: (n',) vector or (n', k) matrix.
        z: (n', d) rows; None stands for x.
        block_size: rows of a block, from 1; it need not divide n. None takes blocks of about
            two million entries.

    Returns:
        (n,) or (n, k).

    Raises:
        ValueError: shapes do not match, or block_size < 1.
        TypeError: kernel is not a function, block_size is not an integer, or dtypes differ.

    Example:
        >>> from jaxmargin import k1
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
    starts, _ = overlapping_blocks(n, size)
    product = functools.partial(jnp.matmul, precision="highest")

    @jax.checkpoint
    def block(start: Array) -> Array:
        own_x = rows(x, start, size)
        if z is not None:
            return product(kernel(own_x, other), v)
        own_v = rows(v, start, size)
        outside = with_rows(v, jnp.zeros_like(own_v), start)
        return product(kernel(own_x, other), outside) + product(kernel(own_x), own_v)

    blocks = jax.lax.map(block, starts)
    *_, last = blocks
    whole = (len(starts) - 1) * size
    return jnp.concatenate([blocks[:-1].reshape(whole, *v.shape[1:]), last[whole - n :]])
