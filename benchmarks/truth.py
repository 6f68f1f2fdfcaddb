"""The flow, its certificate and global_optimum against exact optima, for 20 random problems.

    python -m benchmarks.truth

The exact optimum is that of a cone program over all activation patterns (cvxpy), which knows
nothing of particles. The samples are Gaussian with random labels, 16 of them in two dimensions and
12 in three. A flow of 64 particles with the weighted perturbation runs in float64 from a random
start. Each row is one dimension and one loss, and tells the worst of five problems, relative to
the optimum.
"""

import sys
import time
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxmargin as jm
from benchmarks.cone_program import optimum

PARTICLES, NOISE, RECORDS, PROBLEMS = 64, 1e-2, 100, 5
SAMPLES = {2: 16, 3: 12}


class Loss(NamedTuple):
    """The settings of one loss; the curvature of the loss limits the size of a step."""

    lam: float
    step_size: float
    steps: int


Kind = Literal["logistic", "squared"]
LOSSES: dict[Kind, Loss] = {
    "logistic": Loss(lam=0.02, step_size=0.02, steps=30_000),
    "squared": Loss(lam=0.2, step_size=0.004, steps=100_000),
}
WITHIN, REFINED, ROUNDING = 1e-2, 1e-5, 1e-6


class Outcome(NamedTuple):
    """Of one problem, all but the seconds relative to the optimum.

    Attributes:
        flow: lowest energy of the flow above the optimum.
        certified: gap that `certify` gives at the best record.
        least_slack: least certified gap minus true distance, over all records; >= 0 for a bound.
        refined: distance of `global_optimum` from the optimum.
        refined_gap: the gap of its certificate.
        seconds: that `global_optimum` took.
    """

    flow: float
    certified: float
    least_slack: float
    refined: float
    refined_gap: float
    seconds: float


def solve(d: int, loss: Kind, seed: int) -> Outcome:
    """The flow, its certificates and `global_optimum`, for one random problem."""
    rng = np.random.default_rng([d, seed])
    x = rng.normal(size=(SAMPLES[d], d))
    y = np.where(rng.normal(size=len(x)) > 0, 1.0, -1.0)
    lam, step_size, steps = LOSSES[loss]
    best = optimum(x, y, lam=lam, loss=loss)
    problem = jm.two_layer_problem(jnp.asarray(x), jnp.asarray(y), loss, lam=lam)
    key_start, key_run = jax.random.split(jax.random.key(seed))
    theta = jm.sample_sphere(key_start, PARTICLES, d + 1)
    flow = jm.perturbed_flow(problem, step_size=step_size, noise=NOISE, scheme="weighted")
    start = flow.init(jm.Measure(theta, jnp.full(PARTICLES, 1 / PARTICLES)))
    state, history = jm.run_flow(
        key_run, flow, start, num_steps=steps, record=steps // RECORDS, metrics=itself
    )
    measures = [jm.Measure(*parts) for parts in zip(*history.metrics, strict=True)]
    gaps = np.array([float(jm.certify(problem, measure).gap) for measure in measures])
    distances = np.asarray(history.energy) - best
    jm.global_optimum(problem, start=state.measure)  # compiles
    began = time.perf_counter()
    certificate = jm.global_optimum(problem, start=state.measure).certificate
    seconds = time.perf_counter() - began
    nearest = int(np.argmin(distances))
    return Outcome(
        (float(history.lowest[-1]) - best) / best,
        float(gaps[nearest]) / best,
        float(np.min(gaps - distances)) / best,
        abs(float(certificate.energy) - best) / best,
        float(certificate.gap) / best,
        seconds,
    )


def itself(measure: jm.Measure) -> jm.Measure:
    """The metric of a run: its measure."""
    return measure


def main() -> int:
    """Print a row for each dimension and loss; 0 if all bounds hold."""
    print(
        "worst of 5 problems, relative to the optimum; the certificate is that of the best record"
    )
    row = "{:>3}{:>10}{:>10}{:>13}{:>14}{:>12}{:>12}{:>9}".format
    print(row("d", "loss", "flow", "certificate", "least slack", "refined", "its gap", "seconds"))
    held = True
    with jax.enable_x64(True):
        for d in SAMPLES:
            for loss in LOSSES:
                found = [solve(d, loss, seed) for seed in range(PROBLEMS)]
                worst = Outcome(*(max(column) for column in zip(*found, strict=True)))
                slack = min(one.least_slack for one in found)
                numbers = (worst.flow, worst.certified, slack, worst.refined, worst.refined_gap)
                print(
                    row(d, loss, *(f"{v:.1e}" for v in numbers), f"{worst.seconds:.2f}"), flush=True
                )
                held &= worst.flow < WITHIN and worst.refined < REFINED and slack > -ROUNDING
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
