"""Wrong input: the smoothed margin."""

import jax.numpy as jnp

import jaxmargin as jm
from jaxmargin import margins
from tests.fault import CLASS_NET, CLASSES, NAN, SCALAR_NET, SIGNS, Fault, X, wrong


def biased(params, x):
    return jm.two_layer(params, x) + 1.0


MODEL = {
    "apply": jm.two_layer,
    "params": SCALAR_NET,
    "x": X,
    "y": SIGNS,
}
WRONG = [
    ({"apply": biased}, ValueError, r"no degree fits: .* constant feature .* \(append_one\)"),
    ({"apply": lambda p, x: 0.0 * x[:, 0]}, ValueError, "not 0 on all of x, but no degree fits"),
    ({"apply": lambda p, x: x[:, 0] / 0.0}, ValueError, r"apply\(params, x\) must be finite"),
    ({"apply": None}, TypeError, r"apply must be a function apply\(params, x\), got NoneType"),
    ({"apply": lambda p, x: (x, x)}, TypeError, "must return an array, got tuple"),
    ({"apply": lambda p, x: x[:, 0] > 0}, TypeError, r"apply\(params, x\) must hold floats"),
    ({"apply": lambda p, x: x[:3, 0]}, ValueError, r"\(n,\) or \(n, k\) with n = 6, got \(3,\)"),
    (
        {"params": {"net": jnp.ones(2), "step": jnp.array(3)}},
        TypeError,
        r"params\['step'\] must hold floats",
    ),
    ({"x": X.at[0, 1].set(NAN)}, ValueError, "x must be finite, but 1 of 18"),
    ({"x": X[:0], "y": SIGNS[:0]}, ValueError, r"n >= 1 samples, got shape \(0, 3\)"),
    ({"y": SIGNS[:5]}, ValueError, r"got \(6,\) and \(5,\)"),
    ({"y": CLASSES}, ValueError, r"labels must be -1 or \+1, got 0"),
    ({"params": CLASS_NET}, TypeError, r"use labels.astype\(int\)"),
]
FAULTS: list[Fault] = [
    *(
        Fault(function.__name__, wrong(function, **(MODEL | changed)), error, match)
        for function in (margins.smoothed_margin, margins.log_smoothed_margin)
        for changed, error, match in (
            *WRONG,
            ({"loss": "hinge"}, ValueError,
             "loss must be one of logistic, exponential, got 'hinge'"),
        )
    ),
]  # fmt: skip
