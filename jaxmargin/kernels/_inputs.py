"""What the functions of this folder accept: rows, Gram matrices, targets and labels."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxmargin._arrays import as_array, as_floats
from jaxmargin._checks import is_concrete, label_array, listed, require_finite, require_floats
from jaxmargin.kernels._fits.host import is_symmetric


def require_rows(x: Any, z: Any) -> tuple[Array, Array]:
    """Both as arrays (x twice for None), checked to be non-empty matrices of floats."""
    x = require_matrix("x", jnp.asarray(x))
    if z is None:
        return x, x
    z = require_matrix("z", jnp.asarray(z))
    if z.shape[1] != x.shape[1]:
        raise ValueError(f"x and z must have the same d features, got {x.shape} and {z.shape}")
    if z.dtype != x.dtype:
        raise TypeError(f"x and z must have one dtype, got {x.dtype} and {z.dtype}: cast one")
    return x, z


def require_matrix(name: str, rows: Array) -> Array:
    if rows.ndim != 2 or 0 in rows.shape:
        raise ValueError(f"{name} must be (n, d) with n, d >= 1, got shape {rows.shape}")
    if not jnp.issubdtype(rows.dtype, jnp.floating):
        raise TypeError(f"{name} must hold floats, got {rows.dtype}: cast it, say to float32")
    return rows


def check_gram(gram: Any) -> Any:
    """Gram matrix as an array; raise unless it is one or several, and symmetric.

    One of float64 stays so, also where JAX has no float64.
    """
    gram = _array_of_floats("gram", gram)
    if gram.ndim == 4:
        raise ValueError(
            f"gram must be (n, n) or (t, n, n), got shape {gram.shape}, a kernel of several "
            "outputs: take one of them, gram[:, :, 0, 0], or all by "
            "gram.transpose(0, 2, 1, 3).reshape(n * k, n * k) with y.reshape(n * k)"
        )
    if gram.ndim not in (2, 3) or gram.shape[-1] != gram.shape[-2] or 0 in gram.shape:
        raise ValueError(f"gram must be (n, n) or (t, n, n) with n >= 1, got shape {gram.shape}")
    if not is_concrete(gram) or _is_plain(gram):
        return gram
    with jax.enable_x64(True), jax.ensure_compile_time_eval():
        asymmetry, size = (float(value) for value in _asymmetry(gram))
    if not np.isfinite(asymmetry):
        require_finite("gram", gram)
    if not asymmetry <= np.sqrt(jnp.finfo(gram.dtype).eps) * size:
        raise ValueError(
            f"gram must be symmetric, but entries (i, j) and (j, i) differ by {asymmetry:.2g}: "
            "pass kernel(x), not kernel(x, z)"
        )
    return gram


def _is_plain(gram: Any) -> bool:
    """Whether a matrix, or each of several, is found finite and symmetric to the last bit."""
    if isinstance(gram, Array) and jax.default_backend() != "cpu":
        return False
    host = np.asarray(gram)
    with np.errstate(over="ignore", invalid="ignore"):
        finite = bool(np.isfinite(np.sum(host)))
    return finite and all(map(is_symmetric, host if host.ndim == 3 else host[None]))


@jax.jit
def _asymmetry(gram: Array) -> tuple[Array, Array]:
    gram = gram.astype(jnp.float64)
    return jnp.max(jnp.abs(gram - jnp.swapaxes(gram, -1, -2))), jnp.max(jnp.abs(gram))


def _array_of_floats(name: str, value: Any) -> Any:
    array = as_array(name, value)
    require_floats(name, array)
    return array


def check_targets(gram: Any, y: Any) -> tuple[Any, Any]:
    """Both as arrays; raise unless y holds one target, or k of them, for each sample."""
    gram, y = check_gram(gram), as_array("y", y)
    batch = gram.shape[:-1]
    if y.shape[: len(batch)] != batch or y.ndim > len(batch) + 1 or 0 in y.shape:
        raise ValueError(f"y must be {batch} or {(*batch, 'k')} to match gram, got {y.shape}")
    if not jnp.issubdtype(y.dtype, jnp.floating):
        raise TypeError(f"y must have the dtype of gram, {gram.dtype}, got {y.dtype}")
    if y.dtype != gram.dtype:
        narrower = jnp.finfo(y.dtype).bits < jnp.finfo(gram.dtype).bits
        if isinstance(y, Array) and not (narrower and is_concrete(y)):
            raise TypeError(f"y must have the dtype of gram, {gram.dtype}, got {y.dtype}")
        y = np.asarray(y).astype(gram.dtype)
    require_finite("y", y)
    return gram, y


def check_weights(gram: Any, weights: Any, labels: Any = None) -> Any:
    """One weight > 0 for each sample, None for None; what is traced and not > 0 is NaN.

    With labels, as `check_labels` gives them, "balanced" gives every class the same total.
    """
    if weights is None:
        return None
    batch = gram.shape[:-1]
    if isinstance(weights, str) and labels is not None:
        if weights != "balanced":
            raise ValueError(f"sample_weight must be numbers or 'balanced', got {weights!r:.80}")
        return _balanced(labels)
    weights = as_floats("sample_weight", weights)
    if weights.shape != batch:
        raise ValueError(f"sample_weight must be {batch}, one number a sample, got {weights.shape}")
    if not is_concrete(weights):
        return jnp.where(weights > 0, weights, jnp.nan)
    weights = np.asarray(weights, float)
    if not np.all((weights > 0) & np.isfinite(weights)):
        wrong = weights[~((weights > 0) & np.isfinite(weights))][0]
        raise ValueError(
            f"sample_weight must be finite numbers > 0, got {wrong:g}: leave samples without "
            "weight out of gram and y"
        )
    return weights


def _balanced(labels: np.ndarray) -> np.ndarray:
    """Weights n / (k n_c) for the n_c samples of class c among the k classes of a trial."""
    own = labels if labels.dtype == bool else np.stack([labels < 0, labels > 0], axis=-1)
    counts = np.sum(own, axis=-2, keepdims=True)
    n, k = own.shape[-2], np.sum(counts > 0, axis=-1)
    return n / (k * np.sum(own * counts, axis=-1))


def check_labels(gram: Any, y: Any) -> tuple[Any, Any]:
    """The Gram matrix, and the labels as -1, +1 or as one-hot rows of bools."""
    gram, labels = check_gram(gram), np.asarray(label_array("y", y))
    batch = gram.shape[:-1]
    if labels.shape != batch:
        raise ValueError(
            f"y must be {batch}, one label a sample, got {labels.shape}"
            + _column_hint(labels, batch)
        )
    if jnp.issubdtype(labels.dtype, jnp.floating):
        require_finite("y", labels)
        _require_two_signs(labels)
        return gram, labels
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(
            f"y must hold floats -1, +1 or integers in [0, k), got {labels.dtype}: "
            "2.0 * y - 1 makes floats of booleans"
        )
    values, classes = np.unique(labels, return_inverse=True)
    if len(values) < 2 or values[0] != 0 or values[-1] != len(values) - 1:
        raise ValueError(_classes_message(values))
    return gram, np.eye(len(values), dtype=bool)[classes.reshape(batch)]


def _column_hint(labels: np.ndarray, batch: tuple[int, ...]) -> str:
    if labels.shape == (*batch, 1):
        return ": pass y[..., 0]"
    if labels.shape[:-1] == batch and np.isin(labels, (-1, 0, 1)).all():
        return ": rows of one-hot labels become classes by y.argmax(axis=-1)"
    return ""


def _require_two_signs(labels: np.ndarray) -> None:
    values = np.unique(labels)
    if np.isin(values, (-1, 1)).all():
        return
    mending = "number the classes by np.unique(y, return_inverse=True)[1]"
    if np.array_equal(values, [0, 1]):
        mending = "labels 0 and 1 become -1 and +1 by 2 * y - 1"
    elif len(values) == 2:
        mending = f"make them so by np.where(y == {values[1]:g}, 1.0, -1.0)"
    raise ValueError(f"binary labels must be -1 or +1, got {listed(values)}: {mending}")


def _classes_message(values: np.ndarray) -> str:
    mending = "number them by np.unique(y, return_inverse=True)[1]"
    if len(values) < 2:
        mending = "one class has nothing to be told from"
    elif values.tolist() == [-1, 1]:
        mending = "labels -1, +1 must be floats: y.astype(float)"
    return (
        "integer labels must be the classes 0, 1, ..., k - 1 with k >= 2, each of them in use, "
        f"got {listed(values)}: {mending}"
    )
