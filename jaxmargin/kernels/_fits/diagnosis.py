"""Why a Gram matrix cannot be used: what its entries tell about the inputs that made it."""

import numpy as np

OFFSET = (
    "the inputs differ by little against their size, and rounding hides it: subtract their mean "
    "from them, or compute the kernel in float64"
)
_LARGEST = 2000  # samples up to which the eigenvalues are worth their time


def diagnose(gram: np.ndarray, eps: float) -> str:
    """The likely cause, and what to do about it.

    Args:
        gram: (n, n) Gram matrix in float64.
        eps: precision of the dtype in which it came.
    """
    size = np.max(np.abs(gram))
    if size == 0:
        return "every entry is 0: scale the inputs or the kernel up"
    short = eps < 1e-10 and _came_from_float32(gram)
    gram = gram / size
    diagonal = np.diag(gram)
    zero = np.flatnonzero(np.max(np.abs(gram), axis=0) <= eps)
    if len(zero):
        return f"row {zero[0]} is 0: drop this input, or append a constant feature to the inputs"
    if (diagonal <= 0).any():
        return f"entry {np.argmin(diagonal)} of its diagonal is not > 0: no kernel gives that"
    if np.max(_squared_distances(gram)) <= 1e4 * eps:
        return OFFSET
    if short:
        return (
            "its entries are numbers of float32, so it was rounded before it was cast to float64: "
            "compute the kernel itself in float64"
        )
    return _by_rank(gram, eps)


def _twins(gram: np.ndarray, eps: float) -> list[tuple[int, int]]:
    """Pairs (i, j) of equal rows, for each j one with the least i."""
    near = _squared_distances(gram) <= 8 * eps * np.max(np.diag(gram))
    pairs = {}
    for i, j in np.argwhere(np.triu(near, 1)):
        if int(j) not in pairs and np.max(np.abs(gram[i] - gram[j])) <= 8 * eps:
            pairs[int(j)] = int(i)
    return [(i, j) for j, i in pairs.items()]


def _by_rank(gram: np.ndarray, eps: float) -> str:
    """Tells equal inputs, too few features and eigenvalues that decay smoothly apart."""
    n, twins = len(gram), _twins(gram, eps)
    rank, clear = n, False
    if n <= _LARGEST:
        values = np.linalg.eigvalsh(gram)[::-1]
        floor = 4 * np.sqrt(n) * max(eps, np.sqrt(n) * np.finfo(float).eps)
        if values[-1] < -floor:
            return f"an eigenvalue is {values[-1]:.2g} times its largest entry, beyond any rounding"
        rank = int(np.sum(values > floor))
        clear = values[rank - 1] > 100 * floor
    if twins and not (clear and rank < n - len(twins)):
        i, j = twins[0]
        return f"its rows {i} and {j} are equal, as for equal inputs: drop one of them"
    if clear and rank < n:
        return (
            f"its rank is {rank} for {n - len(twins)} different inputs: the kernel has too few "
            "features (a linear one has d, one without biases has 2 on a line); append a constant "
            "feature to the inputs, or take a richer kernel"
        )
    return (
        "its eigenvalues fall below its rounding: compute the kernel in float64 (jax.enable_x64)"
        if eps > 1e-10
        else "its eigenvalues fall below the rounding of float64: some inputs are nearly equal"
    )


def _squared_distances(gram: np.ndarray) -> np.ndarray:
    """|x_i - x_j|^2 in feature space."""
    diagonal = np.diag(gram)
    return diagonal[:, None] + diagonal[None, :] - 2 * gram


def _came_from_float32(gram: np.ndarray) -> bool:
    """Whether float64 numbers have no more than 24 digits, but more than 14, as small integers."""
    digits, _ = np.frexp(gram)
    return bool(_are_integers(digits * 2**24) and not _are_integers(digits * 2**14))


def _are_integers(values: np.ndarray) -> bool:
    return bool(np.all(values == np.round(values)))
