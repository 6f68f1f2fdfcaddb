"""A run in two halves is one run, whatever the optimizer remembers."""

import os
import pickle
import signal
import threading
from functools import partial
from typing import Any
from unittest.mock import patch

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmargin as jm
from tests.interrupts import clock, usual_handler
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
    "sums of two gradients": lambda: optax.MultiSteps(
        optax.adam(0.05), 2
    ).gradient_transformation(),
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


def test_lookahead_in_two_halves_is_one_run():
    params, x, y = vector_problem(n=7)
    optimizer = optax.lookahead(optax.adam(0.05), 4, 0.5)
    run = partial(jm.train, quadratic, optimizer, x=x, y=y, metrics=norms)
    pair = optax.LookaheadParams.init_synced(params)
    assert_two_halves_are_one_run(run, pair, break_at=7)


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
    optimizer = jm.perturb_units(jax.random.key(1), 0.05, unit_axis=0, optimizer=ADAM)
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


@pytest.mark.parametrize("trials", [0, 3])
def test_a_run_in_short_segments_is_one_run(trials: int):
    """Of one step or record each, against 1, 16, 256 steps."""
    shape = (trials,) if trials else ()
    run = partial(
        jm.train, quadratic, ADAM, draw(*shape, 3), draw(*shape, 7, 3, seed=2),
        draw(*shape, 7, seed=5), num_steps=25, record=[4, 5, 20], metrics=norms,
        trials=bool(trials), minibatch=jm.Minibatch(jax.random.key(3), 2),
    )  # fmt: skip
    with clock(0.0):
        whole = run()
    told = []
    with clock(1.0):
        assert_same(run(on_record=lambda step, _: told.append(step)), whole)
    assert told == [step for step in [0, 4, 5, 20, 25] for _ in range(trials or 1)]


def test_ctrl_c_keeps_what_the_run_had_reached():
    """The rest of the run goes on from there, and is the same to the last bit."""
    params, x, y = vector_problem(n=7)
    run = partial(jm.train, quadratic, ADAM, x=x, y=y, record=10, metrics=norms)
    whole = run(params=params, num_steps=40)
    with clock(1.0, at=27), pytest.raises(jm.Interrupted, match="at step 13 of 40") as caught:
        run(params=params, num_steps=40)
    assert isinstance(caught.value.result, jm.networks.Trained)
    first, history, state = caught.value.result
    assert (caught.value.step, state.step) == (13, 13)
    assert history.step.tolist() == [0, 10, 13]
    assert_same(history.metrics["norm"][:2], whole.history.metrics["norm"][:2])
    rest = run(params=first, num_steps=27, opt_state=state)
    assert_same((rest.params, rest.opt_state), (whole.params, whole.opt_state))


def test_a_signal_from_outside_ends_a_long_run():
    press = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    run = partial(jm.train, quadratic, SGD, *vector_problem(), num_steps=10**9, record=10**9)
    short = patch("jaxmargin._records.SECONDS", 0.05)
    with usual_handler(), short, pytest.raises(jm.Interrupted) as caught:
        run(on_record=lambda *_: press.start())
    assert 0 < caught.value.step < 10**9
    assert len(caught.value.result.history.step) == 2


def test_all_segments_share_two_programs(caplog):
    params, x, y = (leaf + 0 for leaf in vector_problem(n=11, d=5))
    with jax.log_compiles(), clock(1.0):
        jm.train(quadratic, SGD, params, x, y, num_steps=9, record=4)
    compiled = [line for line in caplog.messages if line.startswith("Compiling")]
    assert sum("advance" in line for line in compiled) == 1
    assert sum("begin" in line for line in compiled) == 1
