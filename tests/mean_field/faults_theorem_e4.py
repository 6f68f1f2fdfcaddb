"""Wrong input: the constants and rates of Theorem E.4."""

from functools import partial

import jax.numpy as jnp

import jaxmargin as jm
from jaxmargin.mean_field import Regularity, TheoreticalRate, regularity, theoretical_rate
from tests.fault import PROBLEM, SIGNS, Fault, X, wrong

OWN_MEAN_FIELD = jm.MeanField(lambda theta: theta**2, jnp.sum, lambda theta: jnp.sum(theta**2))
SQUARED = jm.two_layer_problem(X, SIGNS, "squared", lam=0.1)


def _rate(**changed) -> TheoreticalRate:
    measure = jm.Measure(jnp.ones((2, 4)), jnp.ones(2) / 2)
    right = {"problem": PROBLEM, "measure": measure, "epsilon": 0.1}
    return theoretical_rate(**(right | changed))


bounded = partial(wrong, regularity)
rate = partial(wrong, _rate)

FAULTS: list[Fault] = [
    Fault("regularity", bounded(PROBLEM, 3), ValueError,
          "theta must be .* d = 3 features and k >= 1 outputs"),
    Fault("regularity", bounded(PROBLEM, 4.0), TypeError, "dim must be an integer"),
    Fault("regularity", bounded(SQUARED, 4),
          ValueError, "squared loss is Lipschitz only .* give level"),
    Fault("regularity", bounded(OWN_MEAN_FIELD, 4), TypeError,
          "problem must be one of logistic_two_layer, .* give theoretical_rate a Regularity"),
    Fault("theoretical_rate", rate(epsilon=0.0), ValueError, "epsilon must be .* > 0, got 0.0"),
    Fault("theoretical_rate", rate(epsilon=9.0), ValueError,
          r"epsilon must be below L\[rho_0\] / 2 = .*, got 9.0"),
    Fault("theoretical_rate", rate(noise=0.1), ValueError,
          r"noise must be at most \d.\de-\d+ for the proof to hold, got 0.1"),
    Fault("theoretical_rate", rate(constants=Regularity(6, 1, 1, 1, 1, 0, 1, 1)), ValueError,
          "constants.b_V must be .* > 0, got 0"),
    Fault("theoretical_rate", rate(problem=OWN_MEAN_FIELD), TypeError,
          "problem must be one of logistic_two_layer"),
]  # fmt: skip
