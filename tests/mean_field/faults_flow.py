"""Wrong input: flows."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

import jaxmargin as jm
from tests.fault import CLASSES, SIGNS, Fault, X, wrong

MEAN_FIELD = jm.two_layer_problem(X[:, :2], SIGNS, "logistic", lam=0.1)


def start_flow(**changed: Any) -> jm.mean_field.FlowState:
    """The start of a flow, without fault but for what is changed of the measure."""
    measure = jm.Measure(**({"theta": X, "mass": jnp.full(6, 1 / 6)} | changed))
    with jax.numpy_dtype_promotion("standard"):  # as users have it
        return jm.wasserstein_flow(MEAN_FIELD, step_size=0.1).init(measure)


plain = partial(wrong, partial(jm.wasserstein_flow, MEAN_FIELD))
starting = partial(wrong, start_flow)


def perturbed(**changed: Any) -> Callable:
    return wrong(jm.perturbed_flow, MEAN_FIELD, **({"step_size": 0.1, "noise": 1.0} | changed))


FAULTS: list[Fault] = [
    Fault("wasserstein_flow", plain(step_size=0.0), ValueError,
          "step_size must be a finite number > 0, got 0.0"),
    Fault("wasserstein_flow", plain(step_size="0.1"), TypeError, "step_size must be a number"),
    Fault("wasserstein_flow", plain(step_size=lambda count: jnp.where(count < 1, jnp.nan, 0.1)),
          ValueError, "step_size must be a finite number >= 0 at each step, got nan at step 0"),
    Fault("wasserstein_flow", plain(step_size=lambda count: jnp.full(3, 0.1)), ValueError,
          r"step_size must be a schedule of numbers, but at step 0 it is .*\(3,\)"),
    Fault("wasserstein_flow", plain(step_size=0.1, devices=[]), ValueError,
          "the number of devices must be at least 1, got 0"),
    Fault("wasserstein_flow", starting(theta=X[:0], mass=SIGNS[:0]), ValueError,
          r"for m >= 1 particles, got \(0, 3\) and \(0,\)"),
    Fault("wasserstein_flow", starting(mass=SIGNS[:5]), ValueError,
          r"got \(6, 3\) and \(5,\)"),
    Fault("wasserstein_flow", starting(theta=X.at[4, 1].set(jnp.nan)), ValueError,
          r"measure.theta must be finite, but 1 of 18 .* nan at index \(4, 1\)"),
    Fault("wasserstein_flow", starting(mass=SIGNS), ValueError,
          "measure.mass must be >= 0, got -1: a sign belongs into theta"),
    Fault("wasserstein_flow", starting(theta=X[:, :2]), ValueError,
          r"theta must be .* d = 2 features .* got shape \(2,\)"),
    Fault("wasserstein_flow", starting(mass=CLASSES), TypeError,
          "floats of one dtype, got float32 and int"),
    Fault("wasserstein_flow", starting(theta=X.astype("float16"), mass=jnp.ones(6, "float16")),
          TypeError, "problem and measure must .* got float32 and float16"),
    Fault("wasserstein_flow", plain(step_size=1e39), ValueError,
          "step_size = 1e[+]39 is inf in float32, in which it is kept: scale the data"),
    Fault("perturbed_flow", perturbed(noise=1e-50), ValueError,
          "noise = 1e-50 is 0 in float32, in which it is kept"),
    Fault("perturbed_flow", perturbed(step_size=-1.0), ValueError, "step_size must .* got -1.0"),
    Fault("perturbed_flow", perturbed(noise=-1.0), ValueError,
          "noise must be a finite number >= 0, got -1.0"),
    Fault("perturbed_flow", perturbed(noise=None), TypeError, "noise must be a number, got None"),
    Fault("perturbed_flow", perturbed(noise=11.0), ValueError,
          r"step_size \* noise must be at most 1, got 0.1 \* 11.0: it is the share"),
    Fault("perturbed_flow", perturbed(noise=lambda count: -0.5), ValueError,
          "noise must be a finite number >= 0 at each step, got -0.5 at step 0"),
    Fault("perturbed_flow", perturbed(noise=lambda count: (1.0, 2.0)), ValueError,
          "noise must be a schedule of numbers, but at step 0 it is"),
    Fault("perturbed_flow", perturbed(noise=lambda count: 20.0), ValueError,
          r"step_size \* noise must be at most 1, got 0.1 \* 20 at step 0: it is the share"),
    Fault("perturbed_flow", perturbed(scheme="drop"), ValueError,
          "scheme must be one of reinitialize, weighted, got 'drop'"),
    Fault("perturbed_flow", perturbed(reserve=3), ValueError,
          'reserve belongs to scheme "weighted", got scheme \'reinitialize\''),
    Fault("perturbed_flow", perturbed(scheme="weighted", reserve=-1), ValueError,
          "reserve must be at least 0, got -1"),
    Fault("perturbed_flow", perturbed(scheme="weighted", reserve=1.0), TypeError,
          "reserve must be an integer, got 1.0"),
    Fault("perturbed_flow", wrong(lambda: jm.perturbed_flow(MEAN_FIELD, step_size=0.1, noise=1.0)
          .init(jm.Measure(X, jnp.zeros(6)))), ValueError, "measure.mass must not be all 0"),
    Fault("perturbed_flow", perturbed(devices=[]), ValueError,
          "the number of devices must be at least 1, got 0"),
]  # fmt: skip
