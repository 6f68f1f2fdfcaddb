"""Checks of a problem, of the values of a measure, and of the state of a run."""

from typing import Any

import jax
import numpy as np
from jax.core import Tracer
from jaxtyping import PRNGKeyArray

from jaxmargin._arrays import as_jax, require_key
from jaxmargin._checks import require_enabled, require_finite
from jaxmargin.mean_field._particles.passes import Problem
from jaxmargin.mean_field.measure import Measure


def require_problem(problem: Problem) -> None:
    """Raise TypeError unless it has the three functions of a `MeanField`."""
    if not isinstance(problem, Problem):
        raise TypeError(f"problem must be a MeanField, got {type(problem).__name__}")


def checked_run(key: PRNGKeyArray, flow: Any, state: Any) -> Any:
    """The state as arrays, once these are the key, the flow and the state of a run.

    The types are known by their fields, as they are defined on top of this module.

    Raises:
        TypeError: one of them is something else, or holds 64 bits where they are not enabled.
    """
    require_key(key, several=True)  # how many is for the caller to check, as the trial axis is
    if not (hasattr(flow, "init") and hasattr(flow, "step")):
        raise TypeError(f"flow must be a Flow, got {type(flow).__name__}")
    if not all(hasattr(state, name) for name in ("measure", "step", "step_size")):
        raise TypeError(
            f"state must be a FlowState, such as flow.init(measure), got {type(state).__name__}"
        )
    require_enabled(flow=flow, state=state)
    if not isinstance(state.measure, Measure):
        raise TypeError(f"state.measure must be a Measure, got {type(state.measure).__name__}")
    theta, mass = state.measure
    return state._replace(
        measure=Measure(as_jax("state.measure.theta", theta), as_jax("state.measure.mass", mass)),
        step=as_jax("state.step", state.step),
        step_size=as_jax("state.step_size", state.step_size),
    )


def step_of_one_run(key: PRNGKeyArray, state: Any) -> int:
    """The state's step; raise unless the key is one, and the state that of one run, not trials."""
    require_key(key)
    if shape := state.step.shape:
        raise ValueError(f"state.step must be one step, got shape {shape}: take trials=True")
    state.measure.checked()
    return int(state.step)


def check_measure(problem: Problem, measure: Measure) -> Measure:
    """The measure, once its concrete values are finite, its masses >= 0, and phi takes it.

    Raises:
        ValueError: one of these does not hold; also what phi and loss themselves raise.
        TypeError: no problem or no measure; particles and masses are not floats of one dtype.
    """
    require_problem(problem)
    measure = Measure.checked(measure)
    output = jax.eval_shape(problem.phi, measure.theta[0])
    for name, function, argument in (
        ("loss", problem.loss, output),
        ("potential", problem.potential, measure.theta[0]),
    ):
        value = jax.eval_shape(function, argument)
        if getattr(value, "shape", None) != ():
            raise ValueError(f"problem.{name} must give a scalar, got {value}")
    if isinstance(measure.theta, Tracer) or isinstance(measure.mass, Tracer):
        return measure
    require_finite("measure.theta", measure.theta)
    require_finite("measure.mass", measure.mass)
    if np.any(np.asarray(measure.mass) < 0):
        raise ValueError(
            f"measure.mass must be >= 0, got {np.min(np.asarray(measure.mass)):g}: a sign belongs "
            "into theta, as that of w"
        )
    return measure
