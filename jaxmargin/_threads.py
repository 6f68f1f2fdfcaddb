"""One thread for BLAS, where many small products would make its threads wait for one another."""

from contextlib import AbstractContextManager

import threadpoolctl


def one_blas_thread() -> AbstractContextManager:
    """A context in which the BLAS of NumPy and SciPy runs on one thread; XLA is not affected."""
    return threadpoolctl.threadpool_limits(1, "blas")
