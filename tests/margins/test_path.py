"""The path lambda -> 0 against convex programs that are solved to the last digit."""

import pickle
from functools import partial

import cvxpy as cp
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from benchmarks import cone_program
from jaxmargin import data
from jaxmargin.networks import norms
from tests.interrupts import clock

KEY = jax.random.key(0)


def linear(w, x):
    return x @ w


def on_a_line(points, labels) -> tuple[np.ndarray, np.ndarray]:
    """Samples (n, 2) with the constant feature, and their labels."""
    points = np.asarray(points, np.float64).ravel()
    return np.c_[points, np.ones(len(points))], np.asarray(labels, np.float64)


def sinusoid() -> tuple[np.ndarray, np.ndarray]:
    return on_a_line(*data.sinusoid(10))


def network_path(x: np.ndarray, y: np.ndarray, lams, **settings) -> jm.margins.MarginPath:
    start = jm.init_two_layer(KEY, d=2, m=50)
    return jm.margin_path(jm.two_layer, start, jnp.asarray(x), jnp.asarray(y), lams, **settings)


def blobs(k: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Twelve samples of k classes around different means, and their class."""
    rng = np.random.default_rng(3)
    labels = np.arange(12) % k
    return rng.normal(size=(12, 3)) + 4 * np.eye(3)[labels], labels


def test_the_margin_at_each_lambda_is_that_of_the_convex_optimum():
    x, y = sinusoid()
    exponents = np.array([8, 10, 14, 20, 30, 45, 60, 75, 90])
    path = network_path(x, y, 2.0**-exponents)
    assert path.converged.all()
    best = cone_program.max_margin(x, y)
    for lam, margin, objective in zip(path.lam, path.margin, path.objective, strict=True):
        expected, log_objective = cone_program.margin_at(x, y, lam=lam)
        assert margin == pytest.approx(expected, rel=1e-3)
        assert np.log(objective) == pytest.approx(log_objective, abs=1e-4)
        assert margin < best
    assert np.all(np.diff(path.norm) > 0)  # Lemma C.4
    assert np.all(path.lam * path.norm**2 < np.log(2))  # the objective at 0, Claim C.3
    assert path.margin[exponents == 14] > 0.94 * best
    assert path.margin[exponents == 60] > 0.99 * best


LABELS = ["++--+-++--", "+-+++--+--", "---++++-++", "++++-----+", "+--++--++-"]
EXPONENTS = np.array([10, 14, 18, 24, 30, 40, 50, 60])


@pytest.mark.parametrize("labels", LABELS)
def test_other_labels_reach_the_convex_optimum_too(labels: str):
    x, y = on_a_line(data.sinusoid(10)[0], [1 if sign == "+" else -1 for sign in labels])
    path = network_path(x, y, 2.0**-EXPONENTS)
    for lam, margin, objective in zip(path.lam, path.margin, path.objective, strict=True):
        expected, log_objective = cone_program.margin_at(x, y, lam=lam)
        if expected > 0:  # at 2^-10 the optimum need not separate all labels
            assert margin == pytest.approx(expected, rel=1e-2)
        assert np.log(objective) == pytest.approx(log_objective, abs=1e-2)


def test_random_points_reach_the_convex_optimum_too():
    points = np.sort(np.random.default_rng(0).uniform(-1, 1, 20))
    x, y = on_a_line(points, np.sign(np.sin(1.5 * np.pi * (points + 1))))
    path = network_path(x, y, 2.0**-EXPONENTS)
    expected = [cone_program.margin_at(x, y, lam=lam)[0] for lam in path.lam]
    np.testing.assert_allclose(path.margin, expected, rtol=1e-2)


def test_units_that_a_large_lambda_kills_come_back():
    x, y = sinusoid()
    path = network_path(x, y, [1.0, 2.0**-14], num_steps=3000)
    assert path.norm[0] < 1e-3  # Theta = 0 is optimal
    assert path.margin[1] == pytest.approx(cone_program.margin_at(x, y, lam=2.0**-14)[0], rel=1e-2)


def test_three_layers_of_one_unit_against_a_scalar_problem():
    """f = a b c x on x = +-1: |Theta|^2 = 3 t^2 at a = b = c = t, the margin t^3 / |Theta|^3."""

    def product(theta, x):
        return jnp.prod(theta) * x[:, 0]

    x, y = jnp.array([[1.0], [-1.0]]), jnp.array([1.0, -1.0])
    for r in (1.0, 3.0):
        path = jm.margin_path(product, jnp.ones(3), x, y, [1e-3, 1e-9], r=r, num_steps=2000)
        np.testing.assert_allclose(path.margin, 3**-1.5, rtol=1e-3)
        t = np.linspace(0.01, 10, 10**6)
        for lam, objective in zip(path.lam, path.objective, strict=True):
            best = np.min(np.logaddexp(0, -(t**3)) + lam * (3 * t**2) ** (r / 2))
            assert objective == pytest.approx(best, rel=1e-4)


@pytest.mark.parametrize(("norm", "best"), [(norms.l1, 1 / 16), (norms.l2, 1 / 4), (norms.linf, 1)])
def test_a_network_in_any_norm_against_its_largest_margin(norm, best: float):
    """One unit for each of x = +-1: both products w u are equal, and as large as the norm allows.

    Of two units, 1 = sum |w| + |u| allows (1/4)^2, the sum of squares 1 allows 1/4, and entries of
    at most 1 allow 1 (Theorem 4.1 for a norm other than l2).
    """
    x, y = jnp.array([[1.0], [-1.0]]), jnp.array([1.0, -1.0])
    start = jm.TwoLayer(u=jnp.array([[1.0], [-0.7]]), w=jnp.array([0.6, -1.2]))
    path = jm.margin_path(jm.two_layer, start, x, y, [1e-4, 1e-12], norm=norm, num_steps=3000)
    np.testing.assert_allclose(path.margin, best, rtol=0.02)


def three_classes(lams: list[float]) -> jm.margins.MarginPath:
    start = jm.init_two_layer(KEY, d=3, m=30, k=3)
    return jm.margin_path(jm.two_layer, start, jnp.eye(3), jnp.arange(3), lams)


def test_three_classes_tend_to_the_largest_margin():
    """Theorem C.1, with the largest margin over all widths that a bound proves."""
    best = jm.max_margin(jnp.eye(3), jnp.arange(3))
    path = three_classes([1e-3, 1e-8, 1e-24])
    ratio = path.margin / best.margin
    assert np.all(np.diff(path.norm) > 0)
    assert np.all(ratio <= 1 + 1e-6)
    assert ratio[-1] > 0.98


def test_the_minimum_lies_between_its_bounds_at_every_lambda():
    """Equations C.6 and C.7 for two-layer networks (a = 2) of three classes, with r = 2."""
    best, lams = jm.max_margin(jnp.eye(3), jnp.arange(3)).margin, [1e-2, 1e-3, 1e-5]
    path = three_classes(lams)
    size, penalty = path.norm**2, path.lam * path.norm**2
    most = np.log1p(2 * np.exp(-size * best)) + penalty
    least = np.log1p(np.exp(-size * path.margin)) / 3 + penalty
    assert np.all(least <= path.objective)
    assert np.all(path.objective <= most * (1 + 1e-5))
    assert np.all(most < 3 * least)  # neither is far off


def test_the_objective_of_a_network_and_its_multiples_lies_between_two_bounds():
    """Equations C.3 to C.5 in NumPy: only the least margin is seen, and one or all samples pay."""
    rng, lam, classes = np.random.default_rng(0), 0.02, 3
    x, labels = blobs(classes)
    for _ in range(20):
        u, w = rng.normal(size=(9, 3)), rng.normal(size=(9, classes))
        size = np.sqrt(np.sum(u**2) + np.sum(w**2))
        scores = np.maximum(x @ u.T, 0) @ w / size**2
        own = scores[np.arange(12), labels]
        others = np.where(np.eye(classes)[labels] > 0, -np.inf, scores)
        margin = np.min(own - others.max(axis=1))
        for multiple in (0.1, 1.0, 4.0):
            lead = np.log1p(np.exp(multiple**2 * (others - own[:, None])).sum(axis=1))
            exact = lead.mean() + lam * multiple**2
            params = jm.TwoLayer(*(jnp.asarray(part * multiple / size) for part in (u, w)))
            objective = jm.regularized(jm.two_layer, "cross_entropy", lam=lam)
            found = objective(params, jnp.asarray(x, params.u.dtype), jnp.asarray(labels))
            assert float(found) == pytest.approx(exact, rel=1e-5)
            shrunk = np.exp(-(multiple**2) * margin)
            assert np.log1p(shrunk) / 12 + lam * multiple**2 <= exact
            assert exact <= np.log1p((classes - 1) * shrunk) + lam * multiple**2


CONVEX_NORMS = {1: norms.l1, 2: norms.l2, "inf": norms.linf}


@pytest.mark.parametrize("p", CONVEX_NORMS)
@pytest.mark.parametrize("r", [1.0, 2.0])
def test_a_linear_model_in_any_norm_against_a_convex_program(p, r: float):
    x, labels = blobs()
    y = 2.0 * labels - 1
    lams = [1e-2, 1e-4]
    path = jm.margin_path(
        linear, 0.1 * jnp.ones(3), jnp.asarray(x), jnp.asarray(y), lams, r=r, norm=CONVEX_NORMS[p]
    )
    for i, lam in enumerate(lams):
        w = cp.Variable(3)
        loss = cp.sum(cp.logistic(cp.multiply(-y, x @ w))) / len(y)
        program = cp.Problem(cp.Minimize(loss + lam * cp.power(cp.norm(w, p), int(r))))
        program.solve(solver=cp.CLARABEL)
        assert path.objective[i] == pytest.approx(program.value, rel=1e-4)
        assert w.value is not None
        margin = np.min(y * (x @ w.value)) / np.linalg.norm(w.value, p if p != "inf" else np.inf)
        assert path.margin[i] == pytest.approx(margin, rel=1e-2)


def test_a_linear_model_tends_to_the_hard_margin_svm():
    x, labels = blobs()
    y = 2.0 * labels - 1
    path = jm.margin_path(
        linear, 0.1 * jnp.ones(3), jnp.asarray(x), jnp.asarray(y), 2.0 ** -np.arange(10, 61, 10)
    )
    w = cp.Variable(3)
    cp.Problem(cp.Minimize(cp.norm(w)), [cp.multiply(y, x @ w) >= 1]).solve()
    assert w.value is not None
    best = 1 / np.linalg.norm(w.value)
    assert np.all(np.diff(path.margin) > 0)
    assert 0.98 * best < path.margin[-1] < best


def test_three_classes_against_a_convex_program():
    x, labels = blobs(3)
    lam = 2.0**-12
    start = 0.1 * jax.random.normal(KEY, (3, 3))
    path = jm.margin_path(linear, start, jnp.asarray(x), jnp.asarray(labels), [lam])
    w = cp.Variable((3, 3))
    scores = x @ w
    own = cp.sum(cp.multiply(np.eye(3)[labels], scores), axis=1)
    loss = cp.sum(cp.log_sum_exp(scores, axis=1) - own) / len(labels)
    program = cp.Problem(cp.Minimize(loss + lam * cp.sum_squares(w)))
    program.solve(solver=cp.CLARABEL)
    assert path.objective[0] == pytest.approx(program.value, rel=1e-5)
    expected = jm.normalized_margin(
        linear, jnp.asarray(w.value, jnp.float32), jnp.asarray(x, jnp.float32), jnp.asarray(labels)
    )
    assert path.margin[0] == pytest.approx(float(expected), rel=1e-3)


def test_the_fields_belong_to_the_parameters():
    x, y = sinusoid()
    path = network_path(x, y, [2.0**-10, 2.0**-14], num_steps=50)
    assert path.params.u.shape == (2, 50, 2)
    assert {leaf.dtype for leaf in jax.tree.leaves(path._replace(converged=path.lam))} == {
        np.dtype("float64")
    }
    with jax.enable_x64(True):
        for i, lam in enumerate(path.lam):
            params = jm.TwoLayer(*(jnp.asarray(leaf[i]) for leaf in path.params))
            objective = jm.regularized(jm.two_layer, "logistic", lam=lam)
            arrays = params, jnp.asarray(x), jnp.asarray(y)
            assert path.objective[i] == pytest.approx(float(objective(*arrays)), rel=1e-12)
            assert path.norm[i] == pytest.approx(float(norms.l2(params)), rel=1e-12)
            margin = jm.normalized_margin(jm.two_layer, *arrays)
            assert path.margin[i] == pytest.approx(float(margin), rel=1e-12)
    assert jnp.ones(1).dtype == jnp.float32  # float64 is off again


def test_a_path_cut_short_has_not_converged():
    x, y = sinusoid()
    path = network_path(x, y, [2.0**-10, 2.0**-14], num_steps=50)
    assert not path.converged.any()


def test_each_record_is_the_entry_of_its_lambda():
    x, y = sinusoid()
    seen = []

    def on_record(step: int, record: jm.margins.MarginPath) -> None:
        seen.append((step, record, jnp.ones(1).dtype))

    path = network_path(x, y, [2.0**-10, 2.0**-14], num_steps=50, on_record=on_record)
    assert [step for step, _, _ in seen] == [0, 1]
    for i, record, dtype in seen:
        assert type(record) is jm.margins.MarginPath
        assert dtype == jnp.float32  # float64 is off where records are taken
        entry = jax.tree.map(lambda leaf, i=i: leaf[i], path)
        jax.tree.map(np.testing.assert_array_equal, record, entry)
        assert {type(leaf) for leaf in jax.tree.leaves(record)} == {np.ndarray}
    again = pickle.loads(pickle.dumps(path))
    jax.tree.map(np.testing.assert_array_equal, again, path)


def test_a_path_that_diverges_tells_what_it_had():
    """The norm is NaN from 3 on, which only the optimum of the smaller lambda exceeds."""

    def product(theta, x):
        return theta[0] * theta[1] * x[:, 0]

    def broken(theta):
        size = norms.l2(theta)
        return jnp.where(size < 3, size, jnp.nan)

    x, y = jnp.array([[1.0], [-1.0]]), jnp.array([1.0, -1.0])
    problem, settings = (product, jnp.ones(2), x, y), {"num_steps": 300, "learning_rate": 0.1}
    seen = []
    with pytest.raises(jm.DivergenceError, match="diverged at lam = 1e-06") as caught:
        jm.margin_path(
            *problem, [1e-1, 1e-6], norm=broken, on_record=lambda *r: seen.append(r), **settings
        )
    error = pickle.loads(pickle.dumps(caught.value))
    assert error.step == 1
    assert len(seen) == 1
    expected = jm.margin_path(*problem, [1e-1], **settings)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6), error.result, expected)


def test_a_path_that_diverges_at_once_has_nothing():
    with pytest.raises(jm.DivergenceError) as caught:
        network_path(*sinusoid(), [0.1, 0.01], num_steps=2, learning_rate=1e200)
    assert caught.value.step == 0
    assert caught.value.result is None


def test_a_path_in_short_segments_is_one_path():
    """Also where Ctrl-C ends it: the optima that are done are kept."""
    x, y = blobs()
    run = partial(
        jm.margin_path, linear, jnp.ones(3), jnp.asarray(x), jnp.asarray(2.0 * y - 1),
        [2.0**-4, 2.0**-8, 2.0**-12], num_steps=12,
    )  # fmt: skip
    with clock(0.0):
        whole = run()
    with clock(1.0):
        jax.tree.map(np.testing.assert_array_equal, run(), whole)
    with clock(1.0, at=2 * 13 + 7), pytest.raises(jm.Interrupted, match=r"lam = 0\.0039") as caught:
        run()
    first = jax.tree.map(lambda leaf: leaf[:1], whole)
    jax.tree.map(np.testing.assert_array_equal, caught.value.result, first)
    assert caught.value.step == 1
