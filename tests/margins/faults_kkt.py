"""Wrong input: the distance from a KKT point."""

import jax
import jax.numpy as jnp

import jaxmargin as jm
from tests.fault import SCALAR_NET, Fault, X, wrong
from tests.margins.faults_smoothed import MODEL, WRONG

ONES = jnp.ones(6)

FAULTS: list[Fault] = [
    *(
        Fault("kkt_residual", wrong(jm.kkt_residual, **(MODEL | changed)), error, match)
        for changed, error, match in (
            *WRONG,
            ({}, ValueError, "params must separate the samples, .* is not positive: train longer"),
        )
    ),
    Fault("kkt_residual", wrong(jm.kkt_residual, jm.two_layer, SCALAR_NET, 1e30 * X, ONES),
          ValueError, "x is so large that products of gradients are not finite in float32: scale"),
    Fault("kkt_residual",
          wrong(jax.jit(lambda params: jm.kkt_residual(jm.two_layer, params, X, ONES)), SCALAR_NET),
          TypeError, "kkt_residual takes concrete numbers: call it outside jit"),
]  # fmt: skip
