"""Wrong input: centred models, and how far parameters have moved."""

import jax.numpy as jnp

import jaxmargin as jm
from tests.fault import NAN, SCALAR_NET, Fault, wrong

DEEPER = (*SCALAR_NET, jnp.ones(2))
WIDER = SCALAR_NET._replace(w=jnp.ones(5))
COUNTED = {"net": SCALAR_NET, "step": jnp.array(3)}

FAULTS: list[Fault] = [
    *(
        Fault("centred", wrong(jm.centred, apply, params, alpha=alpha), error, match)
        for apply, params, alpha, error, match in (
            (None, SCALAR_NET, 1.0, TypeError, r"apply must be a function apply\(params, x\)"),
            (jm.two_layer, COUNTED, 1.0, TypeError, r"params0\['step'\] must hold floats"),
            (jm.two_layer, SCALAR_NET, 0.0, ValueError, "alpha must be a finite number > 0, got 0"),
            (jm.two_layer, SCALAR_NET, "1", TypeError, "alpha must be a number, got '1'"),
        )
    ),
    *(
        Fault("distance_from_start", wrong(jm.distance_from_start, before, after), error, match)
        for before, after, error, match in (
            (SCALAR_NET, DEEPER, ValueError, "before and after must be pytrees of one structure"),
            (SCALAR_NET, WIDER, ValueError,
             r"before.w and after.w must have one shape, got \(4,\) and \(5,\)"),
            (SCALAR_NET, SCALAR_NET._replace(w=NAN * jnp.ones(4)), ValueError,
             "after.w must be finite"),
            (SCALAR_NET._replace(w=jnp.zeros(4)), SCALAR_NET, ValueError,
             "before.w must not be 0 everywhere, .* give the other leaves"),
            (COUNTED, COUNTED, TypeError, r"before\['step'\] must hold floats, got int32: keep"),
        )
    ),
]  # fmt: skip
