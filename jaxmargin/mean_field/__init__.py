"""Measures over units, the perturbed flow, and certified optima (sections 3 and E).

A network of any width is a measure of weighted particles. Its energy is convex, the Wasserstein
gradient flow descends it (eq. 3.1), a little uniform noise lets the flow escape bad stationary
points (eq. 3.2, Theorem 3.3), and a duality gap over all neurons proves how near the optimum is.
"""

from jaxmargin.mean_field.assumptions import Regularity, regularity
from jaxmargin.mean_field.certificates import Certificate, certify
from jaxmargin.mean_field.flow import Flow, FlowInfo, FlowState, perturbed_flow, wasserstein_flow
from jaxmargin.mean_field.lemmas import FlowBudget, Sides, flow_budget
from jaxmargin.mean_field.measure import Features, Measure, second_moment
from jaxmargin.mean_field.optimum import Optimum, OptimumHistory, global_optimum
from jaxmargin.mean_field.problem import (
    MeanField,
    check_two_homogeneous,
    energy,
    first_variation,
    velocity,
)
from jaxmargin.mean_field.resumable import resumable_run
from jaxmargin.mean_field.risks import (
    BoundedRisk,
    CrossEntropyRisk,
    LogisticRisk,
    MeanRisk,
    Risk,
    SquaredRisk,
)
from jaxmargin.mean_field.runs import FlowHistory, FlowRun, run_flow
from jaxmargin.mean_field.theorem_e4 import TheoreticalRate, theoretical_rate
from jaxmargin.mean_field.two_layer import (
    SmoothTwoLayerFeatures,
    SquaredNorm,
    TwoLayerFeatures,
    as_network,
    from_network,
    two_layer_problem,
)

__all__ = [
    "BoundedRisk",
    "Certificate",
    "CrossEntropyRisk",
    "Features",
    "Flow",
    "FlowBudget",
    "FlowHistory",
    "FlowInfo",
    "FlowRun",
    "FlowState",
    "LogisticRisk",
    "MeanField",
    "MeanRisk",
    "Measure",
    "Optimum",
    "OptimumHistory",
    "Regularity",
    "Risk",
    "Sides",
    "SmoothTwoLayerFeatures",
    "SquaredNorm",
    "SquaredRisk",
    "TheoreticalRate",
    "TwoLayerFeatures",
    "as_network",
    "certify",
    "check_two_homogeneous",
    "energy",
    "first_variation",
    "flow_budget",
    "from_network",
    "global_optimum",
    "perturbed_flow",
    "regularity",
    "resumable_run",
    "run_flow",
    "second_moment",
    "theoretical_rate",
    "two_layer_problem",
    "velocity",
    "wasserstein_flow",
]
