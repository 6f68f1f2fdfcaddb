"""Figure 1: the first two coordinates of the distribution D, and its four-unit classifier."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from jaxmargin.data.synthetic import two_axis
from jaxmargin.experiments.harness import plots
from jaxmargin.experiments.harness.experiment import (
    Claim,
    Context,
    Experiment,
    Series,
    seed_setting,
    setting,
)
from jaxmargin.margins.normalized import normalized_margin
from jaxmargin.networks.models import TwoLayer, two_layer

CORNERS = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
CORNER_LABELS = np.array([1, 1, -1, -1])


@dataclass(frozen=True)
class Settings:
    """Defaults are the preset "paper"."""

    n: int = setting(10_000, "samples")
    d: int = setting(20, "input dimension", least=3)
    seed: int = seed_setting()


PAPER = Settings()


def four_units(d: int) -> TwoLayer:
    """The network of appendix B.2: |x_1| - |x_2|, as four relu units in d dimensions."""
    u = jnp.zeros((4, d)).at[:, :2].set(jnp.asarray(CORNERS, float))
    return TwoLayer(u=u, w=jnp.asarray(CORNER_LABELS, float))


def run(settings: Settings, context: Context) -> Series:
    """Draw from D, count its four cases, correlate label and noise, and measure the margin."""
    del context  # nothing here takes long
    x, y = two_axis(jax.random.key(settings.seed), settings.n, settings.d)
    margin = normalized_margin(two_layer, four_units(settings.d), x, y)
    points, labels = np.asarray(x), np.asarray(y)
    cases = (points[:, None, :2] == CORNERS).all(-1) & (labels[:, None] == CORNER_LABELS)
    return {
        "count": cases.sum(axis=0),
        "correlation": (labels @ points[:, 2:]) / settings.n,
        "margin": np.asarray(margin),
    }


def claims(settings: Settings, series: Series) -> list[Claim]:
    """Equation 2.1, and the margin of the network of appendix B.2."""
    n, count, correlation = settings.n, series["count"], series["correlation"]
    share_error = (0.25 * 0.75 / n) ** 0.5
    worst = np.abs(correlation).max() * n**0.5
    return [
        Claim(
            "the four points with their labels have probability 1/4 each",
            f"shares {', '.join(f'{c / n:.4f}' for c in count)} (standard error {share_error:.4f})",
            bool(count.sum() == n and np.all(np.abs(count / n - 0.25) < 4 * share_error)),
        ),
        Claim(
            f"the other {settings.d - 2} coordinates are noise: no correlation with the label",
            f"largest is {worst:.2f} standard errors from 0",
            bool(worst < 4),
        ),
        Claim(
            "four units separate D with normalized margin 1/8",
            f"{float(series['margin']):.7f}",
            bool(abs(series["margin"] - 0.125) < 1e-6),
        ),
    ]


def plot(settings: Settings, series: Series) -> Figure:
    """The four points, sized by how often they were drawn, over the regions of the classifier."""
    figure, (axes,) = plots.panels(1, width=3.4, height=3.2)
    grid = np.linspace(-1.6, 1.6, 401)
    first, second = np.meshgrid(grid, grid)
    axes.contourf(
        first,
        second,
        np.abs(first) - np.abs(second),
        levels=[-9, 0, 9],
        colors=[plots.VERMILLION, plots.BLUE],
        alpha=0.12,
    )
    for label, color in ((1, plots.BLUE), (-1, plots.VERMILLION)):
        chosen = label == CORNER_LABELS
        share = series["count"][chosen] / settings.n
        axes.scatter(
            *CORNERS[chosen].T, s=500 * share, color=color, zorder=3, label=f"$y = {label:+d}$"
        )
        for point, value in zip(CORNERS[chosen], share, strict=True):
            axes.annotate(
                f"{value:.3f}", point, (0, 10), textcoords="offset points", ha="center", size=8
            )
    axes.set(
        xlabel=r"first coordinate, $x^\top e_1$",
        ylabel=r"second coordinate, $x^\top e_2$",
        aspect="equal",
    )
    axes.set_title(r"$\mathcal{D}$, and $\mathrm{sign}(|x_1| - |x_2|)$", loc="left")
    axes.legend(loc="upper right")
    return figure


EXPERIMENT = Experiment(
    name="figure-1",
    title="the first two coordinates of the distribution D",
    presets={"quick": replace(PAPER, n=1_000), "paper": PAPER},
    durations={"quick": "2 s", "paper": "2 s"},
    run=run,
    claims=claims,
    plot=plot,
)
