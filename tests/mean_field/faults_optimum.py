"""Wrong input: optima over all measures."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

import jaxmargin as jm
from tests.fault import PARTICLES, PROBLEM, SIGNS, Fault, wrong
from tests.interrupts import pressed
from tests.mean_field.faults_certificates import WRONG_MEASURES


def _optimum(problem: jm.MeanField = PROBLEM, **changed: Any) -> None:
    """A call without fault but for what is changed."""
    right: dict[str, Any] = {"start": PARTICLES}
    jm.global_optimum(problem, **(right | changed))


optimum = partial(wrong, _optimum)
OWN = jm.MeanField(lambda theta: PROBLEM.phi(theta), PROBLEM.loss, PROBLEM.potential)
TINY = jm.two_layer_problem(jnp.eye(3), SIGNS[:3], "logistic", lam=1e-3)
FAULTS: list[Fault] = [
    *(
        Fault("global_optimum", optimum(problem, start=measure), error, match)
        for problem, measure, error, match in WRONG_MEASURES
    ),
    Fault("global_optimum", optimum(starts=jnp.ones((2, 3))), ValueError,
          r"starts must be \(p, D = 4\) particles, got \(2, 3\)"),
    Fault("global_optimum", optimum(tol=0.0), ValueError,
          "tol must be a finite number > 0, got 0.0"),
    Fault("global_optimum", optimum(max_rounds=0), ValueError,
          "max_rounds must be at least 1, got 0"),
    Fault("global_optimum", optimum(max_rounds=1.0), TypeError,
          "max_rounds must be an integer, got 1.0"),
    Fault("global_optimum", optimum(time_limit=0.0), ValueError,
          "time_limit must be a finite number > 0, got 0.0"),
    Fault("global_optimum", optimum(budget=-1.0), ValueError,
          "budget must be a finite number >= 0, got -1.0"),
    Fault("global_optimum", optimum(on_record=[]), TypeError,
          r"on_record must be a function \(step, record\), got list"),
    Fault("global_optimum", optimum(OWN, start=None), ValueError,
          "start must be given for a problem that `two_layer_problem` did not make"),
    Fault("global_optimum", wrong(jax.jit(jm.global_optimum), PROBLEM, start=PARTICLES), TypeError,
          "global_optimum takes concrete numbers: call it outside jit, vmap and grad"),
    Fault("global_optimum", optimum(TINY, tol=1e-15, max_rounds=1), jm.ConvergenceError,
          "gap of .* of the energy after 1 rounds, above tol = 1e-15: raise max_rounds, time_"),
    Fault("global_optimum", optimum(TINY, on_record=pressed), jm.Interrupted,
          "global_optimum was interrupted after 1 rounds, at an estimated gap of"),
]  # fmt: skip
