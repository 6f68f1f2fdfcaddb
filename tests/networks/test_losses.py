"""Losses against long doubles where exp over- and underflows."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm

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


@pytest.mark.parametrize(
    ("row", "loss", "gradient"),
    [
        ([1.0, -np.inf, 2.0], np.logaddexp(0, 1), [-1 / (1 + 1 / np.e), 0, 1 / (1 + 1 / np.e)]),
        ([-np.inf, 1.0, 2.0], np.inf, [-1, 1 / (1 + np.e), 1 / (1 + 1 / np.e)]),
        ([1.0, -np.inf, -np.inf], 0.0, [0, 0, 0]),
    ],
)
def test_classes_that_are_ruled_out_have_scores_of_minus_infinity(row, loss: float, gradient):
    found = jax.value_and_grad(lambda f: jm.cross_entropy_loss(f, jnp.array(0)))(jnp.array(row))
    np.testing.assert_allclose(found[0], loss, rtol=1e-6)
    np.testing.assert_allclose(found[1], gradient, rtol=1e-6)


def test_a_label_out_of_range_that_is_traced_costs_nan():
    losses = jax.jit(jm.cross_entropy_loss)(jnp.zeros((3, 2)), jnp.array([0, 2, -1]))
    np.testing.assert_array_equal(jnp.isnan(losses), [False, True, True])


def test_integers_and_lists_are_numbers():
    small: Any = np.array([1, 3], np.uint8)
    pair: Any = [2, 1]
    signs: Any = [1, -1]
    assert jm.squared_loss(small, small[::-1]).tolist() == [4, 4]
    assert jm.networks.log_margin(pair, signs).tolist() == [2, -1]
    np.testing.assert_allclose(jm.logistic_loss(0 * small), np.log(2), rtol=1e-6)


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


@pytest.mark.parametrize("row", LOGITS.values(), ids=LOGITS.keys())
def test_the_log_margin_is_a_soft_margin(row: list[float]):
    """-log sum_{j != y} e^{f_j - f_y}: at most log(k - 1) below the margin, never above."""
    logits = np.array(row, np.float32)
    for label in range(3):
        excess = np.delete(logits, label).astype(np.longdouble) - logits[label]
        soft = jm.networks.log_margin(jnp.asarray(logits), jnp.array(label))
        np.testing.assert_allclose(soft, -np.logaddexp(*excess), rtol=1e-6, atol=1e-6)
        hard = float(jm.sample_margins(jnp.asarray(logits)[None], jnp.array([label]))[0])
        assert hard - np.log(2) * (1 + 1e-6) <= soft <= hard * (1 + np.sign(hard) * 1e-6)


def test_the_log_margin_of_scores_is_the_margin_itself():
    scores, y = jnp.array([2.0, -3.0, 0.0]), jnp.array([1.0, -1.0, -1.0])
    np.testing.assert_array_equal(jm.networks.log_margin(scores, y), y * scores)


def test_both_losses_are_one_function_of_the_log_margin():
    logits = jnp.asarray(np.random.default_rng(1).normal(size=(6, 4)) * 10, jnp.float32)
    labels = jnp.arange(6) % 4
    of_margin = jm.logistic_loss(jm.networks.log_margin(logits, labels))
    np.testing.assert_array_equal(of_margin, jm.cross_entropy_loss(logits, labels))
