"""Why a kernel needs about d^2 samples of the distribution D (Theorem 2.1, appendix B.1).

Sums over paired inputs that hardly depend on the label, the kernel without the label's coordinates
and its Taylor polynomial, their moments by parities, and the best that any predictor in the span of
the samples can do.
"""

from jaxmargin.lower_bound.paired_sums import (
    Deviation,
    deviation,
    f_minus,
    f_plus,
    f_tilde,
    paired_error_bound,
)
from jaxmargin.lower_bound.parities import (
    cross_moment,
    fourier_coefficients,
    parity_gram,
    quadratic_constant,
    quadratic_form,
)
from jaxmargin.lower_bound.population_fit import (
    HeldOut,
    Oracle,
    best_in_span,
    held_out_error,
    least_squares_limit,
)
from jaxmargin.lower_bound.restriction import tilde
from jaxmargin.lower_bound.taylor import taylor_coefficients, taylor_error, taylor_kernel

__all__ = [
    "Deviation",
    "HeldOut",
    "Oracle",
    "best_in_span",
    "cross_moment",
    "deviation",
    "f_minus",
    "f_plus",
    "f_tilde",
    "fourier_coefficients",
    "held_out_error",
    "least_squares_limit",
    "paired_error_bound",
    "parity_gram",
    "quadratic_constant",
    "quadratic_form",
    "taylor_coefficients",
    "taylor_error",
    "taylor_kernel",
    "tilde",
]
