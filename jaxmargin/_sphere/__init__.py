"""The largest |sum_i r_i relu(u . x_i)| over unit vectors u: enumerated, bounded and searched.

A certificate of optimality is a statement about all neurons, and all of them come down to this one
maximum (section 3 and appendix B.4). `unit_maximum` puts the parts together: the enumeration of
`great_circles`, the proven bounds of `bounds` and `relaxation`, and the search of `ascent`.
Everything here is float64 NumPy on the host.
"""
