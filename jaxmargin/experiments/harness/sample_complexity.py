"""How many samples of D a network needs, and how many its kernel.

Classification (Theorem 2.1) and regression (appendix B.3) ask the same question with different
losses: both measure the test loss over n / d for the network and over n / d^2 for the kernel.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array
from matplotlib.axes import Axes

from jaxmargin.data.synthetic import two_axis
from jaxmargin.experiments.harness import plots
from jaxmargin.experiments.harness.experiment import Context, Series, Tick, seed_setting, setting
from jaxmargin.experiments.harness.grid import (
    RECORDS,
    measure_cells,
    record_steps,
    training_ticks,
)
from jaxmargin.experiments.harness.statistics import Estimate, mean
from jaxmargin.kernels.closed_form import two_layer_ntk
from jaxmargin.networks.models import init_two_layer, two_layer
from jaxmargin.networks.objective import regularized
from jaxmargin.networks.training import train
from jaxmargin.plots.trials import plot_trials


@dataclass(frozen=True)
class Settings:
    """What both experiments can set; the defaults are Theorem 2.1's preset "paper"."""

    trials: int = setting(10, "independent data sets and starts")
    dims: tuple[int, ...] = setting((20, 40, 80), "input dimensions d", least=3)
    network_ratios: tuple[int, ...] = setting((1, 2, 3, 4, 6, 8), "n / d for the network")
    kernel_ratios: tuple[float, ...] = setting((0.0625, 0.125, 0.25, 0.5), "n / d^2 for the kernel")
    width: int = setting(64, "hidden units of the network")
    init_std: float = setting(0.1, "standard deviation of every initial weight")
    lam: float = setting(1e-3, "strength of the regularizer lam * ||Theta||_F^2", least=0)
    learning_rate: float = setting(0.01, "initial step size of Adam, decayed to 0 by a cosine")
    steps: int = setting(4_000, "steps of Adam", least=RECORDS)
    test_samples: int = setting(10_000, "fresh samples for the test loss")
    seed: int = seed_setting()


class KernelTrial(NamedTuple):
    """Samples of D for the kernel's predictors, and their Gram matrices (r_w = r_u = 1).

    Attributes:
        key: random key for what a predictor draws.
        x: (n, d) training samples.
        y: (n,) their labels.
        y_test: (n',) labels of the fresh samples.
        gram: (n, n) kernel of the training samples.
        cross: (n', n) kernel of the fresh samples with them.
    """

    key: Array
    x: Array
    y: Array
    y_test: Array
    gram: Array
    cross: Array


class Curve(NamedTuple):
    """How one of the kernel's methods is drawn."""

    label: str
    color: str
    style: str


TestLoss = Callable[[Array, Array], Array]  # elementwise, of scores and labels
KernelLosses = Callable[[KernelTrial], Mapping[str, Array | float]]  # one for each method


def measure(
    settings: Settings,
    context: Context,
    *,
    loss: str,
    test_loss: TestLoss,
    kernel_losses: KernelLosses,
) -> Series:
    """Test losses (t, ratios) of the network and of the kernel's methods, for every d.

    Args:
        settings: of the experiment.
        context: runs the parts.
        loss: what the network descends on, as `regularized` names it.
        test_loss: what is averaged over the network's fresh samples.
        kernel_losses: the mean test loss of every method on one trial.
    """
    series: Series = {
        "n/d": np.array(settings.network_ratios),
        "n/d^2": np.array(settings.kernel_ratios),
    }
    network = partial(_network_part, settings, loss, test_loss)
    kernel = partial(_kernel_part, settings, kernel_losses)
    for d in settings.dims:
        network_sizes = [ratio * d for ratio in settings.network_ratios]
        for name, sizes, losses, ticks in (
            ("network", network_sizes, network, training_ticks(settings.trials)),
            ("kernel", kernel_sizes(d, settings), kernel, settings.trials),
        ):
            cells = ((f"{name} d={d} n={n}", partial(losses, d, n)) for n in sizes)
            found = measure_cells(context, cells, ticks=ticks)
            series |= {f"{method}/{d}": values for method, values in found.items()}
    return series


def kernel_sizes(d: int, settings: Settings) -> list[int]:
    """Numbers of samples for the kernel in d dimensions."""
    return [max(2, round(ratio * d * d)) for ratio in settings.kernel_ratios]


def optimizer(settings: Settings) -> optax.GradientTransformation:
    """Adam, decayed to 0 by a cosine."""
    return optax.adam(optax.cosine_decay_schedule(settings.learning_rate, settings.steps))


def _key_of(d: int, n: int, settings: Settings) -> Array:
    """The random key of one cell."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(settings.seed), d), n)


def _network_part(
    settings: Settings, loss: str, test_loss: TestLoss, d: int, n: int, tick: Tick
) -> Series:
    """Mean test losses (t,) of networks, one trained for each trial."""
    key_data, key_start = jax.random.split(_key_of(d, n, settings))
    draw = partial(two_axis, n=n + settings.test_samples, d=d)
    x, y = jax.vmap(draw)(jax.random.split(key_data, settings.trials))
    init = partial(init_two_layer, d=d, m=settings.width, std=settings.init_std)
    trained = train(
        regularized(two_layer, loss, lam=settings.lam),
        optimizer(settings),
        jax.vmap(init)(jax.random.split(key_start, settings.trials)),
        x[:, :n],
        y[:, :n],
        num_steps=settings.steps,
        record=record_steps(settings.steps),
        trials=True,
        on_record=tick,
    )
    losses = test_loss(jax.vmap(two_layer)(trained.params, x[:, n:]), y[:, n:])
    return {"network": np.asarray(jnp.mean(losses, axis=1))}


def _kernel_part(
    settings: Settings, kernel_losses: KernelLosses, d: int, n: int, tick: Tick
) -> Series:
    """Mean test losses (t,) of each of the kernel's methods, one trial after the other."""
    found = []
    for trial in _kernel_trials(settings, d, n):
        found.append(kernel_losses(trial))
        tick()
    return {name: np.array([float(losses[name]) for losses in found]) for name in found[0]}


def _kernel_trials(settings: Settings, d: int, n: int) -> Iterator[KernelTrial]:
    for key in jax.random.split(_key_of(d, n, settings), settings.trials):
        key_data, key_predictor = jax.random.split(key)
        x, y = two_axis(key_data, n + settings.test_samples, d)
        gram, cross = two_layer_ntk(x[:n]), two_layer_ntk(x[n:], x[:n])
        yield KernelTrial(key_predictor, x[:n], y[:n], y[n:], gram, cross)


def kernel_means(
    d: int, settings: Settings, series: Series, methods: Iterable[str]
) -> tuple[int, dict[str, Estimate]]:
    """The size nearest to n = d^2 / 4, and each method's mean test loss there."""
    at = int(np.argmin(np.abs(series["n/d^2"] - 0.25)))
    means = {name: mean(series[f"{name}/{d}"][:, at]) for name in methods}
    return kernel_sizes(d, settings)[at], means


def plot(
    axes: tuple[Axes, Axes], settings: Settings, series: Series, curves: Mapping[str, Curve]
) -> None:
    """Test losses of the network (left) and of the kernel (right), on one axis of n."""
    left, right = axes
    right.sharex(left)
    left.set_xscale("log", base=2)
    for one in axes:
        one.xaxis.set_major_formatter("{x:g}")
    for d, marker, size in zip(settings.dims, "os^Dv", (3, 4, 5, 6, 7), strict=False):
        look = {"marker": marker, "markersize": size, "linewidth": size / 4}
        network = series[f"network/{d}"]
        label = f"$d = {d}$"
        plot_trials(d * series["n/d"], network, ax=left, label=label, color=plots.BLUE, **look)
        for name, curve in curves.items():
            plot_trials(
                kernel_sizes(d, settings),
                series[f"{name}/{d}"],
                ax=right,
                label=curve.label if d == settings.dims[-1] else None,
                color=curve.color,
                linestyle=curve.style,
                **look,
            )
