"""Of a Gram matrix that is never stored: its products (f_kernel of section 2), and its diagonal."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmargin._arrays import as_floats
from jaxmargin._blocks import overlapping_blocks, rows, with_rows
from jaxmargin._checks import finite_result, require_callable, require_count
from jaxmargin.kernels.closed_form import Kernel

_BLOCK_ENTRIES = 2**21  # of K, in a block whose size the caller leaves open
_DIAGONAL_ROWS = 32  # at once: few enough for the gradients of a large network


def kernel_matvec(
    kernel: Kernel,
    x: Float[Array, "n ..."],
    v: Float[Array, "n2 *k"],
    z: Float[Array, "n2 ..."] | None = None,
    *,
    block_size: int | None = None,
) -> Float[Array, "n *k"]:
    """The product K(x, z) v without the Gram matrix.

    At any time there is memory for `block_size` rows of K only. Derivatives compute the blocks
    anew, so that they take no more memory.

    Args:
        kernel: `kernel(rows, z)`; where z is None, also `kernel(rows)` with an exact diagonal. For
            a kernel that always wants two arguments, give z=x.
        x: (n, d) or (n, ...) inputs, of the shape that the kernel takes; integers become floats.
        v: (n',) vector or (n', k) matrix.
        z: (n', d) or (n', ...) inputs; None stands for x.
        block_size: rows of a block, from 1; it need not divide n. None takes blocks of about
            two million entries.

    Returns:
        (n,) or (n, k).

    Raises:
        ValueError: shapes do not match, block_size < 1, or the kernel does not return a matrix.
        TypeError: kernel is not a function, an array does not hold real numbers, block_size is not
            an integer, or dtypes differ.

    Example:
        >>> from jaxmargin import k1
        >>> x = jnp.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
        >>> kernel_matvec(k1, x, jnp.array([1.0, 2.0, 3.0]), block_size=2).tolist()
        [1.0, 2.0, 3.0]

    Reference:
        Wei, Lee, Liu, Ma (2019), section 2 (f_kernel = sum_i beta_i K(x_i, x)).
    """
    require_callable("kernel", kernel, "kernel(x, z=None)" if z is None else "kernel(x, z)")
    x, other = _require_inputs(x, z)
    v = jnp.asarray(as_floats("v", v))
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
            return product(_matrix(kernel(own_x, other), (size, len(other))), v)
        own_v = rows(v, start, size)
        outside = with_rows(v, jnp.zeros_like(own_v), start)
        own = _matrix(kernel(own_x), (size, size))
        rest = _matrix(kernel(own_x, other), (size, len(other)))
        return product(rest, outside) + product(own, own_v)

    blocks = jax.lax.map(block, starts)
    *_, last = blocks
    whole = (len(starts) - 1) * size
    return jnp.concatenate([blocks[:-1].reshape(whole, *v.shape[1:]), last[whole - n :]])


def kernel_diagonal(kernel: Kernel, x: Float[Array, "n ..."]) -> Float[Array, "n *kk"]:
    """The diagonal K(x_i, x_i) without the Gram matrix.

    It is the prior variance of a Gaussian process with this kernel, and what normalises a kernel:
    K(x, z) / sqrt(K(x, x) K(z, z)). The kernel is called for one row at a time, or for a few.

    Args:
        kernel: `kernel(rows)`, giving an (n, n) matrix for n rows, or (n, n, k, k) for k outputs.
        x: (n, d) or (n, ...) inputs, of the shape that the kernel takes; integers become floats.

    Returns:
        (n,), or (n, k, k) for a kernel of k outputs.

    Raises:
        ValueError: x has no rows, or the kernel does not return a square for one row, or a
            diagonal is beyond the dtype (under `jit` it is inf).
        TypeError: kernel is not a function, or x does not hold real numbers.

    Example:
        >>> from jaxmargin import relu_ntk
        >>> kernel_diagonal(relu_ntk, jnp.array([[2.0, 0.0], [0.0, 1.0]])).tolist()
        [8.0, 2.0]

    Reference:
        Rasmussen, Williams (2006), section 2.2.
    """
    require_callable("kernel", kernel, "kernel(x)")
    x, _ = _require_inputs(x, None)

    def entry(row: Array) -> Array:
        gram = kernel(row[None])
        shape = getattr(gram, "shape", None)
        if shape is None or shape[:2] != (1, 1) or len(shape) not in (2, 4):
            told = type(gram).__name__ if shape is None else shape
            raise ValueError(
                f"kernel must return (1, 1) or (1, 1, k, k) for one row, but it returned {told}"
            )
        return gram[0, 0]

    diagonal = jax.lax.map(entry, x, batch_size=_DIAGONAL_ROWS)
    return finite_result("the diagonal of the kernel", diagonal, "x", x)


def _require_inputs(x: Any, z: Any) -> tuple[Array, Array]:
    """Both as arrays of floats, one input a row; x twice where z is None."""
    x = jnp.asarray(as_floats("x", x))
    other = x if z is None else jnp.asarray(as_floats("z", z))
    for name, inputs in (("x", x), ("z", other)):
        if inputs.ndim < 2 or 0 in inputs.shape:
            raise ValueError(
                f"{name} must be (n, d), or (n, ...) with n >= 1, got shape {inputs.shape}"
            )
    if x.shape[1:] != other.shape[1:]:
        raise ValueError(f"x and z must have rows of one shape, got {x.shape} and {other.shape}")
    if x.dtype != other.dtype:
        raise TypeError(f"x and z must have one dtype, got {x.dtype} and {other.dtype}: cast one")
    return x, other


def _matrix(gram: Any, shape: tuple[int, int]) -> Array:
    """What a kernel returned; raise unless it is a matrix of floats of this shape."""
    found = getattr(gram, "shape", None)
    if found == shape:
        return gram
    several = isinstance(found, tuple) and len(found) == 4
    hint = (
        ", as a kernel of several outputs does: take one of them, [:, :, 0, 0]" if several else ""
    )
    told = type(gram).__name__ if found is None else found
    raise ValueError(f"kernel must return a matrix {shape}, but it returned {told}{hint}")
