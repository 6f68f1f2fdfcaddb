"""Figure 2: the same start, trained with and without the regularizer (section 5).

The paper leaves open the law of the inputs, that of the teacher's weights, the width of the trained
network and the balance of the classes. The defaults below reproduce its figure.
"""

from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array
from matplotlib.figure import Figure

from jaxmargin.experiments.harness import plots, samples
from jaxmargin.experiments.harness.experiment import (
    Claim,
    Context,
    Experiment,
    Series,
    Tick,
    seed_setting,
    setting,
)
from jaxmargin.experiments.harness.statistics import mean, ratio_of_means
from jaxmargin.margins.normalized import normalized_margin, sample_margins
from jaxmargin.networks.lazy import distance_from_start
from jaxmargin.networks.models import TwoLayer, init_two_layer, pattern_change, two_layer
from jaxmargin.networks.objective import regularized
from jaxmargin.networks.training import train
from jaxmargin.plots.trials import plot_trials

FIT_STEPS = 100  # the first steps are recorded one by one, to see when the training error hits 0
REGIMES = {"regularized": plots.BLUE, "unregularized": plots.VERMILLION}


@dataclass(frozen=True)
class Settings:
    """Defaults are the preset "paper"."""

    trials: int = setting(20, "independent teachers, data sets and starts")
    n: int = setting(200, "training samples")
    d: int = setting(20, "input dimension")
    width: int = setting(400, "hidden units of the trained network")
    hidden: int = setting(10, "hidden units of the teacher")
    margin: float = setting(0.01, "least |f(x)| of the teacher on a sample", least=0)
    max_majority: float = setting(0.65, "redraw teachers whose larger class exceeds this share")
    init_std: float = setting(1.0, "standard deviation of every initial weight")
    lam: float = setting(5e-4, "strength of the regularizer lam * ||Theta||_F^2", least=0)
    learning_rate: float = setting(0.1, "step size of full-batch gradient descent")
    steps: int = setting(20_000, "steps of gradient descent", least=FIT_STEPS + 1)
    test_samples: int = setting(2_000, "fresh samples for the test accuracy")
    seed: int = seed_setting()


PAPER = Settings()
QUICK = replace(PAPER, trials=6)


def run(settings: Settings, context: Context) -> Series:
    """Train every trial twice from the same start, with `lam` and with 0."""
    key_data, key_start = jax.random.split(jax.random.key(settings.seed))
    x, y, *test = samples.labelled(key_data, settings, settings.n)
    init = partial(init_two_layer, d=settings.d, m=settings.width, std=settings.init_std)
    start = jax.vmap(init)(jax.random.split(key_start, settings.trials))
    record = _recorded(settings.steps)

    def regime(lam: float, tick: Tick) -> Series:
        history = train(
            regularized(two_layer, "logistic", lam=lam),
            optax.sgd(settings.learning_rate),
            start,
            x,
            y,
            num_steps=settings.steps,
            record=record,
            metrics=_metrics,
            metric_args=(*test, start),
            trials=True,
            on_record=tick,
        ).history
        return {"step": np.asarray(history.step), **_to_numpy(history.metrics)}

    series: Series = {}
    for name, lam in (("regularized", settings.lam), ("unregularized", 0.0)):
        found = context.part(name, settings.trials * (len(record) + 1), partial(regime, lam))
        series["step"] = found.pop("step")
        series |= {f"{name}/{metric}": values for metric, values in found.items()}
    return series


def _recorded(steps: int) -> list[int]:
    """Each of the first 100 steps, and then a hundred more."""
    return [*range(FIT_STEPS + 1), *np.linspace(FIT_STEPS, steps, 101, dtype=int)[1:-1].tolist()]


def _metrics(
    params: TwoLayer, x: Array, y: Array, x_test: Array, y_test: Array, start: TwoLayer
) -> dict[str, Array]:
    train_margins = sample_margins(two_layer(params, x), y)
    test_margins = sample_margins(two_layer(params, x_test), y_test)
    return {
        "margin": normalized_margin(two_layer, params, x, y),
        "train_error": jnp.mean(train_margins <= 0),
        "test_accuracy": jnp.mean(test_margins > 0),
        "pattern_change": pattern_change(start, params, x),
        "distance": distance_from_start(start, params).total,
    }


def _to_numpy(tree: dict[str, Array]) -> Series:
    return {name: np.asarray(value) for name, value in tree.items()}


def claims(settings: Settings, series: Series) -> list[Claim]:
    """The statements of section 5 about Figure 2."""
    final = {
        name: (series[f"regularized/{name}"][:, -1], series[f"unregularized/{name}"][:, -1])
        for name in ("test_accuracy", "margin", "pattern_change")
    }
    gain = mean(np.subtract(*final["test_accuracy"]))
    margin_ratio = ratio_of_means(*final["margin"])
    change_ratio = ratio_of_means(*final["pattern_change"])
    fit = [np.median(_first_fit(series, regime)) for regime in REGIMES]
    initial = mean(series["regularized/margin"][:, 0])
    return [
        Claim(
            "the regularized network generalizes better",
            f"test accuracy {mean(final['test_accuracy'][0]):.3f} against "
            f"{mean(final['test_accuracy'][1]):.3f}; paired gain {gain:.3f}",
            gain.value > 2 * gain.error,
        ),
        Claim(
            "regularization improves the normalized margin",
            f"{mean(final['margin'][0]):.4f} against {mean(final['margin'][1]):.4f}; "
            f"ratio {margin_ratio:.1f}",
            margin_ratio.value - 2 * margin_ratio.error > 1,
        ),
        Claim(
            "the unregularized network stays in the kernel regime: fewer patterns change",
            f"{mean(100 * final['pattern_change'][0]):.2f}% against "
            f"{mean(100 * final['pattern_change'][1]):.2f}%; ratio {change_ratio:.1f}",
            change_ratio.value - 2 * change_ratio.error > 1,
        ),
        Claim(
            "the training error hits 0 within 50 iterations",
            f"median trial: step {fit[0]:g} with and {fit[1]:g} without the regularizer",
            bool(max(fit) <= 50),
            comment="the paper does not give the width, and narrower networks take longer",
        ),
        Claim(
            "the initial normalized margin is negative",
            f"{initial:.4f}",
            initial.value + 2 * initial.error < 0,
        ),
    ]


def _first_fit(series: Series, regime: str) -> np.ndarray:
    """The first recorded step (t,) without a training error; infinite where there is none."""
    fits = series[f"{regime}/train_error"] == 0
    return np.where(fits.any(axis=1), series["step"][fits.argmax(axis=1)], np.inf)


def plot(settings: Settings, series: Series) -> Figure:
    """Margin, test accuracy, changed patterns and distance from the start, against the step."""
    figure, axes = plots.panels(4)
    labels = {
        "regularized": rf"$\lambda = {plots.power_of_ten(settings.lam)}$",
        "unregularized": r"$\lambda = 0$",
    }
    for one, metric, scale in zip(
        axes, ("margin", "test_accuracy", "pattern_change", "distance"), (1, 1, 100, 1), strict=True
    ):
        for regime, color in REGIMES.items():
            values = scale * series[f"{regime}/{metric}"]
            plot_trials(series["step"], values, ax=one, label=labels[regime], color=color)
        one.set_xscale("log")  # the fit takes 50 steps, the margin 20,000
        one.set_xlim(1, settings.steps)
    titles = ("margin", "generalization", "distance from the kernel", "distance from the start")
    plots.label_panels(axes, titles, "gradient descent steps")
    distance = r"$\|\Theta - \Theta_0\| / \|\Theta_0\|$"
    words = ("normalized margin", "test accuracy", "activation patterns changed, %", distance)
    for one, label in zip(axes, words, strict=True):
        one.set_ylabel(label)
    plots.tell_trials(figure, settings.trials)
    axes[0].axhline(0, color="black", linewidth=0.6)
    axes[0].legend()
    fit = np.median(_first_fit(series, "regularized"))
    if np.isfinite(fit):
        for one in axes:
            one.axvline(fit, color="black", linewidth=0.8, linestyle=":")
        axes[1].annotate(
            "training\nerror 0", (fit, 0.04), (4, 0), ("data", "axes fraction"), "offset points"
        )
    return figure


EXPERIMENT = Experiment(
    name="figure-2",
    title="margin, test accuracy and activation patterns with and without regularization",
    presets={"quick": QUICK, "paper": PAPER},
    durations={"quick": "20 s", "paper": "1 min"},
    run=run,
    claims=claims,
    plot=plot,
)
