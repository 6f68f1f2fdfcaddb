"""Imports neural-tangents 0.6.5 on a JAX newer than the 0.5.3 it was written for.

Some of the names that it reads from JAX have moved since. Its analytic kernels work once those
names are put back before the import. The part of it that needs TensorFlow is replaced by an empty
module, so that TensorFlow need not be installed. Use it in tests and benchmarks only:

    from benchmarks.neural_tangents_shim import stax
"""

import sys
import types
import warnings

import jax.core
import jax.extend.core
import jax.interpreters.ad


def _safe_zip(*columns):
    return list(zip(*columns, strict=True))


def _safe_map(function, *columns):
    return [function(*row) for row in zip(*columns, strict=True)]


def _restore(module: types.ModuleType, **names) -> None:
    for name, value in names.items():
        if name not in vars(module):
            setattr(module, name, value)


def _restore_moved_names() -> None:
    moved = ("Jaxpr", "JaxprEqn", "Literal", "Primitive", "Var")
    _restore(jax.core, **{name: getattr(jax.extend.core, name) for name in moved})
    # A key of two tables about empirical kernels, which nothing here looks up.
    _restore(jax.interpreters.ad, zeros_like_p=object())
    util = sys.modules.setdefault("jax.util", types.ModuleType("jax.util"))
    _restore(util, safe_map=_safe_map, safe_zip=_safe_zip)


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its own invalid escapes and deprecated names
    _restore_moved_names()
    sys.modules["neural_tangents.experimental"] = types.ModuleType("neural_tangents.experimental")
    from neural_tangents import stax

__all__ = ["stax"]
