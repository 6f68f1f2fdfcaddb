"""From a measure near the optimum to a certified optimum, by fully corrective column generation.

Over fixed unit particles the best masses solve a convex problem, min_{c >= 0} R(sum_j c_j Phi_j) +
v . c. The rounds below solve it by Newton's method, slide the particles that are left along their
own gradients, and add the neurons that violate the dual constraint most, until the duality gap is
small (sliding Frank-Wolfe). Everything is in float64.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.optimize import minimize

from jaxmargin._arithmetic import as_float64
from jaxmargin._checks import require_concrete, require_count, require_positive
from jaxmargin.errors import ConvergenceError
from jaxmargin.mean_field._particles import check_measure
from jaxmargin.mean_field._violation import check_starts, relu_network, require_conjugate
from jaxmargin.mean_field.certificates import Certificate, certified
from jaxmargin.mean_field.measure import Measure
from jaxmargin.mean_field.problem import MeanField, energy

_MOST = 256  # particles to begin with, the heaviest
_NEW = 16  # particles that a round adds
_SHORTEST = 64  # measures have this length or twice, four times, ... it: little is compiled
_NEWTON_STEPS = 100
_COMPLEMENTARITY = 1e-13  # of the energy, at which masses are taken
_DROPPED = 1e-8  # of the mean cost, below which a mass is none
_SLIDE_STEPS = 100


class _Atoms(NamedTuple):
    """Unit particles as numbers of NumPy: theta (m, D), mass (m,)."""

    theta: np.ndarray
    mass: np.ndarray

    def where(self, keep: np.ndarray) -> "_Atoms":
        return _Atoms(self.theta[keep], self.mass[keep])

    def padded(self) -> Measure:
        """As a measure, with particles of no mass up to a round length."""
        extra = _SHORTEST * 2 ** math.ceil(math.log2(max(1, len(self.mass) / _SHORTEST)))
        extra -= len(self.mass)
        theta = np.pad(self.theta, ((0, extra), (0, 0)))
        return Measure(jnp.asarray(theta), jnp.asarray(np.pad(self.mass, (0, extra))))


def global_optimum(
    problem: MeanField,
    measure: Measure,
    *,
    tol: float = 1e-6,
    max_rounds: int = 100,
    starts: Float[Array, "p dim"] | None = None,
) -> tuple[Measure, Certificate]:
    """The optimum over all measures, from one near it, with its certificate.

    Computes in float64, whatever the dtypes of problem and measure: give the data of your own phi
    and loss by `jax.tree_util.Partial`, so that they are cast too. Returns float64 arrays of NumPy,
    which JAX rounds to float32 where float64 is not enabled: there the gap of the rounded measure
    is larger. Of many particles the 256 heaviest are kept to begin with.

    Args:
        problem: `MeanField` whose loss has a method `conjugate`, convex with two derivatives.
        measure: particles (m, D) with masses (m,). Any will do; near ones save rounds.
        tol: the gap to reach, relative to the energy.
        max_rounds: rounds after which to give up.
        starts: (p, D) further particles to search from, as for `certify`.

    Returns:
        `(measure, certificate)`: unit particles with their masses, and `certify` of them. If
        the certificate is not exact, it is an estimate here as well.

    Raises:
        ValueError: shapes that do not fit, NaN, a negative mass, tol not positive, max_rounds < 1.
        TypeError: floats of several dtypes; a loss without a method `conjugate`; max_rounds not an
            integer; called under `jit`.
        ConvergenceError: a gap above the tolerance after max_rounds. Its `fit` is the best
            `(measure, certificate)` so far.

    Example:
        >>> from jaxmargin import two_layer_problem
        >>> problem = two_layer_problem(jnp.eye(2), jnp.array([1.0, -1.0]), "logistic", lam=0.1)
        >>> best, found = global_optimum(problem, Measure(jnp.ones((1, 3)), jnp.ones(1)))
        >>> round(float(found.energy), 3), bool(found.gap < 1e-6 * found.energy)
        (1.001, True)

    Reference:
        Wei, Lee, Liu, Ma (2019), section 3 and appendix E.6. Denoyelle, Duval, Peyré, Soubies
        (2020), "The sliding Frank-Wolfe algorithm".
    """
    require_positive("tol", tol)
    require_count("max_rounds", max_rounds)
    require_conjugate(problem)
    require_concrete("global_optimum", problem, measure, starts)
    with jax.enable_x64(True):
        measure = check_measure(problem, measure)
        if starts is not None:
            starts = check_starts(jnp.asarray(starts), measure)
        problem, measure, starts = jax.tree.map(as_float64, (problem, measure, starts))
        return _rounds(problem, measure, starts, tol, max_rounds)


def _rounds(
    problem: MeanField, measure: Measure, starts: Array | None, tol: float, max_rounds: int
) -> tuple[Measure, Certificate]:
    atoms = _unit_atoms(problem, measure)
    best, least = None, np.inf
    for _ in range(max_rounds):
        atoms = fit_masses(problem, atoms)
        atoms = fit_masses(problem, _slide(problem, atoms))
        certificate, ratios, theta = certified(problem, atoms.padded(), starts, _NEW)
        now = _as_measure(atoms), jax.tree.map(np.asarray, certificate)
        if certificate.gap <= tol * certificate.energy:
            return now
        if certificate.gap < least:
            best, least = now, float(certificate.gap)
        atoms = _extended(atoms, np.asarray(theta)[np.asarray(ratios) > 1])
    reached = least / float(best[1].energy) if best else np.nan
    raise ConvergenceError(
        f"global_optimum stopped at a gap of {reached:.3g} of the energy after "
        f"{max_rounds} rounds, above tol = {tol:g}: raise max_rounds or tol; the error's `fit` has the best measure",
        result=best,
    )


def _as_measure(atoms: _Atoms) -> Measure:
    """Without padding, but for the measure 0, which is one particle of no mass."""
    m = max(1, len(atoms.mass))
    return jax.tree.map(lambda leaf: np.asarray(leaf)[:m], atoms.padded())


def _unit_atoms(problem: MeanField, measure: Measure) -> _Atoms:
    """The heaviest particles, normalised: mass s at theta is mass s |theta|^2 at theta / |theta|.

    A unit of a relu network is balanced, |w| = |u|, too: same outputs, smaller norm.
    """
    theta, mass = np.asarray(measure.theta), np.asarray(measure.weights)
    theta = theta[(order := np.argsort(-mass, kind="stable")[:_MOST])]
    atoms = _Atoms(theta, mass[order])
    network = relu_network(problem)
    if network:
        return _balanced(atoms.where(np.linalg.norm(theta, axis=1) > 0), d=network[0].shape[1])
    length = np.linalg.norm(theta, axis=1, keepdims=True)
    atoms = _Atoms(theta / np.where(length > 0, length, 1), atoms.mass)
    return atoms.where(atoms.mass > 0)


def _balanced(atoms: _Atoms, *, d: int) -> _Atoms:
    theta = atoms.theta / np.linalg.norm(atoms.theta, axis=1, keepdims=True)
    k = theta.shape[1] - d
    w, u = (np.linalg.norm(part, axis=1) for part in (theta[:, :k], theta[:, k:]))
    scale = np.where(np.arange(theta.shape[1]) < k, np.c_[w], np.c_[u]) * np.sqrt(2)
    with np.errstate(divide="ignore", invalid="ignore"):
        balanced = theta / scale
    return _Atoms(balanced, 2 * w * u * atoms.mass).where((w > 0) & (u > 0))


# Masses ----------------------------------------------------------------------------------------


@jax.jit
def _columns(problem: MeanField, theta: Array) -> tuple[Array, Array]:
    return jax.vmap(problem.phi)(theta), jax.vmap(problem.potential)(theta)


@jax.jit
def _risk(problem: MeanField, outputs: Array) -> tuple[Array, Array]:
    return jax.value_and_grad(problem.loss)(outputs)


@jax.jit
def _bend(problem: MeanField, outputs: Array, columns: Array) -> Array:
    """R''(outputs) times each column."""

    def times(column: Array) -> Array:
        return jax.jvp(jax.grad(problem.loss), (outputs,), (column,))[1]

    return jax.vmap(times)(columns)


def fit_masses(problem: MeanField, atoms: _Atoms) -> _Atoms:
    """The best masses for the atoms' particles; those of no weight are dropped."""
    if not len(atoms.mass):
        return atoms
    columns, price = (np.asarray(part) for part in _columns(problem, atoms.padded().theta))
    m = len(atoms.mass)
    mass = _interior_point(problem, columns, price[:m])
    return _Atoms(atoms.theta, mass).where(mass > 0)


def _interior_point(problem: MeanField, columns: np.ndarray, price: np.ndarray) -> np.ndarray:
    """min_{c >= 0} R(sum_j c_j columns_j) + price . c, by primal-dual interior points.

    With z the gradient, c_j z_j = mu on the central path. It needs no guess of which masses are 0
    and does not mind particles that are combinations of others.
    """
    m, shape = len(price), columns.shape[1:]
    flat = columns.reshape(len(columns), -1)

    def evaluate(c: np.ndarray) -> tuple[float, np.ndarray, Array]:
        outputs = jnp.asarray((c @ flat[:m]).reshape(shape))
        risk, dual = _risk(problem, outputs)
        return float(risk) + float(price @ c), flat[:m] @ np.ravel(dual) + price, outputs

    at_zero = evaluate(np.zeros(m))[0]
    mass = at_zero / (m * price)
    multiplier = price.copy()
    now = evaluate(mass)
    for _ in range(_NEWTON_STEPS):
        value, slope, outputs = now
        total = mass @ multiplier
        if total <= _COMPLEMENTARITY * value and mass @ np.abs(slope) <= 10 * total:
            break
        mu = 0.1 * total / m
        bend = np.asarray(_bend(problem, outputs, jnp.asarray(columns))).reshape(flat.shape)
        hessian = flat[:m] @ bend[:m].T + np.diag(multiplier / mass)
        size = np.sqrt(np.diag(hessian))
        scaled = hessian / np.outer(size, size) + 1e-14 * np.eye(m)
        step = np.linalg.solve(scaled, (mu / mass - slope) / size) / size
        turn = mu / mass - multiplier - multiplier / mass * step
        length, now = _backtrack(evaluate, now, mass, mu, step)
        mass = mass + length * step
        multiplier = multiplier + _inside(multiplier, turn) * turn
    cost = mass * price
    return np.where(cost > _DROPPED * max(np.sum(cost), 1e-4 * now[0]) / m, mass, 0)


def _inside(point: np.ndarray, step: np.ndarray) -> float:
    """The length <= 1 at which point + length * step is still well positive."""
    falling = step < 0
    return float(min(1.0, np.min(-0.99 * point[falling] / step[falling], initial=1.0)))


def _backtrack(evaluate, now, mass, mu, step):
    """The length of a step that lowers value - mu sum log c, and what is there."""

    def barrier(found, c: np.ndarray) -> float:
        return found[0] - mu * np.sum(np.log(c))

    length, before = _inside(mass, step), barrier(now, mass)
    fall = 1e-4 * float((now[1] - mu / mass) @ step)
    for _ in range(30):
        found = evaluate(mass + length * step)
        if barrier(found, mass + length * step) <= before + length * fall + 1e-13 * abs(before):
            return length, found
        length /= 2
    return 0.0, now


# Particles -------------------------------------------------------------------------------------


@jax.jit
def _slope_of_energy(problem: MeanField, theta: Array) -> tuple[Array, Array]:
    ones = jnp.ones(len(theta))
    return jax.value_and_grad(lambda theta: energy(problem, Measure(theta, ones)))(theta)


def _slide(problem: MeanField, atoms: _Atoms) -> _Atoms:
    """All particles and masses together, down the energy of a network of these units."""
    if not len(atoms.mass):
        return atoms
    padded = atoms.padded()
    start = np.asarray(padded.theta) * np.sqrt(np.asarray(padded.mass))[:, None]

    def of(flat: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = _slope_of_energy(problem, jnp.asarray(flat.reshape(start.shape)))
        return float(value), np.ravel(slope)

    found = minimize(
        of, start.ravel(), jac=True, method="L-BFGS-B",
        options={"maxiter": _SLIDE_STEPS, "ftol": 1e-15, "gtol": 1e-12},
    )  # fmt: skip
    if not found.fun < of(start.ravel())[0]:
        return atoms
    theta = jnp.asarray(found.x.reshape(start.shape)[: len(atoms.mass)])
    return _unit_atoms(problem, Measure(theta, jnp.ones(len(theta))))


def _extended(atoms: _Atoms, new: np.ndarray) -> _Atoms:
    """The atoms, and new ones without mass as yet."""
    return _Atoms(
        np.concatenate([atoms.theta, new]), np.concatenate([atoms.mass, np.zeros(len(new))])
    )
