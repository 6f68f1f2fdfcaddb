"""Wrong input: certificates."""

import jax
import jax.numpy as jnp

import jaxmargin as jm
from tests.fault import NAN, PARTICLES, PROBLEM, Fault, wrong

WRONG_MEASURES = [
    (PROBLEM, PARTICLES._replace(mass=-PARTICLES.mass), ValueError,
     "measure.mass must be >= 0, got -1"),
    (PROBLEM, PARTICLES._replace(theta=NAN * PARTICLES.theta), ValueError,
     "measure.theta must be finite"),
    (PROBLEM, jm.Measure(jnp.ones((4, 5)), jnp.ones(4)), ValueError,
     r"outputs of the particles have shape \(6, 2\)"),
    (PROBLEM, jm.Measure(jnp.ones((0, 4)), jnp.ones(0)), ValueError, "m >= 1 particles"),
    (PROBLEM, PARTICLES._replace(mass=jnp.ones(5, int)), TypeError,
     "measure must hold floats of one dtype, got float32 and int32"),
    (jm.MeanField(PROBLEM.phi, jnp.sum, PROBLEM.potential), PARTICLES, TypeError,
     r"problem.loss must have a method conjugate\(p\)"),
]  # fmt: skip
FAULTS: list[Fault] = [
    *(
        Fault("certify", wrong(jm.certify, problem, measure), error, match)
        for problem, measure, error, match in WRONG_MEASURES
    ),
    Fault("certify", wrong(jm.certify, PROBLEM, PARTICLES, starts=jnp.ones((2, 3))),
          ValueError, r"starts must be \(p, D = 4\) particles, got \(2, 3\)"),
    Fault("certify", wrong(jm.certify, PROBLEM, PARTICLES, starts=jnp.ones((2, 4), int)),
          TypeError, "starts must have the measure's dtype float32, got int32"),
    Fault("certify", wrong(jm.certify, PROBLEM, PARTICLES, starts=NAN * jnp.ones((2, 4))),
          ValueError, "starts must be finite"),
    Fault("certify", wrong(jm.certify, PROBLEM, PARTICLES, num_directions=0), ValueError,
          "num_directions must be at least 1, got 0"),
    Fault("certify", wrong(jm.certify, PROBLEM, PARTICLES, num_directions=1.0), TypeError,
          "num_directions must be an integer, got 1.0"),
    Fault("certify", wrong(jm.certify, PROBLEM, PARTICLES, budget=-1.0), ValueError,
          "budget must be a finite number >= 0, got -1.0"),
    Fault("certify", wrong(jm.certify, PROBLEM, PARTICLES, budget="1"), TypeError,
          "budget must be a number, got '1'"),
    Fault("certify", wrong(jm.certify, PROBLEM, PARTICLES, dual=jnp.ones(5)), ValueError,
          r"dual must be \(6,\) as the outputs, got \(5,\)"),
    Fault("certify", wrong(jm.certify, PROBLEM, PARTICLES, dual=NAN * jnp.ones(6)), ValueError,
          "dual must be finite, but 6 of 6"),
    Fault("certify", wrong(jm.certify, None, PARTICLES), TypeError, "problem must be a MeanField"),
    Fault("certify", wrong(jm.certify, PROBLEM, None), TypeError, "measure must be a Measure"),
    Fault("certify", wrong(jm.certify, PROBLEM, PARTICLES, starts="all"), TypeError,
          "starts must be an array of numbers, got str"),
    Fault("certify", wrong(jm.certify, PROBLEM, PARTICLES, dual=["a"] * 6), TypeError,
          "dual must be an array of numbers, got text"),
    Fault("certify", lambda: jax.jit(jm.certify)(PROBLEM, PARTICLES), TypeError,
          "certify takes concrete numbers: call it outside jit"),
]  # fmt: skip
