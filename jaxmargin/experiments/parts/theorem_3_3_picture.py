"""The picture of Theorem 3.3: energies and gaps against time, and particles on the circle."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from jaxmargin.experiments.harness import plots
from jaxmargin.experiments.harness.experiment import Series

FLOWS = {
    "plain": ("plain", "0.25"),
    "reinitialize": ("re-initialised", plots.GREEN),
    "weighted": ("weighted", plots.PURPLE),
    "annealed": ("weighted, annealed", plots.ORANGE),
}
SIGNS = {1: plots.BLUE, -1: plots.VERMILLION}
STRIP = ("plain", "reinitialize")
LARGEST_DOT = 220.0  # square points, of the heaviest direction of the optimum
SMALLEST_DOT = 3.0
SECTORS = 120  # of the circle; particles of one sign in one sector (3 degrees) are one dot
FIRST_STEP = 10  # on the time axes


def draw(step_size: float, series: Series) -> Figure:
    """Draw energy over the optimum (a), certified gap (b), and particles at five times (c)."""
    figure = Figure(figsize=(7.4, 6.3), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(1, 1.28))
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
    scale = LARGEST_DOT / _weights(series, "optimum").max()
    for row, name in zip(frames, STRIP, strict=True):
        above = _relative(series, name)[0]
        thetas, weights = series[f"first/{name}/theta"], _weights(series, name)
        for axes, step, theta, weight in zip(
            row, series["first/frame_step"], thetas, weights, strict=True
        ):
            _draw_background(axes, series, scale)
            _draw_particles(axes, theta, scale * weight)
            excess = above[np.searchsorted(series["step"], step)]
            axes.set_xlabel(f"{100 * excess:.2g}% above", fontsize=8, labelpad=1)
        row[0].set_ylabel(FLOWS[name][0], color=FLOWS[name][1], fontsize=9)
    for axes, step in zip(frames[0], series["first/frame_step"], strict=True):
        time = step_size * step
        text = f"{time:.0f}" if time >= 10 else f"{time:.2g}"
        axes.set_title(rf"$\eta t = {text}$", fontsize=9)


def _weights(series: Series, name: str) -> np.ndarray:
    theta, mass = series[f"first/{name}/theta"], series[f"first/{name}/mass"]
    return mass * np.sum(theta**2, axis=-1)


def _draw_background(axes: Axes, series: Series, scale: float) -> None:
    """The circle, the kinks u . x_i = 0, and the optimum's directions."""
    axes.set_aspect("equal")
    axes.set(xlim=(-1.3, 1.3), ylim=(-1.3, 1.3), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.grid(False)
    x = series["first/x"]
    normal = np.stack([-x[:, 1], x[:, 0]], axis=1) / np.linalg.norm(x, axis=1, keepdims=True)
    axes.add_collection(
        LineCollection(list(np.stack([-normal, normal], axis=1)), colors="0.85", linewidths=0.5)
    )
    angle = np.linspace(0, 2 * np.pi, 181)
    axes.plot(np.cos(angle), np.sin(angle), color="0.6", linewidth=0.7)
    dots = _dots(series["first/optimum/theta"], scale * _weights(series, "optimum"))
    for sign, place, size in zip(*dots, strict=True):
        if size > SMALLEST_DOT:
            color = SIGNS[sign]
            axes.plot([0, place[0]], [0, place[1]], color=color, linewidth=0.8, alpha=0.6)
            axes.scatter(*place, s=size, facecolor="none", edgecolor=color, linewidth=0.8)


def _draw_particles(axes: Axes, theta: np.ndarray, sizes: np.ndarray) -> None:
    for sign, place, size in zip(*_dots(theta, sizes), strict=True):
        size = max(size, SMALLEST_DOT)
        axes.scatter(*place, s=size, color=SIGNS[sign], alpha=0.55, linewidth=0, zorder=3)


def _dots(theta: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Signs, places on the circle and total sizes of the sectors that hold particles."""
    theta, sizes = theta[sizes > 0], sizes[sizes > 0]
    sign, u = _places(theta)
    sector = np.floor(SECTORS * (np.arctan2(u[:, 1], u[:, 0]) / (2 * np.pi) + 0.5)) % SECTORS
    _, group = np.unique(np.stack([sign, sector]), axis=1, return_inverse=True)
    members = group.reshape(-1) == np.arange(group.max() + 1)[:, None]
    total = members @ sizes
    center = (members * sizes) @ u / total[:, None]
    center /= np.linalg.norm(center, axis=1, keepdims=True)
    order = np.argsort(-total)  # the small ones on top
    return sign[members.argmax(axis=1)][order], center[order], total[order]


def _places(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Signs of w and unit directions of u."""
    u = theta[:, 1:]
    length = np.linalg.norm(u, axis=1, keepdims=True)
    return np.where(theta[:, 0] >= 0, 1, -1), u / np.where(length > 0, length, 1)


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
