"""The l1-SVM on given features, against other solvers and its optimality conditions."""

from fractions import Fraction
from operator import mul
from typing import Any

import cvxpy as cp
import numpy as np
import pytest
from sklearn.svm import LinearSVC

import jaxmargin as jm
from tests.margins.samples import labelled


@pytest.mark.parametrize("scale", [1.0, 1e-7, 1e7])
def test_l1_svm_is_the_optimum_of_another_solver(scale: float):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        features, y = rng.normal(size=(12, 30)), np.where(rng.permutation(12) % 2, 1.0, -1.0)
        found = jm.l1_svm(scale * features, y)
        w = cp.Variable(30)
        margin = cp.min(cp.multiply(y, features @ w))
        program = cp.Problem(cp.Maximize(margin), [cp.norm1(w) <= 1])
        program.solve(solver=cp.CLARABEL)
        assert found.margin == pytest.approx(scale * float(np.asarray(program.value)), rel=1e-7)


def test_l1_svm_satisfies_strong_duality_and_complementary_slackness():
    features, y = labelled(40, 0, n=15)
    found = jm.l1_svm(features, y)
    margins = y * (features @ found.weights)
    prices = (found.dual * y) @ features
    assert np.abs(found.weights).sum() == pytest.approx(1, rel=1e-12)
    assert found.dual.sum() == pytest.approx(1, rel=1e-12)
    assert found.dual.min() >= 0
    assert margins.min() == pytest.approx(found.margin, rel=1e-12)
    assert np.abs(prices).max() == pytest.approx(found.margin, rel=1e-9)
    np.testing.assert_allclose(margins[found.dual > 0], found.margin, rtol=1e-8)
    used = found.weights != 0
    assert used.sum() <= 15
    np.testing.assert_allclose(prices[used], np.sign(found.weights[used]) * found.margin, rtol=1e-8)


def test_l1_svm_is_the_hard_margin_limit_of_scikit_learn():
    """min |w|_1 + C sum (1 - margin)^2 has margin 1 / |w|_1 as C grows."""
    features, y = labelled(6, 1, n=10)
    features[:, 0] += y
    found = jm.l1_svm(features, y)
    options: dict[str, Any] = {"penalty": "l1", "dual": False}  # as its stubs do not know
    soft = LinearSVC(
        **options, C=1e4, fit_intercept=False, tol=1e-10, max_iter=10**6,
        random_state=0,
    ).fit(features, y)  # fmt: skip
    w = soft.coef_[0] / np.abs(soft.coef_[0]).sum()
    assert (y * (features @ w)).min() <= found.margin * (1 + 1e-9)
    assert (y * (features @ w)).min() == pytest.approx(found.margin, rel=2e-3)
    np.testing.assert_allclose(w, found.weights, atol=2e-3)


def test_l1_svm_resolves_a_small_margin():
    """max_w min(w_1 + e w_2, -w_1 + e w_2) = e."""
    found = jm.l1_svm(np.array([[1.0, 1e-7], [1.0, -1e-7]]), np.array([1.0, -1.0]))
    assert found.margin == pytest.approx(1e-7, rel=1e-9)


@pytest.mark.parametrize(
    ("features", "margin"),
    [
        ([[1.0, 1e-9], [1.0, -1e-9]], 1e-9),
        ([[1.0, 1e-13], [1.0, -1e-13]], 1e-13),
        ([[1.0, 0.0], [0.0, 1e-13]], 1e-13 / (1 + 1e-13)),
        ([[1e-300, 0.0], [0.0, 1e-300]], 5e-301),
    ],
)
def test_l1_svm_separates_whatever_the_sizes_of_features_and_samples(features, margin: float):
    found = jm.l1_svm(np.array(features), np.array([1.0, -1.0]))
    assert found.margin == pytest.approx(margin, rel=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_l1_svm_meets_its_bound_where_sizes_differ_by_a_billion(seed: int):
    """No weights have a larger margin than max_j |sum_i q_i y_i phi_ij|, in exact arithmetic."""
    rng = np.random.default_rng(seed)
    y = np.where(rng.permutation(6) % 2, 1.0, -1.0)
    features = rng.normal(size=(6, 8)) * 10 ** rng.uniform(-9, 0, size=8)
    found = jm.l1_svm(features, y)
    signed = [[Fraction(float(value)) for value in row] for row in features * y[:, None]]
    q = [Fraction(float(value)) for value in found.dual]
    bound = max(abs(sum(map(mul, q, column))) for column in zip(*signed, strict=True)) / sum(q)
    assert 0 < found.margin <= float(bound) * (1 + 1e-12)
    assert float(bound) <= found.margin * (1 + 1e-6)


@pytest.mark.parametrize("c", [0.2, 1.0, 50.0])
@pytest.mark.parametrize("scale", [1.0, 1e-7, 1e7])
def test_the_soft_margin_is_the_optimum_of_another_solver(c: float, scale: float):
    """Labels that no weights separate; c counts in units of the features."""
    rng = np.random.default_rng(0)
    features, y = rng.normal(size=(20, 5)), np.where(rng.permutation(20) % 2, 1.0, -1.0)
    found = jm.l1_svm(scale * features, y, c=c / scale)
    v = cp.Variable(5)
    missing = cp.sum(cp.pos(1 - cp.multiply(y, features @ v)))
    program = cp.Problem(cp.Minimize(cp.norm1(v) + c * missing))
    program.solve(solver=cp.CLARABEL)
    value = float(np.asarray(program.value))
    own = found.weights / found.margin * scale
    assert np.abs(found.weights).sum() == pytest.approx(1, rel=1e-12)
    paid = np.maximum(1 - y * (features @ own), 0)
    assert paid.max() > 0.1
    assert np.abs(own).sum() + c * paid.sum() == pytest.approx(value, rel=1e-6)
    # the dual: prices in [0, c], c where a margin is missing, 0 where it is exceeded
    prices = found.dual * value
    assert found.dual.sum() == pytest.approx(1, rel=1e-12)
    assert np.abs((prices * y) @ features).max() == pytest.approx(1, rel=1e-6)
    np.testing.assert_allclose(prices[paid > 1e-9], c, rtol=1e-6)
    np.testing.assert_allclose(prices[y * (features @ own) > 1 + 1e-9], 0, atol=1e-9)


@pytest.mark.parametrize("c", [1e2, 1e8])
def test_a_large_price_gives_the_hard_margin(c: float):
    features, y = labelled(40, 0, n=15)
    hard, soft = jm.l1_svm(features, y), jm.l1_svm(features, y, c=c)
    assert hard.dual.max() / hard.margin < 100
    assert soft.margin == pytest.approx(hard.margin, rel=1e-9)
    np.testing.assert_allclose(soft.weights, hard.weights, atol=1e-8)
