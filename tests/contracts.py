"""What the shared checks need to know of a public name, and the tiny inputs that they share.

The rows of a package are in `tests/<package>/contracts.py`; those of `sphere` and `errors` are at
the end of this file. `tests/registry.py` collects them. A public name has one row or several:

- in `CONTRACTS`, if it is a function of arrays: it works under `jit`, `vmap` and `grad`;
- in `DRIVERS`, if it is another function: of concrete values, files, random keys or functions;
- in `CONTAINERS`, if it is a class: a result, a state, a setting or an error, with a tiny
  instance of it;
- in `TYPES`, if it is the name of a type: an alias or a protocol.

A name is written from `jaxmargin` on: `networks.two_layer`, `networks.norms.l1`, `sphere.maximum`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

import jaxmargin as jm
from jaxmargin import errors, sphere


class Contract(NamedTuple):
    """What the shared checks need to know of one public function.

    Attributes:
        name: the public name, below `jaxmargin.`.
        call: the function of float arrays (and pytrees of them) only.
        args: `args(dtype)` gives tiny arguments.
        edges: `edges(dtype)` gives arguments at which the gradient in the first must be finite.
        vmap: whether mapping over a new leading axis of every argument must equal a loop.
        float32_error: relative difference that the results in float32 and float64 may have; None
            where they are not comparable, since random draws depend on the dtype.
    """

    name: str
    call: Callable
    args: Callable[[Any], tuple]
    edges: Callable[[Any], list[tuple]] | None = None
    vmap: bool = True
    float32_error: float | None = 2e-5


def normal(*shape: int, dtype, seed: int = 0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def signs(n: int, dtype):
    return jnp.asarray(np.where(np.arange(n) % 2, 1.0, -1.0), dtype)


def labels():
    """Classes 0, 1 and 2, of three samples."""
    return jnp.array([0, 2, 1])


def samples(dtype, n=5, d=3):
    return normal(n, d, dtype=dtype, seed=7), signs(n, dtype)


def labelled(dtype):
    """Samples with integer signs, which stay labels where floats are halved."""
    x, y = samples(dtype)
    return x, y.astype(int)


def net(dtype, d=3, m=4):
    return jm.TwoLayer(u=normal(m, d, dtype=dtype), w=normal(m, dtype=dtype, seed=1))


def zero_net(dtype):
    return jm.TwoLayer(u=jnp.zeros((4, 3), dtype), w=jnp.zeros(4, dtype))


def rows(dtype):
    """Two copies of one row, its opposite, zero, and lengths of 1e15 and 1e-15."""
    x = normal(6, 3, dtype=dtype, seed=3)
    scale = jnp.array([1, 1, -1, 0, 1e15, 1e-15], dtype)[:, None]
    return x.at[1:3].set(x[0]) * scale


def _dual(dtype):
    return normal(5, 2, dtype=dtype, seed=7), signs(5, dtype)


CONTRACTS = [
    Contract("sphere.maximum", lambda x, dual: sphere.maximum(x, dual).value, _dual),
    Contract("sphere.maxima", partial(sphere.maxima, count=2), _dual),
]
DRIVERS = {"sphere.sample_sphere"}
CONTAINERS: dict[str, Callable[[], Any]] = {
    "errors.ConvergenceError": lambda: errors.ConvergenceError("above 1e-6", result=jnp.ones(2)),
    "errors.DivergenceError": lambda: errors.DivergenceError(
        "not finite", step=3, trial=1, result=(jnp.ones(2), None)
    ),
    "errors.Interrupted": lambda: errors.Interrupted("at step 3", step=3, result=jnp.ones(2)),
    "sphere.SphereMaximum": lambda: sphere.maximum(*_dual("float32")),
}
TYPES: set[str] = set()
