"""Wrong input: moments over the hypercube."""

from functools import partial

import jax.numpy as jnp

from jaxmargin import lower_bound
from tests.fault import Fault, wrong

Z, BETA = jnp.ones((2, 3)), jnp.ones(2)
MOMENTS = {
    "cross_moment": partial(lower_bound.cross_moment, p=1, q=1),
    "quadratic_form": partial(lower_bound.quadratic_form, coefficients=[0.0, 1.0]),
}
gram = partial(wrong, lower_bound.parity_gram)
fourier = partial(wrong, lower_bound.fourier_coefficients)
moment = partial(wrong, lower_bound.cross_moment, Z, BETA)


FAULTS: list[Fault] = [
    Fault("parity_gram", gram(Z, jnp.ones((2, 4)), size=1), ValueError,
          r"z and z2 must be \(n, dim\), \(n', dim\), got \(2, 3\) and \(2, 4\)"),
    Fault("parity_gram", gram(Z[0], size=1), ValueError, r"got \(3,\) and \(3,\)"),
    Fault("parity_gram", gram(Z, size=-1), ValueError, "size must be at least 0, got -1"),
    Fault("parity_gram", gram(Z, size=1.0), TypeError, "size must be an integer, got 1.0"),
    Fault("fourier_coefficients", fourier(-1, 3), ValueError,
          "power must be at least 0, got -1"),
    Fault("fourier_coefficients", fourier(1, 0), ValueError,
          "dim must be at least 1, got 0"),
    Fault("fourier_coefficients", fourier(1.5, 3), TypeError,
          "power must be an integer, got 1.5"),
    Fault("fourier_coefficients", fourier(1, 3.0), TypeError,
          "dim must be an integer, got 3.0"),
    *(
        fault
        for name, call in MOMENTS.items()
        for fault in (
            Fault(f"lower_bound.{name}", wrong(call, Z, jnp.ones(3)), ValueError,
                  r"z must be \(n, dim\) and beta \(n,\), got \(2, 3\) and \(3,\)"),
            Fault(f"lower_bound.{name}", wrong(call, Z[0], BETA), ValueError,
                  r"got \(3,\) and \(2,\)"),
        )
    ),
    Fault("cross_moment", moment(p=-1, q=1), ValueError, "power must be at least 0"),
    Fault("cross_moment", moment(p=1, q=0.5), TypeError, "power must be an integer"),
    Fault("quadratic_form", wrong(lower_bound.quadratic_form, Z, BETA, jnp.ones((1, 1))),
          ValueError, r"vector a_0, a_1, ... of 1 to 1001 numbers, got shape \(1, 1\)"),
    Fault("quadratic_constant", wrong(lower_bound.quadratic_constant, Z[0]), ValueError,
          r"z must be \(n, dim\) with n, dim >= 1, got shape \(3,\)"),
    Fault("quadratic_constant", wrong(lower_bound.quadratic_constant, "abc"), TypeError,
          "z must be an array of numbers, got str"),
    Fault("quadratic_form", wrong(lower_bound.quadratic_form, Z, BETA, None), TypeError,
          "coefficients must be an array of numbers, got NoneType"),
    Fault("quadratic_form", wrong(lower_bound.quadratic_form, jnp.ones((2, 99)), BETA, [0.0] * 50),
          ValueError, r"the largest c_{\d+,k} is beyond float32: take fewer"),
    Fault("cross_moment", wrong(lower_bound.cross_moment, jnp.ones((2, 99)), BETA, p=20, q=20),
          ValueError, "the largest c_{p,k} c_{q,k} is beyond float32"),
    Fault("parity_gram", gram(jnp.ones((1, 200)), size=100), ValueError,
          "the number of sets of `size` coordinates is beyond float32"),
    Fault("parity_gram", gram(2 * Z, size=1), ValueError,
          r"z must hold -1 and \+1, but has entries outside of \[-1, 1\]"),
    Fault("fourier_coefficients", fourier(10**12, 3), ValueError,
          "power must be at most 1000, got 1000000000000"),
]  # fmt: skip
