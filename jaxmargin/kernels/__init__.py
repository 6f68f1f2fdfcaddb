"""Tangent kernels of wide networks, and what one predicts with them (sections 2 and B.1).

The kernels K1, K2, NTK and NNGP in closed form, the tangent kernel of any finite network, products
with a Gram matrix that is never stored, and predictors in their reproducing kernel Hilbert space.
"""

from jaxmargin.kernels.closed_form import Kernel, k1, k2, relu_nngp, relu_ntk, two_layer_ntk
from jaxmargin.kernels.empirical import empirical_ntk
from jaxmargin.kernels.matrix_free import RidgeFit, fit_ridge_matrix_free
from jaxmargin.kernels.predictors import (
    fit_interpolant,
    fit_kernel_logistic,
    fit_ridge,
    fit_svm,
    kernel_predict,
)
from jaxmargin.kernels.products import kernel_matvec

__all__ = [
    "Kernel",
    "RidgeFit",
    "empirical_ntk",
    "fit_interpolant",
    "fit_kernel_logistic",
    "fit_ridge",
    "fit_ridge_matrix_free",
    "fit_svm",
    "k1",
    "k2",
    "kernel_matvec",
    "kernel_predict",
    "relu_nngp",
    "relu_ntk",
    "two_layer_ntk",
]
