"""Wrong input: measures, problems over them, and points of the sphere."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

import jaxmargin as jm
from tests.fault import (
    CLASSES,
    KEY,
    PARTICLES,
    PROBLEM,
    Fault,
    X,
    wrong,
)


def homogeneous(**changed: Callable) -> Callable:
    """The check of a problem without fault but for what is changed."""
    right = {
        "phi": lambda theta: theta**2,
        "loss": jnp.sum,
        "potential": lambda theta: jnp.sum(theta**2),
    }
    parts = right | changed
    return wrong(jm.mean_field.check_two_homogeneous, KEY, jm.MeanField(**parts), 3)


homogeneity_in = partial(wrong, jm.mean_field.check_two_homogeneous, KEY, PROBLEM)
THREE_CLASSES = jm.two_layer_problem(X, CLASSES, "cross_entropy", k=3, lam=0.1)


FAULTS: list[Fault] = [
    *(
        Fault(name, wrong(call, measure), error, match)
        for name, call in [
            ("energy", partial(jm.energy, PROBLEM)),
            ("first_variation", lambda rho: jm.first_variation(PROBLEM, rho, jnp.ones((2, 4)))),
            ("velocity", lambda rho: jm.velocity(PROBLEM, rho, jnp.ones((2, 4)))),
            ("second_moment", jm.second_moment),
        ]
        for measure, error, match in [
            (PARTICLES._replace(mass=jnp.ones(4)), ValueError,
             r"measure must hold theta \(m, D\) and mass \(m,\) .* got \(5, 4\) and \(4,\)"),
            (jm.Measure(jnp.ones((0, 4)), jnp.ones(0)), ValueError, r"m >= 1 .* got \(0, 4\)"),
            (PARTICLES._replace(theta=jnp.ones(5)), ValueError, r"got \(5,\) and \(5,\)"),
            (PARTICLES._replace(mass=jnp.ones(5, int)), TypeError,
             "measure must hold floats of one dtype, got float32 and int32"),
        ]
    ),
    *(
        Fault(function.__name__, wrong(function, PROBLEM, measure, theta), error, match)
        for function in (jm.first_variation, jm.velocity)
        for measure, theta, error, match in [
            (PARTICLES, jnp.ones((2, 5)), ValueError,
             r"theta must be \(p, D\) with D = 4 as the particles of measure, got \(2, 5\)"),
            (PARTICLES, jnp.ones(4), ValueError, r"theta must be \(p, D\) .* got \(4,\)"),
            (PARTICLES, jnp.ones((2, 4), int), TypeError,
             "theta must hold float32 as the particles of measure, got int32"),
            (PARTICLES._replace(theta=jnp.ones((5, 3))), jnp.ones((2, 3)), ValueError,
             r"theta must be \(..., d \+ k\) = \(w, u\) with d = 3 features .* got shape \(3,\)"),
        ]
    ),
    Fault("energy", wrong(jm.energy, PROBLEM, PARTICLES._replace(theta=jnp.ones((5, 5)))),
          ValueError, r"have shape \(6, 2\), and not \(6,\): a particle must be \(w, u\) with one"),
    Fault("energy", wrong(jm.energy, THREE_CLASSES,
          PARTICLES._replace(theta=jnp.ones((5, 5)))), ValueError,
          r"have shape \(6, 2\), and not \(6, 3\)"),
    Fault("check_two_homogeneous", lambda: jax.jit(
              lambda key: jm.mean_field.check_two_homogeneous(key, PROBLEM, 4))(KEY), TypeError,
          "check_two_homogeneous takes concrete numbers: call it outside jit"),
    Fault("check_two_homogeneous", homogeneity_in(4.0), TypeError,
          "dim must be an integer, got 4.0"),
    Fault("check_two_homogeneous", homogeneity_in(0), ValueError, "dim must be at least 1, got 0"),
    Fault("check_two_homogeneous", homogeneous(phi=lambda theta: theta**3), ValueError,
          r"problem.phi must be 2-homogeneous, .* but c = 3 multiplied it by 27: a network's unit"),
    Fault("check_two_homogeneous", homogeneous(potential=lambda t: jnp.sum(t**2) + 1), ValueError,
          r"problem.potential must be 2-homogeneous, .* c = 3 multiplied it by 5:"),
    Fault("check_two_homogeneous", homogeneous(potential=lambda t: -jnp.sum(t**2)), ValueError,
          r"problem.potential must be > 0 away from theta = 0, got -1 on the sphere"),
]  # fmt: skip
