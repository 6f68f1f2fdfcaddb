"""How the maximum margin and the minimum-norm interpolant are found, in float64 NumPy.

The linear program over given units, the rounds that add units until a bound for all networks meets
the cost, and the test whether any network can satisfy the constraints.
"""
