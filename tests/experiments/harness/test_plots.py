"""Pictures that look alike: panels, styles and powers of ten."""

import pytest

from jaxmargin.experiments.harness import plots


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
