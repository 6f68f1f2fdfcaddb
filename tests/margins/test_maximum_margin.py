"""The largest margin over all widths, against exact optima, known cases and trained networks."""

import itertools
import pickle
from types import SimpleNamespace

import cvxpy as cp
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from scipy.optimize import minimize

import jaxmargin as jm
from benchmarks import cone_program
from jaxmargin import TwoLayer, data, sphere
from tests.interrupts import pressed
from tests.margins.samples import circle, hexagon, labelled, on_a_line, support


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
    assert 1 <= len(w) <= len(x)
    np.testing.assert_allclose(np.linalg.norm(u, axis=1), np.abs(w), rtol=1e-12)
    assert np.sum(u**2) + np.sum(w**2) == pytest.approx(1, rel=1e-12)
    assert attained(found.params, x, y) == pytest.approx(found.margin, rel=1e-12)
    assert found.dual.min() >= 0
    assert found.dual.sum() == pytest.approx(1)
    assert found.margin <= found.upper_bound * (1 + 1e-12)
    assert found.estimate <= found.margin * (1 + tol)
    assert found.estimate <= found.upper_bound * (1 + 1e-12)
    with jax.enable_x64(True):
        highest = sphere.maximum(jnp.asarray(x), jnp.asarray(found.dual * y))
    assert found.estimate == pytest.approx(float(highest.value) / 2, rel=1e-9)
    if found.state == "exact":
        assert found.upper_bound == pytest.approx(found.estimate, rel=1e-7)


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
    on_grid = margin_on_a_grid(x, y, 4000)
    assert 0.9 * found.margin <= on_grid <= found.margin


def margin_on_a_grid(x: np.ndarray, y: np.ndarray, count: int) -> float:
    return jm.l1_svm(np.maximum(x @ circle(count).T, 0), y).margin / 2


def test_on_the_support_of_d_the_margin_is_an_eighth():
    x, y = support(6)
    found = jm.max_margin(x, y)
    check_result(found, x, y)
    assert found.margin == pytest.approx(1 / 8, rel=1e-6)
    assert found.state == "proven"
    assert 1 / 8 <= found.upper_bound <= 0.15
    assert "(proven), estimate=0.125" in repr(found)


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
    order = np.random.default_rng(0).permutation(len(x))
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
        assert found.upper_bound == pytest.approx(1 / 4, rel=1e-6)
        np.testing.assert_allclose(found.dual, 0.5, rtol=1e-4)


def test_it_takes_starts_and_tells_what_it_had_where_it_stopped():
    x, y = labelled(2, 4)
    with pytest.raises(jm.ConvergenceError, match="raise max_rounds, time_limit or tol") as caught:
        jm.max_margin(x, y, max_rounds=2, tol=1e-14)
    found = caught.value.result
    best = jm.max_margin(x, y)
    assert found.margin <= best.margin * (1 + 1e-6)
    assert found.upper_bound >= best.margin * (1 - 1e-9)
    assert attained(found.params, x, y) == pytest.approx(found.margin)
    assert found.history.step.tolist() == [1, 2]
    with pytest.raises(jm.ConvergenceError, match="raise max_rounds, time_limit or tol") as caught:
        jm.max_margin(x, y, time_limit=1e-9, tol=1e-14)
    assert caught.value.result.history.step.tolist() == [1]
    again = jm.max_margin(x, y, starts=best.params.u)
    assert again.margin == pytest.approx(best.margin, rel=2e-6)
    assert "(exact)" in repr(best)


def test_ctrl_c_hands_over_the_network_so_far():
    x, y = labelled(2, 4)
    best = jm.max_margin(x, y)
    with pytest.raises(jm.Interrupted, match="interrupted with margin") as caught:
        jm.max_margin(x, y, tol=1e-14, on_record=pressed)
    found = caught.value.result
    assert found.history.step.tolist() == [caught.value.step] == [1]
    assert attained(found.params, x, y) == pytest.approx(found.margin)
    assert found.margin <= best.margin * (1 + 1e-6)
    assert found.upper_bound >= best.margin * (1 - 1e-9)


@pytest.mark.parametrize("d", [2, 4])
def test_the_history_has_a_row_for_each_round_as_it_was_reported(d: int):
    x, y = labelled(2, 3) if d == 2 else support(4)
    seen = []
    found = jm.max_margin(3 * x, y, on_record=lambda step, record: seen.append((step, record)))
    history = found.history
    assert history.step.tolist() == list(range(1, len(seen) + 1)) == [step for step, _ in seen]
    for i, record in seen:
        assert type(record) is jm.margins.MaxMarginHistory
        assert {np.shape(leaf) for leaf in record} == {()}
        assert record == jax.tree.map(lambda leaf, i=i: leaf[i - 1], history)
    assert history.margin[-1] == pytest.approx(found.margin, rel=1e-6)
    assert history.estimate[-1] == pytest.approx(found.estimate, rel=1e-6)
    assert np.all(np.diff(history.margin) >= 0)
    assert np.all(history.margin <= found.upper_bound * (1 + 1e-9))


def test_the_results_are_pytrees_and_pass_pickle():
    x, y = labelled(2, 0)
    features = np.random.default_rng(0).normal(size=(8, 20))
    for found in (jm.max_margin(x, y), jm.l1_svm(features, y)):
        again = pickle.loads(pickle.dumps(found))
        assert type(again) is type(found)
        assert repr(again) == repr(found)
        jax.tree.map(np.testing.assert_array_equal, again, found)
        assert type(jax.tree.map(np.asarray, found)) is type(found)
    with pytest.raises(jm.ConvergenceError) as caught:
        jm.max_margin(x, y, max_rounds=1, tol=1e-14)
    error = pickle.loads(pickle.dumps(caught.value))
    assert error.result.margin == caught.value.result.margin


def test_a_network_of_many_units_is_as_good_where_the_linear_program_fails(
    monkeypatch: pytest.MonkeyPatch,
):
    x, y = labelled(2, 0)
    best = jm.max_margin(x, y)

    def failing(*_, **__):
        return SimpleNamespace(success=False, message="no progress")

    monkeypatch.setattr(scipy.optimize, "linprog", failing)
    found = jm.max_margin(x, y)
    assert found.margin == pytest.approx(best.margin, rel=1e-6)
    assert attained(found.params, x, y) == pytest.approx(found.margin, rel=1e-12)
    assert len(found.params.w) >= len(best.params.w)


def margins_of_classes(params: TwoLayer, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """f_{y_i} - max_{j != y_i} f_j of each sample."""
    logits = np.maximum(x @ params.u.T, 0) @ params.w
    right = logits[np.arange(len(y)), y]
    others = np.where(np.arange(logits.shape[1]) == y[:, None], -np.inf, logits)
    return right - others.max(axis=1)


def check_classes(found: jm.margins.MaxMargin, x: np.ndarray, y: np.ndarray) -> None:
    """As `check_result`, for k classes (Theorem C.1)."""
    u, w = np.asarray(found.params.u), np.asarray(found.params.w)
    np.testing.assert_allclose(np.linalg.norm(u, axis=1), np.linalg.norm(w, axis=1), rtol=1e-12)
    assert np.sum(u**2) + np.sum(w**2) == pytest.approx(1, rel=1e-12)
    assert margins_of_classes(found.params, x, y).min() == pytest.approx(found.margin, rel=1e-12)
    assert found.dual.min() >= 0
    assert found.dual.sum() == pytest.approx(1)
    assert np.all(found.dual[np.arange(len(y)), y] == 0)
    axes = np.eye(w.shape[1])
    pull = np.einsum("ij,ijc->ic", found.dual, axes[y][:, None] - axes)
    heights = np.linalg.norm(np.maximum(circle(20_000) @ x.T, 0) @ pull, axis=1)
    assert found.upper_bound == pytest.approx(heights.max() / 2, rel=1e-4)
    assert heights.max() / 2 <= found.upper_bound * (1 + 1e-9)
    assert found.margin <= found.upper_bound * (1 + 1e-12)
    assert found.upper_bound <= found.margin * (1 + 1e-6)
    assert found.state == "exact"


@pytest.mark.parametrize("seed", range(3))
def test_two_classes_have_sqrt_2_times_the_binary_margin(seed: int):
    x, y = labelled(2, seed)
    found = jm.max_margin(x, (y > 0).astype(int))
    check_classes(found, x, (y > 0).astype(int))
    assert found.margin == pytest.approx(2**0.5 * jm.max_margin(x, y).margin, rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_three_classes_have_the_margin_of_a_cone_program_on_a_grid(seed: int):
    """min sum_j |w_j| over vectors w_j in R^3, one for each of many directions, gives 1 / 2 gamma.

    Every network of the grid is one of those that the margin is the largest of.
    """
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(7, 2)), np.arange(7) % 3
    found = jm.max_margin(x, y)
    check_classes(found, x, y)
    kinks = np.stack([x[:, 1], -x[:, 0]], axis=1) / np.linalg.norm(x, axis=1, keepdims=True)
    hidden = np.maximum(x @ np.concatenate([circle(720), kinks, -kinks]).T, 0)
    w = cp.Variable((734, 3))
    logits = hidden @ w
    right = [logits[i, label] - logits[i, j] >= 1 for i, label in enumerate(y) for j in range(3)
             if j != label]  # fmt: skip
    program = cp.Problem(cp.Minimize(cp.sum(cp.norm(w, 2, axis=1))), right)
    program.solve(solver=cp.CLARABEL)
    on_grid = 1 / (2 * float(np.asarray(program.value)))
    assert on_grid <= found.upper_bound * (1 + 1e-6)
    assert on_grid == pytest.approx(found.margin, rel=2e-3)


def test_opposite_samples_of_separable_labels_are_no_fault():
    x, y = hexagon()
    y = np.array([1.0, 1, 1, -1, -1, -1])  # the sign of a linear function
    found = jm.max_margin(x, y)
    check_result(found, x, y)
    assert found.margin == pytest.approx(margin_on_a_grid(x, y, 720), rel=1e-3)


@pytest.mark.parametrize("a", [1e-1, 1e-3])
def test_two_samples_of_different_sizes_on_a_line(a: float):
    """Slopes 1 and 1 / a have margins of 1, and cost 2 |s| each."""
    found = jm.max_margin(np.array([[1.0], [-a]]), np.array([1.0, -1.0]))
    assert found.margin == pytest.approx(1 / (2 + 2 / a), rel=1e-6)
    assert found.state == "exact"
