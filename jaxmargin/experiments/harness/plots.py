"""One look for every figure, in colours that all readers can tell apart."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from string import ascii_lowercase
from typing import Any

import matplotlib as mpl
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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
    "axes.titlesize": 11,
    "axes.labelsize": 10,
    "axes.prop_cycle": cycler(color=[BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY]),
    "font.family": "STIXGeneral",
    "font.size": 10,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "legend.fontsize": 9,
    "mathtext.fontset": "stix",  # formulas in the family of the text
    "savefig.bbox": "tight",
    "savefig.dpi": 200,
    "svg.hashsalt": "jaxmargin",  # the same names in the file in every run
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
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
    for letter, (one, title, x_label) in zip(ascii_lowercase, panels, strict=False):
        one.set_title(f"({letter}) {title}", loc="left")
        one.set_xlabel(x_label)


def tell_trials(figure: Figure, trials: int, what: str = "trials", also: str = "") -> None:
    """Say below a figure what its lines and bands are.

    Args:
        figure: the figure.
        trials: how many.
        what: the word for them.
        also: what else is to be told.
    """
    text = f"mean ± 1 standard error, {trials} {what}" if trials > 1 else f"one of the {what}"
    figure.supxlabel(f"{text}{'; ' if also else ''}{also}", fontsize=9)


def power_of_ten(value: float) -> str:
    """A number to one digit as LaTeX, such as 5e-4 in powers of ten."""
    digits, exponent = f"{value:.0e}".split("e")
    return rf"{digits} \cdot 10^{{{int(exponent)}}}" if value else "0"
