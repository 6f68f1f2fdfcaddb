"""Wrong input: norms."""

from typing import Any

import jax
import jax.numpy as jnp
from scipy.sparse import csr_matrix

from jaxmargin.networks import norms
from tests.fault import KEY, NAN, SCALAR_NET, Fault, wrong


def per_unit(unit_axis: Any, params: Any = SCALAR_NET):
    """The group lasso of a network of 4 units on 3 inputs."""
    return wrong(norms.per_unit(norms.l2, norms.l1, unit_axis=unit_axis), params)


NOTHING: Any = lambda params: None  # noqa: E731
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
    Fault("norms.per_unit", wrong(norms.per_unit, 2, norms.l1, unit_axis=0), TypeError,
          r"inner must be a function inner\(params\), got int"),
    Fault("norms.per_unit", wrong(norms.per_unit, norms.l2, "l1", unit_axis=0), TypeError,
          r"outer must be a function outer\(vector\), got str"),
    Fault("norms.per_unit", per_unit("0"), TypeError, r"unit_axis of params\.u must be an integer"),
    Fault("norms.per_unit", per_unit(0, {"a": jnp.ones((2, 2), "int8")}), TypeError,
          r"params\['a'\] must hold floats, got int8"),
    Fault("norms.per_unit", per_unit((0, 0)), ValueError, "unit_axis must be a pytree prefix of"),
    Fault("norms.per_unit", per_unit(None), ValueError, "unit_axis must give at least one leaf"),
    Fault("norms.per_unit", per_unit(1), ValueError,
          r"unit_axis of params\.w must be an axis of \(4,\), got 1"),
    Fault("norms.per_unit", per_unit(0, (jnp.ones((2, 3)), jnp.ones(3))), ValueError,
          r"units must agree on their number, got {'params\[0\]': 2, 'params\[1\]': 3}"),
    Fault("norms.sum_of_squares", wrong(norms.sum_of_squares, jnp.array([1e30])), ValueError,
          "the sum of squares is beyond float32, .*: scale params down, or use float64"),
    Fault("norms.per_layer", wrong(norms.per_layer, norms.l2, 3), TypeError,
          r"outer must be a function outer\(params\), got int"),
    Fault("norms.per_layer", wrong(norms.per_layer(NOTHING, norms.l2), [jnp.ones(2)]),
          TypeError, r"inner\(params\) must return an array of floats, got NoneType"),
    Fault("norms.lp", wrong(norms.lp, 0.5), ValueError, r"p must be in \[1, inf\] .* got 0.5"),
    Fault("norms.lp", wrong(norms.lp, "2"), TypeError, "p must be a number, got str"),
    Fault("norms.lp", wrong(norms.lp, NAN), ValueError, r"p must be in \[1, inf\] .* got nan"),
]  # fmt: skip
