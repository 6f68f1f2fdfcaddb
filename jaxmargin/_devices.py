"""The devices and threads that work is shared out to."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from importlib import import_module
from typing import Any

import jax
import threadpoolctl
from jax.sharding import AxisType, Mesh

from jaxmargin._checks import require_count


def device_mesh(axis: str, devices: Sequence | None = None) -> Mesh:
    """The devices (None for all) in one row, along an axis of the given name.

    The axis is of type Auto. JAX's default since 0.9 is Explicit, under which a product x @ x.T of
    a sharded x raises.
    """
    chosen = jax.devices() if devices is None else list(devices)
    require_count("the number of devices", len(chosen))
    return jax.make_mesh((len(chosen),), (axis,), (AxisType.Auto,), devices=chosen)


def sharing_mesh(axis: str, count: int) -> Mesh:
    """A mesh of as many devices as can take equal shares of `count` pieces of work."""
    devices = jax.devices()
    shares = next(k for k in range(len(devices), 0, -1) if count % k == 0)
    return device_mesh(axis, devices[:shares])


def one_blas_thread() -> AbstractContextManager:
    """A context in which the BLAS of NumPy and SciPy runs on one thread; XLA is not affected.

    Where many products are small, the threads would wait for one another.
    """
    return _blas().limit(limits=1, user_api="blas")


@cache
def _blas() -> threadpoolctl.ThreadpoolController:
    """What sets the threads, once both libraries have loaded theirs."""
    import_module("scipy.linalg")
    return threadpoolctl.ThreadpoolController()


def cores() -> int:
    """The processor cores that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def on_all_cores(function: Callable[[Any], Any], pieces: Sequence) -> list:
    """What the function gives for each piece, in their order.

    NumPy lets go of the interpreter where it computes, so that threads run at once.
    """
    if len(pieces) == 1:
        return [function(pieces[0])]
    with ThreadPoolExecutor(cores()) as pool:
        return list(pool.map(function, pieces))
