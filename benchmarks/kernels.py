"""How long a Gram matrix takes here and in jitted neural-tangents, in float32 and one process.

    python -m benchmarks.kernels

It prints one row for each size and depth:

- the two medians, their ratio, and the ratio that is the target;
- the largest difference of the outputs over |x| |x'|, off the diagonal only, because on it
  neural-tangents is no better than 3e-4;
- the share of our time that the machine itself needs, called the floor;
- the peak memory of a call over the size of its output.

The floor is the time of the matrix product, at the rate of a large one, plus the time of filling
fresh memory of the output's size. Both are measured in the same turns as the kernels.
"""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from benchmarks.neural_tangents_shim import stax
from benchmarks.timing import interleaved
from jaxmargin import relu_ntk


class Case(NamedTuple):
    """One row: its sizes, and by which factor it should be faster than neural-tangents."""

    n: int
    d: int
    depth: int
    target: float


CASES = [
    Case(1000, 20, 2, 10.0),
    Case(4000, 20, 2, 5.0),
    Case(4000, 784, 2, 1.5),
    Case(1000, 20, 5, 15.0),
    Case(4000, 20, 5, 9.0),
    Case(4000, 784, 5, 2.5),
]
TOLERANCE = 5e-6
MATRIX = 2048  # rows of the product whose rate is the machine's


def neural_tangents(depth: int) -> Callable:
    """The kernel function of the same network, as `x -> Gram matrix`."""
    layers = [stax.Dense(1, W_std=2**0.5)]
    for _ in range(depth - 1):
        layers += [stax.Relu(), stax.Dense(1, W_std=2**0.5)]
    kernel = stax.serial(*layers)[2]
    return lambda x: kernel(x, None, "ntk")


def compiled(function: Callable, *args: Any) -> tuple[Callable[[], Any], float]:
    """The call, compiled ahead, and its peak memory over the size of its output."""
    executable = jax.jit(function).lower(*args).compile()
    memory: Any = executable.memory_analysis()
    output = memory.output_size_in_bytes
    return partial(executable, *args), (output + memory.temp_size_in_bytes) / output


def largest_difference(ours: jax.Array, theirs: jax.Array) -> float:
    """Off the diagonal, relative to the geometric mean of the two diagonal entries."""
    size = jnp.sqrt(jnp.diag(ours))
    relative = jnp.abs(ours - theirs) / (size[:, None] * size[None, :])
    return float(jnp.max(jnp.where(jnp.eye(len(ours), dtype=bool), 0.0, relative)))


def measure(case: Case) -> bool:
    """Print the row of a case, and tell whether the target is met and the outputs agree."""
    x = jax.random.normal(jax.random.key(0), (case.n, case.d))
    square = jax.random.normal(jax.random.key(1), (MATRIX, MATRIX))
    ours, memory = compiled(partial(relu_ntk, depth=case.depth), x)
    theirs, _ = compiled(neural_tangents(case.depth), x)
    product, _ = compiled(jnp.matmul, square, square)
    fill, _ = compiled(partial(jnp.full, (case.n, case.n)), jnp.float32(1))
    sides = {"ours": ours, "theirs": theirs, "product": product, "fill": fill}
    seconds = interleaved(sides, repeats=9 if case.n > 1000 else 51)
    difference = largest_difference(ours(), theirs())
    rate = 2 * MATRIX**3 / seconds["product"]
    floor = 2 * case.n**2 * case.d / rate + seconds["fill"]
    ratio = seconds["theirs"] / seconds["ours"]
    print(
        f"{case.n:6} x {case.d:<4}{case.depth:5}{seconds['ours'] * 1e3:10.2f}"
        f"{seconds['theirs'] * 1e3:10.1f}{ratio:8.1f}{case.target:8.1f}{difference:10.0e}"
        f"{floor / seconds['ours']:8.0%}{memory:8.2f}"
        f"{rate / 1e9:10.0f}{4 * case.n**2 / seconds['fill'] / 1e9:8.1f}",
        flush=True,
    )
    return ratio >= case.target and difference < TOLERANCE


def main() -> int:
    """Run every case; the exit status is 0 if all hold."""
    device = jax.devices()[0]
    print(f"JAX {jax.__version__} on {device.device_kind} ({device.platform}), float32")
    print(
        f"{'n x d':>10}{'depth':>6}{'ours ms':>10}{'theirs':>10}{'ratio':>8}{'target':>8}"
        f"{'differ':>10}{'floor':>8}{'memory':>8}{'GFLOP/s':>10}{'GB/s':>8}"
    )
    held = [measure(case) for case in CASES]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
