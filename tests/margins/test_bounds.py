"""The bounds are the theorems' formulas, the best gamma is best, the complexity is one neuron's."""

import itertools
import math

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

import jaxmargin as jm
from jaxmargin import margins, sphere
from jaxmargin.margins import bounds

KEY = jax.random.key(0)


def golowich(n, depth, radius, layer_norms):
    with mp.workdps(30):
        factor = mp.sqrt(2 * depth * mp.log(2)) + 1
        return mp.mpf(radius) * factor * mp.fprod(layer_norms) / mp.sqrt(n)


def kakade(margin_loss, gamma, *, n, depth, radius, delta):
    """Theorem D.2 for the networks whose layers have norm 1 / sqrt(depth)."""
    with mp.workdps(30):
        layer = 1 / mp.sqrt(depth)
        largest = mp.mpf(radius) * layer**depth
        gamma = mp.mpf(gamma)
        return (
            margin_loss
            + 4 * golowich(n, depth, radius, [layer] * depth) / gamma
            + mp.sqrt(mp.log(mp.log(4 * largest / gamma, 2)) / n)
            + mp.sqrt(mp.log(1 / mp.mpf(delta)) / (2 * n))
        )


@pytest.mark.parametrize(("n", "depth", "radius"), [(1, 1, 0.3), (100, 2, 4.36), (10**9, 7, 1e-3)])
def test_the_formulas(n: int, depth: int, radius: float):
    layers = np.linspace(0.5, 2, depth)
    with jax.enable_x64(True):
        found = bounds.rademacher_bound(
            n=n, depth=depth, radius=radius, layer_norms=jnp.asarray(layers)
        )
        assert float(found) == pytest.approx(float(golowich(n, depth, radius, layers)), rel=1e-13)
        for gamma in (1e-9, 0.5, 1.0):
            gamma *= radius * depth ** (-depth / 2)
            for delta in (1e-12, 0.9):
                setting = {"n": n, "depth": depth, "radius": radius, "delta": delta}
                found = bounds.margin_bound(gamma, **setting)
                assert float(found.bound) == pytest.approx(
                    float(kakade(0, gamma, **setting)), rel=1e-12
                )
                assert found.margin_loss == 0
                assert found.gamma == gamma


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_the_largest_margin_of_all_normalised_networks_is_attained(depth: int):
    x = jax.random.normal(KEY, (1, 4))
    radius = jnp.linalg.norm(x)
    first = jnp.zeros((3, 4)).at[0].set(x[0] / radius)
    between = jnp.zeros((3, 3)).at[0, 0].set(1.0)
    middle = [between] * (depth - 2)
    params = (first, *middle, between[:1]) if depth > 1 else (x / radius,)
    margin = jm.normalized_margin(jm.mlp, params, x, jnp.ones(1))
    largest = float(radius) * depth ** (-depth / 2)
    assert float(margin) == pytest.approx(largest, rel=1e-6)
    setting = {"n": 10, "depth": depth, "radius": radius, "delta": 0.1}
    assert bool(jnp.isfinite(bounds.margin_bound(margin, **setting).bound))
    with pytest.raises(ValueError, match="normalise them"):
        bounds.margin_bound(1.001 * margin, **setting)


def test_the_best_gamma_is_the_best():
    setting = {"depth": 2, "radius": 1.5, "delta": 0.05}
    rng = np.random.default_rng(0)
    for n, shift in ((5, 0.5), (400, 0.1), (400, -1.0)):
        values = np.clip(rng.normal(shift, 0.3, n), -0.75, 0.75)
        values[:2] = values[2]  # ties
        with jax.enable_x64(True):
            found = bounds.margin_loss_bound(jnp.asarray(values), **setting)
        best = np.inf
        for gamma in (*np.linspace(1e-3, 0.75, 100), *values[values > 0]):
            best = min(best, kakade(np.mean(values < gamma), gamma, n=n, **setting))
        assert float(found.bound) == pytest.approx(float(best), rel=1e-9)
        assert float(found.margin_loss) == np.mean(values < float(found.gamma))
        for gamma in (0.1, float(values[0]) if values[0] > 0 else 0.2):
            with jax.enable_x64(True):
                at = bounds.margin_loss_bound(jnp.asarray(values), gamma=gamma, **setting)
            expected = kakade(np.mean(values < gamma), gamma, n=n, **setting)
            assert float(at.bound) == pytest.approx(float(expected), rel=1e-9)


def test_of_separated_samples_it_is_at_most_the_margin_bound():
    margins = jnp.linspace(0.01, 0.5, 50)
    setting = {"depth": 2, "radius": 1.0, "delta": 0.05}
    plain = bounds.margin_bound(margins[0], n=50, **setting)
    assert bounds.margin_loss_bound(margins, gamma=margins[0], **setting).bound == plain.bound
    assert bounds.margin_loss_bound(margins, **setting).bound < plain.bound / 4


def test_a_gamma_beyond_every_margin_counts_every_sample():
    setting = {"depth": 1, "radius": 1.0, "delta": 0.5}
    found = bounds.margin_loss_bound(jnp.array([0.5, 1.0]), gamma=1e9, **setting)
    assert found.margin_loss == 1
    assert float(found.uniformity) == pytest.approx(math.sqrt(math.log(2) / 2))


def test_under_jit_and_vmap_what_does_not_separate_has_bound_inf():
    @jax.jit
    @jax.vmap
    def bound(margin, n):
        return bounds.margin_bound(margin, n=n, depth=2, radius=1.0, delta=0.1).bound

    found = bound(jnp.array([0.1, 0.0, -1.0]), jnp.array([100, 100, 100]))
    plain = bounds.margin_bound(0.1, n=100, depth=2, radius=1.0, delta=0.1).bound
    assert float(found[0]) == pytest.approx(float(plain), rel=1e-6)
    assert found[1:].tolist() == [jnp.inf, jnp.inf]

    @jax.jit
    def at(margins, radius, delta):
        return bounds.margin_loss_bound(margins, depth=2, radius=radius, delta=delta).bound

    assert bool(jnp.isfinite(at(-jnp.ones(3), 2.0, 0.1)))
    slope = jax.grad(lambda m: bounds.margin_bound(m, n=9, depth=2, radius=1.0, delta=0.1).bound)
    assert slope(0.0) == 0  # no bound to lower there, and no NaN
    assert slope(0.1) < 0


# Complexity --------------------------------------------------------------------------------------


def on_grid(x: np.ndarray, signs: np.ndarray, angles: int = 20_000) -> np.ndarray:
    """max_u |sum_i e_i relu(u . x_i)| over a grid of the circle, for each row of signs."""
    t = np.linspace(0, 2 * np.pi, angles, endpoint=False)
    active = np.maximum(np.stack([np.cos(t), np.sin(t)], 1) @ x.T, 0)
    return np.max(np.abs(active @ signs.T), axis=0)


def all_signs(n: int) -> np.ndarray:
    return np.array(list(itertools.product([1.0, -1.0], repeat=n)))


@pytest.mark.parametrize("seed", range(2))
def test_the_complexity_in_two_dimensions_is_that_of_all_signs_and_angles(seed: int):
    n = 7
    x = np.random.default_rng(seed).normal(size=(n, 2))
    exact = np.mean(on_grid(x, all_signs(n))) / (2 * n)
    found = margins.rademacher_complexity(KEY, jnp.asarray(x, jnp.float32), num_draws=2000)
    assert found.exact
    assert abs(float(found.mean) - exact) < 4 * float(found.standard_error)
    assert float(found.standard_error) < 0.01 * exact
    root_mean_square = math.sqrt(np.mean(np.sum(x**2, axis=1)))
    bound = float(bounds.rademacher_bound(n=n, depth=2, radius=root_mean_square))
    assert exact < root_mean_square / math.sqrt(n) < bound  # the first by contraction


@pytest.mark.parametrize("d", [1, 3, 5])
def test_the_complexity_of_one_point_repeated_is_that_of_a_random_walk(d: int):
    n = 9
    x = jnp.zeros((n, d)).at[:, 0].set(2.0)
    found = margins.rademacher_complexity(KEY, x, num_draws=400)
    walk = np.mean(np.abs(all_signs(n).sum(axis=1)))
    assert abs(float(found.mean) - walk / n) < 4 * float(found.standard_error)
    assert found.exact == (d <= 3)
    # the linear class |w| <= 1 of depth 1
    assert walk * 2 / n < float(bounds.rademacher_bound(n=n, depth=1, radius=2.0))


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
