"""Wrong input: certificates and certified optima."""

import jax
import jax.numpy as jnp

import jaxmargin as jm
from faults.fault import NAN, PARTICLES, PROBLEM, SIGNS, Fault, wrong

FAULTS: list[Fault] = [
    *[
        Fault(function.__name__, wrong(function, problem, measure), error, match)
        for function in (jm.duality_gap, jm.polish)
        for problem, measure, error, match in (
            (PROBLEM, PARTICLES._replace(mass=-PARTICLES.mass), ValueError,
             "measure.mass must be >= 0, got -1"),
            (PROBLEM, PARTICLES._replace(theta=NAN * PARTICLES.theta), ValueError,
             "measure.theta must be finite"),
            (PROBLEM, jm.Measure(jnp.ones((4, 5)), jnp.ones(4)), ValueError,
             r"outputs of the particles have shape \(6, 2\)"),
            (PROBLEM, jm.Measure(jnp.ones((0, 4)), jnp.ones(0)), ValueError, "m >= 1 particles"),
            (jm.MeanField(PROBLEM.phi, jnp.sum, PROBLEM.potential), PARTICLES, TypeError,
             r"problem.loss must have a method conjugate\(p\)"),
        )
    ],
    Fault("duality_gap", wrong(jm.duality_gap, PROBLEM, PARTICLES, starts=jnp.ones((2, 3))),
          ValueError, r"starts must be \(p, D = 4\) particles, got \(2, 3\)"),
    Fault("polish", wrong(jm.polish, PROBLEM, PARTICLES, tol=0.0), ValueError,
          "tol must be a finite number > 0, got 0.0"),
    Fault("polish", wrong(jm.polish, PROBLEM, PARTICLES, max_rounds=0), ValueError,
          "max_rounds must be at least 1, got 0"),
    Fault("polish", wrong(jax.jit(jm.polish), PROBLEM, PARTICLES), TypeError,
          "polish takes concrete numbers: call it outside jit, vmap and grad"),
    Fault("polish", wrong(jm.polish, jm.logistic_two_layer(jnp.eye(3), SIGNS[:3], lam=1e-3),
          PARTICLES, tol=1e-15, max_rounds=1), jm.ConvergenceError,
          "gap of .* of the energy after 1 rounds, above tol = 1e-15: raise max_rounds or tol"),
]  # fmt: skip
