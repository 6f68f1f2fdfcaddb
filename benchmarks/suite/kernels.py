"""Gram matrices, products and predictors, beside neural-tangents, SciPy and scikit-learn."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import scipy
from sklearn.linear_model import LogisticRegression
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


def _with_intercept(x: np.ndarray) -> np.ndarray:
    """The Gram matrix in float64, with a constant feature so large that its weight costs nothing.

    So a machine without an intercept is that of scikit-learn, which always has one.
    """
    with jax.enable_x64(True):
        gram = np.asarray(jm.two_layer_ntk(jnp.asarray(x)))
    return gram + 1e3 * np.mean(np.diag(gram))


def _teacher(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Gram matrix, and the labels of a relu network of five units."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, D))
    teacher = np.maximum(x @ rng.normal(size=(D, 5)), 0) @ rng.normal(size=5)
    return _with_intercept(x), np.where(teacher > np.median(teacher), 1.0, -1.0)


def _machines(grams: np.ndarray, labels: np.ndarray, c: float | None) -> Sides:
    """One call of ours beside libsvm, at a tolerance of 1e-6, once for each trial and class."""
    machine = SVC(kernel="precomputed", C=1e10 if c is None else c, tol=1e-6)
    classes = range(labels.max() + 1) if labels.dtype == int else [1.0]

    def ours():
        with jax.enable_x64(True):
            beta = np.asarray(jm.fit_svm(jnp.asarray(grams), jnp.asarray(labels), c=c).beta)
        return np.matmul(grams, beta.reshape(*labels.shape, len(classes)))

    def theirs():
        trials = zip(
            grams.reshape(-1, *grams.shape[-2:]), labels.reshape(-1, labels.shape[-1]), strict=True
        )
        scores = [
            machine.fit(gram, np.where(y == one, 1, -1)).decision_function(gram)
            for gram, y in trials
            for one in classes
        ]
        return np.moveaxis(np.reshape(scores, (-1, len(classes), labels.shape[-1])), 1, 2)

    return Sides(
        ours,
        {"scikit-learn": theirs},
        answer=lambda scores: np.reshape(scores, (-1, labels.shape[-1], len(classes))),
        tolerance=1e-2,  # the intercept does cost a little
    )


def fit_svm(n: int, c: float | None) -> Sides:
    """Labels of a teacher; the values f(x_i) are compared."""
    return _machines(*_teacher(n), c)


def fit_svm_trials(t: int) -> Sides:
    """Many trials at once, hard margin."""
    grams, labels = zip(*(_teacher(200, seed) for seed in range(t)), strict=True)
    return _machines(np.stack(grams), np.stack(labels), None)


def fit_svm_classes(n: int) -> Sides:
    """Ten classes of digits, one against the rest."""
    x, y = (np.asarray(part)[:n] for part in jm.data.digits()[:2])
    return _machines(_with_intercept(x.astype(float)), y.astype(int), 1.0)


def fit_ridge(n: int) -> Sides:
    """Beside SciPy's Cholesky factor."""
    gram, y = _teacher(n)

    def ours():
        with jax.enable_x64(True):
            return jm.fit_ridge(jnp.asarray(gram), jnp.asarray(y), ridge=1.0).beta

    def theirs():
        return scipy.linalg.solve(gram + np.eye(n), y, assume_a="pos")

    return Sides(ours, {"scipy": theirs}, tolerance=1e-8)


def fit_kernel_logistic(n: int) -> Sides:
    """Beside scikit-learn's Newton method on a factor of the matrix, as a user would call it."""
    gram, y = _teacher(n)
    lam = 1e-3 * float(np.mean(np.diag(gram)))  # so that values f(x_i) are of order 1
    machine = LogisticRegression(
        C=1 / (2 * n * lam), fit_intercept=False, solver="newton-cholesky", tol=1e-10, max_iter=200
    )

    def ours():
        with jax.enable_x64(True):
            fit = jm.fit_kernel_logistic(jnp.asarray(gram), jnp.asarray(y), lam=lam)
            return gram @ np.asarray(fit.beta)

    def theirs():
        factor = np.linalg.cholesky(gram + 1e-12 * np.trace(gram) / n * np.eye(n))
        return machine.fit(factor, y).decision_function(factor)

    return Sides(ours, {"scikit-learn": theirs}, tolerance=1e-4)


SIZES = (200, 800, 2000)
BENCHMARKS = [
    Benchmark("kernels/relu_ntk", "n", (500, 1000, 2000), relu_ntk, "d = 20, depth 3"),
    Benchmark("kernels/relu_ntk, wide", "d", (196, 784), partial(relu_ntk, 1000), "n = 1000"),
    Benchmark("kernels/kernel_matvec", "n", (1000, 4000), kernel_matvec, "d = 20"),
    Benchmark("kernels/empirical_ntk", "n", (100, 400), empirical_ntk, "d = 20, m = 512"),
    Benchmark("kernels/fit_svm, hard", "n", SIZES, partial(fit_svm, c=None), "d = 20, float64"),
    Benchmark("kernels/fit_svm, c = 1", "n", SIZES, partial(fit_svm, c=1.0), "d = 20, float64"),
    Benchmark("kernels/fit_svm, trials", "t", (100,), fit_svm_trials, "n = 200, d = 20, float64"),
    Benchmark("kernels/fit_svm, digits", "n", (400, 1200), fit_svm_classes, "k = 10, float64"),
    Benchmark("kernels/fit_ridge", "n", (200, 800, 1600), fit_ridge, "d = 20, float64"),
    Benchmark(
        "kernels/fit_kernel_logistic", "n", (200, 800), fit_kernel_logistic, "d = 20, float64"
    ),
]
