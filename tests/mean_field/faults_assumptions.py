"""Wrong input: the constants of the assumptions."""

from functools import partial

import jax.numpy as jnp

import jaxmargin as jm
from jaxmargin.mean_field import TwoLayerFeatures, regularity
from tests.fault import NAN, PROBLEM, SIGNS, Fault, X, wrong

SQUARED = jm.two_layer_problem(X, SIGNS, "squared", lam=0.1)
OWN = jm.MeanField(lambda theta: theta**2, jnp.sum, lambda theta: jnp.sum(theta**2))
BROKEN = TwoLayerFeatures(NAN * X)

constants = partial(wrong, regularity)

FAULTS: list[Fault] = [
    Fault("regularity", constants(PROBLEM, 3), ValueError,
          "theta must be .* d = 3 features and k >= 1 outputs"),
    Fault("regularity", constants(PROBLEM, 5), ValueError,
          r"outputs of the particles have shape \(6, 2\), and not \(6,\)"),
    Fault("regularity", constants(PROBLEM, 4.0), TypeError, "dim must be an integer"),
    Fault("regularity", constants(jm.MeanField(BROKEN, PROBLEM.loss, PROBLEM.potential), 4),
          ValueError, "problem.phi.x must be finite"),
    Fault("regularity", constants(SQUARED, 4), ValueError,
          "squared loss is Lipschitz only .* give level"),
    Fault("regularity", constants(SQUARED, 4, level=0.0), ValueError, "level must be .* > 0"),
    Fault("regularity", constants(OWN, 4), TypeError,
          "problem must be one that two_layer_problem makes; .* give theoretical_rate a Reg"),
]  # fmt: skip
