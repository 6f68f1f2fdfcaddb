"""Test losses over the sample size: the grid's shapes, and the size that the claims are about."""

import dataclasses
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from jaxmargin.experiments import Context
from jaxmargin.experiments.harness import plots, sample_complexity
from jaxmargin.experiments.harness.sample_complexity import Curve, KernelTrial, Settings
from jaxmargin.kernels.closed_form import two_layer_ntk

SMALL = dataclasses.replace(
    Settings(),
    trials=2,
    dims=(4, 6),
    network_ratios=(2,),
    kernel_ratios=(0.25, 0.5),
    width=3,
    steps=20,
    test_samples=5,
)


@pytest.fixture(scope="module")
def trials() -> list[KernelTrial]:
    return []


@pytest.fixture(scope="module")
def series(trials: list[KernelTrial]) -> dict[str, np.ndarray]:
    def kernel_losses(trial: KernelTrial) -> dict[str, float]:
        trials.append(trial)
        return {"size": float(len(trial.x)), "trial": float(len(trials))}

    def test_loss(scores, y):
        return jnp.abs(y)  # 1 everywhere

    def untrained(objective, optimizer, params, x, y, **options):
        return SimpleNamespace(params=params)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample_complexity, "train", untrained)
        return sample_complexity.measure(
            SMALL, Context(), loss="logistic", test_loss=test_loss, kernel_losses=kernel_losses
        )


def test_losses_are_of_trials_times_sizes_for_every_dimension(series: dict[str, np.ndarray]):
    assert series["n/d"].tolist() == [2]
    assert series["n/d^2"].tolist() == [0.25, 0.5]
    for d in SMALL.dims:
        np.testing.assert_array_equal(series[f"network/{d}"], np.ones((2, 1)))
    assert series["size/4"].tolist() == [[4, 8], [4, 8]]
    assert series["size/6"].tolist() == [[9, 18], [9, 18]]
    assert series["trial/4"].tolist() == [[1, 3], [2, 4]]


def test_a_kernel_trial_has_fresh_samples_and_their_gram_matrices(series, trials):
    trial = trials[1]
    assert (trial.x.shape, trial.y.shape, trial.y_test.shape) == ((4, 4), (4,), (5,))
    assert (trial.gram.shape, trial.cross.shape) == ((4, 4), (5, 4))
    np.testing.assert_allclose(trial.gram, two_layer_ntk(trial.x), rtol=1e-6)
    assert not np.array_equal(trial.x, trials[0].x)


def test_the_claims_are_about_the_size_nearest_to_a_quarter_of_d_squared(series):
    n, means = sample_complexity.kernel_means(6, SMALL, series, ["size"])
    assert n == 9
    assert means["size"] == pytest.approx((9.0, 0.0))


def test_the_picture_has_a_line_for_each_dimension_and_method(series):
    _, (left, right) = plots.panels(2)
    curves = {"size": Curve("the size", "black", "-"), "trial": Curve("the trial", "red", ":")}
    sample_complexity.plot((left, right), SMALL, series, curves)
    assert len(left.lines) == 2
    assert len(right.lines) == 4
    labels = [line.get_label() for line in right.lines]
    assert labels.count("the size") == labels.count("the trial") == 1
