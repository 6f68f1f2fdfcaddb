"""One look for every figure: means with error bands, in colours that all readers can tell apart."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxmargin.experiments.harness.statistics import standard_error

# Okabe & Ito (2008): distinct for colour-blind readers, and in print.
BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
)
STYLE: Any = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "font.size": 9,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "mathtext.fontset": "cm",
    "savefig.bbox": "tight",
    "savefig.dpi": 200,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}


def house_style() -> AbstractContextManager[None]:
    """A block within which figures are drawn and saved in the same style."""
    return mpl.rc_context(STYLE)


def panels(
    count: int, *, rows: int = 1, width: float = 3.2, height: float = 2.7
) -> tuple[Figure, list[Axes]]:
    """A figure with rows of panels; it needs no display.

    Args:
        count: number of panels in a row.
        rows: number of rows.
        width: of each panel, in inches.
        height: of each panel, in inches.

    Returns:
        The figure, and its axes row after row.
    """
    figure = Figure(figsize=(width * count, height * rows), layout="constrained")
    return figure, list(figure.subplots(rows, count, squeeze=False).flat)


def mean_band(
    axes: Axes, x: np.ndarray, values: np.ndarray, *, label: str | None, color: str, **line
) -> None:
    """Draw the mean over trials, with a band of one standard error on each side.

    Args:
        axes: where to draw.
        x: (s,) positions.
        values: (t, s) one row a trial.
        label: for the legend.
        color: of the line and the band.
        **line: further options of `Axes.plot`.
    """
    band(axes, x, values.mean(axis=0), standard_error(values), label=label, color=color, **line)


def band(
    axes: Axes,
    x: np.ndarray,
    center: np.ndarray,
    error: np.ndarray,
    *,
    label: str | None,
    color: str,
    **line,
) -> None:
    """Draw a line with a band of `error` on each side; NaN leaves a gap.

    Args:
        axes: where to draw.
        x: (s,) positions.
        center: (s,) the line.
        error: (s,) half the width of the band.
        label: for the legend.
        color: of the line and the band.
        **line: further options of `Axes.plot`.
    """
    axes.plot(x, center, label=label, color=color, **line)
    axes.fill_between(x, center - error, center + error, color=color, alpha=0.25, linewidth=0)


def label_panels(
    axes: Sequence[Axes], titles: Sequence[str], x_labels: str | Sequence[str]
) -> None:
    """Name the panels (a), (b), ..., and their horizontal axes.

    Args:
        axes: the panels.
        titles: one for each.
        x_labels: one for each horizontal axis, or one for all.
    """
    shared = [x_labels] * len(axes) if isinstance(x_labels, str) else x_labels
    panels = zip(axes, titles, shared, strict=True)
    for letter, (one, title, x_label) in zip("abcdefgh", panels, strict=False):
        one.set_title(f"({letter}) {title}", loc="left")
        one.set_xlabel(x_label)


def power_of_ten(value: float) -> str:
    """A number to one digit as LaTeX, such as 5e-4 in powers of ten."""
    digits, exponent = f"{value:.0e}".split("e")
    return rf"{digits} \cdot 10^{{{int(exponent)}}}" if value else "0"
