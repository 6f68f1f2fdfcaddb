"""Wrong input: networks."""

from functools import partial

import jax.numpy as jnp

import jaxmargin as jm
from tests.fault import KEY, SCALAR_NET, Fault, X, wrong

DEEP = (jnp.ones((4, 3)), jnp.ones((5, 4)), jnp.ones((1, 5)))
two_layer_of = partial(wrong, jm.init_two_layer, KEY)
mlp_of = partial(wrong, jm.init_mlp, KEY)


FAULTS: list[Fault] = [
    Fault("init_two_layer", two_layer_of(0, 4), ValueError, "d must be at least 1, got 0"),
    Fault("init_two_layer", two_layer_of(3, -1), ValueError, "m must be at least 1, got -1"),
    Fault("init_two_layer", two_layer_of(3, 4, k=0), ValueError, "k must be at least 1, got 0"),
    Fault("init_two_layer", two_layer_of(3, 4.0), TypeError, "m must be an integer, got 4.0"),
    Fault("init_two_layer", two_layer_of(True, 4), TypeError, "d must be an integer, got True"),
    Fault("init_two_layer", two_layer_of(3, 4, std=0.0), ValueError, "std must .* > 0, got 0.0"),
    Fault("init_two_layer", two_layer_of(3, 4, std="1"), TypeError, "std must be a number"),
    Fault("two_layer", wrong(jm.two_layer, SCALAR_NET, jnp.ones((6, 2))), ValueError,
          r"x must have the d = 3 features that params.u \(4, 3\) takes, got x of shape \(6, 2\)"),
    Fault("two_layer", wrong(jm.two_layer, SCALAR_NET, jnp.array(1.0)), ValueError,
          r"the last axis of x .* got x of shape \(\)"),
    Fault("two_layer", wrong(jm.two_layer, SCALAR_NET._replace(w=jnp.ones(5)), X), ValueError,
          r"params.w must be \(m,\) or \(m, k\) for the m = 4 units .* got shape \(5,\)"),
    Fault("two_layer", wrong(jm.two_layer, SCALAR_NET._replace(w=jnp.ones((1, 4))), X), ValueError,
          r"params.w must be .* got shape \(1, 4\)"),
    Fault("init_mlp", mlp_of((3,)), ValueError, r"widths must be .* at least two .* got \(3,\)"),
    Fault("init_mlp", mlp_of((3, 0, 1)), ValueError, "each of widths must be at least 1, got 0"),
    Fault("init_mlp", mlp_of((3, 2.5, 1)), TypeError, "each of widths must be an integer"),
    Fault("init_mlp", mlp_of((3, 4, 1), std=(1.0,)), ValueError, r"one entry a layer \(2\), got 1"),
    Fault("init_mlp", mlp_of((3, 4, 1), std=-1.0), ValueError, "std must .* > 0, got -1.0"),
    Fault("mlp", wrong(jm.mlp, (), X), ValueError, "params must hold at least one matrix"),
    Fault("mlp", wrong(jm.mlp, DEEP, jnp.ones((6, 4))), ValueError,
          r"x must have the d = 3 features that params\[0\] \(4, 3\) takes"),
    Fault("mlp", wrong(jm.mlp, (DEEP[0], DEEP[2]), X), ValueError,
          r"params\[1\] must take the 4 outputs of params\[0\], got shape \(1, 5\)"),
    Fault("activation_pattern", wrong(jm.activation_pattern, SCALAR_NET, jnp.ones((6, 2))),
          ValueError, "x must have the d = 3 features"),
    Fault("pattern_change", wrong(jm.pattern_change, SCALAR_NET, jm.widen(SCALAR_NET, 7), X),
          ValueError, "before and after must have the same units, got 4 and 7"),
    Fault("pattern_change", wrong(jm.pattern_change, DEEP, DEEP, jnp.ones((6, 2))), ValueError,
          "x must have the d = 3 features"),
    Fault("append_one", wrong(jm.append_one, jnp.array(1.0)), ValueError,
          r"x must be \(..., d\), got a scalar"),
]  # fmt: skip
