"""The parts of `benchmarks.global_optimum`."""
