"""The tangent kernel of finite networks: its definition, its limits, and other packages' models."""

from functools import partial
from typing import Any

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm


def rows(n: int, d: int, seed: int = 0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(n, d)), jnp.float32)


def by_jacobians(apply, params, x, z):
    """The definition, with the matrices of gradients."""

    def matrix(rows):
        leaves = jax.tree.leaves(jax.jacobian(lambda p: apply(p, rows))(params))
        scores = apply(params, rows)
        return jnp.concatenate([leaf.reshape(*scores.shape, -1) for leaf in leaves], axis=-1)

    if apply(params, x).ndim == 1:
        return matrix(x) @ matrix(z).T
    return jnp.einsum("iap,jbp->ijab", matrix(x), matrix(z))


def flax_model(outputs: int):
    class Model(nn.Module):
        @nn.compact
        def __call__(self, x):
            hidden = nn.tanh(nn.Dense(8)(x))
            return nn.Dense(outputs)(nn.LayerNorm()(hidden))

    model = Model()
    params = model.init(jax.random.key(0), rows(1, 3))

    def apply(params, x):
        scores = model.apply(params, x)
        assert isinstance(scores, jax.Array)
        return scores[:, 0] if outputs == 1 else scores

    return apply, params


def equinox_model(outputs: int):
    model = eqx.nn.MLP(3, "scalar" if outputs == 1 else outputs, 8, 2, key=jax.random.key(0))
    params, static = eqx.partition(model, eqx.is_inexact_array)
    return lambda params, x: jax.vmap(eqx.combine(params, static))(x), params


MODELS = {
    "flax": flax_model,
    "equinox": equinox_model,
    "two_layer": lambda k: (
        jm.two_layer,
        jm.init_two_layer(jax.random.key(0), 3, 8, k=None if k == 1 else k),
    ),
}


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("model", MODELS)
def test_any_model_has_the_kernel_of_its_gradients(model: str, outputs: int):
    apply, params = MODELS[model](outputs)
    x, z = rows(4, 3), rows(5, 3, seed=1)
    with jax.numpy_rank_promotion("allow"):
        kernel = jax.jit(partial(jm.empirical_ntk, apply))
        oracle = jax.jit(partial(by_jacobians, apply))
        actual, expected = kernel(params, x, z), oracle(params, x, z)
        own = kernel(params, x)
    assert actual.shape == ((4, 5) if outputs == 1 else (4, 5, outputs, outputs))
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)
    axes = (1, 0) if outputs == 1 else (1, 0, 3, 2)
    np.testing.assert_allclose(own, own.transpose(axes), rtol=1e-4, atol=1e-5)


def deviations(apply, init, limit, x, widths, trials: int = 16) -> np.ndarray:
    """Root of the mean squared deviation from the limit, for each width."""

    def deviation(m):
        def one(key):
            return jm.empirical_ntk(partial(apply, m), init(key, m), x) - limit

        found = jax.lax.map(one, jax.random.split(jax.random.key(m), trials))
        return jnp.sqrt(jnp.mean(found**2))

    return np.array([jax.jit(deviation, static_argnums=0)(m) for m in widths])


def rate(errors: np.ndarray, widths) -> float:
    return float(np.polyfit(np.log(widths), np.log(errors), 1)[0])


def test_two_layer_networks_converge_to_the_closed_form_at_the_rate_of_a_mean():
    x, r_w, r_u = rows(6, 3), 0.5, 2.0

    def init(key, m):
        params = jm.init_two_layer(key, 3, m)
        return jm.TwoLayer(r_u * params.u, r_w * params.w)

    def apply(m, params, x):  # f / sqrt(m), whose kernel is the mean over units of section 2
        return jm.two_layer(params, x) / m**0.5

    limit = jm.two_layer_ntk(x, r_w=r_w, r_u=r_u)
    widths = (64, 256, 1024)
    errors = deviations(apply, init, limit, x, widths)
    assert -0.65 < rate(errors, widths) < -0.35
    assert errors[-1] < 0.1 * float(jnp.max(limit))


def test_deep_networks_converge_to_the_closed_form():
    x, depth = rows(6, 3), 3

    def init(key, m):
        return jm.init_mlp(key, (3, m, m, 1), std=1.0)

    def apply(m, params, x):  # the parameterization of relu_ntk: W = sqrt(2 / fan_in) V
        return jm.mlp(tuple((2 / v.shape[1]) ** 0.5 * v for v in params), x)

    limit = jm.relu_ntk(x, depth=depth)
    widths = (32, 128, 512)
    errors = deviations(apply, init, limit, x, widths)
    assert -0.7 < rate(errors, widths) < -0.3
    assert errors[-1] < 0.2 * float(jnp.max(limit))


def test_no_matrix_of_gradients():
    n, m = 100, 300
    params, x = jm.init_mlp(jax.random.key(0), (10, m, m, 1)), jnp.ones((n, 10))
    kernel = jax.jit(lambda p, x: jm.empirical_ntk(jm.mlp, p, x))
    memory: Any = kernel.lower(params, x).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 4 * n * m * m / 10


def test_running_statistics_stay_outside_of_the_parameters():
    class Model(nn.Module):
        @nn.compact
        def __call__(self, x, *, train: bool):
            return nn.Dense(1)(nn.BatchNorm(use_running_average=not train)(nn.Dense(4)(x)))[:, 0]

    model, x = Model(), rows(4, 3)
    params, statistics = (
        model.init(jax.random.key(0), x, train=False)[name] for name in ("params", "batch_stats")
    )

    def apply(params, x, train=False):
        variables = {"params": params, "batch_stats": statistics}
        return model.apply(variables, x, train=train, mutable=["batch_stats"])[0]

    with jax.numpy_rank_promotion("allow"):
        kernel = jm.empirical_ntk(apply, params, x)
        np.testing.assert_allclose(kernel, by_jacobians(apply, params, x, x), rtol=1e-4, atol=1e-5)
        with pytest.raises(ValueError, match=r"own row of x, .* the scores of row 0 change"):
            jm.empirical_ntk(partial(apply, train=True), params, x)


def test_lists_and_integer_inputs():
    table = rows(5, 2)
    tokens: Any = [[1, 3], [4, 0]]
    kernel = jm.empirical_ntk(lambda p, x: jnp.sum(p[x], axis=(1, 2)), table, tokens)
    np.testing.assert_array_equal(kernel, [[4.0, 0.0], [0.0, 4.0]])


def test_pairs_of_outputs_and_the_matrix_of_all_of_them():
    (apply, params), x, z = MODELS["two_layer"](2), rows(4, 3), rows(5, 3, seed=1)
    kernel = jax.jit(partial(jm.empirical_ntk, apply), static_argnames="outputs")
    full = kernel(params, x, z)
    expected = {"diagonal": np.einsum("ijaa->ija", full), "trace": np.einsum("ijaa->ij", full)}
    for outputs, values in expected.items():
        np.testing.assert_allclose(kernel(params, x, z, outputs=outputs), values, rtol=1e-5)
    jacobian = jax.jacobian(lambda p, x: apply(p, x).reshape(-1))  # n k scores, a row at a time
    of_x, of_z = (
        np.concatenate([leaf.reshape(2 * len(r), -1) for leaf in jacobian(params, r)], axis=1)
        for r in (x, z)
    )
    matrix = full.transpose(0, 2, 1, 3).reshape(8, 10)
    np.testing.assert_allclose(matrix, of_x @ of_z.T, rtol=1e-4, atol=1e-5)
    scalar, w = MODELS["two_layer"](1)
    np.testing.assert_array_equal(
        jm.empirical_ntk(scalar, w, x, outputs="trace"), jm.empirical_ntk(scalar, w, x)
    )
