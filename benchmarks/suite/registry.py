"""All benchmarks, by name."""

from benchmarks.suite import flows, kernels, networks, optima, small
from benchmarks.suite.measuring import Benchmark

BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for module in (networks, kernels, flows, optima, small)
    for benchmark in module.BENCHMARKS
}
