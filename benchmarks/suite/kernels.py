"""Gram matrices, products and predictors, beside neural-tangents, SciPy and scikit-learn."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import scipy
from sklearn.svm import SVC

import jaxmargin as jm
from benchmarks.kernels import neural_tangents
from benchmarks.suite.measuring import Benchmark, Sides

D = 20


def _rows(n: int, d: int = D) -> jax.Array:
    return jax.random.normal(jax.random.key(0), (n, d))


def relu_ntk(n: int, d: int = D, depth: int = 3) -> Sides:
    """The Gram matrix of a deep network; the floors are its product and its memory."""
    x = _rows(n, d)
    return Sides(
        partial(jm.relu_ntk, x, depth=depth),
        {"neural-tangents": partial(jax.jit(neural_tangents(depth)), x)},
        {
            "product alone": partial(jax.jit(lambda x: x @ x.T), x),
            "filling alone": jax.jit(partial(jnp.full, (n, n), 1.0)),
        },
        tolerance=1e-3,  # its diagonal is no better
    )


def kernel_matvec(n: int) -> Sides:
    """K v without K, beside K and then K v."""
    x, v = _rows(n), jax.random.normal(jax.random.key(1), (n,))
    whole = jax.jit(lambda x, v: jm.two_layer_ntk(x) @ v)
    ours = jax.jit(partial(jm.kernel_matvec, jm.two_layer_ntk))
    return Sides(partial(ours, x, v), {"K, then K v": partial(whole, x, v)})


def empirical_ntk(n: int) -> Sides:
    """A network of two layers, width 512."""
    params, x = jm.init_two_layer(jax.random.key(1), D, 512), _rows(n)

    def plain(params, x):
        slopes = jax.tree.leaves(jax.jacobian(jm.two_layer)(params, x))
        return sum(jnp.tensordot(of, of, (tuple(range(1, of.ndim)),) * 2) for of in slopes)

    ours = jax.jit(partial(jm.empirical_ntk, jm.two_layer))
    return Sides(
        partial(ours, params, x), {"Jacobian, then J J^T": partial(jax.jit(plain), params, x)}
    )


def _teacher_gram(n: int) -> tuple[np.ndarray, np.ndarray]:
    """In float64, of samples and their opposites, for which a machine needs no intercept."""
    rng = np.random.default_rng(0)
    half = rng.normal(size=(n // 2, D))
    y = np.sign(half @ rng.normal(size=D) + 0.5 * np.maximum(half @ rng.normal(size=D), 0))
    x = np.concatenate([half, -half])
    with jax.enable_x64(True):
        return np.asarray(jm.two_layer_ntk(jnp.asarray(x))), np.concatenate([y, -y])


def fit_svm(n: int, c: float | None) -> Sides:
    """Beside libsvm at a tolerance of 1e-6; the values f(x_i) are compared."""
    gram, y = _teacher_gram(n)
    machine = SVC(kernel="precomputed", C=1e10 if c is None else c, tol=1e-6)

    def ours():
        with jax.enable_x64(True):
            return gram @ np.asarray(jm.fit_svm(jnp.asarray(gram), jnp.asarray(y), c=c).beta)

    return Sides(
        ours, {"scikit-learn": lambda: machine.fit(gram, y).decision_function(gram)}, tolerance=1e-3
    )


def fit_ridge(n: int) -> Sides:
    """Beside SciPy's Cholesky factor."""
    gram, y = _teacher_gram(n)

    def ours():
        with jax.enable_x64(True):
            return jm.fit_ridge(jnp.asarray(gram), jnp.asarray(y), ridge=1.0).beta

    def theirs():
        return scipy.linalg.solve(gram + np.eye(n), y, assume_a="pos")

    return Sides(ours, {"scipy": theirs}, tolerance=1e-8)


BENCHMARKS = [
    Benchmark("kernels/relu_ntk", "n", (500, 1000, 2000), relu_ntk, "d = 20, depth 3"),
    Benchmark("kernels/relu_ntk, wide", "d", (196, 784), partial(relu_ntk, 1000), "n = 1000"),
    Benchmark("kernels/kernel_matvec", "n", (1000, 4000), kernel_matvec, "d = 20"),
    Benchmark("kernels/empirical_ntk", "n", (100, 400), empirical_ntk, "d = 20, m = 512"),
    Benchmark(
        "kernels/fit_svm, hard", "n", (200, 800), partial(fit_svm, c=None), "d = 20, float64"
    ),
    Benchmark(
        "kernels/fit_svm, c = 1", "n", (200, 800), partial(fit_svm, c=1.0), "d = 20, float64"
    ),
    Benchmark("kernels/fit_ridge", "n", (200, 800, 1600), fit_ridge, "d = 20, float64"),
]
