"""Wrong input: perturbation of units."""

from functools import partial
from typing import Any

import jax

import jaxmargin as jm
from tests.fault import KEY, NAN, SCALAR_NET, Fault, X, wrong

Axes: Any = jm.TwoLayer


def _unit_update(params=SCALAR_NET, updates=None, known=True, **changed) -> None:
    """One update by perturb_units, without fault but for what is changed."""
    optimizer = jm.perturb_units(**({"noise": 0.5, "key": KEY, "unit_axis": 0} | changed))
    updates = params if updates is None else updates
    optimizer.update(updates, optimizer.init(params), params if known else None)


unit_update = partial(wrong, _unit_update)

FAULTS: list[Fault] = [
    Fault("perturb_units", unit_update(noise=-0.1), ValueError, "noise must be .* >= 0, got -0.1"),
    Fault("perturb_units", unit_update(noise=1.5), ValueError,
          r"noise must be a probability in \[0, 1\], got 1.5"),
    Fault("perturb_units", unit_update(noise=NAN), ValueError, "noise must be .* got nan"),
    Fault("perturb_units", unit_update(noise="1"), TypeError, "noise must be a number, got '1'"),
    Fault("perturb_units", unit_update(radius=0.0), ValueError, "radius must be .* > 0, got 0.0"),
    Fault("perturb_units", unit_update(unit_axis=(0, 0)), ValueError,
          "unit_axis must be a pytree prefix of params: "),
    Fault("perturb_units", unit_update(unit_axis=Axes(u=None, w=None)), ValueError,
          "unit_axis must give at least one leaf of params an axis, got only None"),
    Fault("perturb_units", unit_update(unit_axis=Axes(u=0, w=1)), ValueError,
          r"unit_axis of params\.w must be an axis of \(4,\), got 1"),
    Fault("perturb_units", unit_update(unit_axis=Axes(u=0, w="0")), TypeError,
          r"unit_axis of params\.w must be an integer or None, got '0'"),
    Fault("perturb_units", unit_update(unit_axis=Axes(u=1, w=0)), ValueError,
          r"leaves with units must agree on their number, got {'params\.u': 3, 'params\.w': 4}"),
    Fault("perturb_units", unit_update(params=jax.tree.map(lambda a: a.astype(int), SCALAR_NET)),
          TypeError, r"params\.u has units and must hold floats, got int32"),
    Fault("perturb_units", unit_update(params=jax.tree.map(lambda a: a[:0], SCALAR_NET)),
          ValueError, "params must have at least one unit"),
    Fault("perturb_units", unit_update(unit_axis=Axes(u=None, w=0)), ValueError,
          r"one unit, of two weights or more, got 4 units in leaves of shape \(4,\)"),
    Fault("perturb_units", unit_update(optimizer="adam"), TypeError,
          "optimizer must be an optax.GradientTransformation such as .*, got str"),
    Fault("perturb_units", unit_update(known=False), ValueError,
          r"perturb_units needs params: call optimizer.update\(grads, state, params\)"),
    Fault("perturb_units", unit_update(updates=(X, X)), ValueError,
          "updates must have the structure of params, got PyTreeDef"),
    Fault("perturb_units", unit_update(updates=SCALAR_NET._replace(u=X)), ValueError,
          r"updates\.u must have shape \(4, 3\) as in params, got \(6, 3\)"),
    Fault("perturb_units", unit_update(updates=SCALAR_NET._replace(u="none")), TypeError,
          r"updates\.u must be an array of numbers, got str"),
    Fault("perturb_units", wrong(jm.perturb_units, 0, 0.1, unit_axis=0), TypeError,
          "key must be a random key, .* got int"),
]  # fmt: skip
