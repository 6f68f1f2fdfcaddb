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

from jaxmargin._sphere_search import spread
from jaxmargin.experiments.harness.experiment import Tick
from jaxmargin.margins.minimum_norm import min_norm_interpolant
from jaxmargin.mean_field.measure import Measure
from jaxmargin.mean_field.optimum import global_optimum
from jaxmargin.mean_field.two_layer import two_layer_problem
from jaxmargin.networks.losses import squared_loss
from jaxmargin.networks.models import TwoLayer, append_one, init_two_layer, two_layer
from jaxmargin.networks.norms import sum_of_squares
from jaxmargin.networks.training import train

STARTS = 32  # particles to global_optimum from


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
    """The optimum over all widths, found in float64 down the lambdas; and its limit (eq. B.14).

    Args:
        x: inputs.
        y: their targets.
        lams: falling strengths of the regularizer.

    Returns:
        The path at `lams`, and the bounds on its limit.
    """
    n, d = x.shape
    measure = Measure(spread(STARTS, d + 1, x.dtype), jnp.full(STARTS, 1 / STARTS))
    objectives, norms = [], []
    exact_x, exact_y = (np.asarray(part, np.float64) for part in (x, y))
    for lam in lams:
        with jax.enable_x64(True):
            # The mean loss with lam, times n, is the sum of the losses with n lam.
            samples = jnp.asarray(exact_x), jnp.asarray(exact_y)
            problem = two_layer_problem(*samples, "squared", lam=n * lam)
            start = Measure(*(jnp.asarray(part, jnp.float64) for part in measure))
        measure, certificate, _ = global_optimum(problem, start=start)
        norms.append(measure.mass @ np.sum(measure.theta**2, axis=1))
        objectives.append(float(certificate.energy) / n)
    found = min_norm_interpolant(exact_x, exact_y, tol=1e-5)
    limit = Bracket(found.estimate, found.norm_squared, found.state == "exact")
    return Optimum(Path(np.array(objectives), np.array(norms)), limit)
