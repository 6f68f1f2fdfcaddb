"""Wrong input: flows, their runs, their perturbation and their theorem."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

import jaxmargin as jm
from tests.fault import CLASSES, KEY, NAN, PROBLEM, SCALAR_NET, SIGNS, Fault, X, wrong

MEAN_FIELD = jm.two_layer_problem(X[:, :2], SIGNS, "logistic", lam=0.1)


def start_flow(**changed: Any) -> jm.mean_field.FlowState:
    """The start of a flow, without fault but for what is changed of the measure."""
    measure = jm.Measure(**({"theta": X, "mass": jnp.full(6, 1 / 6)} | changed))
    with jax.numpy_dtype_promotion("standard"):  # as users have it
        return jm.wasserstein_flow(MEAN_FIELD, step_size=0.1).init(measure)


def run_flow(*, step_size: float = 0.1, **changed: Any) -> None:
    """A run of a flow without fault but for what is changed."""
    flow = jm.wasserstein_flow(MEAN_FIELD, step_size=step_size)
    state = flow.init(jm.Measure(X, jnp.full(6, 1 / 6)))
    settings: dict[str, Any] = {"num_steps": 2}
    jm.run_flow(KEY, flow, state, **(settings | changed))


plain = partial(wrong, partial(jm.wasserstein_flow, MEAN_FIELD))
starting = partial(wrong, start_flow)
running = partial(wrong, run_flow)


def perturbed(**changed: Any) -> Callable:
    return wrong(jm.perturbed_flow, MEAN_FIELD, **({"step_size": 0.1, "noise": 1.0} | changed))


OWN_MEAN_FIELD = jm.MeanField(lambda theta: theta**2, jnp.sum, lambda theta: jnp.sum(theta**2))


Axes: Any = jm.TwoLayer


def _unit_update(params=SCALAR_NET, updates=None, known=True, **changed) -> None:
    """One update by perturb_units, without fault but for what is changed."""
    optimizer = jm.perturb_units(**({"noise": 0.5, "key": KEY, "unit_axis": 0} | changed))
    updates = params if updates is None else updates
    optimizer.update(updates, optimizer.init(params), params if known else None)


def _rate(**changed) -> jm.mean_field.TheoreticalRate:
    measure = jm.Measure(jnp.ones((2, 4)), jnp.ones(2) / 2)
    right = {"problem": PROBLEM, "measure": measure, "epsilon": 0.1}
    return jm.mean_field.theoretical_rate(**(right | changed))


unit_update = partial(wrong, _unit_update)
rate = partial(wrong, _rate)


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
          r"one unit, of two weights or more, got {'params\.w': 4}"),
    Fault("perturb_units", unit_update(known=False), ValueError,
          r"perturb_units needs params: call optimizer.update\(grads, state, params\)"),
    Fault("perturb_units", unit_update(updates=(X, X)), ValueError,
          "updates must have the structure of params, got PyTreeDef"),
    Fault("regularity", wrong(jm.mean_field.regularity, PROBLEM, 3), ValueError,
          "theta must be .* d = 3 features and k >= 1 outputs"),
    Fault("regularity", wrong(jm.mean_field.regularity, PROBLEM, 4.0), TypeError, "dim must be an integer"),
    Fault("regularity", wrong(jm.mean_field.regularity, jm.two_layer_problem(X, SIGNS, "squared", lam=0.1), 4),
          ValueError, "squared loss is Lipschitz only .* give level"),
    Fault("regularity", wrong(jm.mean_field.regularity, OWN_MEAN_FIELD, 4), TypeError,
          "problem must be one of logistic_two_layer, .* give theoretical_rate a Regularity"),
    Fault("theoretical_rate", rate(epsilon=0.0), ValueError, "epsilon must be .* > 0, got 0.0"),
    Fault("theoretical_rate", rate(epsilon=9.0), ValueError,
          r"epsilon must be below L\[rho_0\] / 2 = .*, got 9.0"),
    Fault("theoretical_rate", rate(noise=0.1), ValueError,
          r"noise must be at most \d.\de-\d+ for the proof to hold, got 0.1"),
    Fault("theoretical_rate", rate(constants=jm.mean_field.Regularity(6, 1, 1, 1, 1, 0, 1, 1)), ValueError,
          "constants.b_V must be .* > 0, got 0"),
    Fault("theoretical_rate", rate(problem=OWN_MEAN_FIELD), TypeError,
          "problem must be one of logistic_two_layer"),
    Fault("wasserstein_flow", plain(step_size=0.0), ValueError,
          "step_size must be a finite number > 0, got 0.0"),
    Fault("wasserstein_flow", plain(step_size="0.1"), TypeError, "step_size must be a number"),
    Fault("wasserstein_flow", plain(step_size=0.1, devices=[]), ValueError,
          "the number of devices must be at least 1, got 0"),
    Fault("wasserstein_flow", starting(theta=X[:0], mass=SIGNS[:0]), ValueError,
          r"for m >= 1 particles, got \(0, 3\) and \(0,\)"),
    Fault("wasserstein_flow", starting(mass=SIGNS[:5]), ValueError,
          r"got \(6, 3\) and \(5,\)"),
    Fault("wasserstein_flow", starting(theta=X.at[4, 1].set(jnp.nan)), ValueError,
          r"measure.theta must be finite, but 1 of 18 .* nan at index \(4, 1\)"),
    Fault("wasserstein_flow", starting(mass=SIGNS), ValueError,
          "measure.mass must be >= 0, got -1: a sign belongs into theta"),
    Fault("wasserstein_flow", starting(theta=X[:, :2]), ValueError,
          r"theta must be .* d = 2 features .* got shape \(2,\)"),
    Fault("wasserstein_flow", starting(mass=CLASSES), TypeError,
          "floats of one dtype, got float32 and int"),
    Fault("wasserstein_flow", starting(theta=X.astype("float16"), mass=jnp.ones(6, "float16")),
          TypeError, "problem and measure must .* got float32 and float16"),
    Fault("perturbed_flow", perturbed(step_size=-1.0), ValueError, "step_size must .* got -1.0"),
    Fault("perturbed_flow", perturbed(noise=-1.0), ValueError,
          "noise must be a finite number >= 0, got -1.0"),
    Fault("perturbed_flow", perturbed(noise=None), TypeError, "noise must be a number, got None"),
    Fault("perturbed_flow", perturbed(noise=11.0), ValueError,
          r"step_size \* noise must be at most 1, got 0.1 \* 11.0: it is the share"),
    Fault("perturbed_flow", perturbed(scheme="drop"), ValueError,
          "scheme must be one of reinitialize, weighted, got 'drop'"),
    Fault("perturbed_flow", perturbed(reserve=3), ValueError,
          'reserve belongs to scheme "weighted", got scheme \'reinitialize\''),
    Fault("perturbed_flow", perturbed(scheme="weighted", reserve=-1), ValueError,
          "reserve must be at least 0, got -1"),
    Fault("perturbed_flow", perturbed(scheme="weighted", reserve=1.0), TypeError,
          "reserve must be an integer, got 1.0"),
    Fault("perturbed_flow", wrong(lambda: jm.perturbed_flow(MEAN_FIELD, step_size=0.1, noise=1.0)
          .init(jm.Measure(X, jnp.zeros(6)))), ValueError, "measure.mass must not be all 0"),
    Fault("run", running(num_steps=0), ValueError, "num_steps must be at least 1, got 0"),
    Fault("run", running(num_steps=2.0), TypeError, "num_steps must be an integer, got 2.0"),
    Fault("run", running(record=0), ValueError, "record must be at least 1, got 0"),
    Fault("run", running(record=[1]), TypeError, r"record must be an integer, got \[1\]"),
    Fault("run", running(metrics=3), TypeError, r"metrics must be a function metrics\(measure\)"),
    Fault("run", running(stop=True), TypeError, r"stop must be a function stop\(record\)"),
    Fault("run", running(on_record=[]), TypeError, r"on_record must be a function on_record\(\)"),
    Fault("run", running(step_size=1e30), jm.DivergenceError,
          "the flow diverged: .* at step 1 of 2, .* lower step_size, take safeguard=True"),
]  # fmt: skip
