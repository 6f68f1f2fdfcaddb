"""Wrong input: kernels with biases and other activations."""

import jaxmargin as jm
from tests.fault import NAN, Fault, X, wrong

FAULTS: list[Fault] = [
    *(
        fault
        for name, kernel in (("ntk", jm.ntk), ("nngp", jm.nngp))
        for fault in (
            Fault(name, wrong(kernel, X[0], activation="erf"), ValueError,
                  r"x must be \(n, d\) with n, d >= 1, got shape \(3,\)"),
            Fault(name, wrong(kernel, X, X[:, :1], activation="erf"), ValueError,
                  r"the same d features, got \(6, 3\) and \(6, 1\)"),
            Fault(name, wrong(kernel, X, activation="tanh"), ValueError,
                  "activation must be one of relu, leaky_relu, abs, erf, gelu, got 'tanh'"),
            Fault(name, wrong(kernel, X, activation="erf", depth=0), ValueError,
                  "depth must be at least 1, got 0"),
            Fault(name, wrong(kernel, X, activation="erf", depth=201), ValueError,
                  "depth must be at most 200, got 201"),
            Fault(name, wrong(kernel, X, activation="erf", depth=2.5), TypeError,
                  "depth must be an integer, got 2.5"),
            *(
                Fault(name, wrong(kernel, X, activation="erf", **{variance: value}), ValueError,
                      match)
                for variance in ("weight_variance", "bias_variance")
                for value, match in (
                    (-1.0, f"{variance} must be a finite number >= 0, got -1"),
                    (NAN, f"{variance} must be a finite number >= 0, got nan"),
                    ([1.0], rf"{variance} must be one number or one a layer \(2\), got shape"),
                    (1e-39, "multiply the kernel by 1e-39, which float32 does not hold"),
                )
            ),
            Fault(name, wrong(kernel, X, activation="relu", weight_variance=1e20), ValueError,
                  "multiply the kernel by 1e\\+40, which float32 does not hold"),
            Fault(name, wrong(kernel, X, activation="leaky_relu", negative_slope=NAN), ValueError,
                  "negative_slope must be finite"),
            Fault(name, wrong(kernel, X, activation="leaky_relu", negative_slope=[0.1]), ValueError,
                  r"negative_slope must be one number, got shape \(1,\)"),
            Fault(name, wrong(kernel, None, activation="erf"), TypeError,
                  "x must be an array of numbers, got NoneType"),
            Fault(name, wrong(kernel, X, X.astype("float16"), activation="erf"), TypeError,
                  "x and z must have one dtype, got float32 and float16: cast one"),
        )
    ),
]  # fmt: skip
