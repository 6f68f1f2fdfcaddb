"""Figure 3: margin and test error against the width, of networks that fit (appendix F.1).

The paper leaves open the start and the size of the minibatches. The start decides: from a small one
the margin rises with the width, and from N(0, 1) it falls. At the paper's strength the regularizer
adds next to nothing, as training without it shows.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxmargin.experiments.harness import plots
from jaxmargin.experiments.harness.experiment import Claim, Experiment, Series
from jaxmargin.experiments.harness.statistics import Estimate, mean, ratio_of_means, slope
from jaxmargin.experiments.parts.figure_3_networks import (
    CPU,
    PAPER,
    QUICK,
    Regime,
    Settings,
    image_regimes,
    run,
    synthetic_regimes,
)
from jaxmargin.plots.trials import plot_trials

VISIBLE = 1.05  # a ratio of margins that a reader of the figure would see


def claims(settings: Settings, series: Series) -> list[Claim]:
    """What appendix F.1 says of Figure 3, and what the regularizer and the start do to it."""
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
    """From the narrowest to the widest: means of the trials that fit, and their paired change."""
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
        comment="seen, but by less than two standard errors: few trials fit at both widths"
        if sign * change(0).value > 0
        else "the trials that fit at both widths do not show it",
    )


def _regularizer_claim(label: str, panel: str, lam: float, series: Series) -> Claim:
    """The margin over that without a regularizer, for the trials that fit either way."""
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
    least = min(shares, key=lambda m: shares[m].value, default=None)
    added = "" if least is None else f": at {least} units it adds {shares[least].value - 1:.1%}"
    return Claim(
        f"{label}: the regularizer, lam = {lam:g}, raises the margin",
        f"margin over that without it: {measured or 'no network fits'}",
        bool(shares) and min(share.value for share in shares.values()) > VISIBLE,
        ours=True,
        comment=f"the paper's lam is weak{added}",
    )


def _large_start_claim(settings: Settings, series: Series) -> Claim:
    values = series["synthetic/large/margin"]
    ratio = ratio_of_means(values[:, -1], values[:, 0])
    means = ", ".join(
        f"{mean(values[:, i]):.4f} at {m}" for i, m in enumerate(settings.compared_widths)
    )
    return Claim(
        f"from weights N(0, {settings.large_std:g}²) the margin falls with the width",
        f"{means} units; ratio {ratio:.3f}",
        ratio.value + 2 * ratio.error < 1,
        ours=True,
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
    """The mean of values (t',) of the trials that fit; NaN where none does."""
    return mean(values) if len(values) else Estimate(np.nan, np.nan)


def plot(settings: Settings, series: Series) -> Figure:
    """Margins above, test errors below: synthetic data from either start, and the images."""
    figure, axes = plots.panels(3, rows=2, height=2.5)
    regimes = synthetic_regimes(settings)
    large = {"large": regimes.pop("large")}
    columns = (("synthetic", regimes), ("synthetic", large), ("images", image_regimes(settings)))
    for column, (panel, curves) in enumerate(columns):
        widths = [m for regime in curves.values() for m in regime.widths]
        for metric, one in zip(("margin", "test_error"), axes[column::3], strict=True):
            for name, regime in curves.items():
                _curve(one, series, f"{panel}/{name}", metric, regime)
            one.set_xscale("log", base=2)
            one.set_xlim(min(widths) / 1.2, max(widths) * 1.2)  # also where no network fits
    titles = [
        f"synthetic, start N(0, {settings.init_std:g}²)",
        f"synthetic, start N(0, {settings.large_std:g}²)",
        f"{'MNIST' if settings.mnist else 'small digits'}, {series['images/n']:,} images",
    ]
    plots.label_panels(axes, [*titles, "", "", ""], "hidden units")
    for row, label in ((axes[:3], "normalized margin"), (axes[3:], "test error")):
        row[0].set_ylabel(label)
        for one in row:
            one.set_ylim(0, 1.06 * one.get_ylim()[1])
    for one in axes[:3]:
        one.legend()
    also = "(c) and (f): one run a width"
    plots.tell_trials(figure, settings.trials, "trials that fit their data", also)
    return figure


def _curve(one: Axes, series: Series, key: str, metric: str, regime: Regime) -> None:
    """Draw the mean over the trials that fit, and say how many these are where it is not all."""
    values, fits = series[f"{key}/{metric}"], series[f"{key}/train_error"] == 0
    center = [_mean(values[fits[:, i], i]).value for i in range(len(regime.widths))]
    x = series[f"{key}/width"]
    if regime.lam == 0:  # hollow, on the curve it hardly leaves
        hollow = {"markersize": 8, "fillstyle": "none", "linestyle": "none"}
        one.plot(x, center, "o", label=regime.label, color=regime.color, **hollow)
        return
    look = {"label": regime.label, "color": regime.color, "marker": "o"}
    plot_trials(x, np.where(fits, values, np.nan), ax=one, **look)
    for m, value, count in zip(x, center, fits.sum(axis=0), strict=True):
        if metric == "margin" and 0 < count < len(values):
            text = f"{count} of {len(values)} trials"
            one.annotate(text, (m, value), (8, -3), textcoords="offset points", fontsize=7)


EXPERIMENT = Experiment(
    name="figure-3",
    title="margin and test error as the network grows wider",
    presets={"quick": QUICK, "paper-cpu": CPU, "paper": PAPER},
    durations={"quick": "1 min", "paper-cpu": "under an hour", "paper": "for a GPU, not run"},
    run=run,
    claims=claims,
    plot=plot,
)
