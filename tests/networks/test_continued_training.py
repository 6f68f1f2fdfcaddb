"""A run in two halves is one run, whatever the optimizer remembers."""

import pickle
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmargin as jm
from tests.networks.objectives import SGD, draw, problem, quadratic, vector_problem

pytestmark = pytest.mark.usefixtures("standard_promotion")


def params_average(decay: float) -> optax.GradientTransformation:
    """Changes nothing, and keeps an exponential average of the parameters in its state."""

    def update(updates, state, params: Any = None):
        new = optax.apply_updates(params, updates)
        return updates, optax.incremental_update(new, state, 1 - decay)

    return optax.GradientTransformation(lambda params: params, update)


CONTINUED = {
    "schedule and momentum": lambda: optax.sgd(
        optax.cosine_decay_schedule(0.1, 12), momentum=0.9, nesterov=True
    ),
    "adam": lambda: optax.adam(0.05),
    "adamw with a schedule": lambda: optax.adamw(
        optax.warmup_cosine_decay_schedule(0.0, 0.1, 4, 12), weight_decay=0.1
    ),
    "average of gradients": lambda: optax.chain(optax.ema(0.8), optax.scale(-0.1)),
    "average of parameters": lambda: optax.chain(optax.sgd(0.1), params_average(0.8)),
    "schedule-free sgd": lambda: optax.contrib.schedule_free_sgd(0.1, warmup_steps=5),
    "schedule-free adamw": lambda: optax.contrib.schedule_free_adamw(0.1, warmup_steps=5),
}


def assert_same(a, b):
    """Equal bits, also of random keys."""
    assert all(jax.tree.leaves(jax.tree.map(lambda one, other: bool(jnp.all(one == other)), a, b)))


def assert_two_halves_are_one_run(run, params, break_at: int, num_steps: int = 12):
    """The same bits: parameters, records and the optimizer's state."""
    whole = run(params=params, num_steps=num_steps, record=[break_at])
    first = run(params=params, num_steps=break_at)
    second = run(params=first.params, num_steps=num_steps - break_at, opt_state=first.opt_state)
    assert_same(second.params, whole.params)
    assert_same(second.opt_state, whole.opt_state)
    assert second.opt_state.step == num_steps
    for part, columns in ((first, slice(0, 2)), (second, slice(1, 3))):
        expected = jax.tree.map(lambda leaf: leaf[..., columns], whole.history)  # noqa: B023
        assert_same(part.history, expected)


def check_halves(make, minibatch: jm.Minibatch | None):
    params, x, y = vector_problem(n=7)
    run = partial(jm.train, quadratic, make(), x=x, y=y, metrics=norms, minibatch=minibatch)
    assert_two_halves_are_one_run(run, params, break_at=7)


@pytest.mark.parametrize("make", CONTINUED.values(), ids=CONTINUED.keys())
def test_a_run_in_two_halves_is_one_run(make):
    """The break, after 7 steps, is inside the third epoch of 3 steps."""
    check_halves(make, jm.Minibatch(jax.random.key(3), 2))


def test_a_run_on_all_samples_in_two_halves_is_one_run():
    check_halves(CONTINUED["schedule and momentum"], None)


def norms(params, x, y):
    return {"norm": jnp.linalg.norm(params)}


@pytest.mark.parametrize("break_at", [1, 6])
def test_trials_in_two_halves_are_one_run(break_at: int):
    params, x, y = draw(4, 3), draw(4, 7, 3, seed=2), draw(4, 7, seed=5)
    run = partial(
        jm.train, quadratic, ADAM, x=x, y=y, trials=True,
        minibatch=jm.Minibatch(jax.random.key(3), 2),
    )  # fmt: skip
    assert_two_halves_are_one_run(run, params, break_at)


ADAM = optax.adam(0.05)


def test_units_perturbed_in_two_halves_are_those_of_one_run():
    params, x, y = problem(m=40)
    optimizer = optax.chain(SGD, jm.perturb_units(jax.random.key(1), 0.05, unit_axis=0))
    objective = jm.regularized(jm.two_layer, "logistic", lam=0.01)
    run = partial(jm.train, objective, optimizer, x=x, y=y)
    assert_two_halves_are_one_run(run, params, break_at=5)


def test_a_state_survives_pickling():
    params, x, y = vector_problem()
    run = partial(jm.train, quadratic, ADAM, x=x, y=y)
    first = run(params=params, num_steps=7)
    loaded = pickle.loads(pickle.dumps(first))
    assert isinstance(loaded, jm.networks.Trained)
    for one in (first, loaded):
        second = run(params=one.params, num_steps=5, opt_state=one.opt_state)
        whole = run(params=params, num_steps=12, record=[7])
        np.testing.assert_array_equal(second.params, whole.params)


def test_a_state_of_optax_itself_starts_a_run():
    """Adam with moments of its own, and the average that a schedule-free run is evaluated at."""
    params, x, y = vector_problem()
    state = jm.networks.OptState(0, ADAM.init(params))
    run = partial(jm.train, quadratic, ADAM, params, x, y, num_steps=4)
    np.testing.assert_array_equal(run(opt_state=state).params, run().params)
    free = optax.contrib.schedule_free_sgd(0.1)
    trained = jm.train(quadratic, free, params, x, y, num_steps=40)
    average = optax.contrib.schedule_free_eval_params(trained.opt_state.inner, trained.params)
    assert quadratic(average, x, y) < quadratic(params, x, y)
