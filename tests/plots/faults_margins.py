"""Wrong input: pictures of margins."""

import numpy as np

from jaxmargin import plots
from jaxmargin.margins import MarginPath
from tests.fault import NAN, Fault, wrong

ONES = np.ones(2)
PATH = MarginPath(ONES, (), ONES, ONES, ONES, ONES, np.ones(2, bool))
of_margins, of_path = plots.plot_margin_distribution, plots.plot_path

FAULTS: list[Fault] = [
    Fault("plot_margin_distribution", wrong(of_margins, np.ones((2, 2))), ValueError,
          r"margins must be \(n,\) with n >= 1, got shape \(2, 2\)"),
    Fault("plot_margin_distribution", wrong(of_margins, []), ValueError, r"got shape \(0,\)"),
    Fault("plot_margin_distribution", wrong(of_margins, [NAN, 1.0]), ValueError,
          "margins must be finite"),
    Fault("plot_margin_distribution", wrong(of_margins, ["a"]), TypeError, "margins must be an"),
    Fault("plot_margin_distribution", wrong(of_margins, ONES, ax=1), TypeError, "ax must be axes"),
    Fault("plot_path", wrong(of_path, ONES), TypeError, "path must be a MarginPath, got ndarray"),
    Fault("plot_path", wrong(of_path, PATH._replace(lam=np.ones(3))), ValueError,
          r"path must have one lam, margin and converged .* got \(3,\), \(2,\) and \(2,\)"),
    Fault("plot_path", wrong(of_path, PATH, limit=-1.0), ValueError, "limit must be a finite"),
    Fault("plot_path", wrong(of_path, PATH, limit="high"), TypeError, "limit must be a number"),
    Fault("plot_path", wrong(of_path, PATH, ax=1), TypeError, "ax must be axes of matplotlib"),
]  # fmt: skip
