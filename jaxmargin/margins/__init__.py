"""Normalised margins, their limit as lambda -> 0, and what they promise (sections 4, B.4, C, D).

Here are the margin of any network; the regularized optima, whose margin tends to the largest one
(Theorems 4.1 and C.1); that largest margin over all widths and the minimum-norm interpolant
(appendix B.4); the l1-SVM on given features; how weak the regularizer must be (Theorem C.2); and
generalisation bounds with their constants (Proposition D.1, Theorem D.2). For networks that are
trained without a regularizer, there are the smoothed margin, which never falls, and the distance
from first-order optimality.
"""

from jaxmargin.margins.bounds import (
    MarginBound,
    margin_bound,
    margin_loss_bound,
    measured_margin_bound,
    rademacher_bound,
)
from jaxmargin.margins.complexity import RademacherEstimate, rademacher_complexity
from jaxmargin.margins.kkt import KKT, kkt_residual
from jaxmargin.margins.l1svm import L1SVM, l1_svm
from jaxmargin.margins.maximum_margin import MaxMargin, MaxMarginHistory, max_margin
from jaxmargin.margins.minimum_norm import MinNorm, MinNormHistory, min_norm_interpolant
from jaxmargin.margins.normalized import (
    SignedLog,
    log_normalized_margin,
    margin_distribution,
    normalized_margin,
    sample_margins,
)
from jaxmargin.margins.path import MarginPath, margin_path
from jaxmargin.margins.smoothed import log_smoothed_margin, smoothed_margin
from jaxmargin.margins.truncated_loss import TruncatedLossBound, truncated_loss_bound
from jaxmargin.margins.weak_regularizer import (
    guaranteed_margin,
    log_theorem_regularization,
    regularization_for_margin,
)

__all__ = [
    "KKT",
    "L1SVM",
    "MarginBound",
    "MarginPath",
    "MaxMargin",
    "MaxMarginHistory",
    "MinNorm",
    "MinNormHistory",
    "RademacherEstimate",
    "SignedLog",
    "TruncatedLossBound",
    "guaranteed_margin",
    "kkt_residual",
    "l1_svm",
    "log_normalized_margin",
    "log_smoothed_margin",
    "log_theorem_regularization",
    "margin_bound",
    "margin_distribution",
    "margin_loss_bound",
    "margin_path",
    "max_margin",
    "measured_margin_bound",
    "min_norm_interpolant",
    "normalized_margin",
    "rademacher_bound",
    "rademacher_complexity",
    "regularization_for_margin",
    "sample_margins",
    "smoothed_margin",
    "truncated_loss_bound",
]
