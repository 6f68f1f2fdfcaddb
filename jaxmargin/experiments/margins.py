"""Margins side by side: of the network, of random features, and of the tangent kernel (section 4).

The paper says that the tangent kernel has the worse margin, and shows test errors. Here are the
margins themselves, on the distribution D and on a teacher's labels. All three are those of relu
units of length 1 that the sphere holds uniformly, so that they share one scale.
"""

from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxmargin.data.synthetic import teacher, two_axis
from jaxmargin.experiments.harness import plots
from jaxmargin.experiments.harness.experiment import (
    Claim,
    Context,
    Experiment,
    Series,
    Tick,
    setting,
)
from jaxmargin.experiments.harness.statistics import mean, slope
from jaxmargin.kernels.closed_form import two_layer_ntk
from jaxmargin.kernels.comparison import kernel_margin
from jaxmargin.margins.maximum_margin import max_margin
from jaxmargin.plots.trials import plot_trials

METHODS = {
    "network": ("network (F1)", plots.BLUE),
    "features": ("random features (F2)", plots.ORANGE),
    "tangent": ("tangent kernel", plots.VERMILLION),
}
ON_D = 0.25  # the network's margin on the whole support of D
_PARTS = ("dims", "sizes", "teacher")


@dataclass(frozen=True)
class Settings:
    """Defaults are the preset "paper"."""

    trials: int = setting(5, "independent data sets and teachers")
    dims: tuple[int, ...] = setting((4, 6, 8), "input dimensions d of D", least=3)
    ratio: float = setting(2.0, "n / d^2 of the samples of D in each dimension")
    d: int = setting(6, "input dimension where the number of samples varies", least=3)
    sizes: tuple[int, ...] = setting((16, 32, 64), "numbers of samples", least=8)
    hidden: int = setting(4, "hidden units of the teacher")
    margin: float = setting(0.1, "least |f(x)| of the teacher on a sample", least=0)
    tol: float = setting(1e-3, "relative accuracy of the network's margin")
    seed: int = setting(0, "seed of all randomness", least=0)


PAPER = Settings()
QUICK = replace(PAPER, trials=2)


def run(settings: Settings, context: Context) -> Series:
    """Margins (t, ...) of each method over the dimensions, and over the sizes on both data."""
    key_dims, key_d, key_teacher = jax.random.split(jax.random.key(settings.seed), 3)

    def over_dims(tick: Tick) -> Series:
        sizes = [round(settings.ratio * d**2) for d in settings.dims]
        cells = [
            [two_axis(key, n, d) for n, d in zip(sizes, settings.dims, strict=True)]
            for key in jax.random.split(key_dims, settings.trials)
        ]
        return _measured(cells, settings.tol, tick)

    def over_sizes(draw, key: Array, tick: Tick) -> Series:
        samples = [draw(key) for key in jax.random.split(key, settings.trials)]
        cells = [[(x[:n], y[:n]) for n in settings.sizes] for x, y, *_ in samples]
        return _measured(cells, settings.tol, tick)

    most = max(settings.sizes)
    of_d = partial(two_axis, n=most, d=settings.d)
    of_teacher = partial(
        teacher, n=most, d=settings.d, hidden=settings.hidden, margin=settings.margin,
        inputs="sphere", max_majority=0.65,
    )  # fmt: skip
    parts = {
        "dims": (len(settings.dims), over_dims),
        "sizes": (len(settings.sizes), partial(over_sizes, of_d, key_d)),
        "teacher": (len(settings.sizes), partial(over_sizes, of_teacher, key_teacher)),
    }
    series: Series = {}
    for name, (columns, compute) in parts.items():
        found = context.part(name, settings.trials * columns, compute)
        series |= {f"{name}/{key}": values for key, values in found.items()}
    return series


def _measured(cells: list[list[tuple[Array, Array]]], tol: float, tick: Tick) -> Series:
    """Margins and sizes of the features, (t, columns) for t rows of samples."""
    found: dict[str, list[float]] = {}
    for x, y in (cell for row in cells for cell in row):
        for name, value in _margins(np.asarray(x, float), np.asarray(y, float), tol).items():
            found.setdefault(name, []).append(value)
        tick()
    shape = len(cells), len(cells[0])
    return {name: np.reshape(values, shape) for name, values in found.items()}


def _margins(x: np.ndarray, y: np.ndarray, tol: float) -> dict[str, float]:
    """The margin of each method, and beside it the root mean square size of its features."""
    d = x.shape[1]
    with jax.enable_x64(True):
        points, labels = jnp.asarray(x), jnp.asarray(y)
        features = two_layer_ntk(points, r_w=0.0) / d
        tangent = two_layer_ntk(points, r_w=1.0, r_u=d**-0.5)
        return {
            "network": 2 * max_margin(x, y, tol=tol).margin,
            "features": float(kernel_margin(features, labels)),
            "tangent": float(kernel_margin(tangent, labels)),
            "network/size": float(np.sqrt(np.mean(np.sum(x**2, axis=1)))),
            "features/size": float(np.sqrt(np.trace(features) / len(x))),
            "tangent/size": float(np.sqrt(np.trace(tangent) / len(x))),
        }


def _asked(series: Series, name: str) -> np.ndarray:
    """(size / margin)^2 (t, dims): the samples that a bound by complexity over margin asks for."""
    return (series[f"dims/{name}/size"] / series[f"dims/{name}"]) ** 2


def claims(settings: Settings, series: Series) -> list[Claim]:
    """What the paper says of margins, and the order of the two kinds of features."""
    network = series["dims/network"]
    log_d = np.log(settings.dims)
    slopes = {name: slope(log_d, np.log(_asked(series, name)).mean(axis=0)) for name in METHODS}
    pairs = [(series[f"{part}/network"], series[f"{part}/features"]) for part in _PARTS]
    least = min(float(np.min(network / features)) for network, features in pairs)
    tangent, best = _last(series, "sizes")
    return [
        Claim(
            "on D the network has the margin 1/4 (1/8 of normalized parameters) whatever d is",
            ", ".join(f"d = {d}: {mean(network[:, i]):.4f}" for i, d in enumerate(settings.dims)),
            bool(np.all((network > ON_D * (1 - settings.tol)) & (network < 1.15 * ON_D))),
        ),
        Claim(
            "the network's margin is at least that of random features",
            f"{least:.2f} times as large, or more, in every draw",
            least >= 1 - settings.tol,
        ),
        Claim(
            "(size / margin)^2, the samples that a bound asks for, grows like d for the network, "
            "and faster for the kernels",
            ", ".join(f"{METHODS[name][0]} d^{rate:.2f}" for name, rate in slopes.items()),
            slopes["network"].value < 1.5
            and min(slopes["features"].value, slopes["tangent"].value) > 2,
        ),
        Claim(
            f"on D (d = {settings.d}) the tangent kernel has the worse margin",
            f"relative to the features, at n = {settings.sizes[-1]}: {tangent:.3f} against "
            f"{best:.3f} of the network",
            tangent.value < best.value,
        ),
    ]


def _last(series: Series, part: str):
    """Margin over size at the largest number of samples, of the tangent kernel and the network."""
    return [
        mean(series[f"{part}/{name}"][:, -1] / series[f"{part}/{name}/size"][:, -1])
        for name in ("tangent", "network")
    ]


def plot(settings: Settings, series: Series) -> Figure:
    """Margins and what they ask for against d, and margins against n on D and on a teacher."""
    figure, axes = plots.panels(2, rows=2, width=3.6)
    _lines(axes[0], settings.dims, {name: series[f"dims/{name}"] for name in METHODS})
    _lines(axes[1], settings.dims, {name: _asked(series, name) for name in METHODS})
    for one, part in zip(axes[2:], ("sizes", "teacher"), strict=True):
        _lines(one, settings.sizes, {name: series[f"{part}/{name}"] for name in METHODS})
    axes[0].axhline(ON_D, color="black", linewidth=0.8, linestyle=":")
    titles = (
        f"margin on D, $n = {settings.ratio:g} d^2$",
        "(size / margin)$^2$",
        f"margin on D, $d = {settings.d}$",
        "margin on a teacher",
    )
    plots.label_panels(axes, titles, ("$d$", "$d$", "samples $n$", "samples $n$"))
    axes[1].legend()
    return figure


def _lines(axes: Axes, x: tuple[int, ...], values: dict[str, np.ndarray]) -> None:
    for name, (label, color) in METHODS.items():
        plot_trials(x, values[name], ax=axes, label=label, color=color, marker="o")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(x, [str(value) for value in x])
    axes.minorticks_off()


EXPERIMENT = Experiment(
    name="margins",
    title="margins of the network, of random features and of the tangent kernel",
    presets={"quick": QUICK, "paper": PAPER},
    durations={"quick": "40 s", "paper": "2 min"},
    run=run,
    claims=claims,
    plot=plot,
)
