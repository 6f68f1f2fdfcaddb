"""How certificates and optima search: for violating particles, and round by round.

The particles that violate the dual constraint most bound the distance to the optimum; for two-layer
relu networks, rounds over cells of activation patterns add those that are missing.
"""
