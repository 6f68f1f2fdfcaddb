"""Figure 3: margin and test error against the width, of networks that fit (appendix F.1).

The paper leaves open the start and the size of the minibatches. The start decides: small, the
margin rises with the width; N(0, 1), it falls. The regularizer, at the paper's strength, adds
next to nothing, as training without it shows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxmargin import data
from jaxmargin.experiments import samples as teachers
from jaxmargin.experiments.harness import plots
from jaxmargin.experiments.harness.experiment import (
    Claim,
    Context,
    Experiment,
    Series,
    Tick,
    setting,
)
from jaxmargin.experiments.harness.statistics import Estimate, mean, ratio_of_means, slope
from jaxmargin.experiments.samples import Samples
from jaxmargin.margins.normalized import normalized_margin, sample_margins
from jaxmargin.networks.models import TwoLayer, init_two_layer, two_layer
from jaxmargin.networks.objective import regularized
from jaxmargin.networks.training import Minibatch, train

RECORDS = 20  # of a run, for the progress bar
CLASSES = 10
VISIBLE = 1.05  # a ratio of margins that a reader of the figure would see


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
    seed: int = setting(0, "seed of all randomness", least=0)


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
    """A curve of one data set: where training starts, how it is regularized, and its look."""

    std: float
    lam: float
    widths: Sequence[int]
    label: str
    color: str


def _synthetic(s: Settings) -> dict[str, Regime]:
    return {
        "regularized": Regime(s.init_std, s.lam, s.widths, _lam(s.lam), plots.BLUE),
        "unregularized": Regime(s.init_std, 0.0, s.compared_widths, _lam(0), plots.VERMILLION),
        "large": Regime(s.large_std, s.lam, s.compared_widths, _lam(s.lam), plots.GREEN),
    }


def _images(s: Settings) -> dict[str, Regime]:
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
    synthetic = _draw_synthetic(settings)
    series: Series = {
        "synthetic/n": np.array(synthetic.x.shape[1]),
        "synthetic/radius": np.asarray(jnp.linalg.norm(synthetic.x, axis=-1).max(axis=-1)),
        "images/n": np.array(images.x.shape[0]),
        "images/radius": np.asarray(jnp.linalg.norm(images.x, axis=-1).max(axis=-1)),
    }
    for panel, regimes, fit, samples in (
        ("synthetic", _synthetic(settings), _fit_synthetic, synthetic),
        ("images", _images(settings), _fit_images, images),
    ):
        trials = settings.trials if panel == "synthetic" else 1
        for name, regime in regimes.items():
            parts = [
                context.part(
                    f"{panel} {name}, {m} units",
                    trials * (RECORDS + 1),
                    partial(fit, settings, samples, regime, m),
                )
                for m in regime.widths
            ]
            series[f"{panel}/{name}/width"] = np.array(regime.widths)
            for metric in parts[0]:
                found = [part[metric] for part in parts]
                series[f"{panel}/{name}/{metric}"] = np.stack(found, axis=1)
    return series


def _draw_synthetic(settings: Settings) -> Samples:
    """One teacher a trial, the same for every width and regime."""
    return teachers.draw(
        jax.random.fold_in(jax.random.key(settings.seed), 0),
        trials=settings.trials,
        n=settings.n,
        test_samples=settings.test_samples,
        d=settings.d,
        hidden=settings.hidden,
        margin=settings.margin,
        max_majority=settings.max_majority,
    )


def _draw_images(settings: Settings) -> Samples:
    """MNIST of the folder, or scikit-learn's digits, a quarter of them for testing."""
    if settings.mnist:
        train_set, test_set = (data.mnist(settings.mnist, split=s) for s in ("train", "test"))
    else:
        x, y = data.digits()
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
    """Full-batch gradient descent; every metric (t,) at its end."""
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(settings.seed), 1), m)
    init = partial(init_two_layer, d=settings.d, m=m, std=regime.std)
    _, history = train(
        regularized(two_layer, "logistic", lam=regime.lam),
        optax.sgd(settings.learning_rate),
        jax.vmap(init)(jax.random.split(key, settings.trials)),
        samples.x,
        samples.y,
        num_steps=settings.steps,
        record=_recorded(settings.steps),
        metrics=_metrics,
        metric_args=(samples.x_test, samples.y_test),
        trials=True,
        on_record=tick,
    )
    return {name: np.asarray(values[:, -1]) for name, values in history.metrics.items()}


def _fit_images(settings: Settings, samples: Samples, regime: Regime, m: int, tick: Tick) -> Series:
    """Stochastic gradient descent; every metric (1,) at its end."""
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(settings.seed), 2), m)
    key_start, key_order = jax.random.split(key)
    n, d = samples.x.shape
    num_steps = settings.mnist_epochs * (n // settings.mnist_batch)
    _, history = train(
        regularized(two_layer, "cross_entropy", lam=regime.lam),
        optax.sgd(settings.mnist_learning_rate),
        init_two_layer(key_start, d, m, k=CLASSES, std=regime.std),
        samples.x,
        samples.y,
        num_steps=num_steps,
        record=_recorded(num_steps),
        metrics=_metrics,
        metric_args=(samples.x_test, samples.y_test),
        minibatch=Minibatch(key_order, settings.mnist_batch),
        on_record=tick,
    )
    return {name: np.asarray(values[-1:]) for name, values in history.metrics.items()}


def _recorded(steps: int) -> list[int]:
    return np.linspace(0, steps, RECORDS + 1, dtype=int).tolist()


def _metrics(
    params: TwoLayer, x: Array, y: Array, x_test: Array, y_test: Array
) -> dict[str, Array]:
    return {
        "margin": normalized_margin(two_layer, params, x, y),
        "train_error": jnp.mean(sample_margins(two_layer(params, x), y) <= 0),
        "test_error": jnp.mean(sample_margins(two_layer(params, x_test), y_test) <= 0),
    }


def claims(settings: Settings, series: Series) -> list[Claim]:
    """What appendix F.1 says of Figure 3, and what the regularizer and the start do."""
    return [
        *_synthetic_claims(settings, series),
        _large_start_claim(settings, series),
        *_image_claims(settings, series),
    ]


def _synthetic_claims(settings: Settings, series: Series) -> list[Claim]:
    widths = np.array(settings.widths)
    fits = series["synthetic/regularized/train_error"] == 0
    wide = widths >= 128
    fit_counts = ", ".join(f"{count} at {m}" for m, count in zip(widths, fits.sum(0), strict=True))
    return [
        _trend_claim("synthetic: the margin rises with the width", "margin", 1, series),
        _trend_claim("synthetic: the test error falls with the width", "test_error", -1, series),
        Claim(
            "synthetic: every trial fits from 128 units on",
            f"of {settings.trials} trials fit {fit_counts} units",
            bool(wide.any() and fits[:, wide].all()),
        ),
        _regularizer_claim("synthetic", "synthetic", settings.lam, series),
    ]


def _trend_claim(statement: str, metric: str, sign: int, series: Series) -> Claim:
    """From the narrowest to the widest: means of the trials that fit, paired where both do."""
    widths, values = (series[f"synthetic/regularized/{name}"] for name in ("width", metric))
    fits = series["synthetic/regularized/train_error"] == 0

    def change(i: int) -> Estimate:
        both = fits[:, i] & fits[:, -1]
        return _mean((values[:, -1] - values[:, i])[both])

    narrow, wide = (_mean(values[fits[:, i], i]) for i in (0, -1))
    before = max(0, len(widths) - 2)
    return Claim(
        statement,
        f"{narrow:.4f} at {widths[0]} units, {wide:.4f} at {widths[-1]}; paired change "
        f"{change(0):.4f}, from {widths[before]} on {change(before):.4f}",
        sign * change(0).value > 2 * change(0).error,
    )


def _regularizer_claim(label: str, panel: str, lam: float, series: Series) -> Claim:
    """The margin over that without a regularizer, of the trials that fit in both ways."""
    with_lam, without = (
        dict(zip(series[f"{panel}/{name}/width"], series[f"{panel}/{name}/margin"].T, strict=True))
        for name in ("regularized", "unregularized")
    )
    shares: dict[int, Estimate] = {}
    for m in with_lam.keys() & without.keys():
        fits = (with_lam[m] > 0) & (without[m] > 0)
        if fits.any():
            shares[m] = ratio_of_means(with_lam[m][fits], without[m][fits])
    measured = ", ".join(f"{shares[m]:.4f} at {m}" for m in sorted(shares))
    return Claim(
        f"{label}: the regularizer, lam = {lam:g}, raises the margin",
        f"margin over that without it: {measured or 'no network fits'}",
        bool(shares) and min(share.value for share in shares.values()) > VISIBLE,
    )


def _large_start_claim(settings: Settings, series: Series) -> Claim:
    values = series["synthetic/large/margin"]
    ratio = ratio_of_means(values[:, -1], values[:, 0])
    means = ", ".join(
        f"{mean(values[:, i]):.4f} at {m}" for i, m in enumerate(settings.compared_widths)
    )
    return Claim(
        f"beyond the paper: from weights N(0, {settings.large_std:g}²) the margin falls",
        f"{means} units; ratio {ratio:.3f}",
        ratio.value + 2 * ratio.error < 1,
    )


def _image_claims(settings: Settings, series: Series) -> list[Claim]:
    widths = settings.mnist_widths
    margin, train_error, test_error = (
        series[f"images/regularized/{metric}"][0]
        for metric in ("margin", "train_error", "test_error")
    )
    rise, change = (slope(np.log2(widths), values) for values in (margin, test_error))
    wrong = np.round(train_error * series["images/n"]).astype(int)
    name = "MNIST" if settings.mnist else "digits"
    return [
        Claim(
            f"{name}: the margin rises with the width",
            f"{margin[0]:.4f} at {widths[0]} units, {margin[-1]:.4f} at {widths[-1]}; "
            f"each doubling {rise:.4f}",
            rise.value > 2 * rise.error,
        ),
        Claim(
            f"{name}: the test error falls with the width",
            f"{test_error[0]:.4f} at {widths[0]} units, {test_error[-1]:.4f} at {widths[-1]}; "
            f"each doubling {change:.4f}",
            change.value < -2 * change.error,
        ),
        Claim(
            f"{name}: every network fits the training data",
            f"wrong of {series['images/n']} images: "
            + ", ".join(f"{w} at {m}" for m, w in zip(widths, wrong, strict=True)),
            not wrong.any(),
        ),
        _regularizer_claim(name, "images", settings.mnist_lam, series),
    ]


def _mean(values: np.ndarray) -> Estimate:
    """Mean over the trials that fit (t',); NaN where none does."""
    return mean(values) if len(values) else Estimate(np.nan, np.nan)


def plot(settings: Settings, series: Series) -> Figure:
    """Margin above, test error below: synthetic data from both starts, and the images."""
    figure, axes = plots.panels(3, rows=2, height=2.5)
    regimes = _synthetic(settings)
    large = {"large": regimes.pop("large")}
    columns = (("synthetic", regimes), ("synthetic", large), ("images", _images(settings)))
    for column, (panel, curves) in enumerate(columns):
        widths = [m for regime in curves.values() for m in regime.widths]
        for metric, one in zip(("margin", "test_error"), axes[column::3], strict=True):
            for name, regime in curves.items():
                _curve(one, series, f"{panel}/{name}", metric, regime)
            one.set_xscale("log", base=2)
            one.set_xlim(min(widths) / 1.2, max(widths) * 1.2)  # also where no network fits
            one.set_xlabel("hidden units")
    titles = [
        f"synthetic, start N(0, {settings.init_std:g}²)",
        f"synthetic, start N(0, {settings.large_std:g}²)",
        f"{'MNIST' if settings.mnist else 'small digits'}, {series['images/n']:,} images",
    ]
    plots.label_panels(axes[:3], titles, "hidden units")
    axes[0].set_ylabel("normalized margin")
    axes[3].set_ylabel("test error")
    for one in axes[:3]:
        one.legend()
    return figure


def _curve(one: Axes, series: Series, key: str, metric: str, regime: Regime) -> None:
    """Mean over the trials that fit, with their number where it is not all."""
    values, fits = series[f"{key}/{metric}"], series[f"{key}/train_error"] == 0
    means = [_mean(values[fits[:, i], i]) for i in range(len(regime.widths))]
    center, error = np.array(means).T
    x = series[f"{key}/width"]
    if regime.lam == 0:  # hollow, on the curve it hardly leaves
        hollow = {"markersize": 8, "fillstyle": "none", "linestyle": "none"}
        one.plot(x, center, "o", label=regime.label, color=regime.color, **hollow)
        return
    plots.band(one, x, center, error, label=regime.label, color=regime.color, marker="o")
    for m, value, count in zip(x, center, fits.sum(axis=0), strict=True):
        if metric == "margin" and 0 < count < len(values):
            text = f"{count} of {len(values)} trials"
            one.annotate(text, (m, value), (8, -3), textcoords="offset points", fontsize=7)


EXPERIMENT = Experiment(
    name="figure-3",
    title="margin and test error as the network grows wider",
    presets={"quick": QUICK, "paper-cpu": CPU, "paper": PAPER},
    run=run,
    claims=claims,
    plot=plot,
)
