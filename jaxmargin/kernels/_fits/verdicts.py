"""What is said of a fit: the error that names its trial and its likely cause, or NaN if traced."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxmargin._checks import require_range
from jaxmargin.kernels._fits.diagnosis import OFFSET, diagnose
from jaxmargin.kernels._fits.trials import Fitted

DOUBT = 1e-2  # share of the objective that the rounding of gram may decide


def raise_where(
    fault: np.ndarray | np.bool_, error: Callable[[str], ValueError], message: str
) -> None:
    """Raise the error if there is a fault, and name the first trial that has it."""
    if not np.any(fault):
        return
    if np.ndim(fault):
        raise error(f"trial {int(np.argwhere(fault)[0][0])}: {message}")
    raise error(message)


def nan_where(fault: Array, value: Array) -> Array:
    """NaN in place of faulty trials, whose axis is the first if there is one."""
    tall = fault.reshape(fault.shape + (1,) * (value.ndim - fault.ndim))
    return jnp.where(tall, jnp.nan, value)


def in_range(fit: Any, found: Fitted) -> Any:
    """The fit; raise if its coefficients were cut off by the range of their dtype."""
    require_range("beta", found.size, found.beta.dtype, "y, gram or the penalty")
    return fit


def cause_of(gram: Array | np.ndarray, fault: np.ndarray | np.bool_) -> str:
    """What the first faulty trial's Gram matrix tells of itself."""
    first = gram if gram.ndim == 2 else gram[int(np.argwhere(fault)[0][0])]
    return diagnose(np.asarray(first, np.float64), float(jnp.finfo(gram.dtype).eps))


def require_semidefinite(gram: Array | np.ndarray, sound: np.ndarray) -> None:
    if not np.all(sound):
        raise_where(
            ~sound,
            ValueError,
            f"gram is not positive semidefinite beyond its rounding in {gram.dtype}: "
            + cause_of(gram, ~sound),
        )


def require_no_doubt(gram: Array | np.ndarray, doubt: np.ndarray, error: Any, penalty: str) -> None:
    """Raise if the rounding of gram may decide more than `DOUBT` of the objective."""
    fault = ~(doubt <= DOUBT)
    if np.any(fault):
        cause = cause_of(gram, fault)
        if gram.dtype != jnp.float64 and cause != OFFSET:
            cause = "compute gram in float64"
        raise_where(
            fault,
            error,
            f"the rounding of gram in {gram.dtype} may decide the answer, as it may change the "
            f"objective by {np.max(doubt):.2g} of its value: give {penalty}, or mend gram: {cause}",
        )
