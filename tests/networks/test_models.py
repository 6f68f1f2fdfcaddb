"""Networks against loops in NumPy; what balance, widen and the activation patterns promise."""

import math
from functools import partial

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from jaxmargin.networks import norms

ACTIVATIONS = {
    "relu": (jax.nn.relu, lambda h: np.maximum(h, 0)),
    "leaky relu": (jax.nn.leaky_relu, lambda h: np.where(h > 0, h, 0.01 * h)),
    "abs": (jnp.abs, np.abs),
    "identity": (lambda h: h, lambda h: h),
}
BATCHES = [(), (5,), (2, 3)]

every_activation = pytest.mark.parametrize(
    ("activation", "oracle"), ACTIVATIONS.values(), ids=ACTIVATIONS.keys()
)
every_batch = pytest.mark.parametrize("batch", BATCHES, ids=str)


def draw(seed: int, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def network(seed: int, *shapes: tuple[int, ...]) -> tuple[jax.Array, ...]:
    return tuple(jnp.asarray(matrix) for matrix in draw(seed, *shapes))


def two_layer_network(seed: int, m: int = 4, d: int = 3, k: int | None = None) -> jm.TwoLayer:
    return jm.TwoLayer(*network(seed, (m, d), (m,) if k is None else (m, k)))


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


@pytest.mark.parametrize("depth", [1, 2, 4])
@every_activation
def test_the_degree_is_the_depth(depth: int, activation, oracle):
    shapes = [(4, 3), *[(4, 4)] * (depth - 2), (1, 4)] if depth > 1 else [(1, 3)]
    (x,) = network(7, (6, 3))
    apply = partial(jm.mlp, activation=activation)
    degree, residual = jm.homogeneity_degree(apply, network(6, *shapes), x)
    np.testing.assert_allclose(degree, depth, atol=1e-5)
    assert residual < 1e-5


def test_the_degree_of_other_functions():
    x = jnp.ones((3, 2))
    params = {"w": jnp.array([1.0, 2.0])}
    powers = {0.0: lambda p, x: x @ (p["w"] / norms.l2(p)), 0.5: lambda p, x: x @ p["w"] ** 0.5}
    for expected, apply in powers.items():
        degree, residual = jm.homogeneity_degree(apply, params, x)
        np.testing.assert_allclose(degree, expected, atol=1e-6)
        assert residual < 1e-5
    vanishing = jm.homogeneity_degree(lambda p, x: 0 * (x @ p["w"]), params, x)
    assert jnp.isnan(vanishing.degree)
    assert jnp.isnan(vanishing.residual)


class FlaxMlp(nn.Module):
    use_bias: bool

    @nn.compact
    def __call__(self, x):
        for _ in range(2):
            x = nn.relu(nn.Dense(8, self.use_bias, bias_init=nn.initializers.ones)(x))
        return nn.Dense(1, self.use_bias)(x)[..., 0]


def flax_model(use_bias: bool):
    model = FlaxMlp(use_bias)
    params = model.init(jax.random.key(0), jnp.ones((1, 3)))
    return model.apply, params


def equinox_model(use_bias: bool):
    model = eqx.nn.MLP(
        3, "scalar", 8, 2, use_bias=use_bias, use_final_bias=use_bias, key=jax.random.key(1)
    )
    params, static = eqx.partition(model, eqx.is_array)
    return lambda params, x: jax.vmap(eqx.combine(params, static))(x), params


@pytest.mark.parametrize("make", [flax_model, equinox_model])
def test_a_bias_breaks_homogeneity(make):
    (x,) = network(8, (6, 3))
    apply, params = make(False)
    degree, residual = jm.homogeneity_degree(apply, params, x)
    np.testing.assert_allclose(degree, 3, atol=1e-5)
    assert residual < 1e-5
    apply, params = make(True)
    assert jm.homogeneity_degree(apply, params, x).residual > 0.1


def test_a_bias_as_a_constant_feature_keeps_homogeneity():
    (x,) = network(9, (2, 4, 3))
    extended = jm.append_one(x)
    np.testing.assert_array_equal(extended[..., :3], x)
    np.testing.assert_array_equal(extended[..., 3], np.ones((2, 4)))
    assert jm.homogeneity_degree(jm.two_layer, two_layer_network(9, d=4), extended).residual < 1e-5


def layer_norms(params) -> np.ndarray:
    return np.array([np.linalg.norm(np.asarray(layer, np.float64)) for layer in params])


@pytest.mark.parametrize("scales", [(1.0, 1.0, 1.0), (1e20, 1e-10, 1e-8), (1e-15, 1e30, 1e-12)])
@pytest.mark.parametrize("seed", range(3))
def test_balance(seed: int, scales: tuple[float, ...]):
    """Proof of Proposition D.1: same function, equal layer norms, norm not larger."""
    layers = network(seed, (4, 3), (5, 4), (1, 5))
    params = tuple(scale * layer for scale, layer in zip(scales, layers, strict=True))
    balanced = jm.balance(params)
    norm = layer_norms(params)
    geometric_mean = math.exp(np.mean(np.log(norm)))
    np.testing.assert_allclose(layer_norms(balanced), [geometric_mean] * 3, rtol=1e-5)
    assert np.sum(layer_norms(balanced) ** 2) <= np.sum(norm**2) * (1 + 1e-5)
    (x,) = network(seed + 10, (6, 3))
    np.testing.assert_allclose(jm.mlp(balanced, x), jm.mlp(params, x), rtol=3e-5)


def test_balance_of_two_layers_and_of_balanced_ones():
    (x,) = network(11, (6, 3))
    for k in (None, 2):
        params = two_layer_network(12, k=k)
        balanced = jm.balance(params)
        assert isinstance(balanced, jm.TwoLayer)
        np.testing.assert_allclose(
            jm.two_layer(balanced, x), jm.two_layer(params, x), rtol=1e-5, atol=1e-6
        )
        again = jm.balance(balanced)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), again, balanced)


def test_balance_of_a_zero_layer_is_zero():
    """The function is zero already, and no other parameters of equal layer norms give it."""
    params = (jnp.ones((4, 3)), jnp.zeros((5, 4)), jnp.ones((1, 5)))
    assert not layer_norms(jm.balance(params)).any()


def test_widen_keeps_function_norms_and_margin():
    """Theorem 4.3: the maximum margin never falls with the width."""
    x, y = network(13, (6, 3))[0], jnp.array([1.0, -1.0] * 3)
    cases = [
        (jm.two_layer, two_layer_network(14), 9),
        (jm.mlp, network(15, (4, 3), (5, 4), (1, 5)), (7, 5)),
    ]
    for apply, params, widths in cases:
        wide = jm.widen(params, widths)
        assert type(wide) is type(params)
        np.testing.assert_allclose(apply(wide, x), apply(params, x), rtol=1e-6, atol=1e-6)
        for norm in (norms.l1, norms.l2, norms.linf, norms.lp(3)):
            np.testing.assert_allclose(norm(wide), norm(params), rtol=1e-6)
        np.testing.assert_allclose(
            jm.normalized_margin(apply, wide, x, y),
            jm.normalized_margin(apply, params, x, y),
            rtol=1e-5,
        )


def test_widen_adds_zero_units_and_nothing_else():
    params = network(16, (4, 3), (5, 4), (2, 5))
    wide = jm.widen(params, (6, 8))
    assert [matrix.shape for matrix in wide] == [(6, 3), (8, 6), (2, 8)]
    for small, large in zip(params, wide, strict=True):
        rows, columns = small.shape
        np.testing.assert_array_equal(large[:rows, :columns], small)
        assert np.count_nonzero(large) == np.count_nonzero(small)
    outputs = two_layer_network(17, k=2)
    assert jm.widen(outputs, 6).w.shape == (6, 2)
    jax.tree.map(np.testing.assert_array_equal, jm.widen(outputs, 4), outputs)


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
