"""Two-layer relu networks of any width, optimised over the cells of their activation patterns.

`units` are units in their cells. `program` is the convex problem of units that keep to their cells
(section 3: the least regularized risk over measures, restricted to these cells). `slide` is a
descent across the walls of cells, and `rounds` adds cells until the dual asks for no more.
Everything here is float64 NumPy on the host.
"""
