"""Optimizers with parameters of their own: what takes the steps, and what is recorded."""

from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmargin as jm
from jaxmargin.networks._optimizers import has_state, skips_steps
from tests.networks.objectives import SGD, quadratic, vector_problem

pytestmark = pytest.mark.usefixtures("standard_promotion")

PERIOD, SLOW = 3, 0.5
LOOKAHEAD = optax.lookahead(optax.sgd(0.1), PERIOD, SLOW)


def identity(params, x, y):
    return params


def test_lookahead_is_its_plain_loop_and_records_the_slow_parameters():
    params, x, y = vector_problem()
    pair = optax.LookaheadParams.init_synced(params)
    trained = jm.train(quadratic, LOOKAHEAD, pair, x, y, num_steps=7, record=1, metrics=identity)
    fast = slow = np.asarray(params, np.float64)
    design, target = np.asarray(x, np.float64), np.asarray(y, np.float64)
    for step, seen in enumerate(np.asarray(trained.history.metrics)):
        np.testing.assert_allclose(seen, slow, rtol=1e-4)
        if step < 7:
            fast = fast - 0.1 * 2 * design.T @ (design @ fast - target) / len(target)
            if (step + 1) % PERIOD == 0:
                fast = slow = slow + SLOW * (fast - slow)
    np.testing.assert_allclose(trained.params.fast, fast, rtol=1e-4)
    np.testing.assert_allclose(trained.params.slow, slow, rtol=1e-4)
    assert float(trained.history.objective[-1]) == pytest.approx(
        float(quadratic(trained.params.slow, x, y)), rel=1e-5
    )


def test_lookahead_with_an_objective_that_checks_its_labels():
    params, x, _ = vector_problem()
    objective = jm.regularized(lambda params, x: x @ params, "logistic", lam=0.1)
    pair = optax.LookaheadParams.init_synced(params)
    run = partial(jm.train, objective, LOOKAHEAD, pair, x, num_steps=4)
    trained = run(y=jnp.sign(x[:, 0]))
    assert trained.history.objective[-1] < trained.history.objective[0]
    with pytest.raises(ValueError, match=r"labels must be -1 or \+1"):
        run(y=jnp.arange(len(x)) / 2)


def params_average(decay: float) -> optax.GradientTransformation:
    """Changes nothing, and keeps an exponential average of the parameters in its state."""

    def update(updates, state, params: Any = None):
        new = optax.apply_updates(params, updates)
        return updates, optax.incremental_update(new, state, 1 - decay)

    return optax.GradientTransformation(lambda params: params, update)


AVERAGES = {
    "schedule-free": (
        optax.contrib.schedule_free_sgd(0.1), optax.contrib.schedule_free_eval_params
    ),
    "average": (optax.chain(SGD, params_average(0.8)), lambda state, params: state[1]),
}  # fmt: skip


@pytest.mark.parametrize("name", AVERAGES)
def test_records_are_of_the_parameters_that_an_optimizer_evaluates(name: str):
    """Each record is that of a run which ends there, evaluated afterwards."""
    optimizer, eval_params = AVERAGES[name]
    params, x, y = vector_problem()
    run = partial(jm.train, quadratic, optimizer, params, x, y)
    history = run(num_steps=6, record=2, eval_params=eval_params, metrics=identity).history
    for i, step in enumerate([2, 4, 6], start=1):
        trained = run(num_steps=step)
        shown = eval_params(trained.opt_state.inner, trained.params)
        np.testing.assert_allclose(history.metrics[i], shown, rtol=1e-5)
        np.testing.assert_allclose(history.objective[i], quadratic(shown, x, y), rtol=1e-5)
        assert not np.allclose(shown, trained.params)


def test_trials_are_evaluated_each_by_itself():
    params, x, y = (jnp.stack([a, 2 * a]) for a in vector_problem())
    optimizer, eval_params = AVERAGES["schedule-free"]
    run = partial(jm.train, quadratic, optimizer, num_steps=5, eval_params=eval_params)
    together = run(params, x, y, trials=True).history.objective
    alone = [run(params[i], x[i], y[i]).history.objective for i in range(2)]
    np.testing.assert_allclose(together, alone, rtol=1e-5)


def test_a_state_is_found_inside_of_others():
    params = jnp.ones(3)
    chained = optax.chain(optax.clip(1.0), optax.apply_if_finite(SGD, 3)).init(params)
    assert skips_steps(chained)
    assert not skips_steps(SGD.init(params))
    pair = optax.LookaheadParams.init_synced(params)
    assert has_state(optax.chain(optax.clip(1.0), LOOKAHEAD).init(pair), optax.LookaheadState)
