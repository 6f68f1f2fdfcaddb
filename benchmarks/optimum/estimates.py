"""How often, and by how much, an estimated lower bound was wrong: 100 problems, d = 6 to 60.

Each optimum that `global_optimum` returns is challenged by means that know nothing of it but its
units: ascents of the dual's response from 20,000 random neurons in NumPy, and a cone program over
the activation patterns of the units together with those of the strongest neurons found. An energy
below the estimated bound proves that the estimate was wrong. A response above the one that the
certificate knew proves only that its search missed a neuron, and how far that lowers the bound.
"""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks.optimum.traced import problem_of, traced
from benchmarks.timing import counted, print_head, print_row
from jaxmargin._devices import cores
from tests.mean_field import cone_oracle

PROBLEMS, TOLERANCE, SECONDS = 100, 1e-5, 60.0
RANGES = [(6, 10), (11, 20), (21, 40), (41, 60)]
STARTS, ASCENTS, NEW, CHALLENGES = 20_000, 150, 30, 2
ROUNDING = 1e-9


class Drawn(NamedTuple):
    """One problem in float64; its labels are those of a teacher with noise, or random."""

    x: np.ndarray
    y: np.ndarray
    loss: str
    lam: float


def draw(seed: int) -> Drawn:
    """Covariances of condition up to 100, lam from .3% to 60% of that where 0 is optimal."""
    g = np.random.default_rng([12, seed])
    low, high = RANGES[seed % len(RANGES)]
    d, n = int(g.integers(low, high + 1)), int(g.integers(30, 91))
    turn = np.linalg.qr(g.normal(size=(d, d)))[0]
    x = g.normal(size=(n, d)) * np.geomspace(1, 10 ** g.uniform(-1, 0), d) @ turn
    u, w = g.normal(size=(5, d)), g.choice([-1.0, 1.0], 5)
    outputs = np.maximum(x @ u.T, 0) @ w
    outputs = outputs / outputs.std() + g.choice([0.05, 0.5]) * g.normal(size=n)
    loss = ("squared", "logistic")[seed // len(RANGES) % 2]
    y = outputs if loss == "squared" else np.sign(outputs)
    slope = cone_oracle.slope(y, loss, np.zeros((n, 1)))
    heights, _ = ascended(g, x, slope, starts=2000)
    return Drawn(x, y, loss, heights[0] / 2 * 10 ** g.uniform(-2.5, -0.2))


def ascended(
    g: np.random.Generator, x: np.ndarray, p: np.ndarray, *, starts: int
) -> tuple[np.ndarray, np.ndarray]:
    """Heights |sum_i p_i relu(u . x_i)| and units u after ascents from random neurons, descending.

    Steps along the gradient on the sphere, of lengths that fall from 1 to 1e-3 radians.
    """
    u = g.normal(size=(starts, x.shape[1]))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    for length in np.geomspace(1, 1e-3, ASCENTS):
        active = (u @ x.T > 0) * p[:, 0]
        slope = active @ x
        slope *= np.where(np.sum(slope * u, axis=1) < 0, -1.0, 1.0)[:, None]
        slope -= np.sum(slope * u, axis=1, keepdims=True) * u
        u += length * slope / np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-300)
        u /= np.linalg.norm(u, axis=1, keepdims=True)
    heights = np.abs(np.maximum(u @ x.T, 0) @ p[:, 0])
    order = np.argsort(-heights)
    return heights[order], u[order]


class Outcome(NamedTuple):
    """Of one problem, relative to its energy.

    Attributes:
        estimated: the gap that the certificate estimates.
        proven: the gap that it proves.
        lowered: how far the challenge lowered the energy, which is at most the true gap.
        searched: the gap of the same dual point with the strongest neuron of the challenge.
        fault: of a call that ended with an error.
    """

    estimated: float
    proven: float
    lowered: float
    searched: float
    fault: str


def challenge(seed: int) -> Outcome:
    """The outcome of the problem of this seed."""
    drawn, g = draw(seed), np.random.default_rng([13, seed])
    x, y, loss, lam = drawn
    with jax.enable_x64(True):
        found = traced(problem_of(x, y, loss, lam=lam), tol=TOLERANCE, time_limit=SECONDS)
    if found.optimum is None:
        return Outcome(np.nan, np.nan, np.nan, np.nan, found.fault)
    certificate: Any = found.optimum.certificate
    theta, mass = np.asarray(found.optimum.measure.theta), np.asarray(found.optimum.measure.mass)
    u, w = mass[:, None] * theta[:, 1:], theta[:, 0]
    energy = cone_oracle.energy(x, y, loss, lam=lam, u=u, w=w)
    lowest, searched = energy, np.nan
    for turn in range(CHALLENGES):
        p = cone_oracle.slope(y, loss, np.maximum(x @ u.T, 0) @ w[:, None])
        heights, units = ascended(g, x, p, starts=STARTS)
        if turn == 0:
            own = u[np.any(u, axis=1)]
            known = np.abs(np.maximum(own @ x.T, 0) @ p[:, 0]) / np.linalg.norm(own, axis=1)
            strongest = max(heights[0], known.max(initial=0))
            searched = cone_oracle.bound_of(y, loss, p, most=2 * lam / strongest)
        new = units[np.unique(units[:500] @ x.T > 0, axis=0, return_index=True)[1]]
        heights = np.abs(np.maximum(new @ x.T, 0) @ p[:, 0])
        points = np.concatenate([u[np.any(u, axis=1)], new[np.argsort(-heights)[:NEW]]])
        try:
            u, w = cone_oracle.best_over_cells(x, y, loss, lam=lam, points=points)
        except RuntimeError:  # the solver of the challenge gave up: its searches count all the same
            break
        lowest = min(lowest, cone_oracle.energy(x, y, loss, lam=lam, u=u, w=w))
    proven = energy - float(certificate.lower_bound)
    return Outcome(
        float(certificate.estimated_gap) / energy, proven / energy,
        (energy - lowest) / energy, (energy - searched) / energy, found.fault,
    )  # fmt: skip


def run(count: int) -> list[str]:
    """Print a row for each range of dimensions; the errors and the false proofs."""
    with ProcessPoolExecutor(cores(), mp_context=get_context("spawn")) as pool:
        outcomes = dict(zip(counted(count), pool.map(challenge, range(count)), strict=True))
    print_head(
        "d", "problems", "estimates proven wrong", "by at most", "median estimated gap",
        "largest energy lowered by", "bounds that a longer search lowers", "by at most",
        "median proven gap",
    )  # fmt: skip
    for i, (low, high) in enumerate(RANGES[:count]):
        row = [o for seed, o in outcomes.items() if seed % len(RANGES) == i]
        print_row(f"{low} to {high}", len(row), *summary(row))
    print()
    return [
        *(f"estimates {seed}: {o.fault}" for seed, o in outcomes.items() if o.fault),
        *(
            f"estimates {seed}: the proven bound is {o.lowered - o.proven:.1e} too high"
            for seed, o in outcomes.items()
            if o.lowered - o.proven > ROUNDING
        ),
    ]


def summary(row: list[Outcome]) -> list[object]:
    """The cells of a row of the table."""
    estimated, proven, lowered, searched = (
        np.array([outcome[field] for outcome in row]) for field in range(4)
    )
    wrong, missed = lowered - estimated, searched - estimated
    return [
        np.sum(wrong > ROUNDING),
        f"{max(np.nanmax(wrong), 0):.1e}",
        f"{np.nanmedian(estimated):.1e}",
        f"{np.nanmax(lowered):.1e}",
        np.sum(missed > TOLERANCE),
        f"{max(np.nanmax(missed), 0):.1e}",
        f"{np.nanmedian(proven):.1e}",
    ]
