"""The picture of Theorem 3.3: energies and gaps against time, and particles on the circle."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from jaxmargin.experiments.harness import plots
from jaxmargin.experiments.harness.experiment import Series
from jaxmargin.mean_field.measure import Measure
from jaxmargin.plots.units import plot_units

FLOWS = {
    "plain": ("plain", "0.25"),
    "reinitialize": ("re-initialised", plots.GREEN),
    "weighted": ("weighted", plots.PURPLE),
    "annealed": ("weighted, annealed", plots.ORANGE),
}
SIGNS = {1: plots.BLUE, -1: plots.VERMILLION}
STRIP = ("plain", "reinitialize", "weighted")
LARGEST_DOT = 220.0  # square points, of the heaviest unit of the optimum
FIRST_STEP = 10  # on the time axes


def draw(step_size: float, series: Series) -> Figure:
    """Draw energy over the optimum (a), certified gap (b), and particles at five times (c)."""
    figure = Figure(figsize=(7.4, 7.8), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(1, 1.9))
    above, below = parts
    axes = list(above.subplots(1, 2, sharey=True))
    time = step_size * series["step"]
    _draw_energies(axes[0], time, series)
    _draw_gaps(axes[1], time, series)
    plots.label_panels(
        axes, ("energy, all problems", "certified gap, first problem"), r"time $\eta t$"
    )
    axes[0].set_ylabel(r"above the optimum, $L/L^\star - 1$")
    frames = below.subplots(len(STRIP), len(series["first/frame_step"]))
    _draw_strip(frames, step_size, series)
    below.suptitle(
        "(c) particles of the first problem: direction of u, area by weight, color by sign of w",
        fontsize=10,
        x=0.01,
        ha="left",
    )
    below.legend(handles=_strip_legend(), loc="outside lower center", ncols=5, fontsize=8)
    return figure


def flows(series: Series) -> list[str]:
    """The flows that were run."""
    return [name for name in FLOWS if f"{name}/energy" in series]


def _relative(series: Series, name: str) -> np.ndarray:
    """Relative excess (problems, s) of the energies over the optimum, at least 1e-12."""
    optimum = series["optimum"][:, None]
    return np.maximum(series[f"{name}/energy"] / optimum - 1, 1e-12)


def _draw_energies(axes: Axes, time: np.ndarray, series: Series) -> None:
    for name in flows(series):
        label, color = FLOWS[name]
        first, *others = _relative(series, name)
        for other in others:
            axes.plot(time, other, color=color, linewidth=0.6, alpha=0.5)
        axes.plot(time, first, color=color, label=label)
    _finish(axes, time)
    axes.legend(loc="lower left")


def _draw_gaps(axes: Axes, time: np.ndarray, series: Series) -> None:
    for name in flows(series):
        color = FLOWS[name][1]
        axes.plot(time, _relative(series, name)[0], color=color)
        gap = series[f"{name}/gap"][0] / series["optimum"][0]
        axes.plot(time, gap, color=color, linestyle=":", linewidth=1.2)
    _finish(axes, time)
    handles = [
        Line2D([], [], color="black", label="true"),
        Line2D([], [], color="black", linestyle=":", linewidth=1.2, label="certified"),
    ]
    axes.legend(handles=handles, loc="lower left")


def _finish(axes: Axes, time: np.ndarray) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(time[FIRST_STEP], time[-1])
    axes.axhline(0.01, color="black", linewidth=0.7, linestyle="--")
    axes.annotate("1%", (time[FIRST_STEP], 0.01), (3, 2), textcoords="offset points", fontsize=8)


def _draw_strip(frames: np.ndarray, step_size: float, series: Series) -> None:
    optimum = _measure(series, "first/optimum")
    scale = LARGEST_DOT / float(np.max(optimum.weights))
    for row, name in zip(frames, STRIP, strict=True):
        above = _relative(series, name)[0]
        measures = zip(*_measure(series, f"first/{name}"), strict=True)
        for axes, step, measure in zip(row, series["first/frame_step"], measures, strict=True):
            plot_units(optimum, series["first/x"], ax=axes, scale=scale, hollow=True)
            plot_units(Measure(*measure), ax=axes, scale=scale)
            excess = above[np.searchsorted(series["step"], step)]
            axes.set_xlabel(f"{100 * excess:.2g}% above", fontsize=8, labelpad=1)
        row[0].set_ylabel(FLOWS[name][0], color=FLOWS[name][1], fontsize=9)
    for axes, step in zip(frames[0], series["first/frame_step"], strict=True):
        time = step_size * step
        text = f"{time:.0f}" if time >= 10 else f"{time:.2g}"
        axes.set_title(rf"$\eta t = {text}$", fontsize=9)


def _measure(series: Series, name: str) -> Measure:
    theta, mass = (jnp.asarray(series[f"{name}/{part}"]) for part in Measure._fields)
    return Measure(theta, mass)


def _strip_legend() -> list[Line2D]:
    dot = {"marker": "o", "linestyle": "", "alpha": 0.7}
    return [
        Line2D([], [], color=SIGNS[1], label="w > 0", **dot),
        Line2D([], [], color=SIGNS[-1], label="w < 0", **dot),
        Line2D(
            *([], []),
            color="0.4",
            linewidth=0.8,
            marker="o",
            fillstyle="none",
            markersize=8,
            markevery=[-1],
            label="optimum",
        ),
        Line2D([], [], color="0.75", linewidth=0.6, label=r"kinks, $u \perp x_i$"),
    ]
