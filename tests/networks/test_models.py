"""Networks against loops in NumPy, and what the activation patterns promise."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from tests.networks.nets import ACTIVATIONS, draw, network, two_layer_network

BATCHES = [(), (5,), (2, 3)]

every_activation = pytest.mark.parametrize(
    ("activation", "oracle"), ACTIVATIONS.values(), ids=ACTIVATIONS.keys()
)
every_batch = pytest.mark.parametrize("batch", BATCHES, ids=str)


def mlp_oracle(matrices, x: np.ndarray, phi) -> np.ndarray:
    """Eq. 4.2 of one input in float64, layer by layer; also the pre-activations."""
    hidden, preactivations = np.asarray(x, np.float64), []
    for matrix in matrices:
        outputs = np.array([sum(w * h for w, h in zip(row, hidden, strict=True)) for row in matrix])
        preactivations.append(outputs)
        hidden = phi(outputs)
    return np.concatenate(preactivations)


@every_batch
@pytest.mark.parametrize("k", [None, 1, 2])
def test_two_layer_is_the_sum_over_units(batch: tuple[int, ...], k: int | None):
    params = two_layer_network(0, k=k)
    (x,) = draw(1, (*batch, 3))
    output = jm.two_layer(params, jnp.asarray(x))
    u, w = np.asarray(params.u, np.float64), np.asarray(params.w, np.float64)
    assert output.shape == (batch if k is None else (*batch, k))
    for index in np.ndindex(batch):
        expected = sum(w[j] * max(0.0, u[j] @ x[index]) for j in range(4))
        np.testing.assert_allclose(output[index], expected, rtol=1e-5, atol=1e-6)


@every_batch
@every_activation
def test_mlp_is_the_composition(batch: tuple[int, ...], activation, oracle):
    for k in (1, 2):
        params = network(2, (4, 3), (5, 4), (k, 5))
        (x,) = draw(3, (*batch, 3))
        output = jm.mlp(params, jnp.asarray(x), activation=activation)
        assert output.shape == (batch if k == 1 else (*batch, k))
        for index in np.ndindex(batch):
            expected = mlp_oracle(params, x[index], oracle)[-k:]
            np.testing.assert_allclose(np.ravel(output[index]), expected, rtol=1e-5, atol=1e-5)


def test_two_layer_is_the_mlp_of_depth_two():
    params, (x,) = two_layer_network(4), network(5, (6, 3))
    as_mlp = (params.u, params.w[None, :])
    np.testing.assert_allclose(jm.mlp(as_mlp, x), jm.two_layer(params, x), rtol=1e-6)


@every_activation
def test_activation_pattern_of_each_unit_and_example(activation, oracle):
    params = network(18, (4, 3), (5, 4), (1, 5))
    (x,) = draw(19, (6, 3))
    pattern = jm.activation_pattern(params, jnp.asarray(x), activation=activation)
    assert pattern.shape == (6, 9)
    for i in range(6):
        np.testing.assert_array_equal(pattern[i], mlp_oracle(params, x[i], oracle)[:9] >= 0)


@every_batch
def test_activation_pattern_of_any_batch(batch: tuple[int, ...]):
    params = two_layer_network(20)
    (x,) = draw(21, (*batch, 3))
    pattern = jm.activation_pattern(params, jnp.asarray(x))
    np.testing.assert_array_equal(pattern, x @ np.asarray(params.u).T >= 0)
    assert pattern.shape == (*batch, 4)


def test_a_unit_on_the_boundary_is_active():
    params = jm.TwoLayer(u=jnp.array([[0.0, 1.0], [0.0, 0.0]]), w=jnp.ones(2))
    assert jm.activation_pattern(params, jnp.array([[3.0, 0.0]])).all()


def test_pattern_change_counts_pairs():
    x = network(22, (6, 3))[0]
    cases = [
        (two_layer_network(23), two_layer_network(24)),
        (network(25, (4, 3), (5, 4), (1, 5)), network(26, (4, 3), (5, 4), (1, 5))),
    ]
    for before, after in cases:
        changed = pairs = 0
        for row in np.asarray(x):
            old, new = (
                mlp_oracle(params[:-1], row, lambda h: np.maximum(h, 0))
                for params in (before, after)
            )
            for a, b in zip(old, new, strict=True):
                changed += (a >= 0) != (b >= 0)
                pairs += 1
        np.testing.assert_allclose(jm.pattern_change(before, after, x), changed / pairs, rtol=1e-6)
        assert jm.pattern_change(before, before, x) == 0
    before = two_layer_network(23)
    opposite = before._replace(u=-before.u)
    assert jm.pattern_change(before, opposite, x) == 1
    rescaled = before._replace(u=3 * before.u, w=-before.w)
    assert jm.pattern_change(before, rescaled, x) == 0


def test_pattern_change_of_integer_inputs_is_a_fraction():
    before = jm.TwoLayer(u=jnp.array([[1.0, 0.0], [0.0, 1.0]]), w=jnp.ones(2))
    after = before._replace(u=jnp.array([[1.0, 0.0], [0.0, -1.0]]))
    with jax.numpy_dtype_promotion("standard"):
        change = jm.pattern_change(before, after, jnp.array([[1, 2], [3, 4]]))
    assert change == 0.5


def test_initial_weights_have_the_documented_scale():
    """k standard errors: the variance of n normal weights has standard error std^2 sqrt(2/n)."""
    params = jm.init_two_layer(jax.random.key(0), 20, 100, std=0.3)
    deep = jm.init_mlp(jax.random.key(1), (50, 80, 40))
    scaled = jm.init_mlp(jax.random.key(2), (50, 80, 40), std=(2.0, 0.5))
    expected = [0.3, 0.3, *(math.sqrt(2 / fan_in) for fan_in in (50, 80)), 2.0, 0.5]
    for matrix, std in zip([*params, *deep, *scaled], expected, strict=True):
        n = matrix.size
        assert abs(np.mean(matrix)) < 4 * std / math.sqrt(n)
        assert abs(np.var(matrix) - std**2) < 4 * std**2 * math.sqrt(2 / n)


def test_initial_weights_depend_on_the_key_and_differ_between_layers():
    square = partial(jm.init_two_layer, d=8, m=8, k=8), partial(jm.init_mlp, widths=(8, 8, 8, 8))
    for init in square:
        first, again, other = (init(jax.random.key(seed)) for seed in (0, 0, 1))
        jax.tree.map(np.testing.assert_array_equal, first, again)
        matrices = [np.asarray(matrix) for matrix in (*first, *other)]
        assert len({matrix.tobytes() for matrix in matrices}) == len(matrices)


def test_pattern_change_of_integer_parameters_is_a_fraction():
    before = jm.TwoLayer(u=jnp.array([[1], [-1]]), w=jnp.ones(2, int))
    after = before._replace(u=jnp.array([[1], [1]]))
    assert jm.pattern_change(before, after, jnp.array([[2], [3]])) == 0.5
