"""Appendix B.3: Theorem 2.1 in regression, and Theorem B.10's minimum-norm interpolant.

Networks and kernel predictors are tested with the truncated squared loss min((f - y)^2, 1). It is
at least the 0-1 loss, so that the kernel's lower bound carries over. Predicting 0 costs 1, and a
fair coin in {-1, +1} costs 1/2.
"""

from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxmargin.data.synthetic import support_of_d
from jaxmargin.experiments.harness import plots, sample_complexity
from jaxmargin.experiments.harness.experiment import (
    Claim,
    Context,
    Experiment,
    Series,
    Tick,
    setting,
)
from jaxmargin.experiments.harness.grid import RECORDS
from jaxmargin.experiments.harness.sample_complexity import (
    Curve,
    KernelTrial,
    kernel_means,
    optimizer,
)
from jaxmargin.experiments.harness.statistics import mean
from jaxmargin.experiments.parts import minimum_norm
from jaxmargin.kernels.predictors import kernel_predict
from jaxmargin.kernels.ridge import fit_interpolant, fit_ridge
from jaxmargin.lower_bound.population_fit import best_in_span
from jaxmargin.networks.losses import truncated_squared_loss
from jaxmargin.plots.trials import plot_trials

NETWORK_GOAL, COIN = 0.01, 0.5  # truncated losses that tell the two apart
# As in theorem_2_1: the half-space x_1 > 1/2 lies in the span, and is wrong on a quarter of D.
SPAN_FLOOR = 0.2
RIDGES = (1e-2, 1e-1, 1.0, 10.0)
MULTIPLES = np.linspace(0, 5, 51)  # of a predictor; the test samples choose the best of them
METHODS = {
    "interpolation": Curve("interpolation", plots.VERMILLION, "-"),
    "ridge": Curve("ridge, tuned on the test set", plots.ORANGE, "-"),
    "oracle": Curve("best fit of the label, population known", plots.PURPLE, "--"),
    "half_space": Curve(r"best fit of $x_1 > 1/2$, population known", plots.GREEN, ":"),
}
LIMITS = {"support": "the support of D", "line": "points on a line"}


@dataclass(frozen=True)
class Settings(sample_complexity.Settings):
    """Defaults are the preset "paper"."""

    dims: tuple[int, ...] = setting((20, 40), "input dimensions d of the test losses", least=3)
    lam: float = setting(1e-3, "strength of the regularizer for the test losses", least=0)
    steps: int = setting(4_000, "steps of Adam, at each lambda", least=RECORDS)
    lams: tuple[float, ...] = setting(
        (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5),
        "strengths of the regularizer lam * ||Theta||_F^2 on the way to 0",
    )
    support_dim: int = setting(6, "d of the distribution D whose whole support is fitted", least=3)
    points: int = setting(10, "points on the line, fitted to a teacher's values", least=2)
    hidden: int = setting(4, "hidden units of that teacher")


PAPER = Settings()
QUICK = replace(PAPER, trials=4, dims=(20,), network_ratios=(2, 3, 4, 6))


def run(settings: Settings, context: Context) -> Series:
    """The path lambda -> 0 on two data sets, and test losses (t, ratios) for every d."""
    series: Series = {"lam": np.sort(settings.lams)[::-1]}
    for name in LIMITS:
        found = context.part(
            f"limit {name}", len(settings.lams) + 1, partial(_limit, name, settings)
        )
        series |= {f"{name}/{key}": values for key, values in found.items()}
    return series | sample_complexity.measure(
        settings,
        context,
        loss="squared",
        test_loss=truncated_squared_loss,
        kernel_losses=_kernel_losses,
    )


def _limit(name: str, settings: Settings, tick: Tick) -> Series:
    """||Theta_lam||^2 and L_lam, trained (t, s) and optimal (s,), and the limit of the former."""
    key_data, key_start = jax.random.split(jax.random.key(settings.seed))
    if name == "support":
        x, y = support_of_d(settings.support_dim)
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


def _kernel_losses(trial: KernelTrial) -> dict[str, Array]:
    """The loss of each method; every predictor is in the span of the samples.

    The ridge is chosen on the test samples, and so is the multiple of every predictor but the plain
    interpolant: all in the kernel's favour.
    """
    predict = partial(kernel_predict, trial.cross)
    interpolant = predict(fit_interpolant(trial.gram, trial.y).beta)
    ridges = [predict(fit_ridge(trial.gram, trial.y, ridge=ridge).beta) for ridge in RIDGES]
    oracle, half_space = (
        predict(best_in_span(trial.x, target=target).beta) for target in ("label", "half_space")
    )
    return {
        "interpolation": jnp.mean(truncated_squared_loss(interpolant, trial.y_test)),
        "ridge": min(_best_multiple(scores, trial.y_test) for scores in (interpolant, *ridges)),
        "oracle": _best_multiple(oracle, trial.y_test),
        "half_space": _best_multiple(half_space, trial.y_test),
    }


@jax.jit
def _best_multiple(scores: Array, y: Array) -> Array:
    """The least truncated loss among multiples of a predictor, chosen on these very samples.

    It matters for the fit of the half-space. That is about x_1 - 1/2, and twice that is the label,
    except on the quarter of D where x_1 = -1.
    """

    def loss(multiple: Array) -> Array:
        return jnp.mean(truncated_squared_loss(multiple * scores, y))

    return jnp.min(jax.lax.map(loss, jnp.asarray(MULTIPLES, scores.dtype)))


def claims(settings: Settings, series: Series) -> list[Claim]:
    """Theorem B.10's two limits, and both halves of Theorem 2.1 in regression."""
    limits = [claim for name in LIMITS for claim in _limit_claims(name, series)]
    return [
        *limits,
        *(_network_claim(d, series) for d in settings.dims),
        *(claim for d in settings.dims for claim in _kernel_claims(d, settings, series)),
    ]


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
            f"{where}: the networks are minimisers (appendix B.3 supposes it)",
            f"L_lam is at most {excess.max():.2g}% above the {word} optimum over all widths, "
            f"{np.median(excess):.1g}% in the median",
            bool(excess.max() < 1),
        ),
    ]


def _network_claim(d: int, series: Series) -> Claim:
    ratios = series["n/d"]
    losses = [mean(column) for column in series[f"network/{d}"].T]
    fits = [ratio for ratio, loss in zip(ratios, losses, strict=True) if loss.value < 0.1]
    from_ratio = f"below .1 from n = {fits[0]}d on" if fits else "never below .1"
    return Claim(
        f"d = {d}: the network learns D from O(d) samples",
        f"truncated loss {losses[-1]:.1g} at n = {ratios[-1]}d = {ratios[-1] * d}; {from_ratio}",
        losses[-1].value < NETWORK_GOAL,
    )


def _kernel_claims(d: int, settings: Settings, series: Series) -> list[Claim]:
    n, losses = kernel_means(d, settings, series, METHODS)
    half_space = losses.pop("half_space")
    return [
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


def plot(settings: Settings, series: Series) -> Figure:
    """Both sides of ||Theta_lam||^2 <= L_lam / lam <= ||Theta*||^2, and the test losses."""
    figure, axes = plots.panels(2, rows=2, width=4.2, height=3.2)
    for one, name in zip(axes, LIMITS, strict=False):
        _plot_limit(one, name, series)
    axes[0].legend(loc="lower right")
    _plot_losses((axes[2], axes[3]), settings, series)
    panels = {
        f"the support of D, $d = {settings.support_dim}$": r"$\lambda \to 0$",
        f"{settings.points} points on a line": r"$\lambda \to 0$",
        "two-layer network": "training samples $n$",
        "tangent kernel": "training samples $n$",
    }
    plots.label_panels(axes, list(panels), list(panels.values()))
    for one in axes[:2]:
        one.set_ylabel("squared norm")
    plots.tell_trials(figure, settings.trials)
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
        plot_trials(lam, trained / divisor, ax=axes, label=label, color=color, **look)
    axes.set_xscale("log")
    axes.invert_xaxis()
    axes.set_ylim(0, 1.06 * max(lower, np.max(series[f"{name}/norm"])))


def _plot_losses(axes: tuple[Axes, Axes], settings: Settings, series: Series) -> None:
    """The losses of the network and of the kernel, with what a fair coin and the answer 0 cost."""
    sample_complexity.plot(axes, settings, series, METHODS)
    for one in axes:
        for loss in (COIN, 1):
            one.axhline(loss, color="black", linewidth=0.8, linestyle=":")
        one.set_ylim(-0.04, 1.12)
        one.set_yticks(np.linspace(0, 1, 6))
        one.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    left, _ = axes
    for name, loss in (("a fair coin", COIN), ("predicting 0", 1)):
        place = {"xycoords": ("axes fraction", "data"), "horizontalalignment": "right"}
        left.annotate(name, (0.98, loss + 0.02), fontsize=8, **place)
    left.set_ylabel("truncated squared test loss")


EXPERIMENT = Experiment(
    name="regression",
    title="the minimum-norm limit of squared loss, and network against kernel (appendix B.3)",
    presets={"quick": QUICK, "paper": PAPER},
    durations={"quick": "45 s", "paper": "2 min"},
    run=run,
    claims=claims,
    plot=plot,
)
