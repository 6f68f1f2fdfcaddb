"""The certified optimum against enclosures by cone programs over all activation patterns."""

import itertools
from math import comb
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linprog

import jaxmargin as jm
from benchmarks import cone_program
from tests.mean_field import cone_oracle


def gaussian(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([n, d, seed]).normal(size=(n, d))


def degenerate(kind: str, n: int = 6, d: int = 3) -> np.ndarray:
    x = gaussian(n, d)
    if kind == "duplicate":
        x[1], x[3] = x[0], 2 * x[2]
    elif kind == "antipodal":
        x[1], x[3] = -x[0], -x[2] / 2
    elif kind == "coplanar":
        x[3], x[4] = x[0] + x[1], x[0] - 2 * x[1]
    elif kind == "zero":
        x[0] = x[1] = 0
    elif kind == "near":
        x[1] = x[0] + 1e-4 * x[1]
    return x


KINDS = ("duplicate", "antipodal", "coplanar", "zero", "near")


@pytest.mark.parametrize(("n", "d"), [(9, 2), (8, 3), (7, 4), (7, 5)])
def test_the_oracle_has_as_many_patterns_as_there_are_cells(n: int, d: int):
    found = cone_oracle.patterns(gaussian(n, d))
    assert len(found) == 2 * sum(comb(n - 1, i) for i in range(d))


@pytest.mark.parametrize("kind", KINDS)
def test_the_oracle_has_the_patterns_that_linear_programs_find(kind: str):
    x = degenerate(kind)
    rows = x[np.any(x, axis=1)]
    expected = set()
    for signs in itertools.product([False, True], repeat=len(rows)):
        sides = rows * np.where(signs, -1.0, 1.0)[:, None]
        if linprog(np.zeros(3), A_ub=sides, b_ub=-np.ones(len(rows)), bounds=(None, None)).success:
            expected.add(signs)
    found = cone_oracle.patterns(rows)
    assert {tuple(row.tolist()) for row in found} == expected


def test_the_oracle_finds_the_strongest_neuron():
    x, p = gaussian(8, 3), gaussian(8, 2)
    heights, units = cone_oracle.strongest(x, p, cone_oracle.faces_of(x))
    scattered = gaussian(20_000, 3)
    scattered /= np.linalg.norm(scattered, axis=1, keepdims=True)
    reached = np.linalg.norm(np.maximum(scattered @ x.T, 0) @ p, axis=1).max()
    assert 0.99 * heights[0] < reached <= heights[0]
    np.testing.assert_allclose(np.linalg.norm(units, axis=1), 1)


@pytest.mark.parametrize("loss", ["logistic", "squared"])
def test_the_oracle_agrees_with_another_cone_program(loss: str):
    x, y = gaussian(6, 3), np.resize([1.0, -1.0], 6)
    found = cone_oracle.optimum(x, y, loss, lam=0.05)
    assert 0 <= found.upper - found.lower < 1e-8 * found.upper
    other = cone_program.optimum(x, y, lam=0.05, loss=loss)
    assert other == pytest.approx(found.upper, rel=1e-6)


class Case(NamedTuple):
    name: str
    x: np.ndarray
    loss: Any
    lam: float
    k: int = 2
    dtype: type = np.float32


CASES = [
    Case("2-D, tiny lam", gaussian(10, 2), "logistic", 1e-9, dtype=np.float64),
    Case("2-D, small lam", gaussian(10, 2), "squared", 1e-6),
    Case("2-D, 3 classes", gaussian(6, 2), "cross_entropy", 0.01, k=3),
    Case("3-D, 2 classes", gaussian(6, 3), "cross_entropy", 1e-3),
    Case("4-D", gaussian(6, 4), "squared", 1e-3, dtype=np.float64),
    Case("5-D", gaussian(6, 5), "logistic", 0.1),
    *(Case(kind, degenerate(kind), "logistic", 1e-3) for kind in KINDS),
]


def labels(case: Case) -> np.ndarray:
    n = len(case.x)
    if case.loss == "cross_entropy":
        return np.arange(n) % case.k
    return np.resize([1.0, -1.0], n).astype(case.dtype)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_optimum_is_enclosed(case: Case):
    x, y, lam = case.x.astype(case.dtype), labels(case), float(case.dtype(case.lam))
    best = cone_oracle.optimum(x, y, case.loss, lam=lam, k=case.k)
    assert best.upper - best.lower < 1e-7 * best.upper
    with jax.enable_x64(case.dtype is np.float64):
        k = case.k if case.loss == "cross_entropy" else None
        problem = jm.two_layer_problem(jnp.asarray(x), jnp.asarray(y), case.loss, lam=lam, k=k)
        measure, found, _ = jm.global_optimum(problem)
    assert found.state == "exact"
    assert found.lower_bound <= best.upper * (1 + 1e-9)
    assert found.gap <= 1e-6 * found.energy
    theta, mass = np.asarray(measure.theta), np.asarray(measure.mass)[:, None]
    outputs = k or 1
    reached = cone_oracle.energy(
        x, y, case.loss, lam=lam, u=theta[:, outputs:], w=mass * theta[:, :outputs]
    )
    assert best.lower * (1 - 1e-9) <= reached <= best.upper * (1 + 2e-6)
    assert found.energy == pytest.approx(reached, rel=1e-9)
