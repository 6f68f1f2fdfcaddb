"""Rates that are numbers or schedules: their values, their range, and what they close over."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxmargin import _schedules as schedules
from jaxmargin._schedules import BLOCK, Rates

NAN = float("nan")


def at(rates: Rates, step: int) -> list[float]:
    return [float(value) for value in rates.at(jnp.asarray(step))]


def power(base: float, count):
    return base ** count.astype(float)


def jump(at_step: int, before: float, after: float):
    return lambda count: jnp.where(count < at_step, before, after)


def test_numbers_are_the_same_at_each_step():
    rates = Rates.checked(0.5, 0)
    assert not rates.scheduled
    assert [leaf.dtype for leaf in jax.tree.leaves(rates)] == [jnp.zeros(()).dtype] * 2
    assert at(rates, 0) == at(rates, 1000) == [0.5, 0]


def test_schedules_of_optax_have_their_values():
    """Against the formulas that optax documents, in float64 on the host."""
    rates = Rates.checked(
        optax.exponential_decay(0.25, 10, 0.5), optax.join_schedules(
            [optax.constant_schedule(1.0), optax.linear_schedule(0.5, 0.0, 10)], [20])
    )  # fmt: skip
    assert rates.scheduled
    for step in (0, 7, 19, 20, 25, 40):
        falling = 1.0 if step < 20 else 0.5 * max(0.0, 1 - (step - 20) / 10)
        np.testing.assert_allclose(at(rates, step), [0.25 * 0.5 ** (step / 10), falling], rtol=1e-6)


def test_what_a_schedule_closes_over_may_be_mapped_or_traced():
    def make(noise):
        return Rates.checked(0.1, lambda count: noise * power(0.5, count) + extra)

    extra = jnp.array(0.25)
    noises = jnp.array([1.0, 2.0])
    mapped = jax.vmap(make)(noises)
    assert [leaf.shape for leaf in jax.tree.leaves(mapped)] == [(2,)] * 3
    values = jax.vmap(lambda one: one.at(3)[1])(mapped)
    np.testing.assert_array_equal(values, noises / 8 + 0.25)
    traced = jax.jit(lambda noise: make(noise).at(jnp.asarray(3))[1])(2.0)
    assert float(traced) == 0.5


def test_a_schedule_that_is_a_pytree_keeps_its_leaves():
    halved = jax.tree_util.Partial(lambda start, count: start * power(0.5, count), jnp.array(0.5))
    rates = Rates.checked(halved, 1.0)
    assert len(jax.tree.leaves(rates)) == 2
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), rates, Rates.checked(halved, 1.5))
    values = jax.vmap(lambda one: one.at(jnp.asarray(1)))(stacked)
    np.testing.assert_array_equal(jnp.stack(values), [[0.25, 0.25], [1.0, 1.5]])


@jax.tree_util.register_static
@dataclass(frozen=True)
class Halving:
    """A schedule that is a pytree without leaves."""

    start: float

    def __call__(self, count: Any) -> Any:
        return self.start * power(0.5, count)


def test_a_schedule_that_is_a_pytree_without_leaves_can_be_unflattened():
    rates = Rates.checked(Halving(0.5), 1.0)
    again = jax.tree.unflatten(jax.tree.structure(rates), jax.tree.leaves(rates))
    assert jax.tree.structure(again) == jax.tree.structure(rates)
    assert at(again, 2) == [0.125, 1.0]
    assert isinstance(rates.step_size, Halving)


WRONG = {
    "negative": (jump(5, 0.1, -0.5), 1.0,
                 "step_size must be .* >= 0 at each step, got -0.5 at step 5"),
    "NaN": (0.1, jump(BLOCK + 3, 1.0, NAN), f"noise must be .* got nan at step {BLOCK + 3}"),
    "infinite": (0.1, jump(2 * BLOCK, 1.0, jnp.inf), f"got inf at step {2 * BLOCK}"),
    "share": (0.5, jump(9, 2.0, 2.1),
              r"step_size \* noise must be at most 1, got 0.5 \* 2.1 at step 9"),
    "both": (jump(4, 0.1, 0.2), jump(6, 1.0, 6.0), r"got 0.2 \* 6 at step 6"),
}  # fmt: skip


@pytest.mark.parametrize(("step_size", "noise", "message"), WRONG.values(), ids=WRONG)
def test_the_first_step_out_of_range_is_named(step_size: Any, noise: Any, message: str):
    """But for the steps before it, which are taken without complaint."""
    flow = {"of": (Rates.checked(step_size, noise), jnp.ones(3))}
    bad = int(message.rpartition(" ")[2])
    schedules.check_schedules(flow, 0, bad, trials=False)
    for first in (0, bad):
        with pytest.raises(ValueError, match=message + "(:|$)"):
            schedules.check_schedules(flow, first, 3 * BLOCK, trials=False)


def test_the_trial_out_of_range_is_named():
    def make(noise):
        return Rates.checked(0.5, lambda count: noise + 0.25 * count.astype(float))

    flow = jax.vmap(make)(jnp.array([0.0, 1.0, 0.5]))
    schedules.check_schedules(flow, 0, 5, trials=True)
    with pytest.raises(ValueError, match=r"got 0.5 \* 2.25 at step 5 of trial 1: it is"):
        schedules.check_schedules(flow, 0, 100, trials=True)
    same = Rates.checked(jump(5, 0.1, NAN), jump(5, 0.1, NAN))  # no leaves: one for all trials
    with pytest.raises(ValueError, match=r"step_size must be .* got nan at step 5"):
        schedules.check_schedules(same, 3, 10, trials=True)


def test_a_product_of_one_is_allowed_up_to_rounding():
    """As that of the numbers .1 and 10 is; .7 and 1/.7 are 1 + 6e-8 in float32."""
    for step_size in (0.1, 0.7, 0.3):
        rates = Rates.checked(optax.constant_schedule(step_size), 1 / step_size)
        schedules.check_schedules(rates, 0, 3, trials=False)


def test_sums_between_records():
    """At records on both sides of a block's end."""
    steps = np.array([3, 4, 10, BLOCK + 100])
    rates = Rates.checked(0.5, lambda count: (count % 3 == 0).astype(float))
    every = np.arange(steps[-1])
    expected = [
        [sum(of[a:b]) for a, b in pairwise(steps)]
        for of in (np.full(len(every), 0.5), every % 3 == 0)
    ]
    found = schedules.sums_of_schedules([rates, 1.0], steps)
    np.testing.assert_array_equal(found, expected)
    assert schedules.sums_of_schedules(Rates.checked(0.5, 1.0), steps) is None
