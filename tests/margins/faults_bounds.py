"""Wrong input: the generalisation bounds."""

from typing import Any

import jax.numpy as jnp

from jaxmargin import margins
from tests.fault import NAN, Fault, wrong

CLASS: dict[str, Any] = {"depth": 2, "radius": 1.0}
RADEMACHER: dict[str, Any] = CLASS | {"n": 10}
MARGIN: dict[str, Any] = CLASS | {"margin": 0.1, "n": 10, "delta": 0.1}
MARGINS: dict[str, Any] = CLASS | {"margins": jnp.array([0.1, -0.1]), "delta": 0.1}

MEASURED: dict[str, Any] = {
    "margin": 0.1,
    "complexity": margins.RademacherEstimate(jnp.array(0.1), jnp.array(0.01), True, 10, 5),
    "radius": 1.0,
    "delta": 0.1,
}

CALLS = {
    "measured_margin_bound": (margins.measured_margin_bound, MEASURED),
    "rademacher_bound": (margins.rademacher_bound, RADEMACHER),
    "margin_bound": (margins.margin_bound, MARGIN),
    "margin_loss_bound": (margins.margin_loss_bound, MARGINS),
}


def fault(name: str, error: type[Exception], match: str, **changed: Any) -> Fault:
    """The named call, without fault but for what is changed."""
    function, right = CALLS[name]
    return Fault(name, wrong(function, **(right | changed)), error, match)


FAULTS = [
    *[
        fault(name, error, match, **changed)
        for name in ("rademacher_bound", "margin_bound", "margin_loss_bound")
        for changed, error, match in (
            ({"depth": 0}, ValueError, "depth must be at least 1, got 0"),
            ({"depth": 2.0}, TypeError, "depth must be an integer, got 2.0"),
            ({"depth": 120}, ValueError, "depth must be smaller, got 120: .* least float32"),
            ({"radius": 0.0}, ValueError, "radius must be a finite number > 0, got 0.0"),
            ({"radius": "1"}, TypeError, "radius must be a number, got '1'"),
        )
    ],
    *[
        fault(name, error, match, n=n)
        for name in ("rademacher_bound", "margin_bound")
        for n, error, match in (
            (0, ValueError, "n must be at least 1, got 0"),
            (jnp.array(-5), ValueError, "n must be at least 1, got -5"),
            (10.5, TypeError, "n must be an integer, got 10.5"),
        )
    ],
    fault("rademacher_bound", ValueError,
          r"layer_norms must be \(depth,\) = \(2,\), got \(3,\)", layer_norms=jnp.ones(3)),
    *[
        fault(name, ValueError, r"delta must be in \(0, 1\), got " + str(delta), delta=delta)
        for name in ("margin_bound", "margin_loss_bound", "measured_margin_bound")
        for delta in (0.0, 1.0, NAN)
    ],
    fault("margin_bound", TypeError, "delta must be a number, got None", delta=None),
    fault("margin_bound", TypeError, "margin must be a number, got 'wide'", margin="wide"),
    fault("rademacher_bound", ValueError,
          r"the bound is beyond float32, whose largest number is 3.4e\+38: scale radius or la",
          layer_norms=jnp.array([1e30, 1e30])),
    fault("margin_bound", ValueError, "margin must be > 0, got -0.2: these parameters do "
          "not separate the samples; margin_loss_bound allows for errors", margin=-0.2),
    fault("margin_bound", ValueError, "margin must be > 0, got 0.0: .* do not separate",
          margin=jnp.array(0.0)),
    fault("margin_bound", ValueError, "margin must be a finite number > 0, got nan", margin=NAN),
    fault("margin_bound", TypeError, "margin must be a number", margin=jnp.ones(2)),
    fault("margin_bound", ValueError,
          r"margin must be at most radius \* depth\*\*\(-depth / 2\) = 0.5, .* got 3: normalise",
          margin=3.0),
    *[
        fault("measured_margin_bound", error, match, **changed)
        for changed, error, match in (
            ({"margin": -0.2}, ValueError, "margin must be > 0, got -0.2"),
            ({"margin": 0.6}, ValueError, "margin must be at most .* = 0.5, .* got 0.6"),
            ({"margin": jnp.ones(2)}, TypeError, "margin must be a number"),
            ({"radius": 0.0}, ValueError, "radius must be a finite number > 0, got 0.0"),
            ({"complexity": 0.1}, TypeError,
             "complexity must be what rademacher_complexity returned, got float"),
        )
    ],
    fault("margin_loss_bound", ValueError, r"margins must be \(n,\) with n >= 1, got \(0,\)",
          margins=jnp.ones(0)),
    fault("margin_loss_bound", ValueError, "margins must be finite, but 1 of 2",
          margins=jnp.array([0.1, NAN])),
    fault("margin_loss_bound", ValueError, "margins must be at most .* = 0.5, .* got 3",
          margins=jnp.array([3.0, 0.1])),
    fault("margin_loss_bound", ValueError, "gamma must be a finite number > 0, got 0.0",
          gamma=0.0),
    fault("margin_loss_bound", TypeError, "gamma must be a number", gamma=jnp.ones(2)),
]  # fmt: skip
