"""Appendix B.3: Theorem 2.1 in regression, and Theorem B.10's minimum-norm interpolant.

The truncated squared loss min((f - y)^2, 1) is at least the 0-1 loss, so that the kernel's lower
bound carries over. Predicting 0 costs 1, and a fair coin in {-1, +1} costs 1/2.
"""

from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxmargin import data
from jaxmargin.experiments import minimum_norm
from jaxmargin.experiments.harness import plots, sample_complexity
from jaxmargin.experiments.harness.experiment import (
    Claim,
    Context,
    Experiment,
    Series,
    Tick,
    setting,
)
from jaxmargin.experiments.harness.sample_complexity import (
    RECORDS,
    fresh_scores,
    kernel_sizes,
    key_of,
    optimizer,
)
from jaxmargin.experiments.harness.statistics import mean
from jaxmargin.kernels.closed_form import two_layer_ntk
from jaxmargin.kernels.predictors import fit_interpolant, fit_ridge, kernel_predict
from jaxmargin.lower_bound.population_fit import best_in_span
from jaxmargin.networks.losses import truncated_squared_loss

NETWORK_GOAL, COIN = 0.01, 0.5  # truncated losses that tell the two apart
# As in theorem_2_1: the half-space x_1 > 1/2 lies in the span, and is wrong on a quarter of D.
SPAN_FLOOR = 0.2
RIDGES = (1e-2, 1e-1, 1.0, 10.0)
MULTIPLES = np.linspace(0, 5, 51)  # of a predictor, of which the test samples choose the best
METHODS = {
    "interpolation": ("interpolation", plots.VERMILLION, "-"),
    "ridge": ("ridge, tuned on the test set", plots.ORANGE, "-"),
    "oracle": ("best fit of the label, population known", plots.PURPLE, "--"),
    "half_space": (r"best fit of $x_1 > 1/2$, population known", plots.GREEN, ":"),
}
LIMITS = {"support": "the support of D", "line": "points on a line"}


@dataclass(frozen=True)
class Settings:
    """Defaults are the preset "paper"."""

    trials: int = setting(10, "independent data sets and starts")
    lams: tuple[float, ...] = setting(
        (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5),
        "strengths of the regularizer lam * ||Theta||_F^2 on the way to 0",
    )
    support_dim: int = setting(6, "d of the distribution D whose whole support is fitted", least=3)
    points: int = setting(10, "points on the line, fitted to a teacher's values", least=2)
    hidden: int = setting(4, "hidden units of that teacher")
    dims: tuple[int, ...] = setting((20, 40), "input dimensions d of the test losses", least=3)
    network_ratios: tuple[int, ...] = setting((1, 2, 3, 4, 6, 8), "n / d for the network")
    kernel_ratios: tuple[float, ...] = setting((0.0625, 0.125, 0.25, 0.5), "n / d^2 for the kernel")
    width: int = setting(64, "hidden units of the network")
    init_std: float = setting(0.1, "standard deviation of every initial weight")
    lam: float = setting(1e-3, "strength of the regularizer for the test losses", least=0)
    learning_rate: float = setting(0.01, "initial step size of Adam, decayed to 0 by a cosine")
    steps: int = setting(4_000, "steps of Adam, at each lambda", least=RECORDS)
    test_samples: int = setting(10_000, "fresh samples for the test loss")
    seed: int = setting(0, "seed of all randomness", least=0)


PAPER = Settings()
QUICK = replace(PAPER, trials=4, dims=(20,), network_ratios=(2, 3, 4, 6))


def run(settings: Settings, context: Context) -> Series:
    """The path lambda -> 0 on two data sets; test losses (t, ratios) for every d."""
    series: Series = {"lam": np.sort(settings.lams)[::-1]}
    for name in LIMITS:
        found = context.part(
            f"limit {name}", len(settings.lams) + 1, partial(_limit, name, settings)
        )
        series |= {f"{name}/{key}": values for key, values in found.items()}
    return series | sample_complexity.measure(
        settings, context, _network_losses, _kernel_losses, METHODS
    )


def _limit(name: str, settings: Settings, tick: Tick) -> Series:
    """||Theta_lam||^2 and L_lam of trained networks (t, s) and of the optimum (s,); its limit."""
    key_data, key_start = jax.random.split(jax.random.key(settings.seed))
    if name == "support":
        x, y = data.support_of_d(settings.support_dim)
    else:
        x, y = minimum_norm.points_on_a_line(key_data, settings.points, settings.hidden)
    lams = sorted(settings.lams, reverse=True)
    optimum = minimum_norm.optimum(x, y, lams)
    tick()
    trained = minimum_norm.trained_path(
        key_start,
        x,
        y,
        lams,
        trials=settings.trials,
        width=settings.width,
        init_std=settings.init_std,
        optimizer=optimizer(settings),
        steps=settings.steps,
        tick=tick,
    )
    return {
        "norm": trained.norm,
        "objective": trained.objective,
        "optimal_norm": optimum.path.norm,
        "optimal_objective": optimum.path.objective,
        "limit": np.array([optimum.limit.lower, optimum.limit.upper]),
        "exact": np.array(optimum.limit.exact),
    }


def _network_losses(d: int, n: int, settings: Settings, tick: Tick) -> Series:
    scores, y = fresh_scores("squared", d, n, settings, tick)
    return {"network": np.asarray(jnp.mean(truncated_squared_loss(scores, y), axis=1))}


def _kernel_losses(d: int, n: int, settings: Settings, tick: Tick) -> Series:
    """Losses (t,) of each method; every predictor is in the span of the samples, r_w = r_u = 1."""
    losses = {name: [] for name in METHODS}
    for key in jax.random.split(key_of(d, n, settings), settings.trials):
        key_data, _ = jax.random.split(key)
        x, y = data.two_axis(key_data, n + settings.test_samples, d)
        fitted, labels, targets = x[:n], y[:n], y[n:]
        gram, cross = two_layer_ntk(fitted), two_layer_ntk(x[n:], fitted)
        oracle = partial(best_in_span, fitted)
        interpolant = kernel_predict(cross, fit_interpolant(gram, labels).beta)
        losses["interpolation"].append(jnp.mean(truncated_squared_loss(interpolant, targets)))
        ridges = [
            kernel_predict(cross, fit_ridge(gram, labels, ridge=ridge).beta) for ridge in RIDGES
        ]
        tuned = [_best_multiple(scores, targets) for scores in (interpolant, *ridges)]
        losses["ridge"].append(min(tuned))
        for name, best in (
            ("oracle", oracle(target="label")),
            ("half_space", oracle(target="half_space")),
        ):
            losses[name].append(_best_multiple(kernel_predict(cross, best.beta), targets))
        tick()
    return {name: np.array(values, np.float32) for name, values in losses.items()}


@jax.jit
def _best_multiple(scores: Array, y: Array) -> Array:
    """The least truncated loss among multiples of a predictor, chosen on these very samples.

    For the half-space's fit it matters: that is about x_1 - 1/2, and twice that is the label but
    on the quarter of D where x_1 = -1.
    """

    def loss(multiple: Array) -> Array:
        return jnp.mean(truncated_squared_loss(multiple * scores, y))

    return jnp.min(jax.lax.map(loss, jnp.asarray(MULTIPLES, scores.dtype)))


def claims(settings: Settings, series: Series) -> list[Claim]:
    """Theorem B.10's two limits, and both halves of Theorem 2.1 in regression."""
    limits = [claim for name in LIMITS for claim in _limit_claims(name, series)]
    return limits + _network_claims(settings, series) + _kernel_claims(settings, series)


def _limit_claims(name: str, series: Series) -> list[Claim]:
    lam, where = series["lam"], LIMITS[name]
    objective, norm = series[f"{name}/objective"], series[f"{name}/norm"]
    lower, upper = series[f"{name}/limit"]
    first, last = mean(objective[:, 0]), mean(objective[:, -1])
    share = float(np.max(objective / (lam * upper)))
    final, word = mean(norm[:, -1]), "certified" if series[f"{name}/exact"] else "estimated"
    excess = 100 * (objective / series[f"{name}/optimal_objective"] - 1)
    return [
        Claim(
            f"{where}: L_lam(Theta_lam) <= lam ||Theta*||^2, and so -> 0",
            f"{first:.2g} at lam = {lam[0]:g}, {last:.2g} at {lam[-1]:g}; at most {share:.4f} of "
            "that bound in any run",
            share < 1.01 and last.value < first.value,
        ),
        Claim(
            f"{where}: ||Theta_lam||^2 -> ||Theta*||^2",
            f"{final:.4f} at lam = {lam[-1]:g}, of {lower:.4f} ({word}) to {upper:.4f}",
            bool(abs(final.value / lower - 1) < 0.01),
        ),
        Claim(
            f"{where}: the networks are minimisers (section B.3 supposes it)",
            f"L_lam is at most {excess.max():.2g}% above the {word} optimum over all widths, "
            f"{np.median(excess):.1g}% in the median",
            bool(excess.max() < 1),
        ),
    ]


def _network_claims(settings: Settings, series: Series) -> list[Claim]:
    found, ratios = [], series["n/d"]
    for d in settings.dims:
        losses = [mean(column) for column in series[f"network/{d}"].T]
        fits = [ratio for ratio, loss in zip(ratios, losses, strict=True) if loss.value < 0.1]
        from_ratio = f"below .1 from n = {fits[0]}d on" if fits else "never below .1"
        found.append(
            Claim(
                f"d = {d}: the network learns D from O(d) samples",
                f"truncated loss {losses[-1]:.1g} at n = {ratios[-1]}d = {ratios[-1] * d}; "
                + from_ratio,
                losses[-1].value < NETWORK_GOAL,
            )
        )
    return found


def _kernel_claims(settings: Settings, series: Series) -> list[Claim]:
    found = []
    at = int(np.argmin(np.abs(series["n/d^2"] - 0.25)))
    for d in settings.dims:
        losses = {name: mean(series[f"{name}/{d}"][:, at]) for name in METHODS}
        half_space = losses.pop("half_space")
        n = kernel_sizes(d, settings)[at]
        found += [
            Claim(
                f"d = {d}: no kernel fit of the label beats a fair coin (1/2) at n = {n}",
                ", ".join(f"{name} {loss:.3f}" for name, loss in losses.items()),
                min(loss.value for loss in losses.values()) > COIN,
            ),
            Claim(
                f"d = {d}: nor does any predictor in the span generalize at n = {n}",
                f"the best one known, a half-space, costs {half_space:.3f}",
                half_space.value > SPAN_FLOOR,
            ),
        ]
    return found


def plot(settings: Settings, series: Series) -> Figure:
    """Both sides of ||Theta_lam||^2 <= L_lam / lam <= ||Theta*||^2, and the test losses."""
    figure, axes = plots.panels(2, rows=2, width=4.2, height=3.2)
    for one, name in zip(axes, LIMITS, strict=False):
        _plot_limit(one, name, series)
    axes[0].legend(loc="lower right")
    _plot_losses(axes[2:], settings, series)
    titles = (
        f"the support of D, $d = {settings.support_dim}$",
        f"{settings.points} points on a line",
        "two-layer network",
        "tangent kernel",
    )
    plots.label_panels(axes, titles, r"$\lambda \to 0$")
    axes[2].set_xlabel("training samples $n / d$")
    axes[3].set_xlabel("training samples $n / d^2$")
    return figure


def _plot_limit(axes: Axes, name: str, series: Series) -> None:
    """L_lam / lam and ||Theta_lam||^2, trained and optimal, below ||Theta*||^2."""
    lam = series["lam"]
    lower, upper = series[f"{name}/limit"]
    axes.axhline((lower + upper) / 2, color="black", linewidth=0.8, label=r"$\|\Theta^*\|^2$")
    for label, quantity, divisor, color in (
        (r"$L_\lambda / \lambda$", "objective", lam, plots.VERMILLION),
        (r"$\|\Theta_\lambda\|^2$", "norm", 1, plots.BLUE),
    ):
        trained, optimal = series[f"{name}/{quantity}"], series[f"{name}/optimal_{quantity}"]
        axes.plot(lam, optimal / divisor, color=color, linewidth=1, label=f"{label}, optimum")
        look = {"linestyle": "none", "marker": "o", "markersize": 4}
        label = f"{label}, trained"
        plots.mean_band(axes, lam, trained / divisor, label=label, color=color, **look)
    axes.set_xscale("log")
    axes.invert_xaxis()
    axes.set_ylim(0, 1.06 * max(lower, np.max(series[f"{name}/norm"])))


def _plot_losses(axes: list[Axes], settings: Settings, series: Series) -> None:
    """Of the network against n/d, and of the kernel against n/d^2."""
    left, right = axes
    for d, marker, size in zip(settings.dims, "os^Dv", (3, 4, 5, 6, 7), strict=False):
        look = {"marker": marker, "markersize": size, "linewidth": size / 3}
        losses = series[f"network/{d}"]
        plots.mean_band(left, series["n/d"], losses, label=f"$d = {d}$", color=plots.BLUE, **look)
        for name, (label, color, style) in METHODS.items():
            plots.mean_band(
                right,
                series["n/d^2"],
                series[f"{name}/{d}"],
                label=label if d == settings.dims[-1] else None,
                color=color,
                linestyle=style,
                **look,
            )
    for one in axes:
        for loss in (COIN, 1):
            one.axhline(loss, color="black", linewidth=0.8, linestyle=":")
        one.set_ylim(-0.04, 1.5)  # the legend stands above 1
        one.set_yticks(np.linspace(0, 1, 6))
        one.legend(loc="upper right")
    for name, loss in (("a fair coin", COIN), ("predicting 0", 1)):
        place = {"xycoords": ("axes fraction", "data"), "horizontalalignment": "right"}
        left.annotate(name, (0.98, loss + 0.02), fontsize=8, **place)
    left.set_xticks(series["n/d"])
    left.set_ylabel("truncated squared test loss")
    right.set_xscale("log", base=2)


EXPERIMENT = Experiment(
    name="regression",
    title="the minimum-norm limit of squared loss, and network against kernel (appendix B.3)",
    presets={"quick": QUICK, "paper": PAPER},
    run=run,
    claims=claims,
    plot=plot,
)
