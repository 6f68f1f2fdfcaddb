"""Wrong input: the margin of a kernel, and the distance between two."""

import jax
import jax.numpy as jnp

import jaxmargin as jm
from tests.fault import CLASSES, NAN, SIGNS, Fault, wrong

GRAM = jnp.eye(6) + 0.5
TWICE = GRAM.at[0, 1].set(1.5).at[1, 0].set(1.5)  # the first two inputs are equal, their labels not
# Its margin is 8 units of the last digit, and its lowest eigenvalue -1 of them.
BLURRED = jnp.ones((6, 6)) + 2.0**-23 * (8 * jnp.outer(SIGNS, SIGNS) - jnp.eye(6))
PAIRS = (
    (jm.kernel_alignment, ("first", "second")),
    (jm.kernel_change, ("before", "after")),
)

FAULTS: list[Fault] = [
    *(
        Fault("kernel_margin", wrong(jm.kernel_margin, gram, y), error, match)
        for gram, y, error, match in (
            (GRAM, CLASSES, TypeError, r"y must hold floats -1, \+1, got classes"),
            (GRAM, SIGNS + 1, ValueError, r"labels must be -1 or \+1, got 0"),
            (GRAM, SIGNS[:5], ValueError, r"y must be \(6,\).* got \(5,\)"),
            (GRAM[:3], SIGNS, ValueError, r"gram must be \(n, n\)"),
            (GRAM - 2 * jnp.eye(6), SIGNS, ValueError, "gram is not positive semidefinite"),
            (TWICE, SIGNS, ValueError, "no f separates the labels by more than the rounding"),
            (BLURRED, SIGNS, jm.ConvergenceError, "the rounding of gram in float32 may decide the"),
            ({"gram": GRAM}, SIGNS, TypeError, "gram must be an array of numbers, got dict"),
        )
    ),
    Fault("kernel_margin", wrong(jax.jit(jm.kernel_margin), GRAM, SIGNS), TypeError,
          "cannot run inside jit"),
    *(
        Fault(function.__name__, wrong(function, one, other), error, match)
        for function, (first, second) in PAIRS
        for one, other, error, match in (
            (GRAM, GRAM[:3], ValueError,
             rf"{first} and {second} must have one shape .* got \(6, 6\) and \(3, 6\)"),
            (GRAM[:0], GRAM[:0], ValueError, r"got \(0, 6\) and \(0, 6\)"),
            (GRAM.at[0, 0].set(NAN), GRAM, ValueError, f"{first} must be finite"),
            (0 * GRAM, GRAM, ValueError, f"{first} must not be 0 everywhere"),
            (GRAM, None, TypeError, f"{second} must be an array of numbers, got NoneType"),
        )
    ),
]  # fmt: skip
