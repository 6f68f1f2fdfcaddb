"""A teacher of five units in 20 dimensions, 200 samples with noise .1: seconds to each accuracy."""

import jax
import numpy as np

from benchmarks.optimum.traced import problem_of, shown, traced
from benchmarks.timing import print_head, print_row

LEVELS = {1e-4: 20.0, 1e-6: 60.0}  # relative gap: seconds that are aimed at
CASES = [("squared", 1.0), ("squared", 0.1), ("logistic", 0.05)]
SECONDS = 300.0


def samples() -> tuple[np.ndarray, np.ndarray]:
    """Gaussian samples (200, 20) and outputs (200,) of a teacher, u Gaussian and w = +-1."""
    g = np.random.default_rng(0)
    x, u, w = g.normal(size=(200, 20)), g.normal(size=(5, 20)), g.choice([-1.0, 1.0], 5)
    return x, np.maximum(x @ u.T, 0) @ w + 0.1 * g.normal(size=200)


def run() -> list[str]:
    """Print a row for each case; the targets that were missed and the errors."""
    x, outputs = samples()
    faults = []
    print_head(
        "loss", "lam", "energy", "state", "proven gap", "gap", "rounds",
        *(f"s to a gap of {level:.0e} (target)" for level in LEVELS),
        *(f"s to an energy within {level:.0e}" for level in LEVELS),
    )  # fmt: skip
    for loss, lam in CASES:
        y = outputs if loss == "squared" else np.sign(outputs)
        with jax.enable_x64(True):
            problem = problem_of(x, y, loss, lam=lam)
            traced(problem, tol=1e-2, time_limit=20.0)  # compiles
            found = traced(problem, tol=min(LEVELS), time_limit=SECONDS)
        name = f"teacher, {loss}, lam {lam:g}"
        faults += [f"{name}: {found.fault}"] if found.fault else []
        if found.optimum is None:
            continue
        certificate, best = found.optimum.certificate, float(np.min(found.energy))
        print_row(
            loss, lam, f"{float(certificate.energy):.6f}", certificate.state,
            f"{float(certificate.gap) / best:.1e}", f"{found.gap[-1]:.1e}", len(found.times),
            *(f"{shown(found.time_of_gap(v))} ({s:g})" for v, s in LEVELS.items()),
            *(shown(found.time_of_energy(best * (1 + level))) for level in LEVELS),
        )  # fmt: skip
        for level, target in LEVELS.items():
            if not found.time_of_gap(level) <= target:
                faults.append(f"{name}: a gap of {level:.0e} took longer than {target:g} s")
    print()
    return faults
