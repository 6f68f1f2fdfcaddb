"""Faults of `bounds` and `weak_regularizer`."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

import jaxmargin as jm
from jaxmargin import margins
from jaxmargin.margins import bounds
from tests.fault import KEY, NAN, Fault, wrong

CLASS: dict[str, Any] = {"depth": 2, "radius": 1.0}
MARGIN: dict[str, Any] = CLASS | {"margin": 0.1, "n": 10, "delta": 0.1}
MARGINS: dict[str, Any] = CLASS | {"margins": jnp.array([0.1, -0.1]), "delta": 0.1}
PROBLEM: dict[str, Any] = {"margin_star": 0.1, "n": 10, "degree": 2}
OF_LAMBDA: dict[str, Any] = PROBLEM | {"lam": 0.1}
THEOREM: dict[str, Any] = PROBLEM | {"c": 2.0}

CALLS = {
    "bounds.rademacher_bound": (bounds.rademacher_bound, CLASS | {"n": 10}),
    "bounds.margin_bound": (bounds.margin_bound, MARGIN),
    "bounds.margin_loss_bound": (bounds.margin_loss_bound, MARGINS),
    "guaranteed_margin": (jm.margins.guaranteed_margin, OF_LAMBDA),
    "regularization_for_margin": (jm.margins.regularization_for_margin, PROBLEM),
    "log_theorem_regularization": (jm.margins.log_theorem_regularization, THEOREM),
}


def fault(name: str, error: type[Exception], match: str, **changed: Any) -> Fault:
    """The named call, without fault but for what is changed."""
    function, right = CALLS[name]
    return Fault(name, wrong(function, **(right | changed)), error, match)


MINIMISERS = ("guaranteed_margin", "regularization_for_margin", "log_theorem_regularization")

FAULTS = [
    *[
        fault(name, error, match, **changed)
        for name in ("bounds.rademacher_bound", "bounds.margin_bound", "bounds.margin_loss_bound")
        for changed, error, match in (
            ({"depth": 0}, ValueError, "depth must be at least 1, got 0"),
            ({"depth": 2.0}, TypeError, "depth must be an integer, got 2.0"),
            ({"radius": 0.0}, ValueError, "radius must be a finite number > 0, got 0.0"),
        )
    ],
    *[
        fault(name, error, match, n=n)
        for name in ("bounds.rademacher_bound", "bounds.margin_bound", *MINIMISERS)
        for n, error, match in (
            (0, ValueError, "n must be at least 1, got 0"),
            (10.5, TypeError, "n must be an integer, got 10.5"),
        )
    ],
    fault("bounds.rademacher_bound", ValueError,
          r"layer_norms must be \(depth,\) = \(2,\), got \(3,\)", layer_norms=jnp.ones(3)),
    *[
        fault(name, ValueError, r"delta must be in \(0, 1\), got " + str(delta), delta=delta)
        for name in ("bounds.margin_bound", "bounds.margin_loss_bound")
        for delta in (0.0, 1.0, NAN)
    ],
    fault("bounds.margin_bound", ValueError, "margin must be > 0, got -0.2: these parameters do "
          "not separate the samples; margin_loss_bound allows for errors", margin=-0.2),
    fault("bounds.margin_bound", ValueError, "margin must be > 0, got 0.0: .* do not separate",
          margin=jnp.array(0.0)),
    fault("bounds.margin_bound", ValueError, "margin must be a finite number > 0, got nan",
          margin=NAN),
    fault("bounds.margin_bound", TypeError, "margin must be a number", margin=jnp.ones(2)),
    fault("bounds.margin_bound", ValueError,
          r"margin must be at most radius \* depth\*\*\(-depth / 2\) = 0.5, .* got 3: normalise",
          margin=3.0),
    fault("bounds.margin_loss_bound", ValueError, r"margins must be \(n,\) with n >= 1, got \(0,\)",
          margins=jnp.ones(0)),
    fault("bounds.margin_loss_bound", ValueError, "margins must be finite, but 1 of 2",
          margins=jnp.array([0.1, NAN])),
    fault("bounds.margin_loss_bound", ValueError, "margins must be at most .* = 0.5, .* got 3",
          margins=jnp.array([3.0, 0.1])),
    fault("bounds.margin_loss_bound", ValueError, "gamma must be a finite number > 0, got 0.0",
          gamma=0.0),
    Fault("margins.rademacher_complexity", wrong(margins.rademacher_complexity, KEY, jnp.ones(3)),
          ValueError, r"x must be \(n, d\) with n, d >= 1, got \(3,\)"),
    *[
        Fault("margins.rademacher_complexity",
              wrong(margins.rademacher_complexity, KEY, jnp.ones((3, 2)), num_draws=draws),
              error, match)
        for draws, error, match in (
            (1, ValueError, "num_draws must be at least 2, got 1"),
            (1.5, TypeError, "num_draws must be an integer, got 1.5"),
        )
    ],
    *[
        fault(name, error, match, **changed)
        for name in MINIMISERS
        for changed, error, match in (
            ({"margin_star": -0.1}, ValueError,
             "margin_star must be > 0, got -0.1: the samples must be separable"),
            ({"degree": 0.0}, ValueError, "degree must be a finite number > 0, got 0.0"),
            ({"r": -1.0}, ValueError, "r must be a finite number > 0, got -1.0"),
            ({"k": 1}, ValueError, "k must be at least 2, got 1"),
        )
    ],
    *[
        Fault(name, partial(jax.jit(partial(wrong(function, **right))), margin_star=0.1), TypeError,
              f"{name} takes concrete numbers: call it outside jit, vmap and grad")
        for name in MINIMISERS
        for function, right in (CALLS[name],)
    ],
    *[
        fault(name, ValueError, "alpha must be >= 1, got 0.5: no point is below the infimum",
              alpha=0.5)
        for name in ("guaranteed_margin", "regularization_for_margin")
    ],
    fault("guaranteed_margin", ValueError, "lam must be a finite number > 0, got 0.0", lam=0.0),
    fault("log_theorem_regularization", ValueError, "c must be a finite number > 0, got -1", c=-1),
    fault("regularization_for_margin", ValueError, r"fraction must be in \(0, 1\), got 1.0",
          fraction=1.0),
    fault("regularization_for_margin", ValueError,
          r"fraction = 0.999 needs a lam below exp\(-.*\), which is no float: lower fraction",
          fraction=0.999),
]  # fmt: skip
