"""Margins, tangent kernels and mean-field flows of regularized neural networks, in JAX.

Implements and extends Wei, Lee, Liu, Ma, "Regularization Matters: Generalization and
Optimization of Neural Nets v.s. their Induced Kernel" (NeurIPS 2019).
"""

from jaxmargin import data, norms
from jaxmargin.empirical import empirical_ntk
from jaxmargin.kernels import k1, k2, kernel_matvec, relu_nngp, relu_ntk, two_layer_ntk
from jaxmargin.losses import (
    cross_entropy_loss,
    logistic_loss,
    regularized,
    squared_loss,
    truncated_squared_loss,
)
from jaxmargin.margins import margin_distribution, margins, normalized_margin
from jaxmargin.networks import (
    Homogeneity,
    TwoLayer,
    activation_pattern,
    append_one,
    balance,
    homogeneity_degree,
    init_mlp,
    init_two_layer,
    mlp,
    pattern_change,
    two_layer,
    widen,
)
from jaxmargin.numerics import DivergenceError
from jaxmargin.training import History, Minibatch, Trained, train

__version__ = "0.1.0"

__all__ = [
    "DivergenceError",
    "History",
    "Homogeneity",
    "Minibatch",
    "Trained",
    "TwoLayer",
    "activation_pattern",
    "append_one",
    "balance",
    "cross_entropy_loss",
    "data",
    "empirical_ntk",
    "homogeneity_degree",
    "init_mlp",
    "init_two_layer",
    "k1",
    "k2",
    "kernel_matvec",
    "logistic_loss",
    "margin_distribution",
    "margins",
    "mlp",
    "normalized_margin",
    "norms",
    "pattern_change",
    "regularized",
    "relu_nngp",
    "relu_ntk",
    "squared_loss",
    "train",
    "truncated_squared_loss",
    "two_layer",
    "two_layer_ntk",
    "widen",
]
