"""Small problems and measures, and short runs by `Flow.step`, for the tests of flows."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxmargin as jm
from jaxmargin.mean_field.measure import Measure


def normal(*shape: int, seed: int = 0, dtype: Any = "float32"):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def logistic(n: int = 5, *, lam: float = 0.1, seed: int = 0, dtype: Any = "float32", **options):
    """A problem in R^3 with random labels."""
    y = jnp.sign(normal(n, seed=seed + 100, dtype=dtype))
    return jm.two_layer_problem(
        normal(n, 2, seed=seed, dtype=dtype), y, "logistic", lam=lam, **options
    )


def measure(m: int, dim: int = 3, *, total: float = 1.0, empty: int = 0, dtype: Any = "float32"):
    """Unequal masses of the given total; `empty` slots of mass 0, one of them not at theta = 0."""
    mass = np.random.default_rng(1).uniform(0.5, 1.5, size=m)
    mass[m - empty :] = 0
    theta = normal(m, dim, seed=2, dtype=dtype)
    if empty > 1:
        theta = theta.at[m - empty + 1 :].set(0)
    return Measure(theta, jnp.asarray(total * mass / mass.sum(), dtype))


@partial(jax.jit, static_argnums=2)
def trajectory(flow: jm.mean_field.Flow, state: jm.mean_field.FlowState, num_steps: int = 1):
    keys = jax.random.split(jax.random.key(0), num_steps)
    return jax.lax.scan(lambda state, key: flow.step(key, state), state, keys)


def replaced(flow: jm.mean_field.Flow, of: Measure) -> jm.mean_field.FlowState:
    """The flow's own state, but with this very measure: no reserve."""
    return flow.init(of)._replace(measure=of)


# 2-homogeneous functions of theta in R^3, and their means over the uniform sphere.
X0 = np.array([0.6, -1.1])
FUNCTIONS = {
    "w relu(u.x)": (lambda t: t[..., 0] * jax.nn.relu(t[..., 1:] @ jnp.asarray(X0, t.dtype)), 0.0),
    "|theta|^2": (lambda t: jnp.sum(t**2, -1), 1.0),
    "theta_0^2": (lambda t: t[..., 0] ** 2, 1 / 3),
    "theta_0 theta_2": (lambda t: t[..., 0] * t[..., 2], 0.0),
    "|theta_1| |theta|": (lambda t: jnp.abs(t[..., 1]) * jnp.linalg.norm(t, axis=-1), 1 / 2),
}


def integrals(of: Measure):
    return {name: jnp.sum(of.mass * h(of.theta)) for name, (h, _) in FUNCTIONS.items()}


def moved(problem: jm.MeanField, of: Measure, step_size: float) -> Measure:
    """The transport alone, from the public velocity."""
    return of._replace(theta=of.theta + step_size * jm.velocity(problem, of, of.theta))
