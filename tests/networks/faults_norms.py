"""Wrong input: norms."""

from jaxmargin.networks import norms
from tests.fault import NAN, Fault, wrong

FAULTS: list[Fault] = [
    *(
        Fault(f"norms.{name}", wrong(norm, {"a": None}), ValueError, "params has no array leaves")
        for name, norm in [
            ("l1", norms.l1),
            ("l2", norms.l2),
            ("linf", norms.linf),
            ("sum_of_squares", norms.sum_of_squares),
        ]
    ),
    Fault("norms.lp", wrong(norms.lp, 0.5), ValueError, r"p must be in \[1, inf\] .* got 0.5"),
    Fault("norms.lp", wrong(norms.lp, NAN), ValueError, r"p must be in \[1, inf\] .* got nan"),
]  # fmt: skip
