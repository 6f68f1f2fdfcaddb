"""Margins, tangent kernels and mean-field flows of regularized neural networks, in JAX.

Implements and extends Wei, Lee, Liu, Ma, "Regularization Matters: Generalization and
Optimization of Neural Nets v.s. their Induced Kernel" (NeurIPS 2019).
"""

from jaxmargin import bounds, data, hypercube, lower_bound, norms, oracle
from jaxmargin.certificates import Certificate, duality_gap
from jaxmargin.convergence import Regularity, TheoreticalRate, regularity, theoretical_rate
from jaxmargin.empirical import empirical_ntk
from jaxmargin.flow import Flow, FlowInfo, FlowState, perturbed_flow, wasserstein_flow
from jaxmargin.homogeneity import (
    Homogeneity,
    balance,
    check_two_homogeneous,
    homogeneity_degree,
    widen,
)
from jaxmargin.kernels import k1, k2, kernel_matvec, relu_nngp, relu_ntk, two_layer_ntk
from jaxmargin.l1svm import L1SVM, MaxMargin, l1_svm, max_margin
from jaxmargin.losses import (
    cross_entropy_loss,
    logistic_loss,
    regularized,
    squared_loss,
    truncated_squared_loss,
)
from jaxmargin.margins import margin_distribution, margins, normalized_margin
from jaxmargin.matrix_free import RidgeFit, fit_ridge_matrix_free
from jaxmargin.meanfield import (
    MeanField,
    Measure,
    energy,
    first_variation,
    sample_sphere,
    second_moment,
    velocity,
)
from jaxmargin.networks import (
    TwoLayer,
    activation_pattern,
    append_one,
    init_mlp,
    init_two_layer,
    mlp,
    pattern_change,
    two_layer,
)
from jaxmargin.numerics import ConvergenceError, DivergenceError
from jaxmargin.perturbation import perturb_units
from jaxmargin.polishing import polish
from jaxmargin.predictors import (
    fit_interpolant,
    fit_kernel_logistic,
    fit_ridge,
    fit_svm,
    kernel_predict,
)
from jaxmargin.regularization_path import MarginPath, margin_path
from jaxmargin.resumable import resumable_run
from jaxmargin.runs import FlowHistory, run
from jaxmargin.training import History, Minibatch, Trained, train
from jaxmargin.two_layer_problems import (
    as_network,
    cross_entropy_two_layer,
    from_network,
    logistic_two_layer,
    squared_two_layer,
)
from jaxmargin.weak_regularizer import (
    guaranteed_margin,
    log_theorem_regularization,
    regularization_for_margin,
)

__version__ = "0.1.0"

__all__ = [
    "L1SVM",
    "Certificate",
    "ConvergenceError",
    "DivergenceError",
    "Flow",
    "FlowHistory",
    "FlowInfo",
    "FlowState",
    "History",
    "Homogeneity",
    "MarginPath",
    "MaxMargin",
    "MeanField",
    "Measure",
    "Minibatch",
    "Regularity",
    "RidgeFit",
    "TheoreticalRate",
    "Trained",
    "TwoLayer",
    "activation_pattern",
    "append_one",
    "as_network",
    "balance",
    "bounds",
    "check_two_homogeneous",
    "cross_entropy_loss",
    "cross_entropy_two_layer",
    "data",
    "duality_gap",
    "empirical_ntk",
    "energy",
    "first_variation",
    "fit_interpolant",
    "fit_kernel_logistic",
    "fit_ridge",
    "fit_ridge_matrix_free",
    "fit_svm",
    "from_network",
    "guaranteed_margin",
    "homogeneity_degree",
    "hypercube",
    "init_mlp",
    "init_two_layer",
    "k1",
    "k2",
    "kernel_matvec",
    "kernel_predict",
    "l1_svm",
    "log_theorem_regularization",
    "logistic_loss",
    "logistic_two_layer",
    "lower_bound",
    "margin_distribution",
    "margin_path",
    "margins",
    "max_margin",
    "mlp",
    "normalized_margin",
    "norms",
    "oracle",
    "pattern_change",
    "perturb_units",
    "perturbed_flow",
    "polish",
    "regularity",
    "regularization_for_margin",
    "regularized",
    "relu_nngp",
    "relu_ntk",
    "resumable_run",
    "run",
    "sample_sphere",
    "second_moment",
    "squared_loss",
    "squared_two_layer",
    "theoretical_rate",
    "train",
    "truncated_squared_loss",
    "two_layer",
    "two_layer_ntk",
    "velocity",
    "wasserstein_flow",
    "widen",
]
