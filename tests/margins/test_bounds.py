"""The bounds are the formulas of the theorems, and the best gamma is the best."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

import jaxmargin as jm
from jaxmargin import margins
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


def test_integers_are_numbers():
    small: Any = np.uint8(3)
    bound = margins.rademacher_bound(n=10, depth=small, radius=1)
    assert bound == margins.rademacher_bound(n=10, depth=3, radius=1.0)
    kinds: list[Any] = [np.array([1, 2], np.int8), np.array([1.0, 2.0], np.float32)]
    found = [margins.margin_loss_bound(m, depth=1, radius=3, delta=0.1).bound for m in kinds]
    assert np.isfinite(found[0])
    assert found[0] == found[1]


def test_depths_whose_bound_only_float64_holds():
    with jax.enable_x64(True):
        bound = margins.rademacher_bound(n=1, depth=120, radius=1.0)
    np.testing.assert_allclose(bound, (np.sqrt(240 * np.log(2)) + 1) * 120.0**-60, rtol=1e-13)


def test_the_measured_bound_holds_the_complexity_of_all_samples():
    """The expected complexity is below what samples show in as many draws as promised."""
    n, setting = 300, {"radius": 1.0, "delta": 0.1}

    def on_circle(key):
        angles = jax.random.uniform(key, (n,), maxval=2 * jnp.pi)
        return jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=1)

    found = [
        margins.rademacher_complexity(key, on_circle(key), num_draws=5)
        for key in jax.random.split(KEY, 40)
    ]
    expected = np.mean([float(one.mean) for one in found])
    bound = [margins.measured_margin_bound(0.5, one, **setting) for one in found]
    measured = np.array([float(one.complexity) for one in bound]) * 0.5 / 4
    assert np.mean(measured >= expected) >= 0.9
    assert np.mean([float(one.mean) >= expected for one in found]) < 0.7  # alone it is too low
    np.testing.assert_allclose(bound[0].bound, sum(bound[0][2:]), rtol=1e-6)


def test_the_measured_bound_tends_to_the_measured_complexity():
    exact = margins.RademacherEstimate(jnp.array(0.4e-4), jnp.array(0.0), True, 10**8, 10**4)
    found = margins.measured_margin_bound(0.25, exact, radius=1.0, delta=0.01)
    np.testing.assert_allclose(found.complexity, 4 * 0.4e-4 / 0.25, rtol=0.1)
    plain = margins.margin_bound(0.25, n=10**8, depth=2, radius=1.0, delta=0.01)
    assert found.bound < 0.45 * plain.bound
    assert plain.uniformity == found.uniformity
    assert found.complexity > 4 * 0.4e-4 / 0.25
