"""Wrong input: the Taylor polynomial of the tangent kernel."""

import jax.numpy as jnp

from jaxmargin import lower_bound
from tests.fault import Fault, wrong

Z = jnp.ones((2, 3))


FAULTS: list[Fault] = [
    Fault("taylor_coefficients", wrong(lower_bound.taylor_coefficients, 4, r_w=1e30), ValueError,
          r"r_w\*\*2 d is beyond float32: choose a smaller r_w"),
    Fault("taylor_coefficients", wrong(lower_bound.taylor_coefficients, 2), ValueError,
          "d must be at least 3, got 2"),
    Fault("taylor_coefficients", wrong(lower_bound.taylor_coefficients, 4.0), TypeError,
          "d must be an integer, got 4.0"),
    *(
        fault
        for call in (lower_bound.taylor_kernel, lower_bound.taylor_error)
        for fault in (
            Fault(f"lower_bound.{call.__name__}", wrong(call, Z[0]), ValueError,
                  r"z and z2 must be \(n, d - 2\), \(n', d - 2\), got \(3,\) and \(3,\)"),
            Fault(f"lower_bound.{call.__name__}", wrong(call, Z, jnp.ones((2, 4))), ValueError,
                  r"got \(2, 3\) and \(2, 4\)"),
            Fault(f"lower_bound.{call.__name__}", wrong(call, "abc"), TypeError,
                  "z must be an array of numbers, got str"),
            Fault(f"lower_bound.{call.__name__}", wrong(call, Z, r_u=-1.0), ValueError,
                  "r_u must be a finite number >= 0, got -1"),
        )
    ),
]  # fmt: skip
