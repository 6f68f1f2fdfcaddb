"""The networks of Figure 3: settings, data, and training at every width (appendix F.1).

Each data set has several regimes, which differ in the start and in the regularizer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from jaxmargin.data.images import digits, idx
from jaxmargin.experiments.harness import plots
from jaxmargin.experiments.harness.experiment import Context, Series, Tick, seed_setting, setting
from jaxmargin.experiments.harness.grid import (
    RECORDS,
    measure_cells,
    record_steps,
    training_ticks,
)
from jaxmargin.experiments.harness.samples import Samples, labelled
from jaxmargin.margins.normalized import normalized_margin, sample_margins
from jaxmargin.networks.models import TwoLayer, init_two_layer, two_layer
from jaxmargin.networks.objective import regularized
from jaxmargin.networks.training import Minibatch, train

CLASSES = 10


@dataclass(frozen=True)
class Settings:
    """Defaults are the preset "paper"."""

    trials: int = setting(20, "synthetic: independent teachers, data sets and starts")
    widths: tuple[int, ...] = setting(tuple(2**i for i in range(4, 11)), "synthetic: hidden units")
    n: int = setting(200, "synthetic: training samples")
    d: int = setting(20, "synthetic: input dimension")
    hidden: int = setting(10, "synthetic: hidden units of the teacher")
    margin: float = setting(0.01, "synthetic: least |f(x)| of the teacher on a sample", least=0)
    max_majority: float = setting(0.65, "redraw teachers whose larger class exceeds this share")
    init_std: float = setting(0.02, "synthetic: standard deviation of every initial weight")
    large_std: float = setting(1.0, "synthetic: that of the large start")
    compared_widths: tuple[int, ...] = setting(
        (16, 64, 256), "synthetic: units of the large start and of lam = 0"
    )
    lam: float = setting(1e-5, "synthetic: strength of lam * ||Theta||_F^2", least=0)
    learning_rate: float = setting(0.1, "synthetic: step size of full-batch gradient descent")
    steps: int = setting(80_000, "synthetic: steps of gradient descent", least=RECORDS)
    test_samples: int = setting(2_000, "synthetic: fresh samples for the test error")
    mnist: str = setting(
        "",
        "folder with MNIST's four IDX files; without one, the small digits of scikit-learn",
        environment="JAXMARGIN_MNIST",
    )
    mnist_images: int = setting(60_000, "images: at most so many for training")
    mnist_widths: tuple[int, ...] = setting(tuple(2**i for i in range(6, 16)), "images: units")
    mnist_compared_widths: tuple[int, ...] = setting((64, 256, 1024), "images: units of lam = 0")
    mnist_init_std: float = setting(0.001, "images: standard deviation of every initial weight")
    mnist_lam: float = setting(1e-6, "images: strength of lam * ||Theta||_F^2", least=0)
    mnist_learning_rate: float = setting(0.01, "images: step size of stochastic descent")
    mnist_batch: int = setting(32, "images: samples a step")
    mnist_epochs: int = setting(600, "images: passes over the training images")
    seed: int = seed_setting()


PAPER = Settings()
CPU = replace(
    PAPER,
    mnist_widths=tuple(2**i for i in range(6, 11)),
    mnist_compared_widths=(64, 256),
)
QUICK = replace(
    PAPER,
    trials=6,
    widths=(16, 64, 256),
    steps=20_000,
    mnist_images=2_000,
    mnist_widths=(32, 64, 128, 256),
    mnist_compared_widths=(32, 128),
    mnist_learning_rate=0.1,
    mnist_batch=8,
    mnist_epochs=200,
)


class Regime(NamedTuple):
    """A curve of one data set: its start, its regularizer, its widths and its look."""

    std: float
    lam: float
    widths: Sequence[int]
    label: str
    color: str


def synthetic_regimes(s: Settings) -> dict[str, Regime]:
    """From the small start with and without the regularizer, and from the large start."""
    return {
        "regularized": Regime(s.init_std, s.lam, s.widths, _lam(s.lam), plots.BLUE),
        "unregularized": Regime(s.init_std, 0.0, s.compared_widths, _lam(0), plots.VERMILLION),
        "large": Regime(s.large_std, s.lam, s.compared_widths, _lam(s.lam), plots.GREEN),
    }


def image_regimes(s: Settings) -> dict[str, Regime]:
    """With and without the regularizer."""
    std, lam, few = s.mnist_init_std, s.mnist_lam, s.mnist_compared_widths
    return {
        "regularized": Regime(std, lam, s.mnist_widths, _lam(lam), plots.BLUE),
        "unregularized": Regime(std, 0.0, few, _lam(0), plots.VERMILLION),
    }


def _lam(value: float) -> str:
    return rf"$\lambda = {plots.power_of_ten(value)}$"


def run(settings: Settings, context: Context) -> Series:
    """Margin and errors (t, widths) of every regime; the images have one trial."""
    images = _draw_images(settings)  # first: the folder may be wrong
    key = jax.random.fold_in(jax.random.key(settings.seed), 0)
    synthetic = labelled(key, settings, settings.n)  # the same for every width and regime
    series: Series = {
        "synthetic/n": np.array(synthetic.x.shape[1]),
        "synthetic/radius": np.asarray(jnp.linalg.norm(synthetic.x, axis=-1).max(axis=-1)),
        "images/n": np.array(images.x.shape[0]),
        "images/radius": np.asarray(jnp.linalg.norm(images.x, axis=-1).max(axis=-1)),
    }
    for panel, regimes, fit, trials in (
        (
            "synthetic",
            synthetic_regimes(settings),
            partial(_fit_synthetic, settings, synthetic),
            settings.trials,
        ),
        ("images", image_regimes(settings), partial(_fit_images, settings, images), 1),
    ):
        for name, regime in regimes.items():
            cells = ((f"{panel} {name}, {m} units", partial(fit, regime, m)) for m in regime.widths)
            found = measure_cells(context, cells, ticks=training_ticks(trials))
            found["width"] = np.array(regime.widths)
            series |= {f"{panel}/{name}/{metric}": values for metric, values in found.items()}
    return series


def _draw_images(settings: Settings) -> Samples:
    """MNIST from the folder, or scikit-learn's digits with a quarter of them for testing."""
    if settings.mnist:
        if not Path(settings.mnist).is_dir():
            raise ValueError(
                f"there is no folder {settings.mnist}: give the folder with MNIST's IDX files, or "
                "none to take the small digits of scikit-learn"
            )
        train_set, test_set = (idx(settings.mnist, split=s) for s in ("train", "test"))
    else:
        x, y = digits()
        order = jax.random.permutation(jax.random.key(settings.seed), len(x))
        tested, fitted = jnp.split(order, [len(x) // 4])
        train_set, test_set = (x[fitted], y[fitted]), (x[tested], y[tested])
    x, y = (values[: settings.mnist_images] for values in train_set)
    if settings.mnist_batch > len(x):
        raise ValueError(
            f"mnist_batch must be at most the {len(x)} images, got {settings.mnist_batch}"
        )
    return Samples(x, y, *test_set)


def _fit_synthetic(
    settings: Settings, samples: Samples, regime: Regime, m: int, tick: Tick
) -> Series:
    """Full-batch gradient descent, and every metric (t,) at its end."""
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(settings.seed), 1), m)
    init = partial(init_two_layer, d=settings.d, m=m, std=regime.std)
    history = train(
        regularized(two_layer, "logistic", lam=regime.lam),
        optax.sgd(settings.learning_rate),
        jax.vmap(init)(jax.random.split(key, settings.trials)),
        samples.x,
        samples.y,
        num_steps=settings.steps,
        record=record_steps(settings.steps),
        metrics=_metrics,
        metric_args=(samples.x_test, samples.y_test),
        trials=True,
        on_record=tick,
    ).history
    return {name: np.asarray(values[:, -1]) for name, values in history.metrics.items()}


def _fit_images(settings: Settings, samples: Samples, regime: Regime, m: int, tick: Tick) -> Series:
    """Stochastic gradient descent, and every metric (1,) at its end."""
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(settings.seed), 2), m)
    key_start, key_order = jax.random.split(key)
    n, d = samples.x.shape
    num_steps = settings.mnist_epochs * (n // settings.mnist_batch)
    history = train(
        regularized(two_layer, "cross_entropy", lam=regime.lam),
        optax.sgd(settings.mnist_learning_rate),
        init_two_layer(key_start, d, m, k=CLASSES, std=regime.std),
        samples.x,
        samples.y,
        num_steps=num_steps,
        record=record_steps(num_steps),
        metrics=_metrics,
        metric_args=(samples.x_test, samples.y_test),
        minibatch=Minibatch(key_order, settings.mnist_batch),
        on_record=tick,
    ).history
    return {name: np.asarray(values[-1:]) for name, values in history.metrics.items()}


def _metrics(
    params: TwoLayer, x: Array, y: Array, x_test: Array, y_test: Array
) -> dict[str, Array]:
    return {
        "margin": normalized_margin(two_layer, params, x, y),
        "train_error": jnp.mean(sample_margins(two_layer(params, x), y) <= 0),
        "test_error": jnp.mean(sample_margins(two_layer(params, x_test), y_test) <= 0),
    }
