"""Wrong input: units in the plane."""

import jax.numpy as jnp
import numpy as np

from jaxmargin import Measure, TwoLayer, plots
from tests.fault import NAN, SCALAR_NET, Fault, wrong

X, ONES, Y = jnp.eye(2), jnp.ones(2), np.array([1, -1])
NET = TwoLayer(X, ONES)
draw = plots.plot_units


def fault(error: type[Exception], match: str, *args, **options) -> Fault:
    return Fault("plot_units", wrong(draw, *args, **options), error, match)


FAULTS: list[Fault] = [
    fault(TypeError, "network must be a TwoLayer or a Measure, got ArrayImpl: for other", X),
    fault(ValueError, r"two inputs, u \(m, 2\) .* got 3 inputs", SCALAR_NET),
    fault(ValueError, "and 2 columns", Measure(X, ONES)),
    fault(ValueError, "network must have masses >= 0, got -1", Measure(jnp.eye(3), -jnp.ones(3))),
    fault(ValueError, r"network\[0\] must be finite", TwoLayer(NAN * X, ONES)),
    fault(ValueError, r"x must be \(n, 2\), got \(2, 3\)", NET, np.ones((2, 3))),
    fault(ValueError, "x must be finite", NET, NAN * X),
    fault(TypeError, "x must be an array of numbers, got str", NET, "abc"),
    fault(ValueError, "y needs x", NET, None, Y),
    fault(ValueError, r"y must be \(2,\), one label a row of x, got \(3,\)", NET, X, np.ones(3)),
    fault(TypeError, "y must hold numbers, got 'a', 'b': number the classes", NET, X, ["a", "b"]),
    fault(ValueError, "scale must be a finite number > 0, got 0", NET, scale=0),
    fault(TypeError, "scale must be a number", NET, scale="large"),
    fault(TypeError, "ax must be axes of matplotlib", NET, ax="figure"),
]  # fmt: skip
