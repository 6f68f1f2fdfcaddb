"""Losses against long doubles where exp over- and underflows; the regularized objective."""

import math

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from jaxmargin.networks import norms

LEAST = float(np.finfo(np.float32).tiny)  # below it float32 may flush to zero
MARGINS = np.array([-1e4, -50.0, -1e-3, 0.0, 1e-3, 50.0, 1e4], np.float32)


def softplus_oracle(t) -> np.ndarray:
    """log(1 + e^t) in 80 bits."""
    t = np.asarray(t, np.longdouble)
    return np.where(t > 0, t + np.log1p(np.exp(-abs(t))), np.log1p(np.exp(np.minimum(t, 0))))


def cross_entropy_oracle(logits, labels) -> np.ndarray:
    """log(1 + sum_{j != y} e^{f_j - f_y}), row by row in 80 bits."""
    losses = []
    for row, label in zip(np.asarray(logits, np.longdouble), labels, strict=True):
        excess = np.delete(row, label) - row[label]
        top = excess.max()
        losses.append(softplus_oracle(top + np.log(np.sum(np.exp(excess - top)))))
    return np.array(losses)


def softmax_oracle(logits) -> np.ndarray:
    wide = np.asarray(logits, np.longdouble)
    powers = np.exp(wide - wide.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def test_logistic_loss_where_exp_over_and_underflows():
    losses = jm.logistic_loss(jnp.asarray(MARGINS))
    assert losses.dtype == jnp.float32
    np.testing.assert_allclose(losses, softplus_oracle(-MARGINS), rtol=2e-7, atol=LEAST)


def test_logistic_gradient_where_exp_over_and_underflows():
    slope = jax.vmap(jax.grad(jm.logistic_loss))(jnp.asarray(MARGINS))
    expected = -1 / (1 + np.exp(MARGINS.astype(np.longdouble)))
    np.testing.assert_allclose(slope, expected, rtol=5e-7, atol=LEAST)


LOGITS = {
    "own far ahead": [1e4, 0.0, -1e4],
    "own far behind": [-1e4, 0.0, 1e4],
    "all large": [1e4, 1e4, 1e4],
    "a small loss beside large logits": [1e4 + 20.0, 1e4, 1e4 - 3.0],
    "a small loss": [30.0, 0.5, -0.25],
    "moderate": [0.3, -1.7, 2.2],
    "all zero": [0.0, 0.0, 0.0],
}


@pytest.mark.parametrize("row", LOGITS.values(), ids=LOGITS.keys())
def test_cross_entropy_and_its_gradient_are_relatively_exact(row: list[float]):
    logits, labels = np.array([row], np.float32), np.array([0])
    loss = jm.cross_entropy_loss(jnp.asarray(logits), jnp.asarray(labels))
    np.testing.assert_allclose(loss, cross_entropy_oracle(logits, labels), rtol=1e-6, atol=LEAST)
    gradient = jax.jacobian(lambda f: jm.cross_entropy_loss(f, jnp.array(0)))(jnp.asarray(row))
    softmax = softmax_oracle(logits)[0]
    # The own logit's is minus the sum of the others', not a softmax of nearly 1 less 1.
    expected = np.array([-softmax[1:].sum(), *softmax[1:]])
    np.testing.assert_allclose(gradient, expected, rtol=2e-6, atol=LEAST)


def test_cross_entropy_of_any_batch_and_label():
    logits = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32) * 5
    labels = np.arange(6).reshape(2, 3) % 4
    losses = jm.cross_entropy_loss(jnp.asarray(logits), jnp.asarray(labels))
    assert losses.shape == (2, 3)
    expected = cross_entropy_oracle(logits.reshape(6, 4), labels.ravel())
    np.testing.assert_allclose(np.ravel(losses), expected, rtol=1e-6)


def test_two_classes_are_the_logistic_loss_of_the_difference():
    logits = jnp.stack([jnp.asarray(MARGINS), jnp.zeros_like(MARGINS)], axis=-1)
    first = jnp.zeros(len(MARGINS), int)
    for labels, margins in ((first, MARGINS), (first + 1, -MARGINS)):
        losses = jm.cross_entropy_loss(logits, labels)
        np.testing.assert_allclose(losses, jm.logistic_loss(jnp.asarray(margins)), rtol=1e-6)


def test_squared_losses():
    predictions = jnp.array([0.0, 1.5, -1.0, 100.0])
    y = jnp.array([0.0, 1.0, 1.0, 1.0])
    np.testing.assert_array_equal(jm.squared_loss(predictions, y), [0.0, 0.25, 4.0, 9801.0])
    np.testing.assert_array_equal(jm.truncated_squared_loss(predictions, y), [0.0, 0.25, 1.0, 1.0])
    slope = jax.grad(lambda f: jnp.sum(jm.truncated_squared_loss(f, y)))(predictions)
    np.testing.assert_array_equal(slope, [0.0, 1.0, 0.0, 0.0])


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
    "cross_entropy": (3, jnp.array([2, 0]), cross_entropy_oracle),
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
