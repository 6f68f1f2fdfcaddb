"""Figure 5: the margin of a network on a line tends to that of the l1-SVM (appendix F.3).

The paper leaves open the points, their labels and the width. Here ten evenly spaced points on
[-2, 2] are labelled by the sign of two and a half periods of a sinusoid. The l1-SVM is solved
twice: on evenly spaced features, as in the paper, and over all features, with an upper bound.
"""

from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from jaxmargin._arithmetic import as_float64
from jaxmargin.data.synthetic import sinusoid
from jaxmargin.experiments.harness import plots
from jaxmargin.experiments.harness.experiment import (
    Claim,
    Context,
    Experiment,
    Series,
    Tick,
    seed_setting,
    setting,
)
from jaxmargin.experiments.harness.grid import measure_cells
from jaxmargin.margins.l1svm import l1_svm
from jaxmargin.margins.maximum_margin import max_margin
from jaxmargin.margins.normalized import normalized_margin
from jaxmargin.margins.path import margin_path
from jaxmargin.mean_field.optimum import global_optimum
from jaxmargin.mean_field.two_layer import as_network, from_network, two_layer_problem
from jaxmargin.networks.models import append_one, init_two_layer, two_layer

GRID = 801  # points at which the functions are drawn and compared
CERTIFIED = 2.0**-30  # the least lambda at which a duality gap in float64 certifies the optimum
SHOWN = (14, 45)  # exponents of the functions in the right panel


@dataclass(frozen=True)
class Settings:
    """Defaults are the preset "paper"."""

    points: int = setting(10, "evenly spaced points", least=2)
    cycles: float = setting(2.5, "periods of the sinusoid whose sign labels them")
    half_range: float = setting(2.0, "the points lie between minus and plus this")
    width: int = setting(100, "hidden units")
    init_std: float = setting(1.0, "standard deviation of every initial weight")
    exponents: tuple[int, ...] = setting(
        (8, 9, 10, 12, 14, 17, 20, 23, 26, 30, 34, 39, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90),
        "lambda = 2^-exponent, ascending",
    )
    starts: int = setting(5, "networks, from different initial weights")
    directions: int = setting(1000, "evenly spaced features of the paper's l1-SVM", least=4)
    learning_rate: float = setting(0.02, "largest step of Adam")
    steps: int = setting(5_000, "steps at each lambda", least=100)
    seed: int = seed_setting()


PAPER = Settings()
QUICK = replace(PAPER, starts=2, exponents=(8, 10, 14, 20, 26, 33, 40, 45, 52, 60, 75, 90))


def run(settings: Settings, context: Context) -> Series:
    """Paths of the networks, the l1-SVM, and the certified optima at the larger lambda."""
    paths = ((f"path {i}", partial(_path, i, settings)) for i in range(settings.starts))
    series: Series = {"exponent": np.array(settings.exponents)}
    series |= measure_cells(context, paths, ticks=len(settings.exponents), axis=0)
    certified = [e for e in settings.exponents if 2.0**-e >= CERTIFIED]
    series |= context.part("l1-SVM", 1, partial(_support_vector_machines, settings))
    series |= context.part("optima", len(certified), partial(_optima, certified, settings))
    return series


def _samples(settings: Settings) -> tuple[Array, Array]:
    line, y = sinusoid(
        settings.points,
        cycles=settings.cycles,
        low=-settings.half_range,
        high=settings.half_range,
    )
    return append_one(line), y


def _grid(settings: Settings) -> np.ndarray:
    line = np.linspace(-settings.half_range, settings.half_range, GRID)
    return np.stack([line, np.ones(GRID)], axis=1)


def _function(u: Array | np.ndarray, w: Array | np.ndarray, settings: Settings) -> np.ndarray:
    """f(.; Theta / ||Theta||) on the grid."""
    u, w = np.asarray(u), np.asarray(w)
    return np.maximum(_grid(settings) @ u.T, 0) @ w / (np.sum(u**2) + np.sum(w**2))


def _path(i: int, settings: Settings, tick: Tick) -> Series:
    """Margins and convergence (s,), functions (s, GRID) of the network from start i."""
    key = jax.random.fold_in(jax.random.key(settings.seed), i)
    start = init_two_layer(key, d=2, m=settings.width, std=settings.init_std)
    path = margin_path(
        two_layer,
        start,
        *_samples(settings),
        [2.0**-e for e in settings.exponents],
        num_steps=settings.steps,
        learning_rate=settings.learning_rate,
        on_record=tick,
    )
    functions = [_function(u, w, settings) for u, w in zip(*path.params, strict=True)]
    return {
        "margin": path.margin,
        "function": np.stack(functions),
        "gradient_norm": path.gradient_norm,
    }


def _support_vector_machines(settings: Settings, tick: Tick) -> Series:
    """The largest margin over all units with its bound and function, and the paper's on a grid."""
    x, y = _samples(settings)
    best = max_margin(x, y)
    angles = 2 * np.pi * np.arange(settings.directions) / settings.directions
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    grid = l1_svm(np.maximum(np.asarray(x, float) @ directions.T, 0), y)
    tick()
    return {
        "svm_margin": np.array(best.margin),
        "svm_bound": np.array(best.upper_bound),
        "svm_function": _function(best.params.u, best.params.w, settings),
        "grid_margin": np.array(grid.margin / 2),
    }


def _optima(exponents: list[int], settings: Settings, tick: Tick) -> Series:
    """Normalised margins of the optima over all measures, with their duality gaps."""
    samples = _samples(settings)
    start = init_two_layer(jax.random.key(settings.seed), d=2, m=settings.width)
    margins, gaps = [], []
    with jax.enable_x64(True):
        x, y, measure = jax.tree.map(as_float64, (*samples, from_network(start)))
        for e in exponents:
            # The path's loss is a mean over the samples, and the problem's is their sum.
            problem = two_layer_problem(x, y, "logistic", lam=2.0**-e * len(y))
            best, certificate, _ = global_optimum(problem, start=measure)
            measure = jax.tree.map(jnp.asarray, best)
            margins.append(float(normalized_margin(two_layer, as_network(problem, measure), x, y)))
            gaps.append(float(certificate.gap / certificate.energy))
            tick()
    return {
        "certified_exponent": np.array(exponents),
        "certified_margin": np.array(margins),
        "certified_gap": np.array(gaps),
    }


def ratios(series: Series) -> np.ndarray:
    """(t, s) margins in units of the l1-SVM's."""
    return series["margin"] / series["svm_margin"]


def disagreement(series: Series) -> np.ndarray:
    """(t, s) largest |f - f_svm| over the range, in units of the largest |f_svm|."""
    svm = series["svm_function"]
    return np.abs(series["function"] - svm).max(axis=-1) / np.abs(svm).max()


def claims(settings: Settings, series: Series) -> list[Claim]:
    """Theorem 4.1, Proposition B.11 and appendix F.3, with the ratio at each lambda."""
    worst, apart = ratios(series).min(axis=0), disagreement(series).max(axis=0)
    listed = ", ".join(f"2^-{e} {r:.4f}" for e, r in zip(settings.exponents, worst, strict=True))
    functions = {e: gap for e, gap in zip(settings.exponents, apart, strict=True) if e in SHOWN}
    gaps = ", ".join(f"{100 * gap:.1f}% at 2^-{e}" for e, gap in functions.items())
    bound, margin = series["svm_bound"], series["svm_margin"]
    found = [
        Claim(
            "the margin converges to that of the l1-SVM as lambda -> 0 (worst start)",
            f"ratios {listed}",
            bool(np.all(np.diff(worst) > 0) and worst[-1] > 0.99),
        ),
        Claim(
            "the functions are extremely similar",
            f"apart by {gaps}" if functions else "exponents 14 and 45 were not among the settings",
            bool(functions) and all(gap < 0.06 for gap in functions.values()),
        ),
        Claim(
            "half the margin of the l1-SVM is the largest normalized margin (Proposition B.11)",
            f"{margin:.7f}, upper bound {bound / margin - 1:.0e} above; "
            f"{settings.directions} even features {series['grid_margin']:.7f}",
            bool(bound <= margin * (1 + 2e-6)),
        ),
    ]
    return [*found, _optimality(series)] if len(series["certified_exponent"]) else found


def _optimality(series: Series) -> Claim:
    """How far the networks' margins are from those of the certified optima."""
    both = np.isin(series["exponent"], series["certified_exponent"])
    off = np.abs(series["margin"][:, both] / series["certified_margin"] - 1).max()
    return Claim(
        f"margins at lambda >= 2^-{max(series['certified_exponent'])} are those of the global "
        "optima",
        f"within {100 * off:.2g}%, gaps below {series['certified_gap'].max():.0e}",
        bool(off < 0.01),
        ours=True,
    )


def plot(settings: Settings, series: Series) -> Figure:
    """Margins against lambda, and the functions over the labels."""
    figure, axes = plots.panels(2, width=4.2, height=3.0)
    _plot_margins(axes[0], settings, series)
    _plot_functions(axes[1], settings, series)
    words = r"strength of the regularizer, $\lambda$", "input"
    plots.label_panels(axes, ("normalized margin", "normalized functions"), words)
    axes[1].set_ylabel("output")
    return figure


def _plot_margins(axes: Axes, settings: Settings, series: Series) -> None:
    lam = 2.0 ** -series["exponent"].astype(float)
    for i, ratio in enumerate(ratios(series)):
        label = f"network, {settings.starts} starts" if i == 0 else None
        axes.plot(lam, 1 - ratio, color=plots.BLUE, label=label)
    axes.scatter(
        2.0 ** -series["certified_exponent"].astype(float),
        1 - series["certified_margin"] / series["svm_margin"],
        s=18,
        color=plots.ORANGE,
        zorder=3,
        label="global optimum, certified",
    )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(LogLocator(base=2, numticks=6))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.invert_xaxis()
    axes.set_ylabel(r"distance to the $\ell_1$-SVM, $1 - \gamma_\lambda / \gamma^\star$")
    axes.legend(loc="upper right")


def _plot_functions(axes: Axes, settings: Settings, series: Series) -> None:
    x, y = map(np.asarray, _samples(settings))
    line = _grid(settings)[:, 0]
    svm = series["svm_function"]
    axes.plot(line, svm, color=plots.VERMILLION, linestyle="--", zorder=3, label=r"$\ell_1$-SVM")
    colors = (plots.BLUE, plots.SKY)
    for e, color in zip(SHOWN, colors, strict=True):
        if e in settings.exponents:
            index = settings.exponents.index(e)
            label = rf"network, $\lambda = 2^{{-{e}}}$"
            axes.plot(line, series["function"][0, index], color=color, label=label)
    height = 1.25 * np.abs(svm).max()
    for sign, marker, color in ((1, "^", plots.GREEN), (-1, "v", plots.PURPLE)):
        chosen = y == sign
        axes.scatter(
            x[chosen, 0],
            np.full(chosen.sum(), sign * height),
            marker=marker,
            color=color,
            label=f"$y = {sign:+d}$",
        )
    axes.axhline(0, color="black", linewidth=0.6)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=3)


EXPERIMENT = Experiment(
    name="figure-5",
    title="the margin on a line tends to that of the l1-SVM as lambda -> 0",
    presets={"quick": QUICK, "paper": PAPER},
    durations={"quick": "12 s", "paper": "30 s"},
    run=run,
    claims=claims,
    plot=plot,
)
