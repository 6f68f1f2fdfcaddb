"""Every hot path of the package, timed beside its peers: `python -m benchmarks`."""
