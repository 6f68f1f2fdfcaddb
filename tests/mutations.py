"""What can be wrong about an argument, and what became of a call with it.

A spoilt call ends well if it gives numbers, or NaN from NaN, or an error that was raised on
purpose: by a `raise` of the package, in one line.
"""

import linecache
import math
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import scipy

import jaxmargin

PACKAGE = str(Path(jaxmargin.__file__).parent)
NAN, INFINITE = "NaN without a word", "infinite without a word"
SECONDS = 120  # after which a call counts as one that hangs

Mutation = tuple[str, Any]  # what was done, and the spoilt value


def is_key(value: Any) -> bool:
    """Whether it is an array of random keys."""
    return hasattr(value, "dtype") and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)


def mutations(value: Any) -> Iterator[Mutation]:
    """Spoilt values in place of this one."""
    yield from _FOREIGN
    if is_key(value):
        yield "number", 0
        yield "several keys", jax.random.split(value, 3)
    elif isinstance(value, jax.Array | np.ndarray):
        yield from _of_array(value)
    elif isinstance(value, bool | str) or value is None:
        yield "number", 3
        yield "other text", "no such thing"
    elif isinstance(value, int | float):
        yield from _of_number(value)
        if isinstance(value, int):
            yield "far too many", 10**12
    elif isinstance(value, tuple) and value and all(map(callable, value)):
        yield "number", 3  # an optimizer or a flow: its functions are not the caller's
    elif isinstance(value, tuple | list | dict) and jax.tree.leaves(value):
        yield from _of_tree(value)
    elif callable(value):
        yield from _of_function(value)


_FOREIGN: list[Mutation] = [
    ("None", None),
    ("text", "abc"),
    ("list of text", ["a", "b"]),
    ("ragged list", [[1.0, 2.0], [3.0]]),
    ("dict", {"a": 1.0}),
    ("key", jax.random.key(1)),
    ("object", object()),
    ("object array", np.array([[1.0, None]], dtype=object)),
]


def _of_array(value: Any) -> Iterator[Mutation]:
    array = np.asarray(value)
    yield "list", array.tolist()
    yield "empty", value[:0]
    yield "new axis", value[None]
    yield "last axis dropped", value[..., 0]
    yield "a row more", np.concatenate([array, array[:1]])
    yield "complex", array.astype(complex)
    yield "flags", array > 0
    yield "masked", np.ma.masked_array(array, array > 1e9)
    yield "text array", array.astype(str)
    if array.ndim == 2:
        yield "sparse", scipy.sparse.csr_matrix(array)
    yield from _of_floats(array) if array.dtype.kind == "f" else _of_classes(array)


def _of_floats(array: np.ndarray) -> Iterator[Mutation]:
    for name, entry in (("NaN", math.nan), ("infinite", math.inf)):
        spoilt = array.copy()
        spoilt[(0,) * spoilt.ndim] = entry
        yield name, jnp.asarray(spoilt)
        yield f"{name} in bfloat16", jnp.asarray(spoilt, jnp.bfloat16)
    yield "zeros", jnp.zeros_like(array)
    yield "integers", jnp.asarray(np.sign(array), jnp.int32)
    yield "bytes", np.sign(array).astype(np.int8)
    yield "float16", jnp.asarray(array, jnp.float16)
    yield "float8", array.astype(ml_dtypes.float8_e4m3fn)
    for power in (-38, -20, 18, 30):
        yield f"times 1e{power}", array * np.float32(10.0**power)


def _of_classes(array: np.ndarray) -> Iterator[Mutation]:
    yield "from one", array + 1
    yield "negative", array - 5
    yield "huge", array + 10**6
    yield "floats", jnp.asarray(array, jnp.float32)
    yield "a half", jnp.asarray(array, jnp.float32) + 0.5
    yield "unsigned", array.astype(np.uint8)


def _of_number(value: float) -> Iterator[Mutation]:
    for spoilt in (0, -1, -0.5, 2.5, 1e30, 1e-30, math.nan, math.inf, True, 1j):
        yield repr(spoilt), spoilt
    yield "small integer", np.int8(3)
    yield "array", jnp.array([1.0, 2.0])
    yield "array of one", jnp.array([float(value)])
    yield "array without axes", jnp.asarray(value)


def _of_tree(tree: Any) -> Iterator[Mutation]:
    leaves, structure = jax.tree.flatten(tree)
    for name, spoilt in mutations(leaves[0]):
        yield f"first leaf: {name}", structure.unflatten([spoilt, *leaves[1:]])


def _of_function(value: Callable) -> Iterator[Mutation]:
    yield "number", 3
    yield "no arguments", lambda: 0.0
    yield "returns None", lambda *_, **__: None
    yield "returns a pair", lambda *_, **__: (jnp.zeros(()), jnp.zeros(()))
    yield "returns text", lambda *_, **__: "abc"


def outcome(function: Callable, arguments: dict[str, Any], name: str, spoilt: Any) -> str:
    """ "" if the call with one argument spoilt ended well, else what was wrong."""
    try:
        with _limited(), warnings.catch_warnings(), jax.numpy_dtype_promotion("standard"):
            warnings.simplefilter("ignore")
            result = jax.block_until_ready(function(**{**arguments, name: spoilt}))
    except _TooSlowError:
        return "hangs"
    except Exception as error:
        return _of_error(error)
    if _has(np.isnan, spoilt) or _has(np.isinf, spoilt):
        return ""
    return NAN if _has(np.isnan, result) else INFINITE if _has(np.isinf, result) else ""


def _of_error(error: Exception) -> str:
    """ "" for an error that the package raised on purpose."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    line = linecache.getline(last.filename, last.lineno or 0).strip()
    ours = last.filename.startswith(PACKAGE) and line.startswith("raise")
    if ours and "\n" not in str(error):
        return ""
    where = f"{Path(last.filename).name}:{last.lineno}"
    return f"{type(error).__name__} from {where}: {str(error)[:90]!r}"


def _has(kind: Callable, tree: Any) -> bool:
    """Whether some number in it is of this kind; what is no number does not count."""
    for leaf in jax.tree.leaves(tree):
        if isinstance(leaf, float | np.ndarray | jax.Array) and not is_key(leaf):
            array = np.asarray(leaf)
            if array.dtype.kind in "fcV" and np.any(kind(array.astype(complex))):
                return True
    return False


class _TooSlowError(BaseException):
    """Past every `except Exception` on its way."""


@contextmanager
def _limited() -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise _TooSlowError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
