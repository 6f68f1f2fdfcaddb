"""Wrong input: norms."""

import jax
import jax.numpy as jnp
from scipy.sparse import csr_matrix

from jaxmargin.networks import norms
from tests.fault import KEY, NAN, Fault, wrong

FAULTS: list[Fault] = [
    *(
        Fault(f"norms.{name}", wrong(norm, params), error, match)
        for params, error, match in [
            ({"a": None}, ValueError, "params has no array leaves"),
            ({"a": jnp.ones(2, "int8")}, TypeError, r"params\['a'\] must hold floats, got int8"),
            ([jnp.ones(2), jax.nn.relu], TypeError, r"params\[1\] must hold floats, got a \w+:"),
            ([csr_matrix(jnp.eye(2))], TypeError, "must hold floats, got a csr_matrix"),
            ([KEY], TypeError, r"params\[0\] must hold floats, got key<fry>: .* eqx.partition"),
        ]
        for name, norm in [
            ("l1", norms.l1),
            ("l2", norms.l2),
            ("linf", norms.linf),
            ("sum_of_squares", norms.sum_of_squares),
        ]
    ),
    Fault("norms.lp", wrong(norms.lp, 0.5), ValueError, r"p must be in \[1, inf\] .* got 0.5"),
    Fault("norms.lp", wrong(norms.lp, "2"), TypeError, "p must be a number, got str"),
    Fault("norms.lp", wrong(norms.lp, NAN), ValueError, r"p must be in \[1, inf\] .* got nan"),
]  # fmt: skip
