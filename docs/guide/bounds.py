"""The bound of the test error on D at its largest margin, beside what trained networks need.

Needs jaxmargin[experiments]; `python bounds.py` draws bounds.png.
"""

import numpy as np
from matplotlib.figure import Figure

from jaxmargin.experiments.harness import plots
from jaxmargin.margins import margin_bound

LARGEST_MARGIN = 1 / 8  # of any network on the whole of D
LEARNED = 6  # samples a dimension at which ten of ten networks make no error (figure theorem-2.1)
COLORS = {20: plots.BLUE, 40: plots.GREEN, 80: plots.VERMILLION}


def bound(n: float, d: int) -> float:
    """The bound of the test error for n samples of D in d dimensions, with probability .99."""
    found = margin_bound(LARGEST_MARGIN, n=int(n), depth=2, radius=(d - 1) ** 0.5, delta=0.01)
    return float(found.bound)


def main(*, points: int = 60) -> Figure:
    """The figure: a line for each dimension, and a dot where networks make no error."""
    figure, (axes,) = plots.panels(1, width=4.5, height=3.0)
    for d, color in COLORS.items():
        samples = np.geomspace(LEARNED * d, 1e7, points)
        axes.loglog(samples, [bound(n, d) for n in samples], color=color, label=f"$d$ = {d}")
        axes.plot(LEARNED * d, 1.2e-2, "o", color=color, clip_on=False)
    axes.axhline(1, color="black", linewidth=0.8, linestyle="--")
    axes.text(1e7, 1.1, "says nothing above", ha="right", fontsize=8)
    axes.text(LEARNED * 80 * 1.4, 1.2e-2, "no test error from here", va="center", fontsize=8)
    axes.set(xlabel="training samples $n$", ylabel="bound of the test error", ylim=(1e-2, None))
    axes.legend()
    return figure


if __name__ == "__main__":
    with plots.house_style():
        main().savefig("bounds.png")
