"""An optimizer for each unit: its updates are those of one for all, and one unit can begin anew."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

import jaxmargin as jm
from jaxmargin.networks._unit_optimizer import UnitOptimizer
from tests.networks.objectives import draw

pytestmark = pytest.mark.usefixtures("standard_promotion")

PARAMS = {"first": draw(3, 4), "second": draw(4, 2, seed=1), "bias": draw(2, seed=2)}
AXES = (None, 1, 0)  # of bias, first and second
SCHEDULE = optax.linear_schedule(0.1, 0.0, 10)
OPTIMIZERS = {
    "adam": lambda: optax.adam(0.1),
    "adamw with a schedule": lambda: optax.adamw(SCHEDULE, weight_decay=0.1),
    "momentum": lambda: optax.sgd(0.1, momentum=0.9),
    "injected": lambda: optax.inject_hyperparams(optax.adam)(learning_rate=SCHEDULE),
    "schedule-free": lambda: optax.contrib.schedule_free_sgd(0.1),
}


def per_unit(optimizer) -> UnitOptimizer:
    return UnitOptimizer(optax.with_extra_args_support(optimizer), AXES)


def steps(update, params, state, count: int = 3) -> tuple[Any, Any]:
    """Descend on sum_j p_j^4 / 4."""
    for _ in range(count):
        grads = jax.tree.map(lambda p: p**3, params)
        updates, state = update(grads, state, params)
        params = optax.apply_updates(params, updates)
    return params, state


def assert_close(actual, expected):
    def close(a, b):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)

    jax.tree.map(close, actual, expected)


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_updates_are_those_of_one_optimizer_for_all(make):
    optimizer = make()
    expected, _ = steps(optimizer.update, PARAMS, optimizer.init(PARAMS))
    split = per_unit(optimizer)
    found, _ = steps(partial(split.update, extra={}), PARAMS, split.init(PARAMS))
    assert_close(found, expected)


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_chosen_units_begin_anew_and_the_others_go_on(make):
    """As units of their own, whose optimizer starts at step 3 with the schedule of step 3."""
    optimizer = per_unit(make())
    params, states = steps(partial(optimizer.update, extra={}), PARAMS, optimizer.init(PARAMS))
    chosen = jnp.array([True, False, False, True])
    renewed = optimizer.restarted(states, chosen, params)
    jax.tree.map(np.testing.assert_array_equal, renewed.rest, states.rest)
    for unit in range(4):
        found, old = (jax.tree.map(lambda a: a[unit], s.units) for s in (renewed, states))  # noqa: B023
        if chosen[unit]:
            begun = jax.tree.map(lambda a: a[unit], optimizer.init(params).units)  # noqa: B023
            assert_close(without_schedules(found), without_schedules(begun))
            jax.tree.map(np.testing.assert_array_equal, schedules(found), schedules(old))
        else:
            jax.tree.map(np.testing.assert_array_equal, found, old)


def is_schedule(state: Any) -> bool:
    return isinstance(state, optax.ScaleByScheduleState | optax.InjectStatefulHyperparamsState)


def schedules(state: Any) -> list:
    """The states of schedules in a state."""
    parts = [part for part in jax.tree.leaves(state, is_leaf=is_schedule) if is_schedule(part)]
    return [part._replace(inner_state=None) if hasattr(part, "inner_state") else part
            for part in parts]  # fmt: skip


def without_schedules(state: Any) -> list:
    """The rest of a state."""
    parts = jax.tree.leaves(state, is_leaf=is_schedule)
    inner = [part.inner_state for part in parts if hasattr(part, "inner_state")]
    return [part for part in parts if not is_schedule(part)] + inner


def moved(optimizer_of) -> float:
    """How far 100 gradients of -1 move a weight, after 50 of 100 and a re-initialisation."""
    params = jm.TwoLayer(u=jnp.ones((4, 2)), w=jnp.ones(4))
    kept, replaced = optimizer_of(0.0), optimizer_of(1.0)

    @jax.jit
    def descend(params, state, gradient, count):
        grads = jax.tree.map(lambda p: jnp.full_like(p, gradient), params)

        def step(_, carry):
            updates, state = kept.update(grads, carry[1], carry[0])
            return optax.apply_updates(carry[0], updates), state

        return jax.lax.fori_loop(0, count, step, (params, state))

    params, state = descend(params, kept.init(params), 100.0, 50)
    updates, state = replaced.update(jax.tree.map(jnp.ones_like, params), state, params)
    params = optax.apply_updates(params, updates)
    after, _ = descend(params, state, -1.0, 100)
    changes = ravel_pytree(after)[0] - ravel_pytree(params)[0]
    assert np.ptp(changes) < 1e-4
    return float(changes[0])


def test_a_fresh_unit_has_no_moments_of_the_one_that_is_gone():
    """Adam moves by its learning rate a step; with the old moments it moves backwards."""
    adam, key = optax.adam(0.01), jax.random.key(0)
    within = moved(lambda noise: jm.perturb_units(key, noise, unit_axis=0, optimizer=adam))
    assert within == pytest.approx(1.0, abs=1e-3)
    after = moved(lambda noise: optax.chain(adam, jm.perturb_units(key, noise, unit_axis=0)))
    assert after < 0
