"""Wrong input: points on the unit sphere, and maxima over it."""

import jax.numpy as jnp

from jaxmargin import sphere
from tests.fault import KEY, SIGNS, Fault, X, wrong

FAULTS: list[Fault] = [
    *(
        Fault(f"sphere.{name}", wrong(call, jnp.ones(x), jnp.ones(dual), starts=starts),
              ValueError, match)
        for name, call in [
            ("maximum", sphere.maximum),
            ("maxima", lambda x, dual, starts: sphere.maxima(x, dual, 2, starts=starts)),
        ]
        for x, dual, starts, match in [
            ((3,), (3,), None, r"x must be \(n, d\)"),
            ((3, 2), (3, 0), None, r"got \(3, 2\) and \(3, 0\)"),
            ((3, 2), (4,), None, r"got \(3, 2\) and \(4,\)"),
            ((3, 4), (3,), jnp.ones((2, 3)), r"starts must be \(p, d = 4\), got \(2, 3\)"),
        ]
    ),
    *(
        Fault(f"sphere.{name}", wrong(call, X, dual), error, match)
        for name, call in [
            ("maximum", sphere.maximum), ("maxima", lambda x, dual: sphere.maxima(x, dual, 2)),
        ]
        for dual, error, match in [
            (None, TypeError, "dual must be an array of numbers, got NoneType"),
            (jnp.ones(6) * jnp.nan, ValueError, "dual must be finite"),
        ]
    ),
    Fault("sphere.maxima", wrong(sphere.maxima, X, SIGNS, 0), ValueError, "count must be at least"),
    Fault("sphere.maxima", wrong(sphere.maxima, X, SIGNS, 2, separation=-1.0), ValueError,
          "separation must be a finite number >= 0, got -1"),
    Fault("sample_sphere", wrong(sphere.sample_sphere, 0, 2, 3), TypeError,
          "key must be a random key"),
    Fault("sphere.maxima", wrong(sphere.maxima, X, SIGNS, 10**12), ValueError,
          r"count \* d must be at most .*, got 1,000,000,000,000 \* 3, which would take 12,000 GB"),
    Fault("sample_sphere", wrong(sphere.sample_sphere, KEY, 10**6, 10**6), ValueError,
          r"m \* dim must be at most .*, which would take 4,000 GB: take fewer"),
    Fault("sample_sphere", wrong(sphere.sample_sphere, KEY, 0, 3), ValueError,
          "m must be at least 1"),
    Fault("sample_sphere", wrong(sphere.sample_sphere, KEY, 3, 0), ValueError,
          "dim must be at least"),
    Fault("sample_sphere", wrong(sphere.sample_sphere, KEY, 3, 2.0), TypeError,
          "dim must be an int"),
]  # fmt: skip
