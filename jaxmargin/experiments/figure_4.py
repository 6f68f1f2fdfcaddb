"""Figure 4: networks against kernel methods as the sample grows (appendix F.2).

The paper leaves open the start, the law of the inputs and which kernel classifier it plots. Here
the start is small. The inputs are N(0, I) in classification and uniform on the unit sphere in
regression, where gradient descent diverges on Gaussian inputs at this step size. The kernel's main
line is the hard-margin SVM, since least-norm interpolation of the labels exaggerates the gap.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array
from matplotlib.figure import Figure

from jaxmargin.experiments.harness import plots
from jaxmargin.experiments.harness.experiment import (
    Claim,
    Context,
    Experiment,
    Series,
    Tick,
    seed_setting,
    setting,
)
from jaxmargin.experiments.harness.grid import (
    RECORDS,
    measure_cells,
    record_steps,
    training_ticks,
)
from jaxmargin.experiments.harness.samples import Samples, labelled, valued
from jaxmargin.experiments.harness.statistics import mean, ratio_of_means
from jaxmargin.kernels.closed_form import two_layer_ntk
from jaxmargin.kernels.predictors import SvmFit, fit_svm, kernel_predict
from jaxmargin.kernels.ridge import KernelFit, fit_interpolant
from jaxmargin.networks.losses import squared_loss
from jaxmargin.networks.models import init_two_layer, two_layer
from jaxmargin.networks.objective import regularized
from jaxmargin.networks.training import train
from jaxmargin.plots.trials import plot_trials

RELU_FEATURES = partial(two_layer_ntk, r_w=0.0, r_u=1.0)  # the paper's baseline


@dataclass(frozen=True)
class Settings:
    """Defaults are the preset "paper"."""

    trials: int = setting(100, "independent teachers, data sets and starts")
    sizes: tuple[int, ...] = setting((50, 100, 200, 400, 800), "training samples, and units")
    d: int = setting(20, "input dimension")
    hidden: int = setting(6, "hidden units of the teacher")
    margin: float = setting(0.1, "least |f(x)| of the teacher in classification", least=0)
    max_majority: float = setting(0.65, "redraw teachers whose larger class exceeds this share")
    init_std: float = setting(0.02, "standard deviation of every initial weight")
    lam: float = setting(1e-8, "strength of the regularizer lam * ||Theta||_F^2", least=0)
    learning_rate: float = setting(0.1, "step size of full-batch gradient descent")
    steps: int = setting(20_000, "steps of gradient descent", least=RECORDS)
    test_samples: int = setting(2_000, "fresh samples for the test error")
    seed: int = seed_setting()


PAPER = Settings()
QUICK = replace(PAPER, trials=6, sizes=(50, 100, 200, 400), steps=5_000)


@dataclass(frozen=True)
class Method:
    """A kernel method: its name in the legend, its kernel, and its `fit(gram, y)`."""

    label: str
    kernel: Callable[..., Array]
    fit: Callable[..., KernelFit | SvmFit]


@dataclass(frozen=True)
class Panel:
    """One panel: its data, the network's loss, the test loss, and the kernel methods."""

    label: str
    draw: Callable[[Array, Any, int], Samples]
    loss: str
    test_loss: Callable[[Array, Array], Array]
    methods: dict[str, Method]


def _zero_one_loss(scores: Array, y: Array) -> Array:
    return (scores * y <= 0).astype(scores.dtype)


PANELS = {
    "classification": Panel(
        "0-1 test error",
        labelled,
        "logistic",
        _zero_one_loss,
        {
            "svm": Method("relu features, hard-margin SVM", RELU_FEATURES, fit_svm),
            "interpolation": Method("relu features, interpolation", RELU_FEATURES, fit_interpolant),
            "ntk": Method("tangent kernel, hard-margin SVM", two_layer_ntk, fit_svm),
        },
    ),
    "regression": Panel(
        "squared test error",
        valued,
        "squared",
        squared_loss,
        {
            "interpolation": Method("relu features, interpolation", RELU_FEATURES, fit_interpolant),
            "ntk": Method("tangent kernel, interpolation", two_layer_ntk, fit_interpolant),
        },
    ),
}
COLORS = {
    "network": plots.BLUE,
    "svm": plots.VERMILLION,
    "interpolation": plots.ORANGE,
    "ntk": plots.GREEN,
}


def run(settings: Settings, context: Context) -> Series:
    """Test errors (t, sizes) of the network and of each kernel method, for both panels."""
    series: Series = {"n": np.array(settings.sizes)}
    for panel in PANELS:
        cells = (
            (f"{panel}, n = {n}", partial(_errors, panel, n, settings)) for n in settings.sizes
        )
        found = measure_cells(context, cells, ticks=training_ticks(settings.trials))
        series |= {f"{panel}/{method}": errors for method, errors in found.items()}
    return series


def _errors(name: str, n: int, settings: Settings, tick: Tick) -> Series:
    """Test error (t,) of the network and of each kernel method at n samples."""
    panel = PANELS[name]
    key = jax.random.fold_in(jax.random.key(settings.seed), n)
    key_data, key_start = jax.random.split(key)
    samples = panel.draw(key_data, settings, n)
    errors = {
        name: _kernel_error(method, panel.test_loss, samples)
        for name, method in panel.methods.items()
    }
    init = partial(init_two_layer, d=settings.d, m=n, std=settings.init_std)
    trained = train(
        regularized(two_layer, panel.loss, lam=settings.lam),
        optax.sgd(settings.learning_rate),
        jax.vmap(init)(jax.random.split(key_start, settings.trials)),
        samples.x,
        samples.y,
        num_steps=settings.steps,
        record=record_steps(settings.steps),
        trials=True,
        on_record=tick,
    )
    scores = jax.lax.map(lambda args: two_layer(*args), (trained.params, samples.x_test))
    errors["network"] = jnp.mean(panel.test_loss(scores, samples.y_test), axis=1)
    return {name: np.asarray(error) for name, error in errors.items()}


def _kernel_error(
    method: Method, test_loss: Callable[[Array, Array], Array], samples: Samples
) -> Array:
    """Test error (t,), one trial after the other."""

    def one(x: Array, y: Array, x_test: Array, y_test: Array) -> Array:
        beta = method.fit(method.kernel(x), y).beta
        return jnp.mean(test_loss(kernel_predict(method.kernel(x_test, x), beta), y_test))

    return jnp.stack([one(*trial) for trial in zip(*samples, strict=True)])


def claims(settings: Settings, series: Series) -> list[Claim]:
    """Appendix F.2: two-layer nets clearly outperform the kernel method as n grows."""
    largest = settings.sizes[-1]
    network, svm = (series[f"classification/{name}"][:, -1] for name in ("network", "svm"))
    gain = mean(svm - network)
    net_mse, kernel_mse = (
        series[f"regression/{name}"][:, -1] for name in ("network", "interpolation")
    )
    ratio = ratio_of_means(net_mse, kernel_mse)
    return [
        Claim(
            f"classification, n = {largest}: the network beats the kernel SVM",
            f"error {mean(network):.4f} against {mean(svm):.4f}; paired gain {gain:.4f}",
            gain.value > 3 * gain.error,
        ),
        Claim(
            f"regression, n = {largest}: the network beats the kernel",
            f"squared error {mean(net_mse):.4f} against {mean(kernel_mse):.4f}; ratio {ratio:.3f}",
            ratio.value + 3 * ratio.error < 1,
        ),
    ]


def plot(settings: Settings, series: Series) -> Figure:
    """Test error against n; the network and the paper's kernel method in bold."""
    figure, axes = plots.panels(len(PANELS), width=3.8)
    for one, (name, panel) in zip(axes, PANELS.items(), strict=True):
        main_line = next(iter(panel.methods))
        labels = {"network": "two-layer network", **{k: m.label for k, m in panel.methods.items()}}
        for method, label in labels.items():
            bold = method in ("network", main_line)
            plot_trials(
                series["n"],
                series[f"{name}/{method}"],
                ax=one,
                label=label,
                color=COLORS[method],
                marker="o",
                markersize=4 if bold else 2,
                linewidth=1.8 if bold else 0.9,
            )
        one.set_xscale("log", base=2)
        if name == "regression":
            one.set_yscale("log")
        else:
            one.set_ylim(bottom=0)
        one.set_xticks(series["n"], [str(n) for n in series["n"]])
        one.set_ylabel(panel.label)
        one.legend()
    plots.label_panels(axes, list(PANELS), "training samples n")
    plots.tell_trials(figure, settings.trials, also="thick lines: the two methods of the paper")
    return figure


EXPERIMENT = Experiment(
    name="figure-4",
    title="test error of networks and of kernel methods as the sample grows",
    presets={"quick": QUICK, "paper": PAPER},
    durations={"quick": "30 s", "paper": "an hour"},
    run=run,
    claims=claims,
    plot=plot,
)
