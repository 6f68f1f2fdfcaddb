"""Wrong input: the margins of a network."""

import jax.numpy as jnp

import jaxmargin as jm
from tests.fault import CLASS_NET, SCALAR_NET, SIGNS, Fault, X, wrong

FAULTS: list[Fault] = [
    Fault("sample_margins", wrong(jm.sample_margins, SIGNS, SIGNS[:5]), ValueError,
          r"scores and y must .* got \(6,\) and \(5,\)"),
    Fault("sample_margins", wrong(jm.sample_margins, jnp.ones((6, 1)), SIGNS), ValueError,
          r"scores have shape \(6, 1\), of one output column: .* append \[..., 0\]"),
    Fault("sample_margins", wrong(jm.sample_margins, jnp.ones((6, 2)), SIGNS), TypeError,
          r"use labels.astype\(int\)"),
    *(
        Fault(function.__name__, wrong(function, jm.two_layer, params, X, y), error, match)
        for function in (jm.margin_distribution, jm.normalized_margin)
        for params, y, error, match in (
            (SCALAR_NET, SIGNS[:5], ValueError, r"got \(6,\) and \(5,\)"),
            (CLASS_NET, SIGNS, TypeError, r"use labels.astype\(int\)"),
        )
    ),
]  # fmt: skip
