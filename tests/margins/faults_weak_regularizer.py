"""Wrong input: the functions of Theorem C.2."""

from functools import partial
from typing import Any

import jax

from jaxmargin import margins
from tests.fault import Fault, wrong

PROBLEM: dict[str, Any] = {"margin_star": 0.1, "n": 10, "degree": 2}
OF_LAMBDA: dict[str, Any] = PROBLEM | {"lam": 0.1}
THEOREM: dict[str, Any] = PROBLEM | {"c": 2.0}

CALLS = {
    "guaranteed_margin": (margins.guaranteed_margin, OF_LAMBDA),
    "regularization_for_margin": (margins.regularization_for_margin, PROBLEM),
    "log_theorem_regularization": (margins.log_theorem_regularization, THEOREM),
}


def fault(name: str, error: type[Exception], match: str, **changed: Any) -> Fault:
    """The named call, without fault but for what is changed."""
    function, right = CALLS[name]
    return Fault(name, wrong(function, **(right | changed)), error, match)


FAULTS = [
    *[
        fault(name, error, match, **changed)
        for name in CALLS
        for changed, error, match in (
            ({"n": 0}, ValueError, "n must be at least 1, got 0"),
            ({"n": 10.5}, TypeError, "n must be an integer, got 10.5"),
            ({"margin_star": -0.1}, ValueError,
             "margin_star must be > 0, got -0.1: the samples must be separable"),
            ({"degree": 1e30}, ValueError,
             r"r / degree must be from 1e-06 to 1e\+06, got 2.0 / 1e\+30"),
            ({"n": "many"}, TypeError, "n must be an integer, got 'many'"),
            ({"margin_star": "wide"}, TypeError, "margin_star must be a number, got 'wide'"),
            ({"degree": 0.0}, ValueError, "degree must be a finite number > 0, got 0.0"),
            ({"r": -1.0}, ValueError, "r must be a finite number > 0, got -1.0"),
            ({"k": 1}, ValueError, "k must be at least 2, got 1"),
            ({"k": 2.5}, TypeError, "k must be an integer, got 2.5"),
        )
    ],
    *[
        Fault(name, partial(jax.jit(partial(wrong(function, **right))), margin_star=0.1), TypeError,
              f"{name} takes concrete numbers: call it outside jit, vmap and grad")
        for name, (function, right) in CALLS.items()
    ],
    *[
        fault(name, ValueError, "alpha must be >= 1, got 0.5: no point is below the infimum",
              alpha=0.5)
        for name in ("guaranteed_margin", "regularization_for_margin")
    ],
    fault("guaranteed_margin", ValueError, "lam must be a finite number > 0, got 0.0", lam=0.0),
    fault("log_theorem_regularization", ValueError,
          "r / degree = 0.002 needs a lam whose logarithm is below all floats: raise r",
          degree=1000),
    fault("log_theorem_regularization", ValueError, "c must be a finite number > 0, got -1", c=-1),
    fault("regularization_for_margin", ValueError, r"fraction must be in \(0, 1\), got 1.0",
          fraction=1.0),
    fault("regularization_for_margin", ValueError,
          r"fraction = 0.999 needs a lam below exp\(-.*\), which is no float: lower fraction",
          fraction=0.999),
]  # fmt: skip
