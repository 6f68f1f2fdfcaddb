"""The compiled loop: batches that visit every sample, and trials that are single runs."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmargin as jm
from tests.networks.objectives import SGD, draw, quadratic, vector_problem

pytestmark = pytest.mark.usefixtures("standard_promotion")


def visited(params, x, y):
    """For x = I the gradient over a batch is its indicator, so that -params counts visits."""
    return jnp.sum(x @ params)


count_visits = partial(
    jm.train, visited, optax.scale(-1.0), record=1, metrics=lambda params, x, y: -params
)


def visits(n: int, size: int, num_steps: int, seed: int = 0) -> np.ndarray:
    """(num_steps, n): how often each step saw each sample."""
    history = count_visits(
        jnp.zeros(n), jnp.eye(n), jnp.zeros(n),
        num_steps=num_steps, minibatch=jm.Minibatch(jax.random.key(seed), size),
    ).history  # fmt: skip
    return np.diff(np.asarray(history.metrics), axis=0)


@pytest.mark.parametrize(("n", "size"), [(6, 2), (6, 6), (7, 3), (5, 1)])
def test_each_epoch_visits_each_sample_once_in_a_new_order(n: int, size: int):
    batches = n // size
    seen = visits(n, size, 4 * batches)
    np.testing.assert_array_equal(seen.sum(1), size)
    epochs = seen.reshape(4, batches, n)
    assert set(np.unique(epochs.sum(1))) <= {0.0, 1.0}
    np.testing.assert_array_equal(epochs.sum((1, 2)), batches * size)
    if size < n:
        assert len({epoch.tobytes() for epoch in epochs}) > 1
        assert (seen != visits(n, size, 4 * batches, seed=1)).any()


def test_each_sample_is_dropped_as_often_as_another():
    """With 7 samples and batches of 3 one is left out an epoch: each in turn, by chance."""
    epochs = visits(7, 3, 2 * 70).reshape(70, 2, 7).sum(1)
    dropped = np.sum(epochs == 0, axis=0)
    assert dropped.sum() == 70
    assert np.abs(dropped - 10).max() < 4.5 * np.sqrt(70 * (1 / 7) * (6 / 7))


def test_a_full_minibatch_is_full_batch_descent():
    params, x, y = vector_problem()
    run = partial(jm.train, quadratic, SGD, params, x, y, num_steps=5)
    batched = run(minibatch=jm.Minibatch(jax.random.key(0), 6))
    np.testing.assert_allclose(batched.params, run().params, rtol=1e-5)


MOMENTUM = optax.sgd(0.1, momentum=0.5)


def norm_and_scores(params, x, y, test_x):
    return {"norm": jnp.linalg.norm(params), "scores": test_x @ params}


@pytest.mark.parametrize(("trials", "minibatch"), [(2, False), (3, True), (8, False)])
def test_trials_are_single_runs(trials: int, minibatch: bool):
    key = jax.random.key(6)
    params, x, y = draw(trials, 3), draw(trials, 6, 3, seed=2), draw(trials, 6, seed=5)
    test_x = draw(trials, 4, 3, seed=8)

    run = partial(jm.train, quadratic, MOMENTUM, num_steps=9, record=4, metrics=norm_and_scores)
    together = run(
        params, x, y, metric_args=(test_x,), trials=True,
        minibatch=jm.Minibatch(key, 2) if minibatch else None,
    )  # fmt: skip
    np.testing.assert_array_equal(together.history.step, [0, 4, 8, 9])
    assert together.history.objective.shape == (trials, 4)
    assert together.history.metrics["scores"].shape == (trials, 4, 4)
    keys = jax.random.split(key, trials)
    for i in range(trials):
        alone = run(
            params[i], x[i], y[i], metric_args=(test_x[i],),
            minibatch=jm.Minibatch(keys[i], 2) if minibatch else None,
        )  # fmt: skip
        of_trial = jax.tree.map(lambda leaf: leaf[i], (together.params, together.history[1:]))  # noqa: B023
        jax.tree.map(
            partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6),
            of_trial,
            (alone.params, alone.history[1:]),
        )
