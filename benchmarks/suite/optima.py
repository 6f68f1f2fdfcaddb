"""Certificates, global optima and maximum margins, beside cone programs over all cells."""

import jax
import jax.numpy as jnp
import numpy as np

import jaxmargin as jm
from benchmarks import cone_program
from benchmarks.suite.measuring import Benchmark, Sides

LAM = 0.1


def _samples(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, d)), np.sign(rng.normal(size=n))


def _problem(n: int, d: int):
    x, y = _samples(n, d)
    return jm.two_layer_problem(jnp.asarray(x), jnp.asarray(y), "logistic", lam=LAM)


def certify(n: int) -> Sides:
    """An exact certificate in three dimensions."""
    problem = _problem(n, 3)
    theta = jax.random.normal(jax.random.key(0), (64, 4))
    measure = jm.Measure(theta / 4, jnp.full(64, 1 / 64))
    return Sides(lambda: jm.certify(problem, measure).gap)


def global_optimum(n: int) -> Sides:
    """From nothing, in the plane."""
    with jax.enable_x64(True):
        problem = _problem(n, 2)

    def ours():
        with jax.enable_x64(True):
            return jm.global_optimum(problem).certificate.energy

    return Sides(ours)


def max_margin(n: int) -> Sides:
    """Of random labels, in five dimensions."""
    x, y = _samples(n, 5)
    return Sides(lambda: jm.max_margin(x, y, tol=1e-4).margin)


def min_norm_interpolant(n: int) -> Sides:
    """In the plane, beside the cone program over all cells."""
    x, y = _samples(n, 2)
    return Sides(
        lambda: jm.min_norm_interpolant(x, y).norm_squared,
        {"cone program": lambda: cone_program.minimum_norm(x, y)},
    )


BENCHMARKS = [
    Benchmark("mean_field/certify", "n", (50, 100, 200), certify, "d = 3, exact"),
    Benchmark("mean_field/global_optimum", "n", (20, 40), global_optimum, "d = 2, lam = .1"),
    Benchmark("margins/max_margin", "n", (20, 40), max_margin, "d = 5, tol 1e-4"),
    Benchmark("margins/min_norm_interpolant", "n", (10, 20), min_norm_interpolant, "d = 2"),
]
