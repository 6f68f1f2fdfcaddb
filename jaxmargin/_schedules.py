"""The step size and the noise of a flow: numbers, or schedules `schedule(count) -> value`.

The count is the number of steps done so far, which a flow keeps in its state. A schedule is made a
pytree here, as a number is, so that a flow with schedules can be mapped over, stacked and compiled
like any other.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun
from jaxtyping import Array

from jaxmargin._arrays import as_jax
from jaxmargin._checks import is_concrete, require_callable, require_positive

BLOCK = 2**14  # steps whose values are checked together: one shape, so that one compilation does


# Of the number of steps done so far, an array () of integers; those of optax are such.
Schedule = Callable[[Array], Any]


class Rates(NamedTuple):
    """What a perturbed flow takes of each step.

    Attributes:
        step_size: eta, an array () or a schedule that is a pytree.
        noise: sigma, likewise.
    """

    step_size: Any
    noise: Any

    @classmethod
    def checked(cls, step_size: Any, noise: Any) -> "Rates":
        """The rates, once their numbers, and their values at step 0, are in range.

        Raises:
            ValueError: a number or a value at step 0 is out of range; a schedule has no scalars.
            TypeError: a rate is neither a number nor a function.
        """
        for name, rate, zero in (("step_size", step_size, False), ("noise", noise, True)):
            if callable(rate):
                require_callable(name, rate, f"{name}(count)")
                _require_scalar(name, rate)
            else:
                require_positive(name, rate, zero=zero)
        if not callable(step_size) and not callable(noise):
            share = step_size * noise  # of Python numbers: more exact than their arrays
            if not isinstance(share, Tracer) and share > 1:
                raise ValueError(_too_much(step_size, noise))
        rates = cls(_as_pytree(step_size), _as_pytree(noise))
        if rates.scheduled and is_concrete(rates):
            _check_values([np.asarray(value)[None] for value in rates.at(jnp.zeros((), int))], 0)
        return rates

    @property
    def scheduled(self) -> bool:
        """Whether they may differ from step to step."""
        return callable(self.step_size) or callable(self.noise)

    def at(self, step: Array) -> tuple[Array, Array]:
        """Both rates of the step that is taken after `step` of them."""
        return rate_at(self.step_size, step), rate_at(self.noise, step)


def rate_at(rate: Any, step: Array) -> Array:
    """A rate, or its value once `step` steps are done."""
    if not callable(rate):
        return rate
    # Behind the barrier a schedule that is constant is no constant to the compiler, which would
    # multiply it into others: then its steps would not be those of the number, to the last bit.
    return jax.lax.optimization_barrier(jnp.asarray(rate(step), float))


def _require_scalar(name: str, schedule: Callable) -> None:
    def at(step: Array) -> Array:
        return as_jax(f"{name}(count)", schedule(step))

    value = jax.eval_shape(at, jnp.zeros((), int))
    if value.shape:
        raise ValueError(f"{name} must be a schedule of numbers, but at step 0 it is {value}")


def _as_pytree(rate: Any) -> Any:
    if not callable(rate):
        return jnp.asarray(rate, float)
    if not jax.tree_util.all_leaves([rate]):
        return rate
    traced = jax.make_jaxpr(rate)(jnp.zeros((), int))
    if is_concrete(*traced.consts):
        return jax.tree_util.Partial(rate)
    # A function that closes over mapped or traced numbers: they become leaves of the flow.
    return jax.tree_util.Partial(_Opened(traced), *traced.consts)


@dataclass(frozen=True, eq=False)
class _Opened:
    """A schedule as a function of all that it closed over, and of the step."""

    traced: ClosedJaxpr

    def __call__(self, *arguments: Any) -> Array:
        *closed_over, step = arguments
        opened = ClosedJaxpr(self.traced.jaxpr, closed_over)
        return jaxpr_as_fun(opened)(step)[0]


def check_schedules(flow: Any, first: int, count: int, *, trials: bool) -> None:
    """Raise ValueError if a schedule leaves its range in one of `count` steps after the `first`.

    Args:
        flow: any pytree that holds `Rates`; with trials, their leaves have a leading axis.
        first: the number of steps done so far.
        count: the number of steps to come.
        trials: whether there is a trial axis.
    """
    for rates in _scheduled(flow):
        mapped = trials and jax.tree.leaves(rates)  # else all trials have the same
        for begin in range(first, first + count, BLOCK):
            values = (_values_of_trials if mapped else _values)(rates, begin)
            left = min(BLOCK, first + count - begin)
            _check_values([np.asarray(value)[..., :left] for value in values], begin)


def sums_of_schedules(flow: Any, steps: np.ndarray) -> np.ndarray | None:
    """The sums of step sizes and of noises between steps: (2, s - 1), or None without schedules.

    Args:
        flow: any pytree that holds `Rates`.
        steps: (s,) ascending.
    """
    sums = []
    for rates in _scheduled(flow):
        blocks = [_values(rates, begin) for begin in range(steps[0], steps[-1], BLOCK)]
        for values in zip(*blocks, strict=True):
            every = np.concatenate([np.asarray(value, float) for value in values])
            done = every[: steps[-1] - steps[0]]
            sums.append(np.add.reduceat(done, steps[:-1] - steps[0]))
    return np.stack(sums) if sums else None


def _scheduled(flow: Any) -> Iterator[Rates]:
    for part in jax.tree.leaves(flow, is_leaf=lambda part: isinstance(part, Rates)):
        if isinstance(part, Rates) and part.scheduled:
            yield part


@jax.jit
def _values(rates: Rates, begin: Array) -> tuple[Array, Array]:
    return jax.vmap(rates.at)(begin + jnp.arange(BLOCK))


@jax.jit
def _values_of_trials(rates: Rates, begin: Array) -> tuple[Array, Array]:
    return jax.vmap(lambda one: _values(one, begin))(rates)


def _check_values(values: list[np.ndarray], first: int) -> None:
    """Raise for the first of the steps along the last axis whose (step_size, noise) is wrong."""
    for name, value in zip(Rates._fields, values, strict=True):
        at = _first(~np.isfinite(value) | (value < 0))
        if at is not None:
            raise ValueError(
                f"{name} must be a finite number >= 0 at each step, "
                f"got {value[at]:g} {_place(at, first)}"
            )
    step_size, noise = values
    share = step_size * noise
    at = _first(share > 1 + 4 * np.finfo(share.dtype).eps)
    if at is not None:
        raise ValueError(_too_much(f"{step_size[at]:g}", f"{noise[at]:g} {_place(at, first)}"))


def _first(wrong: np.ndarray) -> tuple[int, ...] | None:
    """The index of the first step at which any trial is wrong."""
    found = np.argwhere(wrong)
    return tuple(int(i) for i in found[np.argmin(found[:, -1])]) if len(found) else None


def _place(at: tuple[int, ...], first: int) -> str:
    *trial, step = at
    return f"at step {first + step}" + (f" of trial {trial[0]}" if trial else "")


def _too_much(step_size: Any, noise: Any) -> str:
    return (
        f"step_size * noise must be at most 1, got {step_size} * {noise}: it is the share of "
        "the measure that each step replaces"
    )
