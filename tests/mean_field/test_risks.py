"""Risks: their conjugates against suprema, what their bounds promise, and means of them."""

from decimal import Context, Decimal, localcontext
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from jaxmargin.mean_field.risks import (
    BoundedRisk,
    CrossEntropyRisk,
    LogisticRisk,
    MeanRisk,
    Risk,
    SquaredRisk,
)
from tests.mean_field.problems import N, normal

Y = np.resize([1.0, -1.0], N)
LABELS = np.resize([0, 2, 1, 1], N)


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def close(actual, expected, tolerance: float = 1e-12):
    scale = float(np.max(np.abs(expected), initial=1.0))
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * scale)


SOFT = np.array([[0.2, 0.5, 0.3], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.6, 0.4, 0.0]])
RISKS: dict[str, tuple[Any, np.ndarray]] = {
    "logistic": (LogisticRisk(jnp.asarray(Y)), -Y * np.linspace(0, 1, N)),
    "cross-entropy": (
        CrossEntropyRisk(jnp.asarray(LABELS), 3),
        SOFT[np.arange(N) % 4] - np.eye(3)[LABELS],
    ),
    "squared": (SquaredRisk(jnp.linspace(-1, 1, N)), np.linspace(-3, 4, N)),
    "squared, 2 outputs": (SquaredRisk(jnp.ones((N, 2))), np.linspace(-3, 4, 2 * N).reshape(N, 2)),
    "mean logistic": (MeanRisk(LogisticRisk(jnp.asarray(Y))), -Y * np.linspace(0, 1, N) / N),
    "mean cross-entropy": (
        MeanRisk(CrossEntropyRisk(jnp.asarray(LABELS), 3)),
        (SOFT[np.arange(N) % 4] - np.eye(3)[LABELS]) / N,
    ),
    "mean squared": (MeanRisk(SquaredRisk(jnp.linspace(-1, 1, N))), np.linspace(-3, 4, N)),
}


def float64_risk(name: str):
    """The table is made before float64 is enabled."""
    risk, dual = RISKS[name]
    wide = jax.tree.map(
        lambda leaf: leaf.astype("float64") if jnp.issubdtype(leaf.dtype, jnp.inexact) else leaf,
        risk,
    )
    return wide, jnp.asarray(dual)


@pytest.mark.parametrize("name", RISKS)
def test_fenchel_and_young(name: str):
    """R(a) + R*(p) >= <a, p>, with equality at p = R'(a)."""
    risk, dual = float64_risk(name)
    value, conjugate = jax.jit(lambda a: risk(a)), jax.jit(lambda p: risk.conjugate(p))
    gradient = jax.jit(jax.grad(risk))
    for seed, scale in [(0, 0.1), (1, 1.0), (2, 10.0), (3, 100.0)]:
        a = scale * normal(*dual.shape, dtype="float64", seed=seed)
        assert value(a) + conjugate(dual) >= jnp.sum(a * dual) - 1e-12
        slope = gradient(a)
        close(value(a) + conjugate(slope), jnp.sum(a * slope))
        for shrunk in (0.0, 0.3, 0.99):  # as a certificate shrinks the dual point
            assert jnp.isfinite(conjugate(shrunk * slope))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_slope_of_sure_outputs_is_in_the_domain(dtype: str):
    """Rounding may put a probability outside [0, 1] by an ulp: no infinity from that."""
    for name in ("logistic", "cross-entropy", "mean logistic", "mean cross-entropy"):
        risk = jax.tree.map(
            lambda leaf: leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.inexact) else leaf,
            RISKS[name][0],
        )
        for scale in (1e-8, 30.0, 1e6):
            a = scale * normal(*RISKS[name][1].shape, dtype=dtype)
            value = risk.conjugate(jax.grad(risk)(a))
            assert jnp.isfinite(value)
            assert value.dtype == dtype


@pytest.mark.parametrize("margin", [0.0, 5.0, 46.0, 50.0, 300.0])
def test_conjugates_of_large_margins_keep_their_relative_accuracy(margin: float):
    """R*(R'(a)) = <a, R'(a)> - R(a), in 400 digits."""
    a = np.array([margin, margin + 1.0])
    with localcontext(Context(prec=400)):
        tails = [Decimal(-v).exp() for v in a]
        values = [(1 + t).ln() for t in tails]
        expected = sum(
            -Decimal(v) * t / (1 + t) - value for v, t, value in zip(a, tails, values, strict=True)
        )
    logistic = LogisticRisk(jnp.array([1.0, -1.0]))
    slope = jax.grad(logistic)(jnp.asarray(a) * logistic.y)
    np.testing.assert_allclose(logistic.conjugate(slope), float(expected), rtol=1e-13)
    classes = CrossEntropyRisk(jnp.array([0, 1]), 2)  # by the difference of the scores
    scores = jnp.array([[a[0], 0.0], [0.0, a[1]]])
    found = classes.conjugate(jax.grad(classes)(scores))
    np.testing.assert_allclose(found, float(expected), rtol=1e-13)


def test_a_tiny_dual_point_outside_the_domain_is_noticed():
    assert LogisticRisk(jnp.array([1.0])).conjugate(jnp.array([1e-22])) == jnp.inf
    risk = CrossEntropyRisk(jnp.array([0]), 3)
    for wrong in ([-1e-22, 2e-22, 1e-22], [-1e-22, 2e-22, -1e-22], [0.0, 1e-22, 0.0]):
        assert risk.conjugate(jnp.array([wrong])) == jnp.inf


GRID = np.linspace(-40, 40, 160_001)


@pytest.mark.parametrize("t", [0.0, 1e-3, 0.3, 0.5, 0.9, 1.0])
def test_conjugates_are_the_supremum_over_a_grid(t: float):
    """sup_a p a - R(a) for one sample; two classes by the difference of their scores."""
    for y in (-1.0, 1.0):
        supremum = np.max(-y * t * GRID - np.logaddexp(0, -y * GRID))
        found = LogisticRisk(jnp.array([y])).conjugate(jnp.array([-y * t]))
        close(found, supremum, 1e-6)
        squared = np.max(3 * t * GRID - (GRID - y) ** 2)
        close(SquaredRisk(jnp.array([y])).conjugate(jnp.array([3 * t])), squared, 1e-6)
    # p = (t - 1, 1 - t) for the label 0: <p, (a, 0)> - R(a, 0), R = log(1 + e^-a).
    supremum = np.max((t - 1) * GRID - np.logaddexp(0, -GRID))
    risk = CrossEntropyRisk(jnp.array([0]), 2)
    close(risk.conjugate(jnp.array([[t - 1, 1 - t]])), supremum, 1e-6)


@pytest.mark.parametrize("name", ["logistic", "cross-entropy", "mean logistic"])
def test_conjugates_are_infinite_outside_their_domain(name: str):
    """There p a - R(a) has no bound: a wrong dual point certifies nothing."""
    risk, dual = float64_risk(name)
    for wrong in (dual + 0.01, 2 * dual):
        assert risk.conjugate(wrong) == jnp.inf


@pytest.mark.parametrize("name", [name for name in RISKS if "cross-entropy" not in name])
def test_conjugates_are_what_an_ascent_finds(name: str):
    """sup_a <p, a> - R(a) by BFGS, inside the domain where the supremum is taken."""
    risk, dual = float64_risk(name)
    p = 0.9 * dual + 0.05 * jax.grad(risk)(jnp.zeros(dual.shape))

    @jax.jit
    def of(a):
        value, slope = jax.value_and_grad(lambda a: risk(a) - jnp.sum(p * a))(a)
        return value, slope

    def flat(a: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = of(jnp.asarray(a.reshape(p.shape)))
        return float(value), np.ravel(slope)

    found = minimize(flat, np.zeros(p.size), jac=True, method="BFGS", options={"gtol": 1e-9})
    close(risk.conjugate(p), -found.fun, 1e-8)


@pytest.mark.parametrize("name", RISKS)
def test_ready_risks_keep_their_bounds(name: str):
    risk, dual = float64_risk(name)
    assert isinstance(risk, Risk)
    assert isinstance(risk, BoundedRisk)
    assert risk.shape == dual.shape
    slope, curvature, valid = risk.bounds(5.0)
    for seed, scale in [(0, 0.0), (1, 0.3), (2, 1.0), (3, 10.0)]:
        a = scale * normal(*dual.shape, dtype="float64", seed=seed)
        if risk(a) <= valid:
            assert jnp.linalg.norm(jax.grad(risk)(a)) <= slope * (1 + 1e-12)
        hessian = jax.hessian(risk)(a).reshape(dual.size, dual.size)
        assert jnp.linalg.norm(hessian, 2) <= curvature * (1 + 1e-12)


@pytest.mark.parametrize("name", ["logistic", "cross-entropy", "squared"])
def test_a_mean_is_one_nth_of_the_sum(name: str):
    total, dual = float64_risk(name)
    mean, a = MeanRisk(total), normal(*dual.shape, dtype="float64")
    close(mean(a), total(a) / N)
    close(mean.conjugate(dual / N), total.conjugate(dual) / N)
    expected = np.array(total.bounds(N * 2.0)) / N
    np.testing.assert_allclose(mean.bounds(2.0), expected, rtol=1e-12)


def test_a_function_without_a_conjugate_is_no_risk():
    assert not isinstance(jnp.sum, Risk)


@pytest.mark.parametrize("risk", [SquaredRisk(jnp.ones(3)), MeanRisk(SquaredRisk(jnp.ones(3)))])
def test_the_squared_risk_has_a_slope_below_a_level_only(risk):
    with pytest.raises(ValueError, match=r"Lipschitz only on {R <= level}: give level"):
        risk.bounds(None)
    with pytest.raises(ValueError, match="level must be a finite number > 0, got -"):
        risk.bounds(-1.0)
