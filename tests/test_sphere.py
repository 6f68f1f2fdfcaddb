"""Maxima over the unit sphere against grids, every kink and symmetries; and uniform points."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmargin import sphere

maximum = jax.jit(sphere.maximum)


def height(x, dual, u):
    """|sum_i r_i relu(u . x_i)| by NumPy, for u (p, d)."""
    total = np.maximum(u @ x.T, 0) @ dual
    return np.abs(total) if dual.ndim == 1 else np.linalg.norm(total, axis=1)


def problem(d: int, k: int | None, n: int = 9, seed: int = 0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(size=n if k is None else (n, k))


def degenerate(x):
    """With a zero sample, a multiple, an opposite and two equal ones."""
    x = x.copy()
    x[1], x[2], x[3], x[5] = 0, 2 * x[0], -x[0], x[4]
    return x


def grid(d: int) -> np.ndarray:
    if d == 2:
        angle = np.linspace(0, 2 * np.pi, 20_001)
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)
    i = np.arange(100_000) + 0.5  # a Fibonacci spiral
    z, angle = 1 - 2 * i / len(i), np.pi * (1 + 5**0.5) * i
    return np.stack([np.sqrt(1 - z**2) * np.cos(angle), np.sqrt(1 - z**2) * np.sin(angle), z], 1)


@pytest.mark.parametrize("k", [None, 3])
@pytest.mark.parametrize("d", [2, 3])
def test_no_point_of_a_dense_grid_is_higher(d: int, k: int | None):
    dense = grid(d)
    with jax.enable_x64(True):
        for seed in range(3):
            x, dual = problem(d, k, seed=seed)
            for samples in (x, degenerate(x)):
                found = maximum(jnp.asarray(samples), jnp.asarray(dual))
                best = height(samples, dual, dense).max()
                u = np.asarray(found.direction)[None]
                np.testing.assert_allclose(height(samples, dual, u), found.value, rtol=1e-13)
                np.testing.assert_allclose(np.linalg.norm(u), 1, rtol=1e-14)
                assert best <= found.value * (1 + 1e-13)
                assert found.value <= best * (1 + {2: 3e-4, 3: 3e-3}[d])


@pytest.mark.parametrize("d", [2, 3, 5])
def test_a_peak_at_a_kink_is_met_exactly(d: int):
    """u_1+ - (3/4) |u_2| falls from u = e_1, across the samples +-e_2, to both sides."""
    x = np.eye(d)[[0, 1, 1]] * np.array([[1], [1], [-1]])
    with jax.enable_x64(True):
        found = maximum(jnp.asarray(x), jnp.asarray([1.0, -0.75, -0.75]))
    assert float(found.value) == pytest.approx(1.0, abs=1e-14)
    np.testing.assert_allclose(found.direction, np.eye(d)[0], atol=1e-12)


@pytest.mark.parametrize("k", [None, 2])
@pytest.mark.parametrize("d", [2, 3])
def test_every_kink_is_below(d: int, k: int | None):
    x, dual = problem(d, k, seed=11)
    if d == 2:
        kinks = np.stack([-x[:, 1], x[:, 0]], axis=1)
    else:
        kinks = np.cross(x[:, None], x[None])[~np.eye(len(x), dtype=bool)]
    kinks /= np.linalg.norm(kinks, axis=1, keepdims=True)
    with jax.enable_x64(True):
        found = maximum(jnp.asarray(x), jnp.asarray(dual))
    highest = height(x, dual, np.concatenate([kinks, -kinks])).max()
    assert highest <= float(found.value) * (1 + 1e-14)


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_one_sample(d: int):
    """relu(u . x) r is largest at u = x / |x|."""
    x, dual = problem(d, None, n=1)
    with jax.enable_x64(True):
        found = maximum(jnp.asarray(x), jnp.asarray(dual))
    np.testing.assert_allclose(found.value, abs(dual[0]) * np.linalg.norm(x), rtol=1e-13)
    np.testing.assert_allclose(found.direction, x[0] / np.linalg.norm(x), atol=1e-12)


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_nothing_to_find(d: int):
    found = maximum(jnp.zeros((2, d)), jnp.ones(2))
    assert float(found.value) == 0
    assert float(jnp.linalg.norm(found.direction)) == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("k", [None, 2])
@pytest.mark.parametrize("d", [2, 3])
def test_symmetries(d: int, k: int | None):
    """Permuted samples, scaled ones, rotated ones; a sample may be split in two."""
    x, dual = problem(d, k, seed=5)
    x, dual = np.concatenate([x, 0 * x]), np.concatenate([dual, 0 * dual])
    half, n = slice(0, len(x) // 2), len(x)
    rng = np.random.default_rng(1)
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    order = rng.permutation(n)
    twice = np.concatenate([x[half], x[half]])
    with jax.enable_x64(True):
        value = float(maximum(jnp.asarray(x), jnp.asarray(dual)).value)
        same = [
            (x[order], dual[order], 1),
            (x @ turn, dual, 1),
            (3 * x, dual, 3),
            (x, -2 * dual, 2),
            (twice, np.concatenate([dual[half] / 4, dual[half] * 3 / 4]), 1),
        ]
        for samples, weights, factor in same:
            found = maximum(jnp.asarray(samples), jnp.asarray(weights))
            assert float(found.value) == pytest.approx(factor * value, rel=1e-12)


@pytest.mark.parametrize("k", [None, 3])
def test_the_search_finds_what_the_enumeration_does(k: int | None):
    """Samples of a 3-dimensional subspace of R^6: the same maximum, by ascent."""
    x, dual = problem(3, k, seed=2)
    lift = np.linalg.qr(np.random.default_rng(3).normal(size=(6, 6)))[0][:3]
    with jax.enable_x64(True):
        exact = maximum(jnp.asarray(x), jnp.asarray(dual))
        searched = maximum(jnp.asarray(x @ lift), jnp.asarray(dual))
    np.testing.assert_allclose(searched.value, exact.value, rtol=1e-9)


@pytest.mark.parametrize("d", [2, 4])
def test_maxima_lie_apart_and_fall(d: int):
    x, dual = (jnp.asarray(part, jnp.float32) for part in problem(d, None, seed=4))
    found = jax.jit(lambda x, dual: sphere.maxima(x, dual, 4, separation=0.2))(x, dual)
    assert float(found.value[0]) == pytest.approx(float(maximum(x, dual).value), rel=1e-6)
    finite = np.isfinite(found.value)
    assert np.all(np.diff(np.asarray(found.value)[finite]) <= 0)
    cosines = np.asarray(found.direction)[finite] @ np.asarray(found.direction)[finite].T
    assert np.all(cosines[~np.eye(len(cosines), dtype=bool)] <= np.cos(0.2) + 1e-6)


def test_fewer_maxima_than_asked_are_followed_by_minus_infinity():
    found = sphere.maxima(jnp.ones((1, 1)), jnp.ones(1), 3)
    assert found.value.tolist() == [1.0, 0.0, -np.inf]


@pytest.mark.parametrize("k", [None, 2])
def test_the_gradient_is_that_of_the_value_at_the_maximum(k: int | None):
    x, dual = problem(3, k, seed=6)
    with jax.enable_x64(True):
        x, dual = jnp.asarray(x), jnp.asarray(dual)
        slopes = jax.grad(lambda x, dual: sphere.maximum(x, dual).value, argnums=(0, 1))(x, dual)
        for which, step in ((0, 1e-6), (1, 1e-6)):
            change = step * np.random.default_rng(7).normal(size=slopes[which].shape)
            moved = [
                (x + s * change, dual) if which == 0 else (x, dual + s * change) for s in (1, -1)
            ]
            ahead, behind = (float(maximum(*at).value) for at in moved)
            expected = float(jnp.sum(slopes[which] * change))
            assert (ahead - behind) / 2 == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("power", [-20, 20])
def test_inputs_near_the_ends_of_float32(power: int):
    x, dual = problem(3, 2)
    expected = float(maximum(jnp.asarray(x, jnp.float32), jnp.asarray(dual, jnp.float32)).value)
    x = jnp.asarray(x * 10.0**power, jnp.float32)
    found = maximum(x, jnp.asarray(dual, jnp.float32))
    assert float(found.value) == pytest.approx(expected * 10.0**power, rel=1e-5)


def test_many_samples_under_jit():
    """Arguments too large to be passed by value to the host."""
    x, dual = problem(60, None, n=1500)
    found = maximum(jnp.asarray(x[:, :2], jnp.float32), jnp.asarray(dual, jnp.float32))
    best = height(x[:, :2], dual, grid(2)).max()
    assert float(found.value) == pytest.approx(best, rel=1e-5)


def test_uniform_points_have_the_moments_of_the_sphere():
    """E theta = 0, E theta theta' = I / D, E theta_1^4 = 3 / (D (D + 2)), within 5 errors."""
    m, dim = 40_000, 5
    theta = np.asarray(sphere.sample_sphere(jax.random.key(3), m, dim))
    np.testing.assert_allclose(np.linalg.norm(theta, axis=1), 1, rtol=1e-6)
    products = theta[:, :, None] * theta[:, None, :]
    for values, mean in [
        (theta, 0.0),
        (products, np.eye(dim) / dim),
        (theta**4, 3 / (dim * (dim + 2))),
    ]:
        error = values.std(axis=0) / m**0.5
        assert (np.abs(values.mean(axis=0) - mean) < 5 * error).all()
    in_one_dimension = np.asarray(sphere.sample_sphere(jax.random.key(0), 50, 1))
    assert set(in_one_dimension.ravel()) == {-1.0, 1.0}


def test_the_public_names_are_listed():
    assert set(sphere.__all__) == {"SphereMaximum", "maxima", "maximum", "sample_sphere"}
