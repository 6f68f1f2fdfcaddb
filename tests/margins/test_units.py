"""Merging keeps the outputs; sliding raises the margin; the smooth minimum has its gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmargin.margins._finite_game import solve_program
from jaxmargin.margins._units import (
    directions,
    feature_rows,
    merged,
    slide,
    smooth_minimum,
)
from tests.margins.samples import circle, in_the_ball, labelled, support


def test_directions_have_length_one_and_leave_out_zeros():
    found = directions(np.array([[3.0, 4.0], [0.0, 0.0], [0.0, -1e-100]]))
    np.testing.assert_allclose(found, [[0.6, 0.8], [0.0, -1.0]])


def test_a_feature_row_is_a_labelled_unit():
    x, y = labelled(3, 0)
    u = directions(np.random.default_rng(0).normal(size=(4, 3)))
    expected = [[y[i] * max(u[j] @ x[i], 0) for i in range(8)] for j in range(4)]
    np.testing.assert_allclose(feature_rows(x, y, u), expected)


@pytest.mark.parametrize("seed", range(3))
def test_merged_units_have_the_same_outputs_and_are_fewer(seed: int):
    x, _ = labelled(2, seed, n=5)
    rng = np.random.default_rng(seed)
    units, weights = circle(40), rng.normal(size=40)
    z, signs = merged(x, units, weights)
    np.testing.assert_allclose(
        np.maximum(x @ z.T, 0) @ signs, np.maximum(x @ units.T, 0) @ weights, atol=1e-12
    )
    assert set(signs) <= {-1.0, 1.0}
    assert np.linalg.norm(z, axis=1).sum() <= np.abs(weights).sum() * (1 + 1e-12)
    assert len(z) <= 2 * 10  # both signs in each of the sectors between five lines


def test_units_of_different_signs_or_sides_stay_apart():
    x = np.array([[1.0, 0.0], [0.0, 1.0]])
    same = np.array([[0.8, 0.6], [0.6, 0.8]])
    z, signs = merged(x, same, np.array([1.0, 2.0]))
    np.testing.assert_allclose(z, [[2.0, 2.2]])
    assert signs.tolist() == [1.0]
    assert len(merged(x, same, np.array([1.0, -2.0]))[0]) == 2
    assert len(merged(x, np.array([[0.8, 0.6], [0.8, -0.6]]), np.ones(2))[0]) == 2
    none, no_signs = merged(x, np.zeros((0, 2)), np.zeros(0))
    assert none.shape == (0, 2)
    assert no_signs.shape == (0,)


def test_a_unit_on_a_hyperplane_of_a_sample_belongs_to_both_sides():
    x = np.array([[1.0, 0.0], [0.0, 1.0]])
    units = np.array([[1.0, 0.0], [0.8, 0.6], [0.8, -0.6]])
    z, _ = merged(x, units[[1, 0]], np.ones(2))
    assert len(z) == 1
    z, _ = merged(x, units[[2, 0]], np.ones(2))
    assert len(z) == 1


def test_units_that_slide_raise_the_margin_of_a_coarse_choice():
    """On the support of D the l1-SVM has margin 1/4, in units in which a sample is sqrt(d - 1)."""
    x, y = support(4)
    x = x / 3**0.5
    units = directions(np.random.default_rng(0).normal(size=(60, 4)))
    coarse = solve_program(feature_rows(x, y, units), 1.0)
    best = 0.25 / 3**0.5
    assert 0 < coarse.margin < 0.8 * best
    slid, program = slide(x, y, units, coarse, best)
    np.testing.assert_allclose(np.linalg.norm(slid, axis=1), 1)
    assert len(program.weights) == 60 + len(slid)
    assert coarse.margin * 1.1 < program.margin <= best * (1 + 1e-9)
    rows = feature_rows(x, y, np.concatenate([units, slid]))
    assert (program.weights @ rows).min() == pytest.approx(program.margin, rel=1e-12)
    assert np.all(program.weights[60:] != 0)


def test_the_smooth_minimum_and_its_gradient_are_those_of_automatic_differentiation():
    x, y = in_the_ball(3, 0)
    flat = np.random.default_rng(0).normal(size=5 * 4)
    sharpness, margin = 7.0, 0.3

    def value(flat):
        theta = flat.reshape(5, 4)
        outputs = jnp.maximum(x @ theta[:, 1:].T, 0) @ theta[:, 0]
        q = y * outputs / (jnp.sum(flat**2) * margin / 2)
        return jax.nn.logsumexp(-sharpness * q) / sharpness, -jnp.min(q)

    with jax.enable_x64(True):
        (expected, least), slope = jax.value_and_grad(value, has_aux=True)(jnp.asarray(flat))
    found, gradient = smooth_minimum(flat, x, y, sharpness, margin)
    assert found == pytest.approx(float(expected), rel=1e-12)
    assert float(least) <= found <= float(least) + np.log(len(y)) / sharpness
    np.testing.assert_allclose(gradient, slope, rtol=1e-10)
    np.testing.assert_allclose(gradient @ flat, 0, atol=1e-12)  # it does not see the scale
