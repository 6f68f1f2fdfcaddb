"""Wrong input: products with a Gram matrix that is never stored."""

from functools import partial

import jax.numpy as jnp

import jaxmargin as jm
from tests.fault import Fault, X, wrong

matvec = partial(wrong, jm.kernel_matvec)
diagonal = partial(wrong, jm.kernel_diagonal)


def of_two_outputs(x, z=None):
    return jm.k1(x, z)[..., None, None] * jnp.eye(2)[None, None]


FAULTS: list[Fault] = [
    Fault("kernel_matvec", matvec(3, X, X), TypeError,
          r"kernel must be a function kernel\(x, z=None\), got int"),
    Fault("kernel_matvec", matvec(jm.k1, X[0], X), ValueError,
          r"x must be \(n, d\), or \(n, ...\)"),
    Fault("kernel_matvec", matvec(jm.k1, X, X[:2, 0]), ValueError,
          r"v must be \(n',\) or \(n', k\) with n' = 6, one entry for each row of x, got \(2,\)"),
    Fault("kernel_matvec", matvec(jm.k1, X, X[:, 0], X[:2]), ValueError,
          r"with n' = 2, one entry for each row of z, got \(6,\)"),
    Fault("kernel_matvec", matvec(jm.k1, X, X.astype("float16")), TypeError,
          "v must have the dtype of x, float32, got float16"),
    Fault("kernel_matvec", matvec(jm.k1, X, X, X.astype("float16")), TypeError,
          "x and z must have one dtype, got float32 and float16"),
    Fault("kernel_matvec", matvec(jm.k1, X, X, X[:, :1]), ValueError,
          r"x and z must have rows of one shape, got \(6, 3\) and \(6, 1\)"),
    Fault("kernel_matvec", matvec(jm.k1, X, "abc"), TypeError, "v must be an array"),
    Fault("kernel_matvec", matvec(of_two_outputs, X, X), ValueError,
          r"kernel must return a matrix \(6, 6\), but it returned \(6, 6, 2, 2\), as a kernel"),
    Fault("kernel_matvec", matvec(jm.k1, X, X, block_size=0), ValueError,
          "block_size must be at least 1, got 0"),
    Fault("kernel_matvec", matvec(jm.k1, X, X, block_size=2.0), TypeError,
          "block_size must be an integer, got 2.0"),
    Fault("kernel_diagonal", diagonal(3, X), TypeError, r"kernel must be a function kernel\(x\)"),
    Fault("kernel_diagonal", diagonal(jm.k1, "abc"), TypeError, "x must be an array"),
    Fault("kernel_diagonal", diagonal(jm.k1, X[:0]), ValueError, r"x must be \(n, d\), or"),
    Fault("kernel_diagonal", diagonal(lambda x: x, X), ValueError,
          r"return \(1, 1\) or \(1, 1, k, k\) for one row, but it returned \(1, 3\)"),
]  # fmt: skip
