"""Particles of a measure: the passes over them, their checks, and how a flow renews some.

A measure acts only through sums over its particles. They are computed in blocks, so that no array
of (particles x samples) is kept.
"""
