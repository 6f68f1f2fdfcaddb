"""How the predictors of section 2 are fitted.

In float64, one trial after the other, from a Gram matrix that is known up to its rounding; and what
may be wrong with a matrix that cannot be used.
"""
