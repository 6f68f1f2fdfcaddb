"""Samples of D that a network and a kernel need: what classification and regression share.

Both experiments measure test losses over n / d for the network and n / d^2 for the kernel; their
settings share the names that are used here.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import jax
import numpy as np
import optax
from jaxtyping import Array

from jaxmargin.data import synthetic as data
from jaxmargin.experiments.harness.experiment import Context, Series, Tick
from jaxmargin.networks.models import init_two_layer, two_layer
from jaxmargin.networks.objective import regularized
from jaxmargin.networks.training import train

RECORDS = 20  # of a run, for the progress bar

Measure = Callable[[int, int, Any, Tick], Series]  # of (d, n, settings, tick): losses (t,)


def measure(
    settings: Any, context: Context, network: Measure, kernel: Measure, methods: Iterable[str]
) -> Series:
    """Losses (t, ratios) of the network and of the kernel's methods, for every d."""
    series: Series = {
        "n/d": np.array(settings.network_ratios),
        "n/d^2": np.array(settings.kernel_ratios),
    }
    ticks = settings.trials * (RECORDS + 1)
    for d in settings.dims:
        parts = [
            context.part(f"network d={d} n={n}", ticks, partial(network, d, n, settings))
            for n in (ratio * d for ratio in settings.network_ratios)
        ]
        parts_kernel = [
            context.part(f"kernel d={d} n={n}", settings.trials, partial(kernel, d, n, settings))
            for n in kernel_sizes(d, settings)
        ]
        for method, group in (("network", parts), *((name, parts_kernel) for name in methods)):
            series[f"{method}/{d}"] = np.stack([part[method] for part in group], axis=1)
    return series


def kernel_sizes(d: int, settings: Any) -> list[int]:
    """Samples for the kernel in d dimensions."""
    return [max(2, round(ratio * d * d)) for ratio in settings.kernel_ratios]


def key_of(d: int, n: int, settings: Any) -> Array:
    """The random key of one size."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(settings.seed), d), n)


def optimizer(settings: Any) -> optax.GradientTransformation:
    """Adam, decayed to 0 by a cosine."""
    return optax.adam(optax.cosine_decay_schedule(settings.learning_rate, settings.steps))


def fresh_scores(loss: str, d: int, n: int, settings: Any, tick: Tick) -> tuple[Array, Array]:
    """Scores of the trained networks on fresh samples, and their labels: (t, test samples)."""
    key_data, key_start = jax.random.split(key_of(d, n, settings))
    draw = partial(data.two_axis, n=n + settings.test_samples, d=d)
    x, y = jax.vmap(draw)(jax.random.split(key_data, settings.trials))
    init = partial(init_two_layer, d=d, m=settings.width, std=settings.init_std)
    trained = train(
        regularized(two_layer, loss, lam=settings.lam),
        optimizer(settings),
        jax.vmap(init)(jax.random.split(key_start, settings.trials)),
        x[:, :n],
        y[:, :n],
        num_steps=settings.steps,
        record=np.linspace(0, settings.steps, RECORDS + 1, dtype=int).tolist(),
        trials=True,
        on_record=tick,
    )
    return jax.vmap(two_layer)(trained.params, x[:, n:]), y[:, n:]
