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
    Fault("homogeneity_degree", wrong(jm.homogeneity_degree, jm.mlp, DEEP, X[:0]), ValueError,
          r"x must have at least one input, got shape \(0, 3\)"),
    Fault("homogeneity_degree", wrong(jm.homogeneity_degree, lambda params, x: "abc", DEEP, X),
          TypeError, r"apply\(params, x\) must return an array of floats, got str"),
    Fault("balance", wrong(jm.balance, {"kernel": jnp.ones(2), "step": 3}), TypeError,
          r"params\['step'\] must hold floats, got int32: keep what is not trained .* nnx.split"),
    Fault("balance", wrong(jm.balance, {}), ValueError, "params must hold at least one layer"),
    Fault("widen", wrong(jm.widen, {"first": DEEP[0], "last": DEEP[1]}, 7), TypeError,
          r"params must be a tuple of matrices .* got dict: take the matrices out of it"),
    Fault("widen", wrong(jm.widen, SCALAR_NET, 10**12), ValueError,
          r"m \* d must be at most 2,147,483,647, the most entries of u, got 1,000,"),
    Fault("widen", wrong(jm.widen, SCALAR_NET, 7.0), TypeError, "each of widths must be an int"),
]  # fmt: skip
