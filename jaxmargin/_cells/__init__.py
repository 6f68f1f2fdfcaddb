"""Two-layer relu networks of any width, optimised over the cells of their activation patterns.

`units` are units in their cells. `fits` are what their outputs are to fit: a risk, margins or
targets. `program` is the convex problem of units that keep to their cells (section 3: the least
regularized risk over measures, restricted to these cells). `first` are units to begin with, `slide`
is a descent across the walls of cells, and `rounds` adds cells until the dual asks for no more or
one of the `limits` is reached. Everything here is float64 NumPy on the host.
"""
