"""One look for every figure: mean curves with error bands, colours that all readers can tell."""

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
    """Figures drawn and saved within this block look alike."""
    return mpl.rc_context(STYLE)


def panels(
    count: int, *, rows: int = 1, width: float = 3.2, height: float = 2.7
) -> tuple[Figure, list[Axes]]:
    """Rows of `count` axes each, row after row; no display is needed.

    Args:
        count: number of axes in a row.
        rows: number of rows.
        width: inches of each.
        height: inches of each.
    """
    figure = Figure(figsize=(width * count, height * rows), layout="constrained")
    return figure, list(figure.subplots(rows, count, squeeze=False).flat)


def mean_band(
    axes: Axes, x: np.ndarray, values: np.ndarray, *, label: str | None, color: str, **line
) -> None:
    """The mean over trials, with a band of one standard error on each side.

    Args:
        axes: where to draw.
        x: (s,) positions.
        values: (t, s) one row a trial.
        label: for the legend.
        color: of line and band.
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
    """A line through `center` (s,) with a band of `error` (s,) on each side; NaN leaves a gap."""
    axes.plot(x, center, label=label, color=color, **line)
    axes.fill_between(x, center - error, center + error, color=color, alpha=0.25, linewidth=0)


def label_panels(axes: Sequence[Axes], titles: Sequence[str], x_label: str) -> None:
    """Titles (a), (b), ... and one label for the shared meaning of the horizontal axes."""
    for letter, (one, title) in zip("abcdefgh", zip(axes, titles, strict=True), strict=False):
        one.set_title(f"({letter}) {title}", loc="left")
        one.set_xlabel(x_label)


def power_of_ten(value: float) -> str:
    """5e-4 as LaTeX."""
    digits, exponent = f"{value:.0e}".split("e")
    return rf"{digits} \cdot 10^{{{int(exponent)}}}" if value else "0"
