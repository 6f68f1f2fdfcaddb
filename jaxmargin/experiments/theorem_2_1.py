"""Theorem 2.1: the network learns D from O(d) samples, and no kernel predictor from o(d^2).

The theorem is about the global optimum of a network of width 4 or more. At width 4 gradient descent
does not reach it; at the width that is used here it does so reliably.
"""

from dataclasses import replace
from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array
from matplotlib.figure import Figure

from jaxmargin.experiments.harness import plots, sample_complexity
from jaxmargin.experiments.harness.experiment import Claim, Context, Experiment, Series
from jaxmargin.experiments.harness.sample_complexity import (
    Curve,
    KernelTrial,
    Settings,
    kernel_means,
)
from jaxmargin.experiments.harness.statistics import mean
from jaxmargin.kernels.predictors import fit_svm, kernel_predict
from jaxmargin.kernels.ridge import fit_interpolant
from jaxmargin.lower_bound.population_fit import best_in_span, held_out_error

NETWORK_GOAL, KERNEL_FLOOR = 0.01, 0.38  # test errors that tell the two apart
# No fit of the label comes below KERNEL_FLOOR. But the half-space x_1 > 1/2 lies in the span too,
# and errs on one of the four groups of D: the theorem's constant cannot be above 1/4.
SPAN_FLOOR = 0.2
METHODS = {
    "svm": Curve("hard-margin SVM", plots.VERMILLION, "-"),
    "interpolation": Curve("interpolation", plots.ORANGE, "-"),
    "oracle": Curve("best fit of the label, population known", plots.PURPLE, "--"),
    "half_space": Curve(r"best fit of $x_1 > 1/2$, population known", plots.GREEN, ":"),
}
PAPER = Settings()
QUICK = replace(PAPER, trials=4, dims=(20, 40), network_ratios=(2, 4, 8))


def run(settings: Settings, context: Context) -> Series:
    """Test errors (t, ratios) of the network and of the kernel's predictors, for every d."""
    return sample_complexity.measure(
        settings,
        context,
        loss="logistic",
        test_loss=_zero_one_loss,
        kernel_losses=_kernel_errors,
    )


def _zero_one_loss(scores: Array, y: Array) -> Array:
    return scores * y <= 0


def _kernel_errors(trial: KernelTrial) -> dict[str, Array | float]:
    """The error of each method; every predictor is in the span of the samples."""

    def error(beta: Array) -> Array:
        return jnp.mean(_zero_one_loss(kernel_predict(trial.cross, beta), trial.y_test))

    def population_error(target: Literal["label", "half_space"]) -> float:
        return held_out_error(trial.key, trial.x, best_in_span(trial.x, target=target).beta).error

    return {
        "svm": error(fit_svm(trial.gram, trial.y).beta),
        "interpolation": error(fit_interpolant(trial.gram, trial.y).beta),
        "oracle": population_error("label"),
        "half_space": population_error("half_space"),
    }


def claims(settings: Settings, series: Series) -> list[Claim]:
    """Both halves of Theorem 2.1, one line for each d."""
    return [
        *(_network_claim(d, settings, series) for d in settings.dims),
        *(claim for d in settings.dims for claim in _kernel_claims(d, settings, series)),
    ]


def _network_claim(d: int, settings: Settings, series: Series) -> Claim:
    largest = settings.network_ratios[-1]
    error = mean(series[f"network/{d}"][:, -1])
    return Claim(
        f"d = {d}: the network learns D from n = {largest}d = {largest * d} samples",
        f"test error {error:.4f}",
        error.value < NETWORK_GOAL,
    )


def _kernel_claims(d: int, settings: Settings, series: Series) -> list[Claim]:
    n, errors = kernel_means(d, settings, series, METHODS)
    half_space = errors.pop("half_space")
    return [
        Claim(
            f"d = {d}: no kernel fit of the label generalizes at n = {n}",
            "test error: " + ", ".join(f"{name} {error:.3f}" for name, error in errors.items()),
            min(error.value for error in errors.values()) > KERNEL_FLOOR,
        ),
        Claim(
            f"d = {d}: nor any other predictor in the span at n = {n}",
            f"the best one known, a half-space, errs {half_space:.3f}",
            half_space.value > SPAN_FLOOR,
        ),
    ]


def plot(settings: Settings, series: Series) -> Figure:
    """Test error against n, for the network and for the kernel."""
    figure, (left, right) = plots.panels(2, width=4.2, height=3.2)
    sample_complexity.plot((left, right), settings, series, METHODS)
    for axes in (left, right):
        axes.set_ylim(-0.02, 0.55)
        axes.legend()
    left.set_ylabel("0-1 test error")
    plots.label_panels(
        (left, right),
        ("two-layer network: $n$ grows as $d$", "tangent kernel: $n$ grows as $d^2$"),
        "training samples $n$",
    )
    plots.tell_trials(figure, settings.trials)
    return figure


EXPERIMENT = Experiment(
    name="theorem-2.1",
    title="sample complexity of the network and of its kernel on the distribution D",
    presets={"quick": QUICK, "paper": PAPER},
    durations={"quick": "45 s", "paper": "5 min"},
    run=run,
    claims=claims,
    plot=plot,
)
