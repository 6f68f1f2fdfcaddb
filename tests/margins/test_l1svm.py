"""The l1-SVM against other solvers, and the largest margin over all widths against exact optima."""

import itertools
from typing import Any

import cvxpy as cp
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.svm import LinearSVC

import jaxmargin as jm
from benchmarks import cone_program
from jaxmargin import TwoLayer, data, sphere

N = 8


def labelled(d: int, seed: int, n: int = N) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([d, seed])
    return rng.normal(size=(n, d)), np.where(np.arange(n) % 2, 1.0, -1.0)


def on_a_line(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.where(rng.permutation(10) % 2, 1.0, -1.0)
    return np.stack([rng.uniform(-1, 1, 10), np.ones(10)], axis=1), labels


def support(d: int) -> tuple[np.ndarray, np.ndarray]:
    """All points of the distribution D, with their labels."""
    axes = [(1, 0), (-1, 0), (0, 1), (0, -1)]
    signs = itertools.product([-1, 1], repeat=d - 2)
    x = np.array([(*axis, *z) for z in signs for axis in axes], float)
    return x, np.abs(x[:, 0]) - np.abs(x[:, 1])


def attained(params: TwoLayer, x: np.ndarray, y: np.ndarray) -> float:
    with jax.enable_x64(True):
        arrays = jax.tree.map(jnp.asarray, (params, x, y))
        return float(jm.normalized_margin(jm.two_layer, *arrays))


def check_result(
    found: jm.margins.MaxMargin, x: np.ndarray, y: np.ndarray, tol: float = 1e-6
) -> None:
    """The network attains the margin in the stated form, and the dual gives the bound."""
    u, w = np.asarray(found.params.u), np.asarray(found.params.w)
    assert u.dtype == w.dtype == np.float64
    assert 1 <= len(w) <= len(x) + 1
    np.testing.assert_allclose(np.linalg.norm(u, axis=1), np.abs(w), rtol=1e-12)
    assert np.sum(u**2) + np.sum(w**2) == pytest.approx(1, rel=1e-12)
    assert attained(found.params, x, y) == pytest.approx(found.margin, rel=1e-12)
    assert found.dual.min() >= 0
    assert found.dual.sum() == pytest.approx(1)
    assert found.margin <= found.upper_bound * (1 + 1e-12)
    assert found.upper_bound <= found.margin * (1 + tol)
    assert found.exact == (x.shape[1] <= 3)
    with jax.enable_x64(True):
        highest = sphere.maximum(jnp.asarray(x), jnp.asarray(found.dual * y))
    if found.exact:
        assert found.upper_bound == pytest.approx(float(highest.value) / 2, rel=1e-9)
    else:
        assert float(highest.value) / 2 <= found.upper_bound * (1 + 1e-3)


# Given features ---------------------------------------------------------------------------------


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


# All units --------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [2, 3])
def test_the_margin_is_that_of_the_cone_program(d: int):
    for seed in range(3):
        x, y = labelled(d, seed)
        found = jm.max_margin(x, y)
        check_result(found, x, y)
        assert found.margin == pytest.approx(cone_program.max_margin(x, y), rel=2e-6)


@pytest.mark.parametrize("seed", [None, 0, 1, 2])
def test_on_a_line_no_grid_of_directions_is_better(seed: int | None):
    if seed is None:
        x, y = (np.asarray(part, float) for part in data.sinusoid(10))
        x = np.append(x, np.ones((10, 1)), axis=1)
    else:
        x, y = on_a_line(seed)
    found = jm.max_margin(x, y)
    check_result(found, x, y)
    angles = np.linspace(0, 2 * np.pi, 4000, endpoint=False)
    grid = np.stack([np.cos(angles), np.sin(angles)])
    on_grid = jm.l1_svm(np.maximum(x @ grid, 0), y).margin / 2
    assert on_grid <= found.margin
    assert on_grid >= 0.9 * found.margin


def test_on_the_support_of_d_the_margin_is_an_eighth():
    x, y = support(6)
    found = jm.max_margin(x, y)
    check_result(found, x, y)
    assert found.margin == pytest.approx(1 / 8, rel=1e-6)
    assert "estimate: the maximum over the sphere was searched" in repr(found)


@pytest.mark.slow
@pytest.mark.parametrize("d", [10, 20])
@pytest.mark.parametrize("seed", [0, 1])
def test_samples_of_d_have_at_least_the_margin_of_its_support(d: int, seed: int):
    x, y = (np.asarray(part, float) for part in data.two_axis(jax.random.key(seed), 6 * d, d))
    found = jm.max_margin(x, y)
    check_result(found, x, y)
    assert found.margin >= 1 / 8 * (1 - 1e-6)


@jax.jit
@jax.value_and_grad
def _softmin(flat, x, y, sharpness):
    theta = flat.reshape(-1, x.shape[1] + 1)
    params = TwoLayer(u=theta[:, 1:], w=theta[:, 0])
    scores = y * jm.two_layer(params, x) / jnp.sum(flat**2)
    return jax.scipy.special.logsumexp(-sharpness * scores) / sharpness


def trained(theta: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The best network met while its normalised margin climbs from theta, rows (w_j, u_j)."""

    def fall(flat: np.ndarray, sharpness: float) -> tuple[np.ndarray, ...]:
        return tuple(np.asarray(part) for part in _softmin(flat, x, y, sharpness))

    best, flat = theta, theta.ravel() / np.linalg.norm(theta)
    with jax.enable_x64(True):
        for sharpness in (1e2, 1e3, 1e4, 1e5):
            flat = minimize(
                fall, flat, args=(sharpness,), jac=True, method="L-BFGS-B", options={"maxiter": 300}
            ).x
            best = max(best, flat.reshape(theta.shape), key=lambda t: margin_of(t, x, y))
    return best


def margin_of(theta: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    scores = y * (np.maximum(x @ theta[:, 1:].T, 0) @ theta[:, 0])
    return float(scores.min() / np.sum(theta**2))


def test_networks_trained_by_themselves_never_exceed_it_and_width_n_plus_1_comes_near():
    """Proposition B.11: gamma_l1 / 2 = gamma* of width n + 1 and of every larger width."""
    x, y = labelled(2, 0, n=6)
    found = jm.max_margin(x, y)
    rng = np.random.default_rng(0)
    reached = [margin_of(trained(rng.normal(size=(7, 3)), x, y), x, y) for _ in range(8)]
    assert max(reached) <= found.upper_bound * (1 + 1e-9)
    assert max(reached) >= 0.98 * found.margin


def test_the_margin_never_falls_with_width_and_stays_below_that_of_all_widths():
    """Theorem 4.3, on the best of a few networks; one of them continues the narrower one."""
    x, y = labelled(2, 0)
    rng, best, values = np.random.default_rng(0), np.zeros((1, 3)), []
    for m in (1, 2, 4, 8):
        wide = jm.widen(TwoLayer(jnp.asarray(best[:, 1:]), jnp.asarray(best[:, 0])), m)
        again = np.concatenate([np.asarray(wide.w)[:, None], np.asarray(wide.u)], axis=1)
        starts = [rng.normal(size=(m, 3)) for _ in range(4)]
        if values:
            starts.append(again.astype(float))
        best = max((trained(start, x, y) for start in starts), key=lambda t: margin_of(t, x, y))
        values.append(margin_of(best, x, y))
    assert all(b >= a - 1e-6 for a, b in itertools.pairwise(values))
    assert values[-1] > max(values[0], 0) + 1e-3
    assert values[-1] <= jm.max_margin(x, y).upper_bound * (1 + 1e-9)


def test_the_margin_scales_with_x_and_does_not_know_the_order_or_the_names_of_the_labels():
    x, y = labelled(2, 2)
    margin = jm.max_margin(x, y).margin
    order = np.random.default_rng(0).permutation(N)
    for factor in (1e-12, 3.0, 1e12):
        scaled = jm.max_margin(factor * x, y)
        assert scaled.margin == pytest.approx(factor * margin, rel=2e-6)
    assert jm.max_margin(x[order], y[order]).margin == pytest.approx(margin, rel=2e-6)
    assert jm.max_margin(x, -y).margin == pytest.approx(margin, rel=2e-6)
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(2, 2)))[0]
    assert jm.max_margin(x @ rotation, y).margin == pytest.approx(margin, rel=2e-6)


def test_one_more_sample_never_raises_the_margin():
    x, y = labelled(2, 3)
    margins = [jm.max_margin(x[:n], y[:n]).margin for n in (6, 7, 8)]
    assert margins[0] >= margins[1] * (1 - 2e-6)
    assert margins[1] >= margins[2] * (1 - 2e-6)
    assert margins[2] < margins[0]


def test_two_samples_are_solved_by_hand():
    """x = e_1, -e_1 with labels +, -: units at +-e_1, (|w| |u|) 1/4 each, so a margin of 1/4."""
    for dtype in ("float32", "float64"):
        with jax.enable_x64(dtype == "float64"):
            x = jnp.array([[1.0], [-1.0]], dtype)
            found = jm.max_margin(x, jnp.array([1.0, -1.0], dtype))
        assert found.margin == pytest.approx(1 / 4, rel=1e-12)
        assert found.upper_bound == pytest.approx(1 / 4, rel=1e-12)
        np.testing.assert_allclose(found.dual, 0.5)


def test_it_takes_starts_and_tells_what_it_had_where_it_stopped():
    x, y = labelled(2, 4)
    with pytest.raises(jm.ConvergenceError, match="raise max_rounds or tol") as caught:
        jm.max_margin(x, y, max_rounds=2)
    found = caught.value.fit
    best = jm.max_margin(x, y)
    assert found.margin <= best.margin * (1 + 1e-9)
    assert found.upper_bound >= best.margin * (1 - 1e-9)
    assert attained(found.params, x, y) == pytest.approx(found.margin)
    again = jm.max_margin(x, y, starts=best.params.u)
    assert again.rounds <= best.rounds
    assert again.margin == pytest.approx(best.margin, rel=2e-6)
    assert "exact: the maximum over the sphere was enumerated" in repr(best)


# No margin --------------------------------------------------------------------------------------


def hexagon() -> tuple[np.ndarray, np.ndarray]:
    """Directions 0, 60, 120 degrees labelled +, -, + and their opposites labelled otherwise."""
    angles = np.pi / 3 * np.arange(6)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1), np.array([1.0, -1, 1, -1, 1, -1])


def test_samples_that_no_network_separates_are_named():
    x, y = hexagon()
    with pytest.raises(ValueError, match="is 0 for every u, with p on samples") as caught:
        jm.max_margin(x, y)
    for i in range(6):
        assert f"{i} (0.167)" in str(caught.value)
    angles = np.linspace(0, 2 * np.pi, 100)
    sums = np.maximum(np.stack([np.cos(angles), np.sin(angles)], axis=1) @ x.T, 0) @ y
    np.testing.assert_allclose(sums, 0, atol=1e-12)
    # In more dimensions too, among samples that would be separated; a bias resolves it.
    rng = np.random.default_rng(0)
    lifted = np.concatenate([np.pad(x, ((0, 0), (0, 3))), rng.normal(size=(3, 5))])
    with pytest.raises(ValueError, match="is 0 for every u, with p on samples"):
        jm.max_margin(lifted, np.append(y, [1, 1, -1]))
    assert jm.max_margin(np.append(x, np.ones((6, 1)), axis=1), y).margin > 1e-3


def test_opposite_samples_of_separable_labels_are_no_fault():
    x, y = hexagon()
    y = np.array([1.0, 1, 1, -1, -1, -1])  # the sign of a linear function
    found = jm.max_margin(x, y)
    check_result(found, x, y)
    assert found.margin == pytest.approx(margin_on_a_grid(x, y), rel=1e-3)


def margin_on_a_grid(x: np.ndarray, y: np.ndarray) -> float:
    angles = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    return jm.l1_svm(np.maximum(x @ np.stack([np.cos(angles), np.sin(angles)]), 0), y).margin / 2
