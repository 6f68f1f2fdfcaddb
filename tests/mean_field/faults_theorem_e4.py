"""Wrong input: the constants of Theorem E.4."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

import jaxmargin as jm
from jaxmargin.mean_field import Regularity, TheoreticalRate, theoretical_rate
from tests.fault import NAN, PROBLEM, Fault, wrong

START = jm.Measure(jnp.ones((2, 4)), jnp.ones(2) / 2)
OWN = jm.MeanField(lambda theta: theta**2, jnp.sum, lambda theta: jnp.sum(theta**2))


def _rate(**changed: Any) -> TheoreticalRate:
    """The rate of a problem without fault but for what is changed."""
    right = {"problem": PROBLEM, "measure": START, "epsilon": 0.1}
    return theoretical_rate(**(right | changed))


rate = partial(wrong, _rate)

FAULTS: list[Fault] = [
    Fault("theoretical_rate", rate(epsilon=0.0), ValueError, "epsilon must be .* > 0, got 0.0"),
    Fault("theoretical_rate", rate(epsilon=9.0), ValueError,
          r"epsilon must be below L\[rho_0\] / 2 = .*, got 9.0"),
    Fault("theoretical_rate", rate(noise=0.0), ValueError, "noise must be .* > 0, got 0.0"),
    Fault("theoretical_rate", rate(noise=0.1), ValueError,
          r"noise must be at most \d.\de-\d+ for the proof to hold, got 0.1"),
    Fault("theoretical_rate", rate(constants=Regularity(6, 1, 1, 1, 1, 0, 1, 1)), ValueError,
          "constants.b_V must be .* > 0, got 0"),
    Fault("theoretical_rate", rate(constants=Regularity(6, 1, -1, 1, 1, 1, 1, 1)), ValueError,
          "constants.C_R must be .* >= 0, got -1"),
    *(
        Fault("theoretical_rate", rate(constants=Regularity(6, 1, 1, 1, 1, 1, 1, 1, level=level)),
              ValueError, f"constants.level must be above .*, got {level}: M_R must hold where")
        for level in (-1.0, NAN, 0.01)
    ),
    Fault("theoretical_rate", rate(constants=Regularity(6, 1, 1, 1e200, 1, 1, 1, 1)), ValueError,
          "constants must be numbers that float64 can multiply, .*: scale the data"),
    Fault("theoretical_rate", rate(constants=(6, 1, 1)), TypeError,
          r"constants must be a Regularity, got \(6, 1, 1\)"),
    Fault("theoretical_rate", rate(measure=START._replace(theta=NAN * START.theta)), ValueError,
          "measure.theta must be finite"),
    Fault("theoretical_rate", lambda: jax.jit(lambda start: _rate(measure=start).tau)(START),
          TypeError, "theoretical_rate takes concrete numbers: call it outside jit"),
    Fault("theoretical_rate", rate(problem=OWN), TypeError,
          "problem must be one that two_layer_problem makes"),
]  # fmt: skip
