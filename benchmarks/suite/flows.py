"""Steps of the Wasserstein flow, beside the loop that a user would write."""

from functools import partial

import jax
import jax.numpy as jnp

import jaxmargin as jm
from benchmarks.suite.measuring import Benchmark, Sides

LAM, STEP_SIZE, STEPS = 0.01, 1e-4, 10


def _problem(m: int, n: int, d: int, k: int | None):
    key_x, key_y, key_theta = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(key_x, (n, d))
    theta = jm.sample_sphere(key_theta, m, d + (k or 1))
    measure = jm.Measure(theta, jnp.full(m, 1 / m))
    if k is None:
        y = jax.random.rademacher(key_y, (n,), float)
        return jm.two_layer_problem(x, y, "logistic", lam=LAM), x, y, measure
    labels = jax.random.randint(key_y, (n,), 0, k)
    return jm.two_layer_problem(x, labels, "cross_entropy", lam=LAM, k=k), x, labels, measure


def _ours(problem, measure):
    flow = jm.wasserstein_flow(problem, step_size=STEP_SIZE)

    @jax.jit
    def run(flow, state):
        def step(i, state):
            return flow.step(jax.random.key(0), state)[0]

        return jax.lax.fori_loop(0, STEPS, step, state).measure.theta

    return partial(run, flow, flow.init(measure))


def step(m: int, n: int = 1000, d: int = 20, k: int | None = None) -> Sides:
    """Ten plain steps; by hand they are m times the gradient of the energy of a network."""
    problem, x, y, measure = _problem(m, n, d, k)

    @jax.jit
    def plain(theta, x, y):
        outputs = k or 1

        def energy(theta):
            hidden = jnp.maximum(x @ theta[:, outputs:].T, 0)
            scores = hidden @ theta[:, :outputs] / m
            if k is None:
                risk = jnp.sum(jax.nn.softplus(-y * scores[:, 0]))
            else:
                own = jnp.take_along_axis(scores, y[:, None], axis=1)[:, 0]
                risk = jnp.sum(jax.nn.logsumexp(scores, axis=1) - own)
            return risk + LAM * jnp.sum(theta**2) / m

        def one(_, theta):
            return theta - STEP_SIZE * m * jax.grad(energy)(theta)

        return jax.lax.fori_loop(0, STEPS, one, theta)

    return Sides(
        _ours(problem, measure), {"plain loop": partial(plain, measure.theta, x, y)}, tolerance=1e-3
    )


def own_features(m: int) -> Sides:
    """Features of the user's own, beside the loop by hand, and the network known to the package."""
    problem, x, y, measure = _problem(m, 200, 20, None)

    def phi(theta):
        return theta[0] * jax.nn.relu(x @ theta[1:])

    @jax.jit
    def plain(theta):
        def energy(theta):
            scores = jnp.mean(jax.vmap(phi)(theta), axis=0)
            return jnp.sum(jax.nn.softplus(-y * scores)) + LAM * jnp.sum(theta**2) / m

        def one(_, theta):
            return theta - STEP_SIZE * m * jax.grad(energy)(theta)

        return jax.lax.fori_loop(0, STEPS, one, theta)

    own = jm.MeanField(phi, problem.loss, lambda theta: LAM * jnp.sum(theta**2))
    return Sides(
        _ours(own, measure),
        {
            "plain loop": partial(plain, measure.theta),
            "two_layer_problem": _ours(problem, measure),
        },
        tolerance=1e-3,
    )


BENCHMARKS = [
    Benchmark("mean_field/flow step", "m", (1024, 4096), step, "n = 1000, d = 20, 10 steps"),
    Benchmark(
        "mean_field/flow step, wide", "d", (784,), lambda d: step(2048, d=d), "m = 2048, n = 1000"
    ),
    Benchmark(
        "mean_field/flow step, k = 10", "m", (1024,), partial(step, k=10), "n = 1000, d = 20"
    ),
    Benchmark("mean_field/flow step, own features", "m", (1024,), own_features, "n = 200, d = 20"),
]
