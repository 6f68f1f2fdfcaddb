"""Steps of the perturbed Wasserstein flow against PyTorch, float32, in one process.

    python -m benchmarks.flow          # the table, the growth with each size, a million particles
    python -m benchmarks.flow table    # the table alone

Both sides take the same steps of `perturbed_flow` (re-initialisation) on logistic two-layer
problems. PyTorch computes the gradient by hand and by autograd; the faster one counts. "step" is
the ratio of their times for one step within a run of several, "call" that for one step called from
Python. One step of each side without noise is compared in the same run. "floor" is the share of our
time that two matrix products need, at the rate of a large one measured in the same turns.
"""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch  # pyright: ignore[reportMissingImports]

from benchmarks.timing import interleaved
from jaxmargin import Measure, perturbed_flow, sample_sphere, two_layer_problem
from jaxmargin.mean_field import Flow

LAM, STEP_SIZE, NOISE = 0.01, 0.02, 1e-3
TOLERANCE = 1e-4  # of all entries as a whole: rounding may flip a relu
MATRIX = 2048  # rows of the product whose rate is the machine's


class Case(NamedTuple):
    """Sizes, steps of a run, and how many times faster than PyTorch it shall be."""

    particles: int
    samples: int
    d: int
    steps: int
    target: float


CASES = [
    Case(1024, 200, 20, 100, 1.8),
    Case(4096, 1000, 20, 10, 2.0),
    Case(16384, 4000, 20, 2, 5.0),
    Case(4096, 1000, 784, 2, 1.5),
]
GROWTH = {
    "particles": [(2**i, 1000, 20) for i in range(10, 17)],
    "samples": [(4096, 2**i, 20) for i in range(7, 14)],
    "d": [(4096, 1000, 2**i) for i in range(4, 11)],
}
MILLION = (10**6, 1000, 20)


def problem(particles: int, samples: int, d: int) -> tuple[jax.Array, jax.Array, Measure]:
    """Gaussian samples, random labels, particles on the sphere."""
    key_x, key_y, key_theta = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(key_x, (samples, d))
    y = jax.random.rademacher(key_y, (samples,), float)
    theta = sample_sphere(key_theta, particles, d + 1)
    return x, y, Measure(theta, jnp.full(particles, 1 / particles))


def compiled_run(flow: Flow, measure: Measure, steps: int) -> tuple[Callable[[], Any], int]:
    """`steps` steps, compiled ahead, and the bytes they need besides input and output."""

    def run(flow: Flow, state):
        def step(i, state):
            return flow.step(jax.random.fold_in(jax.random.key(1), i), state)[0]

        return jax.lax.fori_loop(0, steps, step, state).measure.theta

    state = flow.init(measure)
    executable = jax.jit(run).lower(flow, state).compile()
    memory: Any = executable.memory_analysis()
    return partial(executable, flow, state), memory.temp_size_in_bytes


class TorchFlow:
    """The same steps in PyTorch."""

    def __init__(self, x: jax.Array, y: jax.Array, measure: Measure):
        arrays = (x, y, *measure)
        self.x, self.y, self.theta, self.mass = (torch.tensor(np.asarray(a)) for a in arrays)

    def by_hand(self, theta):
        """The gradient of L'[rho] at each particle."""
        w, u = theta[:, 0], theta[:, 1:]
        pre = u @ self.x.T
        hidden = torch.relu(pre)
        dual = -self.y * torch.sigmoid(-self.y * ((self.mass * w) @ hidden))
        s = ((pre > 0) * dual) @ self.x
        slopes = torch.cat([(hidden @ dual)[:, None], w[:, None] * s], 1)
        return slopes.add_(theta, alpha=2 * LAM)

    def by_autograd(self, theta):
        """The same, from the energy."""
        theta = theta.detach().requires_grad_()
        scores = (self.mass * theta[:, 0]) @ torch.relu(theta[:, 1:] @ self.x.T)
        risk = torch.nn.functional.softplus(-self.y * scores).sum()
        (risk + LAM * (self.mass * (theta * theta).sum(1)).sum()).backward()
        return theta.grad / self.mass[:, None]

    def run(self, gradient: Callable, noise: float, steps: int):
        """The particles after `steps` steps."""
        theta = self.theta
        for _ in range(steps):
            theta = theta - STEP_SIZE * gradient(theta)
            chosen = torch.rand(len(theta)) < STEP_SIZE * noise
            if chosen.any():
                fresh = torch.nn.functional.normalize(torch.randn_like(theta))
                theta = torch.where(chosen[:, None], fresh, theta)
        return theta


def our_flow(x: jax.Array, y: jax.Array, noise: float) -> Flow:
    """Re-initialisation on the logistic problem."""
    return perturbed_flow(
        two_layer_problem(x, y, "logistic", lam=LAM), step_size=STEP_SIZE, noise=noise
    )


def compare(x: jax.Array, y: jax.Array, measure: Measure, rival: TorchFlow) -> float:
    """Relative distance of the particles after one step without noise, the larger of two."""
    ours = np.asarray(compiled_run(our_flow(x, y, 0.0), measure, 1)[0]())
    start = np.asarray(measure.theta)
    theirs = (rival.run(by, 0.0, 1).numpy() for by in (rival.by_hand, rival.by_autograd))
    moved = np.linalg.norm(ours - start)
    return max(float(np.linalg.norm(ours - other) / moved) for other in theirs)


def measure_case(case: Case) -> bool:
    """Print the row of a case; whether its target and the comparison hold."""
    x, y, measure = problem(case.particles, case.samples, case.d)
    rival, flow = TorchFlow(x, y, measure), our_flow(x, y, NOISE)
    square = jax.random.normal(jax.random.key(1), (MATRIX, MATRIX))
    ours, memory = compiled_run(flow, measure, case.steps)
    product = partial(jax.jit(jnp.matmul).lower(square, square).compile(), square, square)
    sides = {"ours": ours, "call": compiled_run(flow, measure, 1)[0], "product": product}
    for name, by in (("hand", rival.by_hand), ("autograd", rival.by_autograd)):
        sides[name] = partial(rival.run, by, NOISE, case.steps)
        sides[f"{name} call"] = partial(rival.run, by, NOISE, 1)
    seconds = interleaved(sides, repeats=15 if case.samples < 4000 else 7)
    difference = compare(x, y, measure, rival)
    theirs = min(seconds["hand"], seconds["autograd"])
    ratio = theirs / seconds["ours"]
    call = min(seconds["hand call"], seconds["autograd call"]) / seconds["call"]
    rate = 2 * MATRIX**3 / seconds["product"]
    floor = 4 * case.particles * case.samples * case.d / rate * case.steps / seconds["ours"]
    print(
        f"{case.particles:>9} x {case.samples:<5}{case.d:>4}"
        f"{1e3 * seconds['ours'] / case.steps:>9.2f}{1e3 * theirs / case.steps:>9.2f}"
        f"{ratio:>7.1f}{call:>7.1f}{case.target:>8.1f}{difference:>9.0e}{floor:>7.0%}"
        f"{memory / 2**20:>9.1f}",
        flush=True,
    )
    return ratio >= case.target and difference < TOLERANCE


def print_growth() -> None:
    """Time of a step as one size grows, and its exponent from the largest doublings."""
    for name, sizes in GROWTH.items():
        sides = {}
        for particles, samples, d in sizes:
            x, y, measure = problem(particles, samples, d)
            flow = our_flow(x, y, NOISE)
            sides[particles, samples, d] = compiled_run(flow, measure, 2)[0]
        seconds = interleaved(sides, repeats=5)
        axis = list(GROWTH).index(name)
        row = ", ".join(f"{key[axis]}: {500 * taken:.2f}" for key, taken in seconds.items())
        first, last = sizes[-4], sizes[-1]
        growth = np.log(seconds[last] / seconds[first]) / np.log(last[axis] / first[axis])
        print(f"{name:>9} (exponent {growth:.2f}), ms a step: {row}", flush=True)


def print_million() -> None:
    """One step of a million particles."""
    x, y, measure = problem(*MILLION)
    step, memory = compiled_run(our_flow(x, y, NOISE), measure, 1)
    seconds = interleaved({"step": step}, repeats=3)["step"]
    print(f"{MILLION}: {seconds:.2f} s a step, {memory / 2**20:.0f} MB besides the particles")


def main() -> int:
    """Run every case; 0 if all targets hold."""
    device = jax.devices()[0]
    print(f"JAX {jax.__version__} on {device.device_kind} ({device.platform}), float32")
    print(f"PyTorch {torch.__version__} ({torch.get_num_threads()} threads)")
    print(
        f"{'m x n':>14}{'d':>5}{'ours ms':>10}{'theirs':>9}{'step':>7}{'call':>7}{'target':>8}"
        f"{'differ':>9}{'floor':>7}{'MB':>9}"
    )
    held = [measure_case(case) for case in CASES]
    if sys.argv[1:] != ["table"]:
        print_growth()
        print_million()
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
