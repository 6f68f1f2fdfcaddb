"""Pictures that look alike: bands, panels and powers of ten."""

import numpy as np
import pytest

from jaxmargin.experiments.harness import plots


def test_a_band_is_one_standard_error_on_each_side_of_the_mean():
    _, (axes,) = plots.panels(1)
    values = np.array([[1.0, 2.0], [3.0, 2.0]])
    plots.mean_band(axes, np.arange(2), values, label="mean", color="black")
    (line,) = axes.lines
    assert np.asarray(line.get_ydata()).tolist() == [2.0, 2.0]
    corners = np.asarray(axes.collections[0].get_paths()[0].vertices)
    at_zero = corners[corners[:, 0] == 0, 1]
    assert (at_zero.min(), at_zero.max()) == pytest.approx((1.0, 3.0))


def test_panels_come_row_after_row_with_letters_and_labels():
    figure, axes = plots.panels(2, rows=2)
    assert len(figure.axes) == len(axes) == 4
    plots.label_panels(axes, ["w", "x", "y", "z"], ["1", "2", "3", "4"])
    assert [one.get_title(loc="left") for one in axes] == ["(a) w", "(b) x", "(c) y", "(d) z"]
    assert [one.get_xlabel() for one in axes] == ["1", "2", "3", "4"]
    plots.label_panels(axes, ["w", "x", "y", "z"], "step")
    assert {one.get_xlabel() for one in axes} == {"step"}


def test_the_style_ends_with_its_block():
    before = plots.mpl.rcParams["axes.grid"]
    with plots.house_style():
        assert plots.mpl.rcParams["axes.grid"]
    assert plots.mpl.rcParams["axes.grid"] == before


@pytest.mark.parametrize(
    ("value", "text"), [(5e-4, r"5 \cdot 10^{-4}"), (20.0, r"2 \cdot 10^{1}"), (0.0, "0")]
)
def test_powers_of_ten(value: float, text: str):
    assert plots.power_of_ten(value) == text
