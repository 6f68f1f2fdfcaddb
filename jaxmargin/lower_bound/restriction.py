"""Kernels as functions of the coordinates that carry no label (appendix B.1)."""

from jaxtyping import Array, Float

from jaxmargin._arrays import as_result
from jaxmargin._checks import require_callable
from jaxmargin.data.synthetic import embed
from jaxmargin.kernels.closed_form import Kernel


def tilde(kernel: Kernel) -> Kernel:
    """The kernel without the first two coordinates: K~(z', z) = K((0, 1, z'), (1, 0, z)).

    The two inputs have different labels, so their first two coordinates add nothing to the inner
    product. `tilde(k1)` and `tilde(k2)` are the paper's K~1 and K~2.

    Args:
        kernel: `kernel(x, z)` of rows in d dimensions.

    Returns:
        `kernel(z, z2=None)` of rows in d - 2 dimensions, where z2=None stands for z.

    Raises:
        TypeError: kernel is not a function of two arguments, or returns no floats.

    Example:
        >>> from jaxmargin import k1
        >>> import jax.numpy as jnp
        >>> z = jnp.ones((1, 3))
        >>> bool(tilde(k1)(z)[0, 0] == k1(embed(z, 0, 1), embed(z, 1, 0))[0, 0])
        True

    Reference:
        Wei, Lee, Liu, Ma (2019), appendix B.1, above Lemma B.2.
    """
    require_callable("kernel", kernel, "kernel(x, z)")

    def kernel_tilde(z: Array, z2: Array | None = None) -> Float[Array, "n n2"]:
        gram = kernel(embed(z, 0, 1), embed(z if z2 is None else z2, 1, 0))
        return as_result("kernel(x, z)", gram)

    return kernel_tilde
