"""Means over trials with their errors, against SciPy; and records of runs."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import jaxmargin as jm
from jaxmargin.networks import History
from jaxmargin.plots import plot_history, plot_trials


@pytest.fixture
def ax() -> Axes:
    return Figure().subplots()


def edges(ax: Axes, x: float) -> tuple[float, float]:
    """The lower and the upper end of the band at this position."""
    corners = np.asarray(ax.collections[-1].get_paths()[0].vertices)
    return corners[corners[:, 0] == x, 1].min(), corners[corners[:, 0] == x, 1].max()


def test_a_band_is_one_standard_error_on_each_side_of_the_mean(ax: Axes):
    values = np.random.default_rng(0).normal(size=(7, 4))
    assert plot_trials(np.arange(4), values, ax=ax, label="mean", color="black") is ax
    np.testing.assert_allclose(np.asarray(ax.lines[0].get_ydata()), values.mean(axis=0))
    for i, error in enumerate(scipy.stats.sem(values)):
        assert edges(ax, i) == pytest.approx(
            (values[:, i].mean() - error, values[:, i].mean() + error)
        )


def test_trials_without_a_number_are_left_out(ax: Axes):
    values = np.array([[1.0, np.nan, 5.0], [3.0, np.nan, np.nan], [8.0, np.nan, np.nan]])
    plot_trials(np.arange(3), values, ax=ax)
    np.testing.assert_allclose(np.asarray(ax.lines[0].get_ydata()), [4, np.nan, 5])
    error = scipy.stats.sem(values[:, 0])
    assert edges(ax, 0) == pytest.approx((4 - error, 4 + error))


@pytest.mark.parametrize("values", [[1.0, 2.0], [[1.0, 2.0]]])
def test_one_trial_has_no_band(values: list, ax: Axes):
    plot_trials([0, 1], values, ax=ax)
    assert np.asarray(ax.lines[0].get_ydata()).tolist() == [1.0, 2.0]
    assert len(ax.collections) == 0


def test_current_axes_are_taken_where_none_are_given():
    from matplotlib import pyplot

    ax = pyplot.figure().subplots()
    assert plot_trials([0, 1], [1.0, 2.0]) is ax
    pyplot.close()


def test_records_of_a_run(ax: Axes):
    x, y = jm.data.two_axis(jax.random.key(0), 6, 3)
    start = jm.init_two_layer(jax.random.key(1), d=3, m=4)
    objective = jm.regularized(jm.two_layer, "logistic", lam=0.1)
    trained = jm.train(
        objective,
        optax.sgd(0.1),
        jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf]), start),
        jnp.stack([x, x]),
        jnp.stack([y, y]),
        num_steps=4,
        record=2,
        trials=True,
        metrics=lambda params, x, y: {"length_of_all": jm.norms.l2(params)},
    )
    history: Any = trained.history
    plot_history(history, ax=ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step", "objective")
    assert np.asarray(ax.lines[0].get_xdata()).tolist() == [0, 2, 4]
    np.testing.assert_allclose(np.asarray(ax.lines[0].get_ydata()), history.objective.mean(axis=0))
    plot_history(history, "length_of_all", ax=ax, label="norm")
    assert ax.get_ylabel() == "length of all"
    expected = history.metrics["length_of_all"].mean(axis=0)
    np.testing.assert_allclose(np.asarray(ax.lines[1].get_ydata()), expected, rtol=1e-6)


def test_metrics_that_are_one_array(ax: Axes):
    history = History(jnp.arange(3), jnp.ones(3), jnp.array([3.0, 2.0, 1.0]))
    plot_history(history, "metrics", ax=ax)
    assert np.asarray(ax.lines[0].get_ydata()).tolist() == [3, 2, 1]
