"""Wrong input: kernel ridge regression without the Gram matrix."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.sparse import csr_matrix

import jaxmargin as jm
from tests.fault import Fault

X, Y = (
    jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32) for shape in ((20, 4), 20)
)


def fit(**changed: Any) -> jm.kernels.RidgeFit:
    """A fit without fault but for what is changed."""
    right = {
        "kernel": jm.two_layer_ntk,
        "x": X,
        "y": Y,
        "ridge": 0.3,
        "num_landmarks": 5,
        "devices": jax.devices()[:1],
    }
    return jm.fit_ridge_matrix_free(**(right | changed))


def minus(x, z=None):
    return -jm.two_layer_ntk(x, z)


def indefinite(x, z=None):
    """Symmetric, with a positive diagonal and a negative eigenvalue."""
    z = x if z is None else z
    return 2 * x[:, :1] * z[:, :1].T - x[:, 1:] @ z[:, 1:].T


def lopsided(x, z=None):
    return jm.two_layer_ntk(x, z) + x[:, :1]


def not_finite(x, z=None):
    return jnp.inf * jm.two_layer_ntk(x, z)


fitting = partial(partial, fit)
fault = partial(Fault, "fit_ridge_matrix_free")


FAULTS: list[Fault] = [
    fault(fitting(ridge=0.0), ValueError, "ridge must be a finite number > 0, got 0.0"),
    fault(fitting(ridge=-1.0), ValueError, "ridge must be a finite number > 0, got -1.0"),
    fault(fitting(ridge=None), TypeError, "ridge must be a number, got None"),
    fault(fitting(y=Y[1:]), ValueError,
          r"y must be \(n,\) or \(n, k\) with n = 20, got shape \(19,\)"),
    fault(fitting(x=X[0]), ValueError, r"x must be \(n, d\) with n, d >= 1, got shape \(4,\)"),
    fault(fitting(x=X[:0], y=Y[:0]), ValueError, r"got shape \(0, 4\)"),
    fault(fitting(x=X.at[3, 1].set(jnp.nan)), ValueError, r"x must be finite, .* index \(3, 1\)"),
    fault(fitting(y=Y.at[3].set(jnp.inf)), ValueError, "y must be finite"),
    fault(fitting(y=Y.astype(int)), TypeError,
          "x and y must hold floats of one dtype, got float32 and int32"),
    fault(fitting(x=csr_matrix(X)), TypeError, "x must be dense, got a sparse csr_matrix"),
    fault(partial(jax.jit(lambda y: fit(y=y)), Y), TypeError,
          "fit_ridge_matrix_free takes concrete numbers: call it outside jit, vmap and grad"),
    fault(fitting(kernel="ntk"), TypeError,
          r"kernel must be a function kernel\(x, z=None\), got str"),
    fault(fitting(kernel=minus), ValueError,
          r"kernel must be positive semidefinite and not 0, but K\(x, x\) <= 0"),
    fault(fitting(kernel=jm.k1, x=1e-25 * X), ValueError, "rounds to 0 in float32, scale x up"),
    fault(fitting(y=1e30 * Y, ridge=1e-20, kernel=lambda x, z=None: 1e-20 * jm.k1(x, z)),
          ValueError, "beta has size .*, outside the range of float32 .*: scale y, the kernel or"),
    fault(fitting(kernel=lopsided), ValueError, "kernel must be symmetric, but K - K' has entries"),
    fault(fitting(kernel=not_finite), ValueError, "the kernel's Gram matrix must be finite"),
    fault(fitting(kernel=lambda x, z=None: x), ValueError,
          r"kernel of 5 rows must give shape \(5, 5\), got \(5, 4\)"),
    fault(fitting(kernel=indefinite), ValueError,
          r"K \+ ridge I is not positive definite in float32: .* raise ridge, or use float64"),
    fault(fitting(num_landmarks=0), ValueError, "num_landmarks must be at least 1, got 0"),
    fault(fitting(num_landmarks=21), ValueError, "num_landmarks must be at most n = 20, got 21"),
    fault(fitting(num_landmarks=2.0), TypeError, "num_landmarks must be an integer, got 2.0"),
    fault(fitting(tol=0.0), ValueError, "tol must be a finite number > 0, got 0.0"),
    fault(fitting(max_iterations=0), ValueError, "max_iterations must be at least 1, got 0"),
    fault(fitting(block_size=0), ValueError, "block_size must be at least 1, got 0"),
    fault(fitting(devices=[]), ValueError, "the number of devices must be at least 1, got 0"),
    fault(fitting(on_record=3), TypeError,
          r"on_record must be a function on_record\(step, record\), got int"),
    fault(fitting(max_iterations=1, num_landmarks=1), jm.ConvergenceError,
          "after 1 iterations, above tol = .*: raise max_iterations, num_landmarks or ridge"),
    fault(fitting(tol=1e-12), jm.ConvergenceError, "the rounding of float32 allows no less"),
]  # fmt: skip
