"""Losses, margins and training, beside optax and the loop that a user would write."""

from functools import partial

import jax
import jax.numpy as jnp
import optax

import jaxmargin as jm
from benchmarks.suite.measuring import Benchmark, Sides

D, WIDTH, STEPS, LAM = 20, 200, 200, 1e-3


def _samples(n: int) -> tuple[jax.Array, jax.Array]:
    key_x, key_y = jax.random.split(jax.random.key(0))
    return jax.random.normal(key_x, (n, D)), jax.random.rademacher(key_y, (n,), float)


def logistic_loss(n: int) -> Sides:
    """The loss and its gradient; optax computes softplus(-m) as well."""
    margins = 5 * jax.random.normal(jax.random.key(0), (n,))

    def value_and_slope(loss):
        return jax.jit(jax.value_and_grad(lambda margins: jnp.mean(loss(margins))))

    ours = value_and_slope(jm.logistic_loss)
    theirs = value_and_slope(lambda m: optax.sigmoid_binary_cross_entropy(m, jnp.ones_like(m)))
    return Sides(
        partial(ours, margins), {"optax": partial(theirs, margins)},
        answer=lambda result: result[1],
    )  # fmt: skip


def cross_entropy_loss(n: int) -> Sides:
    """The loss and its gradient, ten classes."""
    logits = jax.random.normal(jax.random.key(0), (n, 10))
    labels = jax.random.randint(jax.random.key(1), (n,), 0, 10)

    def value_and_slope(loss):
        return jax.jit(jax.value_and_grad(lambda logits: jnp.mean(loss(logits, labels))))

    ours = value_and_slope(jm.cross_entropy_loss)
    theirs = value_and_slope(optax.softmax_cross_entropy_with_integer_labels)
    return Sides(
        partial(ours, logits), {"optax": partial(theirs, logits)}, answer=lambda result: result[1]
    )


def normalized_margin(n: int) -> Sides:
    """The margin of a two-layer network, beside the same in three lines."""
    x, y = _samples(n)
    params = jm.init_two_layer(jax.random.key(2), D, WIDTH)

    def plain(params, x, y):
        scores = jnp.maximum(x @ params.u.T, 0) @ params.w
        return jnp.min(y * scores) / (jnp.sum(params.u**2) + jnp.sum(params.w**2))

    ours = jax.jit(partial(jm.normalized_margin, jm.two_layer))
    return Sides(
        partial(ours, params, x, y), {"three lines": partial(jax.jit(plain), params, x, y)}
    )


def train(n: int) -> Sides:
    """Full-batch gradient descent, beside one jitted loop over optax."""
    x, y = _samples(n)
    start = jm.init_two_layer(jax.random.key(2), D, WIDTH, std=0.3)
    objective = jm.regularized(jm.two_layer, "logistic", lam=LAM)
    optimizer = optax.sgd(0.1)

    @jax.jit
    def plain(params, x, y):
        def step(_, carry):
            params, state = carry
            slope = jax.grad(objective)(params, x, y)
            change, state = optimizer.update(slope, state, params)
            return optax.apply_updates(params, change), state

        return jax.lax.fori_loop(0, STEPS, step, (params, optimizer.init(params)))[0]

    def ours():
        found = jm.train(objective, optimizer, start, x, y, num_steps=STEPS, record=STEPS)
        return found.params

    return Sides(
        ours, {"plain loop": partial(plain, start, x, y)},
        answer=lambda params: params.u, tolerance=1e-3,
    )  # fmt: skip


def margin_path(n: int) -> Sides:
    """Three lambdas of 200 steps each."""
    x, y = _samples(n)
    start = jm.init_two_layer(jax.random.key(2), D, WIDTH, std=0.3)
    lams = [1e-2, 1e-3, 1e-4]

    def ours():
        return jm.margin_path(jm.two_layer, start, x, y, lams, num_steps=STEPS, tol=1e9)

    return Sides(ours)


BENCHMARKS = [
    Benchmark("networks/logistic_loss", "n", (10**4, 10**6), logistic_loss, "with its gradient"),
    Benchmark("networks/cross_entropy_loss", "n", (10**3, 10**5), cross_entropy_loss, "k = 10"),
    Benchmark("margins/normalized_margin", "n", (200, 20000), normalized_margin, "d = 20, m = 200"),
    Benchmark("networks/train", "n", (50, 200, 800), train, "d = 20, m = 200, 200 steps"),
    Benchmark("margins/margin_path", "n", (100,), margin_path, "d = 20, m = 200, 3 x 200 steps"),
]
