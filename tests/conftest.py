"""Strict JAX for every test, on eight CPU devices, compiled quickly."""

import os
import tempfile

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
# Shapes are tiny: without most of its optimizations XLA compiles them faster than it runs them.
jax.config.update("jax_disable_most_optimizations", True)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

collect_ignore = ["golden"]  # scripts for environments of their own

CACHE = "JAX_COMPILATION_CACHE_DIR"


def pytest_configure(config: pytest.Config) -> None:
    """One cache of compiled programs for the whole run: its workers and processes inherit it."""
    if CACHE not in os.environ:
        folder = tempfile.TemporaryDirectory(prefix="jaxmargin-", ignore_cleanup_errors=True)
        config.add_cleanup(folder.cleanup)
        os.environ[CACHE] = folder.name
    jax.config.update("jax_compilation_cache_dir", os.environ[CACHE])


@pytest.fixture
def optimized():
    """All of XLA's optimizations, for tests that measure memory or run long loops."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)
