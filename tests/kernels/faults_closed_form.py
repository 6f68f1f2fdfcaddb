"""Wrong input: kernels in closed form."""

from functools import partial

import jax.numpy as jnp

import jaxmargin as jm
from tests.fault import NAN, Fault, X, wrong

WIDE = jnp.ones((3, 2), jnp.int32)
KERNELS = (jm.k1, jm.k2, jm.two_layer_ntk, jm.relu_nngp, jm.relu_ntk)
DEEP = (jm.relu_nngp, jm.relu_ntk)
ntk = partial(wrong, jm.two_layer_ntk)


FAULTS: list[Fault] = [
    *(
        fault
        for kernel in KERNELS
        for fault in (
            Fault(kernel.__name__, wrong(kernel, X[0]), ValueError,
                  r"x must be \(n, d\) with n, d >= 1, got shape \(3,\)"),
            Fault(kernel.__name__, wrong(kernel, X[:0]), ValueError, r"got shape \(0, 3\)"),
            Fault(kernel.__name__, wrong(kernel, X[:, :0]), ValueError, r"got shape \(6, 0\)"),
            Fault(kernel.__name__, wrong(kernel, X, X[0]), ValueError, r"z must be \(n, d\)"),
            Fault(kernel.__name__, wrong(kernel, X, X[:, :1]), ValueError,
                  r"the same d features, got \(6, 3\) and \(6, 1\)"),
            Fault(kernel.__name__, wrong(kernel, WIDE), TypeError,
                  "x must hold floats, got int32: cast it, say to float32"),
            Fault(kernel.__name__, wrong(kernel, X, X.astype("float16")), TypeError,
                  "x and z must have one dtype, got float32 and float16: cast one"),
        )
    ),
    *(
        Fault("two_layer_ntk", ntk(X, **{name: value}), ValueError,
              f"{name} must be a finite number >= 0, got {value}")
        for name in ("r_w", "r_u") for value in (-1.0, NAN)
    ),
    Fault("two_layer_ntk", ntk(X, r_w=None), TypeError, "r_w must be a number, got None"),
    *(
        fault
        for kernel in DEEP
        for fault in (
            Fault(kernel.__name__, wrong(kernel, X, depth=0), ValueError,
                  "depth must be at least 1, got 0"),
            Fault(kernel.__name__, wrong(kernel, X, depth=2.5), TypeError,
                  "depth must be an integer, got 2.5"),
            Fault(kernel.__name__, wrong(kernel, X, weight_variance=[1.0]), ValueError,
                  r"one number or one a layer \(2\), got shape \(1,\)"),
            Fault(kernel.__name__, wrong(kernel, X, weight_variance=-1.0), ValueError,
                  "weight_variance must be a finite number >= 0, got -1"),
        )
    ),
]  # fmt: skip
