"""Pictures of networks, margins and runs (sections 3 to 5), drawn into the axes of matplotlib.

Each function draws into `ax`, or into matplotlib's current axes where none are given, and returns
them, so that pictures can be composed and changed. The package is not imported by
`import jaxmargin`, and it needs matplotlib: `pip install 'jaxmargin[plots]'`.
"""

from jaxmargin.plots.margins import plot_margin_distribution, plot_path
from jaxmargin.plots.trials import plot_history, plot_trials
from jaxmargin.plots.units import plot_units

__all__ = [
    "plot_history",
    "plot_margin_distribution",
    "plot_path",
    "plot_trials",
    "plot_units",
]
