"""Small classification problems for the predictors, and their oracle."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from scipy.optimize import lsq_linear

from jaxmargin import two_layer_ntk

N = 40


def problem(dtype, n=N, d=4, seed=0):
    """Gram matrix of random inputs, and labels that no linear function gives."""
    x = np.random.default_rng(seed).normal(size=(n, d)).astype(dtype)
    return two_layer_ntk(jnp.asarray(x)), jnp.asarray(np.sign(x[:, 0] * x[:, 1]))


def trials(dtype):
    return jax.tree.map(lambda *one: jnp.stack(one), *[problem(dtype, seed=s) for s in (0, 1, 2)])


def classes(n=N, k=3):
    return jnp.asarray(np.random.default_rng(1).integers(0, k, n))


def features(gram) -> np.ndarray:
    """Rows whose inner products are gram, by its eigenvectors: also if it is singular."""
    values, vectors = np.linalg.eigh(np.asarray(gram, np.float64))
    return vectors * np.sqrt(np.maximum(values, 0))


def svm_oracle(gram, y, c) -> np.ndarray:
    """The dual of the SVM as a bounded least squares problem, solved by an active set method."""
    q = np.outer(y, y) * np.asarray(gram, np.float64)
    lower = np.linalg.cholesky(q)
    target = scipy.linalg.solve_triangular(lower, np.ones(len(q)), lower=True)
    found = lsq_linear(
        lower.T, target, (0, np.inf if c is None else c), method="bvls", tol=1e-15, max_iter=10000
    )
    return np.asarray(y) * found.x
