"""Wrong input: sums over paired inputs."""

from functools import partial

import jax.numpy as jnp

from jaxmargin import lower_bound
from tests.fault import Fault, wrong

X, BETA, Z = jnp.ones((3, 6)).at[:, 1].set(0), jnp.ones(3), jnp.ones((2, 4))


def large(x, z):  # always wants two arguments
    return 1e30 * (x @ z.T)


SUMS = {
    "f_tilde": lower_bound.f_tilde,
    "paired_sum": partial(lower_bound.paired_sum, label=1),
    "deviation": lower_bound.deviation,
    "paired_error_bound": lower_bound.paired_error_bound,
}


FAULTS: list[Fault] = [
    *(
        fault
        for name, call in SUMS.items()
        for fault in (
            Fault(f"lower_bound.{name}", wrong(call, X[0], BETA, Z), ValueError,
                  r"x must be \(n, d\) with d >= 3 and beta \(n,\), got \(6,\) and \(3,\)"),
            Fault(f"lower_bound.{name}", wrong(call, X[:, :2], BETA, Z), ValueError, "d >= 3"),
            Fault(f"lower_bound.{name}", wrong(call, X, BETA[:2], Z), ValueError,
                  r"got \(3, 6\) and \(2,\)"),
            Fault(f"lower_bound.{name}", wrong(call, X, BETA, X), ValueError,
                  r"z must be \(n', d - 2\) = \(n', 4\), got \(3, 6\)"),
            Fault(f"lower_bound.{name}", wrong(call, X, BETA, Z[0]), ValueError, r"got \(4,\)"),
            Fault(f"lower_bound.{name}", wrong(call, X, BETA.astype("float16"), Z), TypeError,
                  "x, beta and z must have one dtype, got float32, float16 and float32"),
            Fault(f"lower_bound.{name}", wrong(call, X, BETA, Z, kernel=3), TypeError,
                  r"kernel must be a function kernel\(x, z\), got int"),
        )
    ),
    Fault("paired_error_bound", wrong(lower_bound.paired_error_bound, X, BETA * jnp.nan, Z),
          ValueError, "beta must be finite"),
    *(
        Fault(f"lower_bound.{name}", wrong(SUMS[name], X, 1e30 * BETA, Z, kernel=large), ValueError,
              "a sum over the samples is beyond float32, .*: scale x, beta or z down")
        for name in ("f_tilde", "paired_sum")
    ),
    Fault("paired_sum", wrong(lower_bound.paired_sum, X, BETA, Z, label=0), ValueError,
          "label must be 1 or -1, got 0"),
]  # fmt: skip
