"""Wrong input: losses and the regularized objective."""

from functools import partial

import jax.numpy as jnp

import jaxmargin as jm
from tests.fault import (
    CLASS_NET,
    CLASSES,
    CROSS_ENTROPY,
    LOGISTIC,
    NAN,
    SCALAR_NET,
    SIGNS,
    Fault,
    X,
    wrong,
)

regularized_by = partial(wrong, jm.regularized)


FAULTS: list[Fault] = [
    Fault("cross_entropy_loss", wrong(jm.cross_entropy_loss, jnp.ones((6, 2)), SIGNS), TypeError,
          r"labels must be integers in \[0, k\), got dtype float32: use labels.astype\(int\)"),
    Fault("cross_entropy_loss", wrong(jm.cross_entropy_loss, jnp.ones((6, 1)), CLASSES), ValueError,
          r"logits must be \(..., k\) with k >= 2 .* \(6, 1\): .* the logistic loss"),
    Fault("cross_entropy_loss", wrong(jm.cross_entropy_loss, jnp.ones((5, 2)), CLASSES), ValueError,
          r"labels must have shape \(5,\), one for each row of logits, got \(6,\)"),
    *(
        Fault(loss.__name__, wrong(loss, jnp.ones((6, 1)), SIGNS), ValueError,
              r"same shape, got \(6, 1\) and \(6,\): .* needs apply\(params, x\)\[..., 0\]")
        for loss in (jm.squared_loss, jm.truncated_squared_loss)
    ),
    Fault("regularized", regularized_by(jm.two_layer, "hinge", lam=0.1), ValueError,
          r"loss must be one of logistic, cross_entropy, squared or a function .* got 'hinge'"),
    Fault("regularized", regularized_by(jm.two_layer, "logistic", lam=-1.0), ValueError,
          "lam must be a finite number >= 0, got -1.0"),
    Fault("regularized", regularized_by(jm.two_layer, "logistic", lam=NAN), ValueError,
          "lam must be a finite number >= 0, got nan"),
    Fault("regularized", regularized_by(jm.two_layer, "logistic", lam=None), TypeError,
          "lam must be a number, got None"),
    Fault("regularized", regularized_by(jm.two_layer, "logistic", lam=0.1, r=0.0), ValueError,
          "r must be a finite number > 0, got 0.0"),
    Fault("regularized", regularized_by(SCALAR_NET, "logistic", lam=0.1), TypeError,
          r"apply must be a function apply\(params, x\), got TwoLayer"),
    Fault("regularized", regularized_by(jm.two_layer, "logistic", lam=0.1, norm=2), TypeError,
          r"norm must be a function norm\(params\), got int"),
    Fault("regularized", wrong(LOGISTIC, CLASS_NET, X, SIGNS), ValueError,
          r"same shape, got \(6, 2\) and \(6,\)"),
    Fault("regularized", wrong(CROSS_ENTROPY, SCALAR_NET, X, CLASSES), ValueError,
          r"labels must have shape \(\), one for each row of logits, got \(6,\)"),
]  # fmt: skip
