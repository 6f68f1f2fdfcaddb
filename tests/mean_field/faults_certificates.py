"""Wrong input: certificates and certified optima."""

import jax
import jax.numpy as jnp

import jaxmargin as jm
from tests.fault import NAN, PARTICLES, PROBLEM, SIGNS, Fault, wrong

FAULTS: list[Fault] = [
    *[
        Fault(function.__name__, wrong(function, problem, measure), error, match)
        for function in (jm.certify, jm.global_optimum)
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
    Fault("certify", wrong(jm.certify, PROBLEM, PARTICLES, starts=jnp.ones((2, 3))),
          ValueError, r"starts must be \(p, D = 4\) particles, got \(2, 3\)"),
    Fault("global_optimum", wrong(jm.global_optimum, PROBLEM, PARTICLES, tol=0.0), ValueError,
          "tol must be a finite number > 0, got 0.0"),
    Fault("global_optimum", wrong(jm.global_optimum, PROBLEM, PARTICLES, max_rounds=0), ValueError,
          "max_rounds must be at least 1, got 0"),
    Fault("global_optimum", wrong(jax.jit(jm.global_optimum), PROBLEM, PARTICLES), TypeError,
          "global_optimum takes concrete numbers: call it outside jit, vmap and grad"),
    Fault("global_optimum", wrong(jm.global_optimum, jm.two_layer_problem(jnp.eye(3), SIGNS[:3], "logistic", lam=1e-3),
          PARTICLES, tol=1e-15, max_rounds=1), jm.ConvergenceError,
          "gap of .* of the energy after 1 rounds, above tol = 1e-15: raise max_rounds or tol"),
]  # fmt: skip
