"""Wrong input: networks."""

from functools import partial

import jax
import jax.numpy as jnp

import jaxmargin as jm
from tests.fault import KEY, SCALAR_NET, SIGNS, Fault, X, wrong

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
          r"params.w \(m,\) or \(m, k\) for its m units, got \(4, 3\) and \(5,\)"),
    Fault("two_layer", wrong(jm.two_layer, SCALAR_NET._replace(w=jnp.ones((1, 4))), X), ValueError,
          r"params.w .* got \(4, 3\) and \(1, 4\)"),
    Fault("two_layer", wrong(jm.two_layer, (X, SIGNS), X), TypeError,
          r"params must be TwoLayer\(u, w\), got tuple"),
    Fault("two_layer", wrong(jm.two_layer, SCALAR_NET, None), TypeError,
          "x must be an array of numbers, got NoneType"),
    Fault("mlp", wrong(jm.mlp, SCALAR_NET.u, X), TypeError, "params must be a tuple of matrices"),
    Fault("mlp", wrong(jm.mlp, (SCALAR_NET.u, "w"), X), TypeError,
          r"params\[1\] must be an array of numbers, got str"),
    Fault("mlp", wrong(jm.mlp, (SCALAR_NET.u, SIGNS), X), ValueError,
          r"params\[1\] must be a matrix, got shape \(6,\)"),
    Fault("mlp", wrong(jm.mlp, DEEP, X, activation=lambda h: h[0]), ValueError,
          r"activation must keep the shape \(4, 6\), got \(6,\)"),
    Fault("activation_pattern", wrong(jm.activation_pattern, DEEP, X, activation="relu"), TypeError,
          r"activation must be a function activation\(preactivations\), got str"),
    Fault("activation_pattern", wrong(jm.activation_pattern, DEEP[:1], X), ValueError,
          "params must hold two matrices or more"),
    Fault("pattern_change", wrong(jm.pattern_change, SCALAR_NET, None, X), TypeError,
          "params must be a tuple of matrices .* got NoneType"),
    Fault("append_one", wrong(jm.append_one, "abc"), TypeError, "x must be an array of numbers"),
    Fault("init_two_layer", wrong(jm.init_two_layer, 0, 3, 4), TypeError,
          r"key must be a random key, such as jax.random.key\(0\), got int"),
    Fault("init_mlp", wrong(jm.init_mlp, None, (3, 4, 1)), TypeError, "key must be a random key"),
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
    Fault("pattern_change", wrong(jm.pattern_change, DEEP, DEEP, X[:0]), ValueError,
          r"x must have at least one input, got shape \(0, 3\)"),
    Fault("pattern_change", wrong(jm.pattern_change, {"w": DEEP[0]}, DEEP, X), TypeError,
          "params must be a tuple of matrices .* got dict: take the matrices out of it"),
    Fault("init_two_layer", two_layer_of(3, 10**12), ValueError,
          r"m \* d must be at most .*, got 1,000,000,000,000 \* 3, which would take 12,000 GB"),
    Fault("init_two_layer", wrong(jm.init_two_layer, jax.random.split(KEY), 3, 4), ValueError,
          r"key must be one random key, got keys of shape \(2,\)"),
    Fault("init_mlp", mlp_of((10**6, 10**6, 1)), ValueError,
          r"fan_out \* fan_in must be at most .*, the most entries of a matrix, got 1,000,000 \* "),
    Fault("append_one", wrong(jm.append_one, jnp.array(1.0)), ValueError,
          r"x must be \(..., d\), got a scalar"),
]  # fmt: skip
