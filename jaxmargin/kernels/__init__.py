"""Tangent kernels of wide networks, and what one predicts with them (section 2, appendix B.1).

The folder has the kernels K1, K2, NTK and NNGP of infinitely wide networks in closed form, for relu
and other activations, the tangent kernel of any finite network, products with a Gram matrix that is
never stored, and the usual predictors f(x) = sum_i beta_i K(x_i, x): interpolation, ridge
regression, support vector machines and logistic regression.
"""

from jaxmargin.kernels.closed_form import Kernel, k1, k2, relu_nngp, relu_ntk, two_layer_ntk
from jaxmargin.kernels.comparison import kernel_alignment, kernel_change, kernel_margin
from jaxmargin.kernels.empirical import empirical_ntk
from jaxmargin.kernels.matrix_free import RidgeFit, RidgeHistory, fit_ridge_matrix_free
from jaxmargin.kernels.predictors import (
    LogisticFit,
    SvmFit,
    fit_kernel_logistic,
    fit_svm,
    kernel_classify,
    kernel_predict,
)
from jaxmargin.kernels.products import kernel_diagonal, kernel_matvec
from jaxmargin.kernels.ridge import (
    KernelFit,
    RidgePath,
    fit_interpolant,
    fit_ridge,
    fit_ridge_path,
)
from jaxmargin.kernels.wide_networks import nngp, ntk

__all__ = [
    "Kernel",
    "KernelFit",
    "LogisticFit",
    "RidgeFit",
    "RidgeHistory",
    "RidgePath",
    "SvmFit",
    "empirical_ntk",
    "fit_interpolant",
    "fit_kernel_logistic",
    "fit_ridge",
    "fit_ridge_matrix_free",
    "fit_ridge_path",
    "fit_svm",
    "k1",
    "k2",
    "kernel_alignment",
    "kernel_change",
    "kernel_classify",
    "kernel_diagonal",
    "kernel_margin",
    "kernel_matvec",
    "kernel_predict",
    "nngp",
    "ntk",
    "relu_nngp",
    "relu_ntk",
    "two_layer_ntk",
]
