"""Wrong input: kernels in closed form."""

from functools import partial

from scipy.sparse import csr_matrix

import jaxmargin as jm
from tests.fault import NAN, Fault, X, wrong

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
            Fault(kernel.__name__, wrong(kernel, None), TypeError,
                  "x must be an array of numbers, got NoneType"),
            Fault(kernel.__name__, wrong(kernel, X, csr_matrix(X)), TypeError,
                  "z must be dense, got a sparse"),
            Fault(kernel.__name__, wrong(kernel, X, precise="yes"), TypeError,
                  "precise must be True, False or None, got 'yes'"),
            Fault(kernel.__name__, wrong(kernel, X, X.astype("float16")), TypeError,
                  "x and z must have one dtype, got float32 and float16: cast one"),
        )
    ),
    *(
        Fault("two_layer_ntk", ntk(X, **{name: value}), ValueError,
              f"{name} must be a finite number >= 0, got {value}")
        for name in ("r_w", "r_u") for value in (-1.0, NAN)
    ),
    *(
        Fault("two_layer_ntk", ntk(X, r_w=value), ValueError,
              "multiply the kernel by .*, which float32 does not hold: choose others")
        for value in (1e30, 1e-30)
    ),
    Fault("two_layer_ntk", ntk(X, r_w=None), TypeError, "r_w must be a number, got None"),
    *(
        fault
        for kernel in DEEP
        for fault in (
            Fault(kernel.__name__, wrong(kernel, X, depth=0), ValueError,
                  "depth must be at least 1, got 0"),
            Fault(kernel.__name__, wrong(kernel, X, depth=201), ValueError,
                  "depth must be at most 200, got 201"),
            Fault(kernel.__name__, wrong(kernel, X, weight_variance=1e30), ValueError,
                  "multiply the kernel by .*, which float32 does not hold"),
            Fault(kernel.__name__, wrong(kernel, X, depth=2.5), TypeError,
                  "depth must be an integer, got 2.5"),
            Fault(kernel.__name__, wrong(kernel, X, weight_variance=[1.0]), ValueError,
                  r"one number or one a layer \(2\), got shape \(1,\)"),
            Fault(kernel.__name__, wrong(kernel, X, weight_variance=-1.0), ValueError,
                  "weight_variance must be a finite number >= 0, got -1"),
            Fault(kernel.__name__, wrong(kernel, X, bias_variance=-1.0), ValueError,
                  "bias_variance must be a finite number >= 0, got -1"),
            Fault(kernel.__name__, wrong(kernel, X, bias_variance=[0.0]), ValueError,
                  r"bias_variance must be one number or one a layer \(2\), got shape \(1,\)"),
        )
    ),
]  # fmt: skip
