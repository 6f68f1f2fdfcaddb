"""Products with a Gram matrix whose rows are shared out to several devices."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from jaxmargin.kernels.closed_form import Kernel
from jaxmargin.kernels.products import kernel_matvec

AXIS = "rows"  # of the mesh
_ROWS = PartitionSpec(AXIS)


@dataclass(frozen=True)
class SharedProduct:
    """The map v -> K v, where the rows of v are shared out to the devices as those of x are.

    Rows beyond n pad the shares to equal sizes. Every vector is 0 there, before and after.

    Attributes:
        kernel: the kernel K.
        mesh: the devices, in one row named `AXIS`.
        n: samples.
        block_size: rows of a block of K, as `kernel_matvec` takes it.
    """

    kernel: Kernel
    mesh: Mesh
    n: int
    block_size: int | None

    def share(self, values: Array, mode: str) -> Array:
        """Pad to equal shares, and place them."""
        padding = -self.n % self.mesh.size
        padded = jnp.pad(values, ((0, padding), (0, 0)), mode=mode)
        return jax.device_put(padded, NamedSharding(self.mesh, _ROWS))

    def __call__(self, x: Array, v: Array) -> Array:
        return self._per_share(self._own_rows, x, v)

    def with_landmarks(self, x: Array, landmarks: Array, v: Array) -> Array:
        """K(x, landmarks) v."""

        def own_rows(x: Array) -> Array:
            return kernel_matvec(self.kernel, x, v, landmarks, block_size=self.block_size)

        return self._per_share(own_rows, x)

    def _per_share(self, own_rows: Callable[..., Array], *args: Array) -> Array:
        share = jax.shard_map(
            own_rows, mesh=self.mesh, in_specs=_ROWS, out_specs=_ROWS, check_vma=False
        )
        with jax.default_matmul_precision("highest"):  # TF32 would stall the iteration
            out = share(*args)
        return jnp.where(jnp.arange(len(out))[:, None] < self.n, out, 0)

    def _own_rows(self, x: Array, v: Array) -> Array:
        """This device's rows of K v: its square block, then the columns of the other devices."""
        product = kernel_matvec(self.kernel, x, v, block_size=self.block_size)
        if self.mesh.size == 1:
            return product

        def others(values: Array) -> Array:
            everything = jax.lax.all_gather(values, AXIS, tiled=True)
            own_first = jnp.roll(everything, -len(x) * jax.lax.axis_index(AXIS), axis=0)
            return own_first[len(x) :]

        return product + kernel_matvec(
            self.kernel, x, others(v), others(x), block_size=self.block_size
        )
