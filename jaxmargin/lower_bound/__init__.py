"""Why a kernel needs about d^2 samples of the distribution D (Theorem 2.1, appendix B.1).

The proof pairs inputs that differ in the sign of one coordinate. The sum of a kernel predictor over
such a pair hardly depends on the label that the two inputs have. The folder has these sums, the
kernel without the coordinates that carry the label, its Taylor polynomial, the exact moments of
such polynomials, and the predictor in the span of the samples that fits the whole distribution D
best.
"""

from jaxmargin.lower_bound.paired_sums import (
    Deviation,
    deviation,
    f_tilde,
    paired_error_bound,
    paired_sum,
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
    SpanFit,
    best_in_span,
    held_out_error,
    least_squares_limit,
)
from jaxmargin.lower_bound.restriction import tilde
from jaxmargin.lower_bound.taylor import taylor_coefficients, taylor_error, taylor_kernel

__all__ = [
    "Deviation",
    "HeldOut",
    "SpanFit",
    "best_in_span",
    "cross_moment",
    "deviation",
    "f_tilde",
    "fourier_coefficients",
    "held_out_error",
    "least_squares_limit",
    "paired_error_bound",
    "paired_sum",
    "parity_gram",
    "quadratic_constant",
    "quadratic_form",
    "taylor_coefficients",
    "taylor_error",
    "taylor_kernel",
    "tilde",
]
