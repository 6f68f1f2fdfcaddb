"""Training against loops in NumPy and optax: steps, records, divergence."""

import pickle
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmargin as jm
from tests.networks.objectives import SGD, problem, quadratic, vector_problem

pytestmark = pytest.mark.usefixtures("standard_promotion")


def parameters(params, x, y):
    return params


def descend_numpy(params, x, y, *, k: int | None, lam: float, lr: float, num_steps: int):
    """Gradient descent on eq. 2.2, the derivatives written out, in float64."""
    u, w = np.array(params.u), np.array(params.w)
    x, y, n = np.asarray(x), np.asarray(y), len(x)
    iterates, objectives = [], []
    for _ in range(num_steps + 1):
        hidden = np.maximum(x @ u.T, 0)
        scores = hidden @ w
        if k is None:
            losses = np.log1p(np.exp(-y * scores))
            residual = -y / (1 + np.exp(y * scores)) / n
            back = np.outer(residual, w)
        else:
            powers = np.exp(scores)
            softmax = powers / powers.sum(1, keepdims=True)
            losses = -np.log(softmax[np.arange(n), y])
            residual = (softmax - np.eye(k)[y]) / n
            back = residual @ w.T
        objectives.append(losses.mean() + lam * ((u**2).sum() + (w**2).sum()))
        iterates.append((u, w))
        grad_u = (back * (hidden > 0)).T @ x + 2 * lam * u
        u, w = u - lr * grad_u, w - lr * (hidden.T @ residual + 2 * lam * w)
    return iterates[-1], np.array(objectives)


@pytest.mark.parametrize(("loss", "k"), [("logistic", None), ("cross_entropy", 3)])
def test_gradient_descent_is_the_numpy_loop(loss: str, k: int | None):
    with jax.enable_x64(True):
        params, x, y = problem(k)
        objective = jm.regularized(jm.two_layer, loss, lam=0.01)
        trained = jm.train(objective, optax.sgd(0.3), params, x, y, num_steps=20, record=1)
        expected, objectives = descend_numpy(params, x, y, k=k, lam=0.01, lr=0.3, num_steps=20)
        for leaf, array in zip(trained.params, expected, strict=True):
            assert leaf.dtype == jnp.float64
            np.testing.assert_allclose(leaf, array, rtol=1e-11)
        np.testing.assert_array_equal(trained.history.step, np.arange(21))
        np.testing.assert_allclose(trained.history.objective, objectives, rtol=1e-12)


OPTIMIZERS = {
    "sgd": lambda: optax.sgd(0.1),
    "adam": lambda: optax.adam(0.05),
    "momentum and schedule": lambda: optax.sgd(
        optax.cosine_decay_schedule(0.1, 12), momentum=0.9, nesterov=True
    ),
    "clipped, decayed": lambda: optax.chain(
        optax.clip_by_global_norm(0.5), optax.adamw(0.02, weight_decay=0.1)
    ),
    "a bare transformation": lambda: optax.scale(-0.1),
    "lbfgs": lambda: optax.lbfgs(
        memory_size=3, linesearch=optax.scale_by_backtracking_linesearch(max_backtracking_steps=15)
    ),
}


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_any_optimizer_equals_its_plain_loop(make):
    with jax.enable_x64(True):
        params, x, y = vector_problem()
        optimizer = make()
        value_fn = partial(quadratic, x=x, y=y)
        plain = optax.with_extra_args_support(optimizer)

        @jax.jit
        def step(params, state):
            value, grad = jax.value_and_grad(value_fn)(params)
            updates, state = plain.update(
                grad, state, params, value=value, grad=grad, value_fn=value_fn
            )
            return optax.apply_updates(params, updates), state

        expected, state = params, plain.init(params)
        for _ in range(12):
            expected, state = step(expected, state)
        trained = jm.train(quadratic, optimizer, params, x, y, num_steps=12, record=5)
        np.testing.assert_allclose(trained.params, expected, rtol=1e-9)
        assert trained.history.objective[-1] < trained.history.objective[0]


@pytest.mark.parametrize(
    ("record", "steps"),
    [
        (1, [0, 1, 2, 3, 4, 5, 6, 7]),
        (3, [0, 3, 6, 7]),
        (7, [0, 7]),
        (100, [0, 7]),
        ([5, 2, 2], [0, 2, 5, 7]),
        ((0, 7), [0, 7]),
        ([], [0, 7]),
        (np.int64(6), [0, 6, 7]),
        (np.array([4]), [0, 4, 7]),
    ],
    ids=str,
)
def test_record(record, steps: list[int]):
    params, x, y = vector_problem()
    history = jm.train(
        quadratic, SGD, params, x, y, num_steps=7, record=record, metrics=parameters
    ).history
    np.testing.assert_array_equal(history.step, steps)
    # Each record shows the parameters after so many steps, and the objective there.
    for step, seen, objective in zip(steps, history.metrics, history.objective, strict=True):
        expected = np.asarray(params, np.float64)
        design, target = np.asarray(x, np.float64), np.asarray(y, np.float64)
        for _ in range(step):
            expected = expected - 0.1 * 2 * design.T @ (design @ expected - target) / len(target)
        np.testing.assert_allclose(seen, expected, rtol=1e-4)
        np.testing.assert_allclose(objective, np.mean((design @ expected - target) ** 2), rtol=1e-4)


def test_metrics_may_be_any_pytree_with_constants():
    params, x, y = vector_problem()

    def metrics(params, x, y, factor):
        return {"loss": factor * quadratic(params, x, y), "constant": 1.5, "flag": jnp.any(y > 0)}

    history = jm.train(
        quadratic, optax.sgd(0.1), params, x, y,
        num_steps=3, record=1, metrics=metrics, metric_args=(2.0,),
    ).history  # fmt: skip
    np.testing.assert_allclose(history.metrics["loss"], 2 * history.objective, rtol=1e-6)
    np.testing.assert_array_equal(history.metrics["constant"], [1.5] * 4)
    assert history.metrics["flag"].dtype == bool


def test_without_metrics_there_are_none():
    params, x, y = vector_problem()
    assert jm.train(quadratic, SGD, params, x, y, num_steps=1).history.metrics is None


def square(params, x, y):
    """Diverges at learning rates above 1; needs no data."""
    return jnp.sum(params**2)


def first_overflow(start: float, lr: float) -> int:
    """First step whose p^2 overflows float32, of p <- p - lr 2 p."""
    p, step = np.float32(start), 0
    with np.errstate(over="ignore"):
        while np.isfinite(p * p):
            p, step = np.float32(p - np.float32(lr) * 2 * p), step + 1
    return step


ONE_SAMPLE = (jnp.zeros((1, 1)), jnp.zeros(1))


@pytest.mark.parametrize("record", [1, 7, 1000])
def test_divergence_tells_the_first_step(record: int):
    step = first_overflow(2.0, 5.0)
    assert 10 < step < 40
    run = partial(jm.train, square, optax.sgd(5.0), jnp.array([2.0]), *ONE_SAMPLE, record=record)
    with pytest.raises(jm.DivergenceError, match="lower the learning rate") as caught:
        run(num_steps=40)
    assert (caught.value.step, caught.value.trial) == (step, None)
    assert f"at step {step} of 40" in str(caught.value)
    # One step less than the overflow is a run without fault; the last step's own counts too.
    assert jnp.isfinite(run(num_steps=step - 1).history.objective).all()
    with pytest.raises(jm.DivergenceError) as caught:
        run(num_steps=step)
    assert caught.value.step == step


def test_a_divergence_brings_the_run_that_it_ended():
    step = first_overflow(2.0, 5.0)
    with pytest.raises(jm.DivergenceError) as caught:
        jm.train(
            square, optax.sgd(5.0), jnp.array([2.0]), *ONE_SAMPLE, num_steps=40, record=step - 1
        )
    trained = pickle.loads(pickle.dumps(caught.value)).result
    assert isinstance(trained, jm.networks.Trained)
    finite = np.isfinite(trained.history.objective)
    np.testing.assert_array_equal(finite, np.asarray(trained.history.step) < step)
    np.testing.assert_allclose(
        trained.history.objective[:2], [4.0, (2.0 * 9 ** (step - 1)) ** 2], rtol=1e-4
    )


def test_a_divergence_of_a_continued_run_counts_all_steps():
    step = first_overflow(2.0, 5.0)
    run = partial(jm.train, square, optax.sgd(5.0), x=ONE_SAMPLE[0], y=ONE_SAMPLE[1])
    first = run(params=jnp.array([2.0]), num_steps=10)
    with pytest.raises(jm.DivergenceError, match=f"at step {step} of 50") as caught:
        run(params=first.params, num_steps=40, opt_state=first.opt_state)
    assert caught.value.step == step


def test_divergence_at_the_start():
    with pytest.raises(jm.DivergenceError, match="at step 0 of 3") as caught:
        jm.train(square, optax.sgd(0.1), jnp.array([1e30]), *ONE_SAMPLE, num_steps=3)
    assert caught.value.step == 0


def test_divergence_tells_the_trial():
    starts = [0.0, 3.0, 1e5, 1.0]
    x, y = jnp.zeros((4, 1, 1)), jnp.zeros((4, 1))
    with pytest.raises(jm.DivergenceError, match=r"in trial 1 \(3 of 4 did\)") as caught:
        jm.train(
            square, optax.sgd(5.0), jnp.array(starts)[:, None], x, y, num_steps=60, trials=True
        )
    assert (caught.value.trial, caught.value.step) == (1, first_overflow(3.0, 5.0))


def test_divergence_that_only_the_whole_set_shows():
    """A sample that the batches drop can be the one that overflows."""
    x = jnp.array([[1.0], [1.0], [1e30]])

    def masked(params, x, y):  # inf only where all three samples are present
        return jnp.sum((x @ params) ** 2) if len(x) == 3 else jnp.sum(params**2)

    with pytest.raises(jm.DivergenceError) as caught:
        jm.train(
            masked, optax.sgd(0.1), jnp.array([1.0]), x, jnp.zeros(3), num_steps=4, record=2,
            minibatch=jm.Minibatch(jax.random.key(0), 2),
        )  # fmt: skip
    assert caught.value.step == 0


@pytest.mark.parametrize("trials", [None, 3, 8])
def test_on_record_gets_each_record_of_each_trial(trials: int | None):
    calls = []
    params, x, y = vector_problem()
    if trials is not None:
        params, x, y = (jnp.stack([a * (1 + i) for i in range(trials)]) for a in (params, x, y))

    def on_record(step: int, record: jm.networks.History):
        assert isinstance(step, int)
        assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(record))
        calls.append((step, int(record.step), float(record.objective), record.metrics.tolist()))

    history = jm.train(
        quadratic, optax.sgd(0.1), params, x, y, num_steps=10, record=3, metrics=parameters,
        trials=trials is not None, on_record=on_record,
    ).history  # fmt: skip
    single = jax.tree.map(lambda leaf: leaf[None], history[1:]) if trials is None else history[1:]
    expected = [
        (step, step, float(objective), metrics.tolist())
        for objectives, of_metrics in zip(*single, strict=True)
        for step, objective, metrics in zip(
            history.step.tolist(), objectives, of_metrics, strict=True
        )
    ]
    assert sorted(calls) == sorted(expected)
    assert len(calls) == 5 * (trials or 1)
    if trials is None:
        assert [step for step, *_ in calls] == [0, 3, 6, 9, 10]


def test_on_record_without_metrics():
    records = []
    params, x, y = vector_problem()
    jm.train(
        quadratic, SGD, params, x, y, num_steps=2, on_record=lambda *call: records.append(call)
    )
    assert [(step, record.metrics) for step, record in records] == [(0, None), (2, None)]


def test_on_record_of_large_metrics():
    """Arrays that are large enough for JAX to move them by its own threads."""
    sizes = []
    params, x, y = jnp.ones(300_000), jnp.ones((2, 300_000)), jnp.ones(2)
    jm.train(
        quadratic, optax.sgd(1e-9), params, x, y, num_steps=20, record=1, metrics=parameters,
        on_record=lambda step, record: sizes.append(record.metrics.size),
    )  # fmt: skip
    assert sizes == [300_000] * 21


@pytest.mark.parametrize("optimizer", [optax.sgd(0.1), optax.scale(-0.1)], ids=["chain", "bare"])
def test_a_second_call_does_not_compile_again(optimizer):
    traces = []

    def objective(params, x, y):
        traces.append(1)
        return quadratic(params, x, y)

    params, x, y = vector_problem()
    run = partial(jm.train, objective, optimizer, num_steps=4, record=2)
    run(params, x, y)
    once = len(traces)
    assert once > 0
    run(2 * params, x, -y)
    run(params, x, y, num_steps=6, record=[1])  # other steps, as many records
    assert len(traces) == once


def test_float32_stays_float32_beside_float64():
    with jax.enable_x64(True):
        params, x, y = (a.astype(jnp.float32) for a in vector_problem())
        trained = jm.train(
            quadratic, optax.sgd(0.1), params, x, y, num_steps=3,
            minibatch=jm.Minibatch(jax.random.key(0), 4),
        )  # fmt: skip
        assert trained.params.dtype == trained.history.objective.dtype == jnp.float32


def test_steps_that_the_optimizer_skips_are_no_divergence():
    """Minibatches with the last sample cost NaN; the others are descended on."""
    params, x, y = vector_problem()

    def objective(params, x, y):
        return quadratic(params, x, y) / jnp.where(jnp.any(y == y_last), jnp.nan, 1)

    y_last = y[-1]
    batches = jm.Minibatch(jax.random.key(0), 2)
    skipping = optax.apply_if_finite(SGD, 100)
    found = jm.train(objective, skipping, params, x, y, num_steps=9, minibatch=batches)
    assert int(found.opt_state.inner.total_notfinite) == 3  # once in each epoch
    assert bool(jnp.isfinite(found.params).all())
    assert not np.array_equal(found.params, params)
    with pytest.raises(jm.DivergenceError, match="at step 0 of 9"):
        jm.train(objective, SGD, params, x, y, num_steps=9, minibatch=batches)
    impatient = optax.apply_if_finite(SGD, 0)
    with pytest.raises(jm.DivergenceError):
        jm.train(objective, impatient, params, x, y, num_steps=9, minibatch=batches)


def test_lists_are_taken_as_arrays():
    params, x, y = vector_problem()
    rows: Any = x.tolist()
    targets: Any = list(y)
    found = jm.train(quadratic, SGD, params, rows, targets, num_steps=2)
    expected = jm.train(quadratic, SGD, params, x, y, num_steps=2)
    np.testing.assert_allclose(found.params, expected.params, rtol=1e-6)
