"""Wrong input: losses."""

import jax.numpy as jnp

import jaxmargin as jm
from tests.fault import CLASSES, SIGNS, Fault, wrong

ONE_COLUMN = r"scores have shape \(6, 1\), of one output column: .* append"

FAULTS: list[Fault] = [
    *(
        Fault(name, wrong(loss, *arguments), error, match)
        for name, loss in [
            ("cross_entropy_loss", jm.cross_entropy_loss),
            ("log_margin", jm.networks.log_margin),
        ]
        for arguments, error, match in [
            ((jnp.ones((6, 2)), SIGNS), TypeError,
             r"labels must be integers in \[0, k\), got dtype float32: use labels.astype\(int\)"),
            ((jnp.ones((6, 1)), CLASSES), ValueError, ONE_COLUMN),
            ((jnp.ones((5, 2)), CLASSES), ValueError,
             r"labels must have shape \(5,\), one for each row of logits, got \(6,\)"),
        ]
    ),
    Fault("log_margin", wrong(jm.networks.log_margin, SIGNS, SIGNS[:5]), ValueError,
          r"scores and y must have the same shape, got \(6,\) and \(5,\)"),
    *(
        Fault(loss.__name__, wrong(loss, jnp.ones((6, 1)), SIGNS), ValueError,
              r"same shape, got \(6, 1\) and \(6,\): .* needs apply\(params, x\)\[..., 0\]")
        for loss in (jm.squared_loss, jm.truncated_squared_loss)
    ),
]  # fmt: skip
