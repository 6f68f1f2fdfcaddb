"""Against pyscnn, the peer for global optima, on the samples of the teacher.

    pip install pyscnn

pyscnn (imported as `scnn`) solves the cone program over gates that are drawn at random, by an
augmented Lagrangian. Its squared loss is divided by 2n, so that lam is `NeuronGL1(lam / n)` there.
Both networks' energies are computed by the same lines of NumPy. The sides run in turns within one
process. Ours runs for at most a tenth of the time that the peer took in the same turn.
"""

import time

import jax
import numpy as np

from benchmarks.optimum.teacher import samples
from benchmarks.optimum.traced import problem_of, shown, traced
from benchmarks.timing import print_head, print_row
from tests.mean_field import cone_oracle

LAMS, GATES, SHARE = (1.0,), (20, 100, 400), 0.1


def peer_network(
    x: np.ndarray, y: np.ndarray, *, lam: float, gates: int
) -> tuple[np.ndarray, np.ndarray]:
    """The units u (m, d) and w (m,) that pyscnn finds."""
    from scnn.activations import sample_gate_vectors  # pyright: ignore[reportMissingImports]
    from scnn.metrics import Metrics  # pyright: ignore[reportMissingImports]
    from scnn.models import ConvexReLU  # pyright: ignore[reportMissingImports]
    from scnn.optimize import optimize_model  # pyright: ignore[reportMissingImports]
    from scnn.regularizers import NeuronGL1  # pyright: ignore[reportMissingImports]
    from scnn.solvers import AL  # pyright: ignore[reportMissingImports]

    model = ConvexReLU(sample_gate_vectors(0, x.shape[1], gates))
    found, _ = optimize_model(
        model, AL(model), Metrics(), x, y,
        regularizer=NeuronGL1(lam / len(x)), unitize_data=False,
    )  # fmt: skip
    return found.parameters[0], found.parameters[1].ravel()


def run() -> list[str]:
    """Print a row for each strength and number of gates; where the peer is not beaten."""
    x, y = samples()
    faults = []
    print_head(
        "lam", "gates", "pyscnn, s", "its units", "its energy", "ours within a tenth of that",
        "our gap then", "s until ours was lower", "share of its time",
    )  # fmt: skip
    for lam in LAMS:
        with jax.enable_x64(True):
            problem = problem_of(x, y, "squared", lam=lam)
            traced(problem, tol=1e-2, time_limit=20.0)  # compiles
        for gates in GATES:
            began = time.perf_counter()
            u, w = peer_network(x, y, lam=lam, gates=gates)
            theirs = time.perf_counter() - began
            reached = cone_oracle.energy(x, y, "squared", lam=lam, u=u, w=w)
            with jax.enable_x64(True):
                found = traced(problem, tol=1e-6, time_limit=SHARE * theirs)
            lower = found.time_of_energy(reached)
            print_row(
                lam, gates, f"{theirs:.1f}", len(w), f"{reached:.5f}",
                f"{np.min(found.energy, initial=np.inf):.5f}",
                f"{np.min(found.gap, initial=np.inf):.1e}", shown(lower), f"{lower / theirs:.3f}",
            )  # fmt: skip
            if lower > SHARE * theirs:
                faults.append(f"pyscnn, lam {lam:g}, {gates} gates: not beaten in a tenth")
    print()
    return faults
