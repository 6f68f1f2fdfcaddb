"""What is drawn into, and what is drawn: axes of matplotlib, and arrays of numbers."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from jaxmargin._arrays import as_array


def axes_of(ax: Axes | None) -> Axes:
    """The axes that are given, or the current ones of matplotlib.

    Raises:
        TypeError: it is something else.
    """
    if ax is None:
        from matplotlib import pyplot  # chooses a window system

        return pyplot.gca()
    if not isinstance(ax, Axes):
        raise TypeError(
            f"ax must be axes of matplotlib, such as pyplot.subplots()[1], got {type(ax).__name__}"
        )
    return ax


def numbers(name: str, value: Any) -> np.ndarray:
    """The value in float64.

    Raises:
        TypeError: it does not hold real numbers.
    """
    return np.asarray(as_array(name, value)).astype(float)
