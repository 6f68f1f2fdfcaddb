"""Which axes are drawn into, and which arrays are taken."""

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

from jaxmargin.plots._axes import axes_of, numbers


def test_axes_are_those_that_are_given_or_the_current_ones():
    given = Figure().subplots()
    assert axes_of(given) is given
    current = pyplot.figure().subplots()
    assert axes_of(None) is current
    pyplot.close()
    with pytest.raises(TypeError, match="ax must be axes of matplotlib"):
        axes_of(Figure())  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("value", [[1, 2], jnp.array([1, 2]), np.array([1.0, 2.0]), (1.0, 2)])
def test_numbers_are_float64(value):
    found = numbers("value", value)
    assert found.dtype == np.float64
    assert found.tolist() == [1.0, 2.0]
