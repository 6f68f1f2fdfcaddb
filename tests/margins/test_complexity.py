"""The complexity of all networks is that of one neuron, estimated with its standard error."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmargin import margins, sphere
from tests.margins.samples import circle

KEY = jax.random.key(0)


def on_grid(x: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """max_u |sum_i e_i relu(u . x_i)| over a grid of the circle, for each row of signs."""
    active = np.maximum(circle(20_000) @ x.T, 0)
    return np.max(np.abs(active @ signs.T), axis=0)


def all_signs(n: int) -> np.ndarray:
    return np.array(list(itertools.product([1.0, -1.0], repeat=n)))


@pytest.mark.parametrize("seed", range(2))
def test_the_complexity_in_two_dimensions_is_that_of_all_signs_and_angles(seed: int):
    n = 7
    x = np.random.default_rng(seed).normal(size=(n, 2))
    exact = np.mean(on_grid(x, all_signs(n))) / (2 * n)
    found = margins.rademacher_complexity(KEY, jnp.asarray(x, jnp.float32), num_draws=1000)
    assert found.exact
    assert abs(float(found.mean) - exact) < 4 * float(found.standard_error)
    assert float(found.standard_error) < 0.01 * exact
    root_mean_square = math.sqrt(np.mean(np.sum(x**2, axis=1)))
    bound = float(margins.rademacher_bound(n=n, depth=2, radius=root_mean_square))
    assert exact < root_mean_square / math.sqrt(n) < bound  # the first by contraction


@pytest.mark.parametrize("d", [1, 3, 5])
def test_the_complexity_of_one_point_repeated_is_that_of_a_random_walk(d: int):
    n = 9
    x = jnp.zeros((n, d)).at[:, 0].set(2.0)
    found = margins.rademacher_complexity(KEY, x, num_draws=400)
    walk = np.mean(np.abs(all_signs(n).sum(axis=1)))
    assert abs(float(found.mean) - walk / n) < 4 * float(found.standard_error)
    assert found.exact
    assert not margins.rademacher_complexity(KEY, jnp.ones((n, 6)), num_draws=2).exact
    # the linear class |w| <= 1 of depth 1
    assert walk * 2 / n < float(margins.rademacher_bound(n=n, depth=1, radius=2.0))


def test_no_network_is_more_complex_than_its_best_neuron():
    n, m, networks = 12, 6, 4000
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 2))
    signs = np.where(rng.normal(size=n) > 0, 1.0, -1.0)
    u, w = rng.normal(size=(networks, m, 2)), rng.normal(size=(networks, m))
    scale = rng.uniform(size=(networks, m)) ** 8  # some with one heavy unit
    u, w = u * scale[:, :, None], w * scale
    size = np.sum(u**2, axis=(1, 2)) + np.sum(w**2, axis=1)
    outputs = np.einsum("tm,tmn->tn", w, np.maximum(u @ x.T, 0)) / size[:, None]
    sup = float(sphere.maximum(jnp.asarray(x, jnp.float32), jnp.asarray(signs, jnp.float32)).value)
    reached = np.max(outputs @ signs)
    assert 0.9 * sup / 2 < reached <= sup / 2 * (1 + 1e-6)


def test_the_standard_error_is_that_of_the_mean():
    x = jax.random.normal(KEY, (6, 2))
    found = [margins.rademacher_complexity(k, x, num_draws=64) for k in jax.random.split(KEY, 40)]
    spread = np.std([float(f.mean) for f in found], ddof=1)
    assert np.mean([float(f.standard_error) for f in found]) == pytest.approx(spread, rel=0.4)


def test_the_estimate_passes_jit():
    x = jax.random.normal(KEY, (6, 2))
    found = jax.jit(lambda key, x: margins.rademacher_complexity(key, x, num_draws=64))(KEY, x)
    assert found.exact is True
    plain = margins.rademacher_complexity(KEY, x, num_draws=64)
    assert float(found.mean) == pytest.approx(float(plain.mean), rel=1e-6)
