"""The picture of the guide's page on bounds."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from docs.guide import bounds


def test_the_bound_says_something_from_the_samples_that_the_page_names():
    assert bounds.bound(35_620, 20) >= 1 > bounds.bound(35_622, 20)


def test_the_picture_has_a_line_for_each_dimension():
    figure = bounds.main(points=3)
    assert isinstance(figure, Figure)
    lines = figure.axes[0].lines[: 2 * len(bounds.COLORS) : 2]
    ends = [float(np.asarray(line.get_ydata())[-1]) for line in lines]
    assert ends == pytest.approx([bounds.bound(1e7, d) for d in bounds.COLORS])
