"""A loss of one's own, the squared hinge: the soft margins of the page on certified optima."""

import re
from pathlib import Path
from typing import Any

import cvxpy as cp
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from tests.mean_field import cone_oracle

PAGE = Path(__file__).parents[2] / "docs" / "theory" / "certified_optima.md"


def squared_hinge() -> Any:
    """The class of the page."""
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {}
    exec(next(block for block in blocks if "class SquaredHinge" in block), names)
    return names["SquaredHinge"]


def test_soft_margins_are_those_of_the_cone_program():
    """Over all activation patterns of eight points in the plane."""
    g, lam = np.random.default_rng(0), 0.05
    x, y = g.normal(size=(8, 2)), g.choice([-1.0, 1.0], 8)
    outputs: Any = 0
    cost: Any = 0
    walls: list[Any] = []
    for active in cone_oracle.patterns(x):
        for sign in (1, -1):
            v = cp.Variable(2)
            outputs += sign * cp.multiply(active, x @ v)
            cost += cp.norm(v)
            walls.append(cp.multiply(2 * active - 1, x @ v) >= 0)
    misses = cp.pos(1 - cp.multiply(y, outputs))
    program = cp.Problem(cp.Minimize(cp.sum_squares(misses) + 2 * lam * cost), walls)
    program.solve(solver=cp.CLARABEL)
    least: Any = program.value
    with jax.enable_x64(True):
        ready = jm.two_layer_problem(jnp.asarray(x), jnp.asarray(y), "logistic", lam=lam)
        problem = jm.MeanField(ready.phi, squared_hinge()(jnp.asarray(y)), ready.potential)
        nothing = jm.Measure(jnp.zeros((1, 3)), jnp.ones(1))
        found = jm.global_optimum(problem, start=nothing).certificate
    assert found.state == "exact"
    assert float(found.energy) == pytest.approx(float(least), rel=1e-5)
