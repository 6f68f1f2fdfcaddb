"""Wrong input: losses."""

import jax.numpy as jnp

import jaxmargin as jm
from tests.fault import CLASSES, SIGNS, Fault, wrong

ONE_COLUMN = r"\(6, 1\).*append \[\.\.\., 0\]|needs apply\(params, x\)\[\.\.\., 0\]"

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
            ((jnp.ones((6, 2)), CLASSES + 1), ValueError, r"lie in \[0, 2\), .* got 2: number the"),
        ]
    ),
    Fault("log_margin", wrong(jm.networks.log_margin, SIGNS, SIGNS[:5]), ValueError,
          r"scores and y must have the same shape, got \(6,\) and \(5,\)"),
    *(
        Fault(loss.__name__, wrong(loss, jnp.ones((6, 1)), SIGNS), ValueError,
              r"same shape, got \(6, 1\) and \(6,\): .* needs apply\(params, x\)\[..., 0\]")
        for loss in (jm.squared_loss, jm.truncated_squared_loss)
    ),
    *(
        Fault("cross_entropy_loss", wrong(jm.cross_entropy_loss, jnp.ones((6, 2)), labels), error,
              match)
        for labels, error, match in [
            (jnp.ones((6, 2), int), ValueError, r"one-hot rows become .* labels.argmax\(-1\)"),
            (CLASSES[:, None], ValueError, r"a column becomes labels by labels\[\.\.\., 0\]"),
        ]
    ),
    Fault("log_margin", wrong(jm.networks.log_margin, SIGNS, CLASSES), ValueError,
          r"binary labels must be -1 or \+1, got 0"),
    Fault("logistic_loss", wrong(jm.logistic_loss, "far"), TypeError,
          "margins must be an array of numbers, got str"),
    *(
        Fault(loss.__name__, wrong(loss, SIGNS, None), TypeError,
              "y must be an array of numbers, got NoneType")
        for loss in (jm.squared_loss, jm.truncated_squared_loss)
    ),
    Fault("squared_loss", wrong(jm.squared_loss, 1e30 * SIGNS, SIGNS), ValueError,
          r"a squared loss is beyond float32, .* 3.4e\+38: scale both down, or use float64"),
]  # fmt: skip
