"""The paper's figures and theorems as experiments (sections 2, 3 and 5, appendices B.3 and F).

Each has a table of settings, a jitted run, claims of the paper beside what was measured, and a
picture. `EXPERIMENTS` holds them by the names that the command line takes.
"""

from jaxmargin.experiments import (
    figure_1,
    figure_2,
    figure_3,
    figure_4,
    figure_5,
    margins,
    perturbation_sweep,
    regression,
    theorem_2_1,
    theorem_3_3,
)
from jaxmargin.experiments.harness.experiment import Claim, Context, Experiment

EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        figure_1.EXPERIMENT,
        figure_2.EXPERIMENT,
        figure_3.EXPERIMENT,
        figure_4.EXPERIMENT,
        figure_5.EXPERIMENT,
        regression.EXPERIMENT,
        theorem_2_1.EXPERIMENT,
        theorem_3_3.EXPERIMENT,
        perturbation_sweep.EXPERIMENT,
        margins.EXPERIMENT,
    )
}

__all__ = ["EXPERIMENTS", "Claim", "Context", "Experiment"]
