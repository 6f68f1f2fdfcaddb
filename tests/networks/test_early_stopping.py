"""A run that ends early is the beginning of the whole run."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmargin as jm
from tests.networks.objectives import quadratic, vector_problem

pytestmark = pytest.mark.usefixtures("standard_promotion")

PARAMS, X, Y = vector_problem()


def first(params, x, y):
    return {"first": params[0]}


run = partial(jm.train, quadratic, optax.adam(0.05), x=X, y=Y, record=2, metrics=first)
WHOLE = partial(run, PARAMS, num_steps=12)


def assert_same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.parametrize("kept", [1, 4, 7])
def test_the_first_record_that_satisfies_it_is_the_last_one(kept: int):
    """The 1st, at the start; the 4th; the 7th, with which the run ends in any case."""
    whole = WHOLE()
    level = float(whole.history.objective[kept - 1])
    told = []
    stopped = WHOLE(
        stop=lambda record: record.objective <= level, on_record=lambda *call: told.append(call[0])
    )
    assert_same(stopped.history, jax.tree.map(lambda leaf: leaf[:kept], whole.history))
    assert stopped.opt_state.step == 2 * (kept - 1)
    assert told == list(range(0, 2 * kept, 2))
    if kept > 1:
        assert_same(stopped.params, run(PARAMS, num_steps=2 * (kept - 1)).params)
    if kept < 7:
        rest = run(stopped.params, num_steps=14 - 2 * kept, opt_state=stopped.opt_state)
        assert_same(rest.params, whole.params)


def test_a_run_that_never_satisfies_it_is_the_whole_run():
    assert_same(WHOLE(stop=lambda record: False), WHOLE())


def test_it_sees_the_step_and_the_metrics():
    def stop(record: jm.networks.History):
        return (record.step >= 5) & jnp.isfinite(record.metrics["first"])

    assert WHOLE(stop=stop).history.step.tolist() == [0, 2, 4, 6]
    later = run(PARAMS, num_steps=12, opt_state=WHOLE(stop=stop).opt_state)
    assert later.history.step[0] == 6


def test_a_divergence_is_one_with_it_too():
    with pytest.raises(jm.DivergenceError):
        jm.train(quadratic, optax.sgd(1e4), PARAMS, X, Y, num_steps=40, record=20,
                 stop=lambda record: False)  # fmt: skip
