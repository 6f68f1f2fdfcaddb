"""Wrong input: homogeneity."""

import jax.numpy as jnp

import jaxmargin as jm
from tests.fault import SCALAR_NET, Fault, X, wrong

DEEP = (jnp.ones((4, 3)), jnp.ones((5, 4)), jnp.ones((1, 5)))

FAULTS: list[Fault] = [
    Fault("widen", wrong(jm.widen, SCALAR_NET, 3), ValueError,
          r"widths must be 1 hidden widths of at least \(4,\), got 3"),
    Fault("widen", wrong(jm.widen, DEEP, (9,)), ValueError, r"2 hidden widths .* \(4, 5\)"),
    Fault("homogeneity_degree", wrong(jm.homogeneity_degree, jm.mlp, (*DEEP, 3), X), TypeError,
          r"params\[3\] must hold floats, got int32: keep what is not trained outside"),
    Fault("homogeneity_degree", wrong(jm.homogeneity_degree, None, DEEP, X), TypeError,
          r"apply must be a function apply\(params, x\), got NoneType"),
    Fault("widen", wrong(jm.widen, SCALAR_NET, 7.0), TypeError, "each of widths must be an int"),
]  # fmt: skip
