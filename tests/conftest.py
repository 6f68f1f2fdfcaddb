"""Strict JAX for every test: no silent promotion or rank broadcasting, eight CPU devices."""

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

collect_ignore = ["golden"]  # scripts for environments of their own


@pytest.fixture(scope="module")
def quick_compilation():
    """Compile without most of XLA's optimizations: for tiny shapes, whose time is compilation."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
