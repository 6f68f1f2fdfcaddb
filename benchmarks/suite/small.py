"""Every driver at a newcomer's size, where the first call is what one waits for."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

import jaxmargin as jm
from benchmarks.suite.measuring import Benchmark, Sides

D, WIDTH, LAM = 10, 64, 1e-3


def _samples(n: int) -> tuple[jax.Array, jax.Array, Any]:
    """Gaussian rows, the signs of their first entry, and a network that separates them."""
    x = jax.random.normal(jax.random.key(0), (n, D))
    y = jnp.sign(x[:, 0])
    first = jnp.zeros(D).at[0].set(1.0)
    return x, y, jm.TwoLayer(jnp.stack([first, -first]), jnp.array([1.0, -1.0]))


def of_a_model(measure: Callable[..., Any], n: int) -> Sides:
    """A quantity of a network and its labelled samples, as one calls it: without jit."""
    x, y, net = _samples(n)
    return Sides(lambda: measure(jm.two_layer, net, x, y))


def homogeneity_degree(n: int) -> Sides:
    """The degree of a two-layer network."""
    x, _, net = _samples(n)
    return Sides(lambda: jm.homogeneity_degree(jm.two_layer, net, x))


def train(n: int) -> Sides:
    """A hundred steps."""
    x, y, _ = _samples(n)
    start = jm.init_two_layer(jax.random.key(1), D, WIDTH)
    objective, optimizer = jm.regularized(jm.two_layer, "logistic", lam=LAM), optax.sgd(0.1)
    return Sides(lambda: jm.train(objective, optimizer, start, x, y, num_steps=100).params)


def of_a_gram(fit: Callable[..., Any], n: int) -> Sides:
    """A predictor, or a margin, of a tangent kernel."""
    x, y, _ = _samples(n)
    gram = jm.two_layer_ntk(x)
    return Sides(lambda: fit(gram, y))


def fit_ridge_matrix_free(n: int) -> Sides:
    """Ridge regression without a Gram matrix."""
    x, y, _ = _samples(n)
    return Sides(lambda: jm.fit_ridge_matrix_free(jm.two_layer_ntk, x, y, ridge=0.1).beta)


def _flow(n: int) -> tuple[jm.MeanField, jm.Measure]:
    x, y, _ = _samples(n)
    theta = jm.sample_sphere(jax.random.key(2), WIDTH, D + 1)
    problem = jm.two_layer_problem(x, y, "logistic", lam=100 * LAM)
    return problem, jm.Measure(theta, jnp.full(WIDTH, 1 / WIDTH))


def run_flow(n: int) -> Sides:
    """A hundred perturbed steps."""
    problem, measure = _flow(n)
    flow = jm.perturbed_flow(problem, step_size=0.01, noise=1e-3)
    state, key = flow.init(measure), jax.random.key(3)
    return Sides(lambda: jm.run_flow(key, flow, state, num_steps=100).state)


def certify(n: int) -> Sides:
    """A bound in ten dimensions."""
    problem, measure = _flow(n)
    return Sides(lambda: jm.certify(problem, measure).gap)


def global_optimum(n: int) -> Sides:
    """From nothing, in ten dimensions."""
    problem, _ = _flow(n)
    return Sides(lambda: jm.global_optimum(problem, tol=1e-3).certificate.energy)


def max_margin(n: int) -> Sides:
    """Of separable labels, in ten dimensions."""
    x, y, _ = _samples(n)
    return Sides(lambda: jm.max_margin(x, y, tol=1e-3).margin)


_OF_A_MODEL = {
    "margins/normalized_margin": jm.normalized_margin,
    "margins/smoothed_margin": jm.smoothed_margin,
    "margins/kkt_residual": jm.kkt_residual,
}
_OF_A_GRAM = {
    "kernels/fit_interpolant": jm.fit_interpolant,
    "kernels/fit_ridge": partial(jm.fit_ridge, ridge=0.1),
    "kernels/fit_svm": jm.fit_svm,
    "kernels/fit_kernel_logistic": partial(jm.fit_kernel_logistic, lam=LAM),
    "margins/kernel_margin": jm.kernel_margin,
}
_BUILD = {
    "networks/homogeneity_degree": homogeneity_degree,
    "networks/train": train,
    **{name: partial(of_a_model, measure) for name, measure in _OF_A_MODEL.items()},
    **{name: partial(of_a_gram, fit) for name, fit in _OF_A_GRAM.items()},
    "kernels/fit_ridge_matrix_free": fit_ridge_matrix_free,
    "margins/max_margin": max_margin,
    "mean_field/run_flow": run_flow,
    "mean_field/certify": certify,
    "mean_field/global_optimum": global_optimum,
}
BENCHMARKS = [
    Benchmark(f"{name}, small", "n", (60,), build, "d = 10") for name, build in _BUILD.items()
]
