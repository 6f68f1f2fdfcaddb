"""The regularized objective against its formula, for norms, losses and libraries."""

import math

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmargin as jm
from jaxmargin.networks import norms

LEAST = float(np.finfo(np.float32).tiny)  # below it float32 may flush to zero

GENERAL_NORMS = {
    "l1": (norms.l1, lambda u, w: np.abs(u).sum() + np.abs(w).sum()),
    "l2": (norms.l2, lambda u, w: np.sqrt(np.sum(u**2) + np.sum(w**2))),
    "linf": (norms.linf, lambda u, w: max(np.abs(u).max(), np.abs(w).max())),
    "lp(3)": (norms.lp(3), lambda u, w: np.cbrt(np.sum(np.abs(u) ** 3) + np.sum(np.abs(w) ** 3))),
    "user's": (
        lambda params: norms.l2(params.u) + 2 * norms.l1(params.w),
        lambda u, w: np.linalg.norm(u) + 2 * np.abs(w).sum(),
    ),
}
PENALTIES = [
    *(("l2", r) for r in (0.5, 1, 2, 3)),
    *(("l1", r) for r in (0.5, 2)),
    *(("lp(3)", r) for r in (1, 3)),
    ("linf", 2.5),
    ("user's", 1.5),
]


def two_layer_problem():
    rng = np.random.default_rng(1)
    u, w, x = rng.normal(size=(2, 3)), rng.normal(size=2), rng.normal(size=(5, 3))
    return u, w, x, np.array([1.0, -1.0, 1.0, 1.0, -1.0])


@pytest.mark.parametrize(("name", "r"), PENALTIES)
def test_regularized_equals_its_formula(name: str, r: float):
    """Eq. 4.1, value and gradient, the latter against central differences in NumPy."""
    norm, oracle = GENERAL_NORMS[name]
    u, w, x, y = two_layer_problem()
    lam = 0.3

    def formula(theta: np.ndarray) -> float:
        u, w = theta[:6].reshape(2, 3), theta[6:]
        scores = np.maximum(x @ u.T, 0) @ w
        return float(np.mean(np.log1p(np.exp(-y * scores))) + lam * oracle(u, w) ** r)

    theta = np.concatenate([u.ravel(), w])
    differences = [
        (formula(theta + step) - formula(theta - step)) / 2e-6 for step in 1e-6 * np.eye(8)
    ]
    with jax.enable_x64(True):
        objective = jm.regularized(jm.two_layer, "logistic", lam=lam, r=r, norm=norm)
        params = jm.TwoLayer(jnp.asarray(u), jnp.asarray(w))
        value, gradient = jax.jit(jax.value_and_grad(objective))(params, x, y)
        np.testing.assert_allclose(value, formula(theta), rtol=1e-13)
        flat = np.concatenate([np.ravel(leaf) for leaf in gradient])
    np.testing.assert_allclose(flat, differences, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("name", "r"), [("l2", 0.5), ("l1", 0.5), *((name, 1.0) for name in GENERAL_NORMS)]
)
def test_regularized_at_zero(name: str, r: float):
    """The penalty's derivative at Theta = 0 is 0: what remains is the loss, log 2 there."""
    params = jm.TwoLayer(u=jnp.zeros((2, 3)), w=jnp.zeros(2))
    x, y = jnp.ones((4, 3)), jnp.ones(4)
    objective = jm.regularized(jm.two_layer, "logistic", lam=10.0, r=r, norm=GENERAL_NORMS[name][0])
    value, gradient = jax.jit(jax.value_and_grad(objective))(params, x, y)
    np.testing.assert_allclose(value, math.log(2), rtol=1e-6)
    assert not any(np.any(leaf) for leaf in gradient)


@pytest.mark.parametrize("r", [0.5, 1.0, 3.0])
def test_the_penalty_s_gradient_is_finite_and_right_next_to_zero(r: float):
    """d/dt t^r = r t^(r-1) of a single parameter, down to 1e-20 (float32)."""
    objective = jm.regularized(lambda params, x: x @ params, "squared", lam=1.0, r=r)
    t = jnp.array([1e-20])
    slope = jax.grad(objective)(t, jnp.zeros((1, 1)), jnp.zeros(1))
    np.testing.assert_allclose(slope, [r * 1e-20 ** (r - 1)], rtol=1e-5, atol=LEAST)


def linear(params, x):
    return x @ params


NAMED = {
    "logistic": (1, jnp.array([1.0, -1.0]), lambda f, y: np.log1p(np.exp(-f * y))),
    "squared": (1, jnp.array([0.5, -3.0]), lambda f, y: (f - y) ** 2),
    "cross_entropy": (
        3,
        jnp.array([2, 0]),
        lambda f, y: np.log(np.sum(np.exp(f), axis=1)) - f[np.arange(len(y)), y],
    ),
}


@pytest.mark.parametrize("loss", NAMED)
def test_named_losses(loss: str):
    outputs, y, oracle = NAMED[loss]
    rng = np.random.default_rng(2)
    weights = rng.normal(size=3 if outputs == 1 else (3, outputs)).astype(np.float32)
    x = rng.normal(size=(2, 3)).astype(np.float32)
    objective = jm.regularized(linear, loss, lam=0.5)
    value = objective(jnp.asarray(weights), jnp.asarray(x), y)
    expected = np.mean(oracle(x @ weights, np.asarray(y))) + 0.5 * np.sum(weights**2)
    np.testing.assert_allclose(value, float(expected), rtol=1e-6)


def test_a_user_s_loss_is_averaged():
    def hinge(scores, y):
        return jnp.maximum(0.0, 1 - y * scores)

    objective = jm.regularized(linear, hinge, lam=0.0)
    x, y = jnp.array([[1.0], [2.0], [3.0]]), jnp.array([1.0, 1.0, -1.0])
    np.testing.assert_allclose(objective(jnp.array([0.25]), x, y), (0.75 + 0.5 + 1.75) / 3)


def test_any_library_s_network():
    """The objective of a flax, an equinox and a plain network with the same weights agree."""
    x, y = jnp.asarray(np.random.default_rng(3).normal(size=(4, 3)), jnp.float32), jnp.ones(4)
    dense = nn.Dense(1, use_bias=False)
    kernel = jnp.array([[0.5], [-1.0], [2.0]])
    flax_params = {"params": {"kernel": kernel}}
    layer = eqx.nn.Linear(3, "scalar", use_bias=False, key=jax.random.key(1))
    equinox_params = eqx.tree_at(lambda layer: layer.weight, layer, kernel.T)
    models = [
        (lambda params, x: dense.bind(params)(x)[..., 0], flax_params),
        (lambda params, x: jax.vmap(params)(x), equinox_params),
        (lambda params, x: x @ params["w"], {"w": kernel[:, 0]}),
        (jm.mlp, (kernel.T,)),
    ]
    values = []
    for apply, params in models:
        objective = jm.regularized(apply, "logistic", lam=0.1, r=1.5)
        value, gradient = jax.value_and_grad(objective)(params, x, y)
        assert jax.tree.structure(gradient) == jax.tree.structure(params)
        values.append(value)
    np.testing.assert_allclose(values, values[0], rtol=1e-6)


@pytest.mark.parametrize("r", [0.5, 1.0, 2.0, 3.0])
def test_the_gradient_of_a_norm_from_elsewhere_is_zero_at_zero(r: float):
    """`optax.tree.norm` has derivative NaN there; beside zero it keeps its own."""
    params = {"w": jnp.zeros(3)}
    norm = optax.tree.norm
    objective = jm.regularized(lambda p, x: x @ p["w"], "squared", lam=1.0, r=r, norm=norm)
    x, y = jnp.zeros((2, 3)), jnp.zeros(2)
    value, gradient = jax.value_and_grad(objective)(params, x, y)
    assert value == 0
    np.testing.assert_array_equal(gradient["w"], [0, 0, 0])
    beside = jax.grad(objective)({"w": jnp.array([0.0, 3.0, 4.0])}, x, y)["w"]
    np.testing.assert_allclose(beside, r * 5 ** (r - 1) * np.array([0, 0.6, 0.8]), rtol=1e-5)


def test_an_objective_in_half_precision_is_a_mean_in_float32():
    """1,000 losses of 100 have the mean 100, and a sum that float16 does not hold."""
    objective = jm.regularized(lambda p, x: x * p, "squared", lam=0.5)
    value = objective(jnp.float16(10.0), jnp.ones(1000, "float16"), jnp.zeros(1000, "float32"))
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, 150)
