"""Wrong input: the budget of a flow."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

import jaxmargin as jm
from jaxmargin.mean_field import FlowBudget, Regularity, flow_budget
from tests.fault import NAN, PROBLEM, Fault, wrong

RECORDS = jm.Measure(jnp.ones((3, 2, 4)), jnp.ones((3, 2)))
OWN = jm.MeanField(lambda theta: theta**2, jnp.sum, lambda theta: jnp.sum(theta**2))


def _budget(**changed: Any) -> FlowBudget:
    """The budget of a record without fault but for what is changed."""
    right = {
        "problem": PROBLEM, "measures": RECORDS, "directions": jnp.eye(4), "time": jnp.arange(3.0),
        "noise": 0.1,
    }  # fmt: skip
    return flow_budget(**(right | changed))


budget = partial(wrong, _budget)

FAULTS: list[Fault] = [
    Fault("flow_budget", budget(problem=3), TypeError, "problem must be a MeanField, got int"),
    Fault("flow_budget", budget(measures=RECORDS.theta), TypeError,
          "measures must be a Measure of records, got "),
    Fault("flow_budget", budget(measures=jm.Measure(jnp.ones((2, 4)), jnp.ones(2))), ValueError,
          r"measures must hold theta \(s, m, D\) and mass .* of s >= 2 records, got \(2, 4\)"),
    Fault("flow_budget", budget(measures=jax.tree.map(lambda leaf: leaf[:1], RECORDS)), ValueError,
          r"measures must hold .* got \(1, 2, 4\) and \(1, 2\)"),
    Fault("flow_budget", budget(measures=RECORDS._replace(mass=-RECORDS.mass)), ValueError,
          "measure.mass must be >= 0, got -1"),
    Fault("flow_budget", budget(measures=RECORDS._replace(theta=NAN * RECORDS.theta)), ValueError,
          "measure.theta must be finite"),
    Fault("flow_budget", budget(directions=jnp.eye(3)), ValueError,
          r"directions must be \(p, D = 4\), got \(3, 3\)"),
    Fault("flow_budget", budget(directions=jnp.zeros((2, 4))), ValueError,
          "directions must not have a row of zeros"),
    Fault("flow_budget", budget(directions=NAN * jnp.eye(4)), ValueError,
          "directions must be finite"),
    Fault("flow_budget", budget(time=jnp.arange(4.0)), ValueError,
          r"time must be \(s,\), one for each of s = 3 records, got \(4,\)"),
    Fault("flow_budget", budget(time=jnp.array([0.0, 1.0, 1.0])), ValueError,
          "time must increase from record to record"),
    Fault("flow_budget", budget(time=jnp.array([0.0, 1.0, NAN])), ValueError,
          "time must be finite"),
    Fault("flow_budget", budget(time="now"), TypeError, "time must be an array of numbers"),
    Fault("flow_budget", budget(noise=-0.1), ValueError, "noise must be .* >= 0, got -0.1"),
    Fault("flow_budget", budget(problem=OWN), TypeError,
          "problem must be one that two_layer_problem makes"),
    Fault("flow_budget", budget(constants=(6, 1, 1)), TypeError,
          r"constants must be a Regularity, got \(6, 1, 1\)"),
    Fault("flow_budget", budget(constants=Regularity(6, 1, 1, 1, 1, 1, 1, 1, level=0.01)),
          ValueError, "constants.level must be above the energy .*, got 0.01: M_R must hold"),
    Fault("flow_budget", lambda: jax.jit(lambda records: _budget(measures=records).energy)(RECORDS),
          TypeError, "flow_budget takes concrete numbers: call it outside jit"),
]  # fmt: skip
