"""Random problems in 2 to 5 dimensions, each enclosed by cone programs over all patterns.

Three losses, lam from 1e-10 to 1e2 on a logarithmic scale, float32 and float64, at most 10 samples.
A quarter of the data is degenerate: duplicate, antipodal, coplanar, zero or nearly parallel rows,
or rows of very different lengths.
"""

from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks.optimum.traced import Traced, problem_of, traced
from benchmarks.timing import counted, print_head, print_row
from tests.mean_field import cone_oracle

PROBLEMS, TOLERANCE, SECONDS = 200, 1e-6, 120.0
LOSSES = ("logistic", "squared", "cross_entropy")
KINDS = ("duplicate", "antipodal", "coplanar", "zero", "near", "lengths")
ROUNDING = 1e-9  # relative; the oracle's own numbers hold up to less
WIDE = TOLERANCE  # an enclosure that is wider does not decide, which is said


class Drawn(NamedTuple):
    """One problem: x and y in the dtype, the loss with its classes, lam, what its data is like."""

    x: np.ndarray
    y: np.ndarray
    loss: str
    k: int | None
    lam: float
    kind: str

    def name(self, seed: int) -> str:
        """What a fault of it is listed under."""
        classes = f" of {self.k}" if self.k else ""
        n, d = self.x.shape
        settings = f"{self.loss}{classes}, lam {self.lam:.2g}, {self.x.dtype}"
        return f"{seed}: {n} x {d} {self.kind}, {settings}"


def draw(seed: int) -> Drawn:
    """The problem of this seed; seeds that differ by less than 24 differ in a setting."""
    g = np.random.default_rng([11, seed])
    d, loss = 2 + seed % 4, LOSSES[seed // 4 % 3]
    dtype = (np.float32, np.float64)[seed // 12 % 2]
    n = int(g.integers(d + 1, 11))
    kind = str(g.choice(KINDS)) if seed % 16 in (0, 5, 10, 15) else "Gaussian"
    x = degenerate(g, kind, g.normal(size=(n, d))).astype(dtype)
    k = int(g.choice([2, 3])) if loss == "cross_entropy" else None
    if k:
        y = g.integers(0, k, n)
    elif loss == "logistic":
        y = np.where(g.normal(size=n) > 0, 1, -1).astype(dtype)
    else:
        y = g.normal(size=n).astype(dtype)
    return Drawn(x, y, loss, k, float(dtype(10 ** g.uniform(-10, 2))), kind)


def degenerate(g: np.random.Generator, kind: str, x: np.ndarray) -> np.ndarray:
    """The rows of x, some of them in special positions."""
    x, (i, j, k) = x.copy(), g.permutation(len(x))[:3]
    if kind == "duplicate":
        x[i], x[k] = x[j], 2 * x[k]
    elif kind == "antipodal":
        x[i] = -g.uniform(0.5, 2) * x[j]
    elif kind == "coplanar":
        x[i] = x[j] - 2 * x[k]
    elif kind == "zero":
        x[i] = 0
    elif kind == "near":
        x[i] = x[j] + 10 ** g.uniform(-6, -2) * x[i]
    elif kind == "lengths":
        x *= 10.0 ** g.uniform(-2, 2, size=(len(x), 1))
    return x


class Outcome(NamedTuple):
    """Of one problem; the numbers are relative to the optimum.

    Attributes:
        state: of its certificate, or "error".
        above: energy above the least that the oracle allows.
        over: lower bound above the optimum; at most 0 up to rounding for a true one.
        seconds: that `global_optimum` took.
        faults: what is wrong with it.
    """

    state: str
    above: float
    over: float
    seconds: float
    faults: list[str]


def solve(seed: int) -> Outcome:
    """The outcome of the problem of this seed."""
    drawn = draw(seed)
    best = cone_oracle.optimum(drawn.x, drawn.y, drawn.loss, lam=drawn.lam, k=drawn.k or 2)
    with jax.enable_x64(drawn.x.dtype == np.float64):
        problem = problem_of(drawn.x, drawn.y, drawn.loss, lam=drawn.lam, k=drawn.k)
        found = traced(problem, tol=TOLERANCE, time_limit=SECONDS)
    faults = [found.fault] if found.fault else []
    width = (best.upper - best.lower) / best.upper
    if width > WIDE:
        faults.append(f"the oracle itself is undecided by {width:.1e}")
    if found.optimum is None:
        return Outcome("error", np.nan, np.nan, found.seconds, faults)
    return judged(drawn, best, found, faults)


def judged(drawn: Drawn, best: Any, found: Traced, faults: list[str]) -> Outcome:
    """The outcome, with a fault for each claim that is not true."""
    certificate = found.optimum.certificate
    reached, claimed = energy_of(drawn, found.optimum.measure), float(certificate.energy)
    above = (reached - best.lower) / best.upper
    over = (float(certificate.lower_bound) - best.upper) / best.upper
    width = (best.upper - best.lower) / best.upper
    if above > TOLERANCE + width + ROUNDING:
        faults.append(f"the energy is {above:.1e} above the optimum")
    if abs(claimed - reached) > ROUNDING * reached:
        faults.append(f"the energy of the measure is {reached:.9g}, not {claimed:.9g}")
    if above < -ROUNDING:
        faults.append(f"the energy is {-above:.1e} below the optimum")
    if over > ROUNDING:
        faults.append(f"the {certificate.state} lower bound is {over:.1e} above the optimum")
    return Outcome(certificate.state, above, over, found.seconds, faults)


def energy_of(drawn: Drawn, measure: Any) -> float:
    """The energy of the measure's network, computed by NumPy from its units alone."""
    outputs = drawn.k or 1
    theta, mass = np.asarray(measure.theta, np.float64), np.asarray(measure.mass, np.float64)
    w, u = mass[:, None] * theta[:, :outputs], theta[:, outputs:]
    x, y = drawn.x.astype(np.float64), drawn.y
    return cone_oracle.energy(x, y, drawn.loss, lam=drawn.lam, u=u, w=w)


def run(count: int) -> list[str]:
    """Print a row for each dimension and loss; the faults."""
    outcomes = {seed: solve(seed) for seed in counted(count)}
    print_head(
        "d", "loss", "problems", "exact", "proven", "estimate", "without fault",
        "largest energy above", "largest bound above", "median s", "largest s",
    )  # fmt: skip
    for d in (2, 3, 4, 5):
        for loss in LOSSES:
            row = [
                o for s, o in outcomes.items() if (draw(s).x.shape[1], draw(s).loss) == (d, loss)
            ]
            if row:
                print_row(d, loss, *summary(row))
    print()
    return [f"{draw(s).name(s)}: {fault}" for s, o in outcomes.items() for fault in o.faults]


def summary(row: list[Outcome]) -> list[object]:
    """The cells of a row of the table."""
    states = [o.state for o in row]
    seconds = [o.seconds for o in row]
    return [
        len(row),
        *(states.count(name) for name in ("exact", "proven", "estimate")),
        sum(not o.faults for o in row),
        f"{np.nanmax([o.above for o in row]):.1e}",
        f"{np.nanmax([o.over for o in row]):.1e}",
        f"{np.median(seconds):.2f}",
        f"{max(seconds):.2f}",
    ]
