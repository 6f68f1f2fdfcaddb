"""One thread of BLAS inside of the context, and as many as before after it."""

import numpy as np
import threadpoolctl

from jaxmargin._threads import one_blas_thread


def threads() -> list[int]:
    np.linalg.norm(np.eye(2) @ np.eye(2))  # BLAS is loaded
    pools = threadpoolctl.threadpool_info()
    return [pool["num_threads"] for pool in pools if pool["user_api"] == "blas"]


def test_blas_has_one_thread():
    before = threads()
    with one_blas_thread():
        assert set(threads()) == {1}
    assert threads() == before
