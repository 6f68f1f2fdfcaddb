"""The distribution of margins and the path of lambda, as they are drawn."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxmargin.margins import MarginPath
from jaxmargin.plots import plot_margin_distribution, plot_path


@pytest.fixture
def ax() -> Axes:
    return Figure().subplots()


def test_the_curve_is_the_share_of_margins_that_are_not_larger(ax: Axes):
    margins = np.random.default_rng(0).normal(size=20)
    assert plot_margin_distribution(margins, ax=ax, label="all") is ax
    x, share = (np.asarray(part) for part in ax.lines[0].get_data())
    for at in (-3.0, -0.5, 0.0, 0.7, 3.0):
        drawn = share[x <= at][-1] if (x <= at).any() else 0.0
        assert drawn == pytest.approx(np.mean(margins <= at))


def test_the_path_falls_to_the_right_and_hollow_points_have_not_converged(ax: Axes):
    none = np.zeros(3)
    converged = np.array([True, False, True])
    path = MarginPath(
        0.5 ** np.arange(3), (), none, np.array([0.1, 0.2, 0.3]), none, none, converged
    )
    for _ in range(2):  # a second path on the same axes
        plot_path(path, ax=ax, limit=0.4)
    line, full, hollow, limit = ax.lines[:4]
    assert np.asarray(line.get_ydata()).tolist() == [0.1, 0.2, 0.3]
    assert np.asarray(full.get_ydata()).tolist() == [0.1, 0.3]
    assert np.asarray(hollow.get_ydata()).tolist() == [0.2]
    assert (full.get_fillstyle(), hollow.get_fillstyle()) == ("full", "none")
    assert np.asarray(limit.get_ydata()).tolist() == [0.4, 0.4]
    assert ax.xaxis_inverted()
    assert ax.get_xscale() == "log"
