"""Tests of `jaxmargin._cells`."""
