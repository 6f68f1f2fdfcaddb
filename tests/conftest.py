"""Strict JAX for every test, on eight CPU devices, compiled quickly."""

import mmap
import os
import tempfile
from pathlib import Path

import jax
import jaxlib
import pytest

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# Shapes are tiny, and most of the time of a test is compilation. XLA compiles five times faster
# without most of its optimizations, with its older emitters of fused loops, and with one module of
# LLVM for a program in place of many.
QUICK = {"xla_cpu_use_fusion_emitters": "false", "xla_cpu_parallel_codegen_split_count": "1"}


def known_flags(names) -> set[str]:
    """Those of the flags that the installed XLA has: it ends the process at one that it has not."""
    known = set()
    for library in Path(jaxlib.__file__).parent.glob("libjax_common*"):
        with library.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as text:
            known |= {name for name in names if text.find(b"\0" + name.encode() + b"\0") >= 0}
    return known


def add_quick_flags() -> None:
    """Into the environment, which XLA reads at the first computation; processes inherit it."""
    given = os.environ.get("XLA_FLAGS", "")
    new = {name for name in QUICK if name not in given}
    if new:
        flags = [f"--{name}={QUICK[name]}" for name in sorted(known_flags(new))]
        os.environ["XLA_FLAGS"] = " ".join([given, *flags]).strip()


add_quick_flags()
jax.config.update("jax_disable_most_optimizations", True)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

collect_ignore = ["kernels/golden"]  # scripts for environments of their own

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
