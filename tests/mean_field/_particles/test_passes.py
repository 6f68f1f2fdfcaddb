"""The passes over particles, whole and block by block."""

from functools import partial
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from jaxmargin.mean_field._particles import passes
from tests.mean_field.problems import PROBLEMS, N, measure, points

by_problem = pytest.mark.parametrize("name", PROBLEMS)
SCALAR, SEVERAL = "logistic", "smooth cross-entropy"
by_few = pytest.mark.parametrize("name", [SCALAR, SEVERAL])
energy, velocity = map(jax.jit, (jm.energy, jm.velocity))


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def in_blocks(size: int) -> Any:
    """So many particles a block, of problems with N outputs a particle."""
    return mock.patch.object(
        passes, "BLOCK_ENTRIES", dict.fromkeys(passes.BLOCK_ENTRIES, (0, size * N))
    )


def close(actual, expected, tolerance: float = 1e-12):
    scale = float(np.max(np.abs(expected), initial=1.0))
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * scale)


def plain(problem: jm.MeanField) -> jm.MeanField:
    """The same problem as a user would write it, without the two-layer passes."""
    return jm.MeanField(
        phi=lambda theta: problem.phi(theta),
        loss=lambda a: problem.loss(a),
        potential=lambda theta: problem.potential(theta),
    )


def all_of(problem: jm.MeanField, rho: jm.Measure, theta: jax.Array) -> dict[str, Any]:
    return {
        "energy": jm.energy(problem, rho),
        "gradient": jax.grad(jm.energy, 1)(problem, rho),
        "variation": jm.first_variation(problem, rho, theta),
        "velocity": jm.velocity(problem, rho, theta),
    }


@by_problem
def test_two_layer_passes_equal_the_plain_problem(name: str):
    """Also block by block: 7 particles and 5 points by 2 and 3 (by 1 for 3 outputs)."""
    problem, rho = PROBLEMS[name]("float64"), measure(name, "float64")
    theta = points(name, 5, "float64", seed=3)
    expected = jax.jit(all_of)(plain(problem), rho, theta)
    jax.tree.map(close, jax.jit(all_of)(problem, rho, theta), expected)
    blocks = {SCALAR: [(2, plain(problem)), (3, problem)], SEVERAL: [(3, problem)]}
    for size, which in blocks.get(name, []):
        with in_blocks(size):
            found = jax.jit(partial(all_of))(which, rho, theta)
        jax.tree.map(close, found, expected)


@by_few
@pytest.mark.parametrize("size", [3, 1000])
def test_vmap_over_problems_equals_a_loop(name: str, size: int):
    problem = PROBLEMS[name]("float64")
    halved = jax.tree.map(
        lambda leaf: leaf / 2 if jnp.issubdtype(leaf.dtype, jnp.inexact) else leaf, problem
    )
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), problem, halved)
    rho = measure(name, "float64")
    alone = jax.jit(all_of)
    expected = [alone(one, rho, rho.theta) for one in (problem, halved)]
    with in_blocks(size):
        found = jax.jit(jax.vmap(all_of, in_axes=(0, None, None)))(stacked, rho, rho.theta)
    jax.tree.map(lambda a, *b: close(a, jnp.stack(b)), found, *expected)


def sum_of_squares(a: jax.Array) -> jax.Array:
    return jnp.sum(a**2)


def test_outputs_of_any_shape():
    """A phi with a scalar output, and one with a matrix."""
    rho = measure("logistic", "float64")
    for phi in (sum_of_squares, lambda theta: jnp.outer(theta, theta)):
        problem = jm.MeanField(phi, sum_of_squares, sum_of_squares)
        total = np.tensordot(rho.mass, np.stack([phi(t) for t in rho.theta]), 1)
        close(energy(problem, rho), (total**2).sum() + jm.second_moment(rho))
        slope = jax.grad(jm.energy, 1)(problem, rho).theta
        close(velocity(problem, rho, rho.theta), -slope / rho.mass[:, None])


@pytest.mark.parametrize("k", [None, 3])
def test_velocity_keeps_no_array_of_particles_by_samples(k: int | None):
    """Twice the particles take more memory for themselves alone, n = 500 times less."""
    n, d = 500, 20

    def temporary(m: int) -> int:
        def run(x, y, theta):
            if k is None:
                problem = jm.two_layer_problem(x, y, "logistic", lam=0.1)
            else:
                problem = jm.two_layer_problem(x, y, "cross_entropy", k=k, lam=0.1)
            rho = jm.Measure(theta, jnp.full(m, 1 / m, theta.dtype))
            return jm.velocity(problem, rho, theta)

        shapes = [((n, d), "float32"), ((n,), "float32" if k is None else "int32")]
        shapes += [((m, d + (k or 1)), "float32")]
        compiled = jax.jit(run).lower(*(jax.ShapeDtypeStruct(*s) for s in shapes)).compile()
        memory = compiled.memory_analysis()
        assert memory is not None
        return memory.temp_size_in_bytes

    small, large = temporary(20_000), temporary(40_000)
    whole = 20_000 * n * 4
    assert small < whole
    assert large - small < whole / 4
