"""What homogeneity promises: degrees, balanced layers, and wider networks of the same margin."""

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
from tests.networks.nets import ACTIVATIONS, network, two_layer_network


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("activation", [phi for phi, _ in ACTIVATIONS.values()], ids=ACTIVATIONS)
def test_the_degree_is_the_depth(depth: int, activation):
    shapes = [(4, 3), *[(4, 4)] * (depth - 2), (1, 4)] if depth > 1 else [(1, 3)]
    (x,) = network(7, (6, 3))
    apply = partial(jm.mlp, activation=activation)
    degree, residual = jm.homogeneity_degree(apply, network(6, *shapes), x)
    np.testing.assert_allclose(degree, depth, atol=1e-5)
    assert residual < 1e-5


@pytest.mark.parametrize("scale", [1.0, 1e-8, 1e12])
def test_the_degree_of_a_deep_network_whose_outputs_leave_the_range_of_floats(scale: float):
    layers = jm.init_mlp(jax.random.key(0), (3, *[16] * 39, 1))
    (x,) = network(7, (6, 3))
    degree, residual = jm.homogeneity_degree(jm.mlp, [scale * w for w in layers], x)
    np.testing.assert_allclose(degree, 40, atol=1e-3)
    assert residual < 2e-4


def test_the_degree_in_half_precision():
    (x,) = network(7, (6, 3))
    layers = [layer.astype("bfloat16") for layer in network(6, (8, 3), (8, 8), (1, 8))]
    degree, residual = jm.homogeneity_degree(jm.mlp, layers, x.astype("bfloat16"))
    np.testing.assert_allclose(degree, 3, atol=1e-5)
    assert residual < 1e-5


def test_the_gradient_of_the_residual_is_finite_where_it_is_zero():
    layers = network(6, (8, 3), (1, 8))
    (x,) = network(7, (6, 3))
    slope = jax.grad(lambda p: jm.homogeneity_degree(jm.mlp, p, x).residual)(layers)
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in slope)


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


def test_balance_of_the_weights_of_other_libraries():
    """A whole module of equinox has functions among its leaves, which the error says to part."""
    (x,) = network(16, (6, 3))
    module = eqx.nn.Sequential(
        [
            eqx.nn.Linear(3, 5, use_bias=False, key=jax.random.key(0)),
            eqx.nn.Lambda(jax.nn.relu),
            eqx.nn.Linear(5, 1, use_bias=False, key=jax.random.key(1)),
        ]
    )
    params, static = eqx.partition(module, eqx.is_array)
    model = nn.Sequential([nn.Dense(5, use_bias=False), nn.relu, nn.Dense(1, use_bias=False)])
    for apply, weights in (
        (lambda p, x: jax.vmap(eqx.combine(p, static))(x), params),
        (lambda p, x: jnp.asarray(model.apply(p, x)), model.init(jax.random.key(2), x)),
    ):
        leaves, structure = jax.tree.flatten(weights)
        uneven = jax.tree.unflatten(structure, [10 * leaves[0], leaves[1] / 3])
        balanced = jm.balance(uneven)
        sizes = [norms.l2(leaf) for leaf in jax.tree.leaves(balanced)]
        np.testing.assert_allclose(sizes, sizes[0], rtol=1e-5)
        np.testing.assert_allclose(apply(balanced, x), apply(uneven, x), rtol=1e-4, atol=1e-5)
    with pytest.raises(TypeError, match=r"params.* must hold floats, .* eqx.partition or nnx.spl"):
        jm.balance(module)


def test_balance_in_half_precision_keeps_the_dtype():
    layers = [layer.astype("bfloat16") for layer in network(6, (8, 3), (1, 8))]
    assert [layer.dtype for layer in jm.balance(layers)] == ["bfloat16"] * 2


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
