"""Wrong input: curves over trials, and records of runs."""

import jax.numpy as jnp
import numpy as np

from jaxmargin import plots
from jaxmargin.networks import History
from tests.fault import Fault, wrong

HISTORY = History(jnp.arange(3), jnp.ones(3), {"margin": np.ones((3, 2, 2))})
of_trials, of_history = plots.plot_trials, plots.plot_history

FAULTS: list[Fault] = [
    Fault("plot_trials", wrong(of_trials, [1, 2], np.ones((3, 3))), ValueError,
          r"values must be \(s,\) or \(t, s\) for x of shape \(s,\), got \(3, 3\) and \(2,\)"),
    Fault("plot_trials", wrong(of_trials, [[1, 2]], np.ones(2)), ValueError, r"and \(1, 2\)"),
    Fault("plot_trials", wrong(of_trials, [], []), ValueError, r"got \(0,\) and \(0,\)"),
    Fault("plot_trials", wrong(of_trials, "abc", np.ones(2)), TypeError,
          "x must be an array of numbers, got str"),
    Fault("plot_trials", wrong(of_trials, [1, 2], np.ones(2), ax="figure"), TypeError,
          "ax must be axes of matplotlib, such as .*, got str"),
    Fault("plot_history", wrong(of_history, np.ones(3)), TypeError,
          "history must be the history of a result, which has a field step, got ndarray"),
    Fault("plot_history", wrong(of_history, HISTORY, "loss"), ValueError,
          "name must be one of objective, margin, got 'loss'"),
    Fault("plot_history", wrong(of_history, HISTORY, "margin"), ValueError,
          r"margin must have one number a record, .* got \(3, 2, 2\)"),
    Fault("plot_history", wrong(of_history, HISTORY._replace(objective=["a"] * 3)), TypeError,
          "objective must be an array of numbers"),
    Fault("plot_history", wrong(of_history, HISTORY, ax=3), TypeError, "ax must be axes of"),
]  # fmt: skip
