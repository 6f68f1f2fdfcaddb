"""Theorem B.10's limit: regularized squared loss as lambda -> 0, and the minimum-norm interpolant.

Trained networks stand beside the optimum over all widths, which a duality gap certifies. The limit
||Theta*||_2^2 lies between a certified lower bound and the norm of an explicit interpolant.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray
from scipy.optimize import linprog

from jaxmargin._sphere_search import spread
from jaxmargin.experiments.harness.experiment import Tick
from jaxmargin.mean_field.measure import Measure
from jaxmargin.mean_field.optimum import global_optimum
from jaxmargin.mean_field.two_layer import two_layer_problem
from jaxmargin.networks.losses import squared_loss
from jaxmargin.networks.models import TwoLayer, append_one, init_two_layer, two_layer
from jaxmargin.networks.norms import sum_of_squares
from jaxmargin.networks.training import train

STARTS = 32  # particles to global_optimum from
EXTRA = 256  # directions of further units, with which an interpolant makes up for the misfit
TAIL = (1e-4, 1e-5, 1e-6, 1e-7)  # lambdas below those asked for, towards the limit
ASKED_TOL, TAIL_TOL = 1e-6, 1e-5  # relative gaps; at the smallest lambdas slopes lose digits


class Path(NamedTuple):
    """Along falling lambdas: L_lam(Theta_lam) and ||Theta_lam||_2^2, each (s,) or (t, s)."""

    objective: np.ndarray
    norm: np.ndarray


class Bracket(NamedTuple):
    """Two bounds on ||Theta*||_2^2.

    Attributes:
        lower: from the certificate; an estimate unless `exact`.
        upper: the norm of an interpolant.
        exact: whether the certificate is exact.
    """

    lower: float
    upper: float
    exact: bool


def points_on_a_line(
    key: PRNGKeyArray, n: int, hidden: int
) -> tuple[Float[Array, "n 2"], Float[Array, " n"]]:
    """Evenly spaced points of [-1, 1] with a constant feature, and a teacher's values there."""
    x = append_one(jnp.linspace(-1, 1, n)[:, None])
    y = two_layer(init_two_layer(key, 2, hidden), x)
    if not jnp.any(y):
        raise ValueError("the teacher is 0 at all points: give it more hidden units, or a new seed")
    return x, y


class _Student(NamedTuple):
    """A network and its lambda, which is a variable so that all lambdas share one compilation."""

    network: TwoLayer
    lam: Array


def _objective(student: _Student, x: Array, y: Array) -> Array:
    """L_lam(Theta) = (1/n) sum_i (f(x_i) - y_i)^2 + lam ||Theta||_2^2 (Theorem B.10)."""
    penalty = jax.lax.stop_gradient(student.lam) * sum_of_squares(student.network)
    return jnp.mean(squared_loss(two_layer(student.network, x), y)) + penalty


def trained_path(
    key: PRNGKeyArray,
    x: Float[Array, "n d"],
    y: Float[Array, " n"],
    lams: Sequence[float],
    *,
    trials: int,
    width: int,
    init_std: float,
    optimizer: optax.GradientTransformation,
    steps: int,
    tick: Tick,
) -> Path:
    """Train networks down the lambdas, each from where the one before ended.

    Args:
        key: random key of the starts.
        x: inputs, the same in every trial.
        y: their targets.
        lams: falling strengths of the regularizer.
        trials: number of starts.
        width: units of the networks.
        init_std: standard deviation of every initial weight.
        optimizer: of `train`.
        steps: at each lambda.
        tick: called once for each lambda.

    Returns:
        A `Path` of (t, s) arrays.
    """
    init = partial(init_two_layer, d=x.shape[1], m=width, std=init_std)
    networks = jax.vmap(init)(jax.random.split(key, trials))
    samples = [jnp.broadcast_to(part, (trials, *part.shape)) for part in (x, y)]
    objectives, norms = [], []
    for lam in lams:
        # In NumPy. A run leaves its networks spread over devices, which would compile it anew.
        start = _Student(jax.tree.map(np.asarray, networks), jnp.full(trials, lam, x.dtype))
        (networks, _), history, _ = train(
            _objective, optimizer, start, *samples, num_steps=steps, record=steps, trials=True
        )
        objectives.append(history.objective[:, -1])
        norms.append(jax.vmap(sum_of_squares)(networks))
        tick()
    return Path(np.stack(objectives, axis=1), np.stack(norms, axis=1))


class Optimum(NamedTuple):
    """The certified path (s,) over all widths, and the bounds on its limit ||Theta*||_2^2."""

    path: Path
    limit: Bracket


def optimum(x: Float[Array, "n d"], y: Float[Array, " n"], lams: Sequence[float]) -> Optimum:
    """The optimum over all widths, found in float64 down the lambdas and on to 1e-7.

    At each lambda ||Theta*||^2 >= L_lam(Theta_lam) / lam, which is certified from below.

    Args:
        x: inputs.
        y: their targets.
        lams: falling strengths of the regularizer.

    Returns:
        The path at `lams`, and the bounds on its limit.
    """
    (n, d), asked = x.shape, len(lams)
    measure = Measure(spread(STARTS, d + 1, x.dtype), jnp.full(STARTS, 1 / STARTS))
    norms, certificates = [], []
    lams = [*lams, *(lam for lam in TAIL if lam < min(lams))]
    for lam in lams:
        with jax.enable_x64(True):
            exact_x, exact_y = (jnp.asarray(part, jnp.float64) for part in (x, y))
            # The mean loss with lam, times n, is the sum of the losses with n lam.
            problem = two_layer_problem(exact_x, exact_y, "squared", lam=n * lam)
            start = Measure(*(jnp.asarray(part, jnp.float64) for part in measure))
        tol = ASKED_TOL if len(norms) < asked else TAIL_TOL
        measure, certificate, _ = global_optimum(problem, start=start, tol=tol)
        norms.append(measure.mass @ np.sum(measure.theta**2, axis=1))
        certificates.append(certificate)
    objectives = np.array([float(one.energy) / n for one in certificates])
    bounds = [float(one.energy - one.estimated_gap) for one in certificates]
    lower = np.array(bounds) / n / lams
    upper = _interpolant_norm(x, y, np.asarray(measure.theta)[:, 1:])
    limit = Bracket(float(lower.max()), upper, all(one.state == "exact" for one in certificates))
    return Optimum(Path(objectives[:asked], np.array(norms[:asked])), limit)


def _interpolant_norm(x: Array, y: Array, u: np.ndarray) -> float:
    """The least ||Theta||_2^2 of an interpolant whose units have the directions u or EXTRA others.

    It is a linear program, since a unit c [u . x]_+ with |u| = 1 costs 2 |c|.
    """
    u = np.concatenate([u, spread(EXTRA, x.shape[1], x.dtype)])
    features = np.maximum(np.asarray(x) @ (u / np.linalg.norm(u, axis=1, keepdims=True)).T, 0)
    signed = np.concatenate([features, -features], axis=1)
    cost = np.full(signed.shape[1], 2.0)
    found = linprog(cost, A_eq=signed, b_eq=np.asarray(y, np.float64))
    return float(found.fun) if found.success else np.inf  # no interpolant among these directions
