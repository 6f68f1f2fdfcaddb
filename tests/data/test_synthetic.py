"""Statistics of the random data (k standard errors, fixed seeds), and the exact supports."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from jaxmargin import data

K = 4.5  # standard errors allowed to each of some hundred statistics of a correct sampler


@pytest.fixture(scope="module")
def axes_sample() -> tuple[np.ndarray, np.ndarray]:
    x, y = data.two_axis(jax.random.key(0), 20_000, 6)
    return np.asarray(x, np.float64), np.asarray(y, np.float64)


def test_two_axis_has_the_structure_of_equation_2_1(axes_sample):
    x, y = axes_sample
    assert set(np.unique(y)) == {-1.0, 1.0}
    np.testing.assert_array_equal(np.abs(x[:, 0]), y == 1)
    np.testing.assert_array_equal(np.abs(x[:, 1]), y == -1)
    np.testing.assert_array_equal(np.abs(x[:, 2:]), 1.0)


def test_two_axis_puts_a_quarter_on_each_of_the_four_cases(axes_sample):
    x, _ = axes_sample
    n = len(x)
    for head in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        share = np.mean((x[:, :2] == head).all(1))
        assert abs(share - 0.25) < K * math.sqrt(0.25 * 0.75 / n), head


def test_two_axis_noise_is_fair_and_independent(axes_sample):
    """Each noise bit, and each product of two, with y or with the signal's sign: mean 0."""
    x, y = axes_sample
    signs = np.column_stack([y, x[:, 0] + x[:, 1], x[:, 2:]])
    n, columns = signs.shape
    moments = signs.T @ signs / n
    off_diagonal = moments[~np.eye(columns, dtype=bool)]
    assert np.abs(signs.mean(0)).max() < K / math.sqrt(n)
    assert np.abs(off_diagonal).max() < K / math.sqrt(n)
    triples = [np.mean(y * x[:, i] * x[:, j]) for i in range(2, 6) for j in range(2, i)]
    assert np.abs(triples).max() < K / math.sqrt(n)
    # Nor do the labels reappear among the signs of other samples, as from a key used twice.
    assert abs(np.mean(y * x.ravel()[:n])) < K / math.sqrt(n)


def test_two_axis_without_noise_and_in_float64():
    x, _ = data.two_axis(jax.random.key(1), 5, 2)
    assert x.shape == (5, 2)
    with jax.enable_x64(True):
        x, y = data.two_axis(jax.random.key(1), 5, 3)
        assert x.dtype == y.dtype == jnp.float64


@pytest.mark.parametrize("inputs", ["gaussian", "sphere"])
def test_teacher_labels_by_the_sign_and_respects_the_margin(inputs):
    x, y, network = data.teacher(
        jax.random.key(2), 300, d=5, hidden=4, margin=0.3, inputs=inputs, max_majority=0.6
    )
    u, w = (np.asarray(leaf, np.float64) for leaf in network)
    scores = np.maximum(np.asarray(x, np.float64) @ u.T, 0) @ w
    assert (x.shape, y.shape, u.shape) == ((300, 5), (300,), (4, 5))
    np.testing.assert_array_equal(y, np.sign(scores))
    assert np.abs(scores).min() >= 0.3 * (1 - 1e-5)
    assert np.mean(np.asarray(y) == 1) == pytest.approx(0.5, abs=0.1)
    assert len(np.unique(x, axis=0)) == 300


def test_gaussian_inputs_have_gaussian_moments():
    """Moments 1 to 4 of N(0, 1), whose standard errors are sqrt(1, 2, 15, 96) / sqrt(n)."""
    x = np.asarray(data.teacher(jax.random.key(3), 4000, d=5, hidden=60).x, np.float64)
    n = x.size
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(np.mean(x**power) - moment) < K * math.sqrt(variance / n), power
    products = np.asarray(x).T @ x / len(x)
    assert np.abs(products - np.diag(np.diag(products))).max() < K / math.sqrt(len(x))


def test_sphere_inputs_are_uniform_on_the_unit_sphere():
    """E[x] = 0, E[x x^T] = I / d, E[x_1^4] = 3 / (d (d + 2))."""
    d = 5
    x = data.teacher(jax.random.key(4), 4000, d=d, hidden=60, inputs="sphere").x
    x = np.asarray(x, np.float64)
    n = len(x)
    fourth = 3 / (d * (d + 2))
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1, rtol=1e-6)
    assert np.abs(x.mean(0)).max() < K / math.sqrt(d * n)
    second = x.T @ x / n
    assert np.abs(second - np.eye(d) / d).max() < K * math.sqrt(fourth / n)
    eighth = 105 / (d * (d + 2) * (d + 4) * (d + 6))
    assert np.abs(np.mean(x**4, axis=0) - fourth).max() < K * math.sqrt(eighth / n)


def test_max_majority_is_respected_and_needed():
    keys = jax.random.split(jax.random.key(5), 8)

    def majority(key, bound: float) -> float:
        y = data.teacher(key, 200, d=3, hidden=2, max_majority=bound).y
        return max(float(np.mean(y == 1)), float(np.mean(y == -1)))

    assert max(majority(key, 1.0) for key in keys) > 0.65
    assert max(majority(key, 0.55) for key in keys) <= 0.55


def test_few_samples_at_a_rare_margin():
    """One input in about ten has this margin: a single one must still be found."""
    for seed in range(10):
        x, y, f = data.teacher(jax.random.key(seed), 1, d=3, hidden=3, margin=3.0)
        assert float((y * jm.two_layer(f, x))[0]) > 3 * (1 - 1e-5)


@pytest.mark.parametrize(
    "sample",
    [
        lambda key: data.two_axis(key, 20, 5),
        lambda key: data.teacher(key, 20, d=5, hidden=3, margin=0.1),
        lambda key: data.teacher(key, 20, d=5, hidden=3, inputs="sphere", max_majority=0.7),
    ],
)
def test_the_key_determines_the_sample(sample):
    first, again, other = (sample(jax.random.key(seed)) for seed in (7, 7, 8))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert not np.array_equal(first[0], other[0])


def test_sinusoid_alternates_in_equal_runs():
    """2 cycles of 40 points: four half waves of ten points, the first positive."""
    x, y = data.sinusoid(40, cycles=2.0, low=-3.0, high=5.0)
    np.testing.assert_allclose(x[:, 0], np.linspace(-3, 5, 40), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(y, np.repeat([1.0, -1.0, 1.0, -1.0], 10))


@pytest.mark.parametrize("d", [3, 4, 6])
def test_the_support_of_d_is_every_point_once_with_its_label(d: int):
    x, y = (np.asarray(part, np.float64) for part in data.support_of_d(d))
    axes = [(1, 0, 1), (-1, 0, 1), (0, 1, -1), (0, -1, -1)]
    expected = {
        (a, b, *z, label) for a, b, label in axes for z in itertools.product((-1, 1), repeat=d - 2)
    }
    rows = [tuple(row) for row in np.column_stack([x, y]).tolist()]
    assert len(rows) == len(set(rows)) == 2**d
    assert set(rows) == expected


def test_what_is_drawn_lies_in_the_support_of_d():
    x, y = data.support_of_d(4)
    rows = {tuple(row) for row in np.column_stack([x, y]).tolist()}
    drawn = data.two_axis(jax.random.key(0), 500, 4)
    assert {tuple(row) for row in np.column_stack(drawn).tolist()} == rows


def test_the_support_of_d_has_the_dtype_of_the_setting():
    with jax.enable_x64(True):
        assert {part.dtype for part in data.support_of_d(3)} == {jnp.dtype("float64")}
    assert {part.dtype for part in data.support_of_d(3)} == {jnp.dtype("float32")}


def test_the_targets_on_the_four_groups():
    """sign(x_1 - 1/2) differs from the label on (-1, 0) only."""
    axes, labels = data.groups_of_d()
    same, half_space = data.groups_of_d("half_space")
    np.testing.assert_array_equal(axes, same)
    np.testing.assert_array_equal(labels, np.abs(axes[:, 0]) - np.abs(axes[:, 1]))
    np.testing.assert_array_equal(half_space, np.sign(axes[:, 0] - 0.5))
    assert axes[labels != half_space].tolist() == [[-1, 0]]


def test_embed_puts_two_coordinates_first():
    z = np.arange(6, dtype=np.float32).reshape(3, 2)
    np.testing.assert_array_equal(data.embed(jnp.asarray(z), 2, -1)[:, 2:], z)
    np.testing.assert_array_equal(data.embed(jnp.asarray(z), 2, -1)[:, :2], [[2, -1]] * 3)


def test_embed_of_integers_does_not_truncate():
    found = data.embed(jnp.ones((1, 1), int), 0.5, -0.5)
    assert found.tolist() == [[0.5, -0.5, 1.0]]
