"""All benchmarks, by name."""

from benchmarks.suite import flows, kernels, networks, optima
from benchmarks.suite.measuring import Benchmark

BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for module in (networks, kernels, flows, optima)
    for benchmark in module.BENCHMARKS
}
