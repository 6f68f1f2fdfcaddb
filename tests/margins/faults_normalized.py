"""Wrong input: the margins of a network."""

import jax
import jax.numpy as jnp
import numpy as np

import jaxmargin as jm
from jaxmargin import margins
from tests.fault import CLASS_NET, CLASSES, SCALAR_NET, SIGNS, Fault, X, wrong

LOGITS = jnp.ones((6, 2))
COLUMN = SIGNS[:, None]
NAMES = np.where(CLASSES == 1, "cat", "dog")
COUNTED = {"net": SCALAR_NET, "step": jnp.array(100)}

FAULTS: list[Fault] = [
    *(
        Fault("sample_margins", wrong(jm.sample_margins, scores, y), error, match)
        for scores, y, error, match in (
            (SIGNS, SIGNS[:5], ValueError, r"scores and y must .* got \(6,\) and \(5,\)"),
            (COLUMN, SIGNS, ValueError, r"needs apply\(params, x\)\[\.\.\., 0\]"),
            (SIGNS, COLUMN, ValueError, r"a column of labels needs y\[\.\.\., 0\]"),
            (SIGNS, CLASSES, ValueError, r"must be -1 or \+1, got 0: .* by 2 \* y - 1"),
            (SIGNS, CLASSES + 1, ValueError, r"got 2: two labels .* np.where\(y == 2, 1.0, -1.0\)"),
            (SIGNS, np.uint8(SIGNS.astype(int) % 256), ValueError,
             r"got 255: uint8 has no -1, use y.astype\(np.int8\)"),
            (SIGNS, np.arange(6), ValueError, "got 0, 2, 3: more classes are numbered 0, ..., k-1"),
            (SIGNS, NAMES, TypeError, "y must be an array of numbers, got text: encode"),
            (LOGITS, SIGNS, TypeError, r"use labels.astype\(int\)"),
            (LOGITS, CLASSES + 1, ValueError, r"class labels must lie in \[0, 2\), .* got 2"),
            (LOGITS, jax.nn.one_hot(CLASSES, 2), ValueError, r"one-hot rows: y.argmax\(-1\)"),
            (jnp.ones((6, 3)), jax.nn.one_hot(CLASSES, 2, dtype=int), ValueError, "same shape"),
            ({}, SIGNS, TypeError, "scores must be an array of numbers, got dict"),
        )
    ),
    *(
        Fault(function.__name__, wrong(function, jm.two_layer, params, x, y), error, match)
        for function in (
            jm.margin_distribution, jm.normalized_margin, margins.log_normalized_margin
        )
        for params, x, y, error, match in (
            (SCALAR_NET, X, SIGNS[:5], ValueError, r"got \(6,\) and \(5,\)"),
            (SCALAR_NET, X, CLASSES, ValueError, r"labels must be -1 or \+1, got 0"),
            (SCALAR_NET, X[:0], SIGNS[:0], ValueError, "x must have at least one sample"),
            (CLASS_NET, X, SIGNS, TypeError, r"use labels.astype\(int\)"),
            (COUNTED, X, SIGNS, TypeError,
             r"params\['step'\] must hold floats, got int32: keep what is not trained outside of "
             "params, say by eqx.partition or nnx.split"),
        )
    ),
]  # fmt: skip
