"""From nothing, or from any measure, to a certified optimum over all measures (section 3).

For two-layer relu networks, each round solves the convex problem of all units in given cells of
activation patterns, and adds the cells that the dual asks for.

For other features it is fully corrective column generation. Over fixed unit particles the best
masses solve a convex problem, min_{c >= 0} R(sum_j c_j Phi_j) + sum_j c_j V_j. Each round solves
it, moves the remaining particles together with their masses down the energy, solves it again, and
adds the particles that violate the dual constraint most. This is known as the sliding Frank-Wolfe
algorithm.

Everything is computed in float64.
"""

import math
from collections.abc import Callable, Generator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxmargin._arithmetic import as_float64
from jaxmargin._arrays import as_jax
from jaxmargin._cells.limits import Limits, limits_from_now
from jaxmargin._checks import require_callable, require_concrete
from jaxmargin._devices import one_blas_thread
from jaxmargin._nonnegative import nonnegative_fit
from jaxmargin.errors import ConvergenceError, Interrupted
from jaxmargin.mean_field._particles.checks import check_measure
from jaxmargin.mean_field._search.network_rounds import Reached, network_rounds
from jaxmargin.mean_field._search.violation import check_starts, relu_network, require_risk
from jaxmargin.mean_field.certificates import Certificate, certify
from jaxmargin.mean_field.measure import Measure
from jaxmargin.mean_field.problem import MeanField, energy
from jaxmargin.mean_field.risks import BoundedRisk
from jaxmargin.mean_field.two_layer import SmoothTwoLayerFeatures, TwoLayerFeatures

_MOST = 256  # particles to begin with, the heaviest
_NEW = 16  # particles that a round adds
_SHORTEST = 64  # length of padded arrays; or twice, four times, ... it: few shapes are compiled
_SLIDE_STEPS = 100


class OptimumHistory(NamedTuple):
    """What `global_optimum` reached in each of its s rounds; one record has scalars instead.

    Attributes:
        step: (s,) the round, from 1.
        energy: (s,) the least energy of a measure so far; it never rises.
        estimated_gap: (s,) what that energy is above the best lower bound so far, if the highest
            neurons that were found are the highest of all. It is no proof; the certificate is.
    """

    step: Int[np.ndarray, " s"]
    energy: Float[np.ndarray, " s"]
    estimated_gap: Float[np.ndarray, " s"]


class Optimum(NamedTuple):
    """A measure that is optimal within the gap of its certificate, in float64 arrays of NumPy.

    Attributes:
        measure: unit particles with their masses.
        certificate: `Certificate` of that measure. Its state says whether the gap is a proof.
        history: `OptimumHistory` of all rounds.
    """

    measure: Measure
    certificate: Certificate
    history: OptimumHistory


def global_optimum(
    problem: MeanField,
    *,
    start: Measure | None = None,
    tol: float = 1e-6,
    max_rounds: int = 200,
    time_limit: float | None = None,
    starts: Float[Array, "p dim"] | None = None,
    budget: float = 0.0,
    on_record: Callable[[int, OptimumHistory], None] | None = None,
) -> Optimum:
    """The optimum over all measures, with its certificate.

    The rounds end when the estimated gap is within the tolerance and a search from other starts
    confirms it. Where the certificate is "exact", that estimate is a proof. Where it is "proven",
    its `gap` is one too, and may be larger than tol.

    Computes in float64, whatever the dtypes of the problem and of the start. Give the data of your
    own phi and loss by `jax.tree_util.Partial`, so that they are cast too. The result holds float64
    arrays of NumPy. JAX rounds them to float32 where float64 is not enabled, and the gap of the
    rounded measure is larger.

    Args:
        problem: `MeanField` whose loss has a method `conjugate`, convex with two derivatives.
        start: measure to begin with, particles (m, D) with masses (m,). Any will do, and one near
            the optimum saves rounds. Of more than 256 particles the heaviest 256 are taken. None
            begins from nothing, which needs a problem of `two_layer_problem`.
        tol: the estimated gap to reach, relative to the energy; below 1.
        max_rounds: rounds after which to give up.
        time_limit: seconds after which to give up, once the round that is running has ended.
        starts: (p, D) further particles to search from, as for `certify`.
        budget: seconds of branch and bound for the certificate, as for `certify`.
        on_record: `on_record(step, record)`, called after each round with its number and an
            `OptimumHistory` of scalars.

    Returns:
        `Optimum(measure, certificate, history)`.

    Raises:
        ValueError: shapes that do not fit, NaN, a negative mass, tol or time_limit not positive,
            max_rounds < 1, a negative budget; no start for a problem of your own.
        TypeError: floats of several dtypes; a loss without a method `conjugate`; max_rounds not an
            integer; on_record not a function; called under `jit`.
        ConvergenceError: a gap above the tolerance after max_rounds or time_limit, or after 12
            rounds that gained nothing. Its `result` is the `Optimum` so far.
        Interrupted: Ctrl-C was pressed, after a first round. Its `step` is the number of rounds,
            its `result` the `Optimum` of the last one, certified without a budget. (A
            `KeyboardInterrupt`.)

    Example:
        >>> from jaxmargin import two_layer_problem
        >>> problem = two_layer_problem(jnp.eye(2), jnp.array([1.0, -1.0]), "logistic", lam=0.1)
        >>> measure, found, history = global_optimum(problem)
        >>> round(float(found.energy), 3), bool(found.gap < 1e-6 * found.energy)
        (1.001, True)
        >>> history.step.tolist()
        [1]

    Reference:
        Wei, Lee, Liu, Ma (2019), section 3. Denoyelle, Duval, Peyré, Soubies (2020), "The sliding
        Frank-Wolfe algorithm".
    """
    limits = limits_from_now(tol, max_rounds, time_limit, budget)
    require_risk(problem)
    if on_record is not None:
        require_callable("on_record", on_record, "(step, record)")
    require_concrete("global_optimum", problem, start, starts)
    with jax.enable_x64(True), one_blas_thread():
        measure = check_measure(problem, _zero_measure(problem) if start is None else start)
        if starts is not None:
            starts = check_starts(as_jax("starts", starts), measure)
        problem, measure, starts = jax.tree.map(as_float64, (problem, measure, starts))
        network = relu_network(problem)
        if network:
            rounds = network_rounds(problem, network, measure, starts, tol)
        else:
            rounds = _sliding_rounds(problem, measure, starts)
        return _run(problem, rounds, starts, limits, on_record)


def _zero_measure(problem: MeanField) -> Measure:
    """One particle of no mass, of the dimension that the problem takes."""
    phi, risk = problem.phi, problem.loss
    ready = isinstance(phi, TwoLayerFeatures | SmoothTwoLayerFeatures)
    if not ready or not isinstance(risk, BoundedRisk):
        raise ValueError(
            "start must be given for a problem that `two_layer_problem` did not make, whose "
            "particles may have any number of entries: Measure(theta, mass) of any particles"
        )
    outputs = risk.shape[1] if len(risk.shape) == 2 else 1
    x = phi.x
    return Measure(jnp.zeros((1, x.shape[1] + outputs), x.dtype), jnp.zeros(1, x.dtype))


def _run(
    problem: MeanField,
    rounds: Generator[Reached, np.ndarray | None, None],
    starts: Array | None,
    limits: Limits,
    on_record: Callable | None,
) -> Optimum:
    """Rounds until the gap is small and confirmed; particles that refute it join the next one."""
    records: list[OptimumHistory] = []
    now: Reached | None = None
    refuting = None
    try:
        while True:
            now = rounds.send(refuting)
            values = len(records) + 1, now.energy, now.gap
            records.append(OptimumHistory(*map(np.asarray, values)))
            if on_record is not None:
                on_record(len(records), records[-1])
            last = limits.ended([(float(of.energy), float(of.estimated_gap)) for of in records])
            refuting = None
            if last or now.gap <= limits.tol * now.energy:
                result = _certified(problem, now, starts, limits.budget, records)
                found = result.certificate
                if found.estimated_gap <= limits.tol * found.energy:
                    return result
                if last:
                    raise _unfinished(result, limits)
                refuting = found.directions[found.violations > 1]
    except KeyboardInterrupt:
        if now is None:
            raise
        raise _interrupted(_certified(problem, now, starts, 0.0, records)) from None


def _certified(
    problem: MeanField,
    now: Reached,
    starts: Array | None,
    budget: float,
    records: list[OptimumHistory],
) -> Optimum:
    """What a round reached, with its certificate."""
    found = certify(
        problem, now.measure, starts=starts, num_directions=_NEW, budget=budget, dual=now.dual
    )
    history = jax.tree.map(lambda *of: np.stack(of), *records)
    return Optimum(jax.tree.map(np.asarray, now.measure), found, history)


def _interrupted(result: Optimum) -> Interrupted:
    found, rounds = result.certificate, len(result.history.step)
    return Interrupted(
        f"global_optimum was interrupted after {rounds} rounds, at an estimated gap of "
        f"{found.estimated_gap / found.energy:.3g} of the energy; the error's `result` has the "
        "best measure",
        step=rounds,
        result=result,
    )


def _unfinished(result: Optimum, limits: Limits) -> ConvergenceError:
    found = result.certificate
    return ConvergenceError(
        f"global_optimum stopped at an estimated gap of {found.estimated_gap / found.energy:.3g} "
        f"of the energy after {len(result.history.step)} rounds, above tol = {limits.tol:g}: "
        f"{limits.advice(len(result.history.step))}; the error's `result` has the best measure",
        result=result,
    )


def _sliding_rounds(
    problem: MeanField, measure: Measure, starts: Array | None
) -> Generator[Reached, np.ndarray | None, None]:
    """Rounds for features of any kind."""
    atoms = best = _unit_atoms(problem, measure)
    lowest, lower = np.inf, -np.inf
    while True:
        atoms = _with_best_masses(problem, atoms)
        atoms = _with_best_masses(problem, _slide(problem, atoms))
        now = certify(problem, atoms.padded(), starts=starts, num_directions=_NEW)
        lower = max(lower, float(now.energy - now.estimated_gap))
        if now.energy < lowest:
            lowest, best = float(now.energy), atoms
        sent = yield Reached(_as_measure(best), lowest, lowest - lower, None)
        atoms = _extended(best, now.directions[now.violations > 1])
        if sent is not None:
            atoms = _extended(atoms, sent)


class _Atoms(NamedTuple):
    """Unit particles with masses, as arrays of NumPy: theta (m, D), mass (m,)."""

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


def _as_measure(atoms: _Atoms) -> Measure:
    """The atoms as a measure without padding. The measure 0 becomes one particle of no mass."""
    m = max(1, len(atoms.mass))
    return jax.tree.map(lambda leaf: np.asarray(leaf)[:m], atoms.padded())


def _unit_atoms(problem: MeanField, measure: Measure) -> _Atoms:
    """The heaviest particles, normalised: mass s |theta|^2 at theta / |theta| for s at theta."""
    theta, mass = np.asarray(measure.theta), np.asarray(measure.weights)
    order = np.argsort(-mass, kind="stable")[:_MOST]
    theta = theta[order]
    atoms = _Atoms(theta, mass[order])
    length = np.linalg.norm(theta, axis=1, keepdims=True)
    atoms = _Atoms(theta / np.where(length > 0, length, 1), atoms.mass)
    return atoms.where(atoms.mass > 0)


@jax.jit
def _columns(problem: MeanField, theta: Array) -> tuple[Array, Array]:
    return jax.vmap(problem.phi)(theta), jax.vmap(problem.potential)(theta)


@jax.jit
def _risk(problem: MeanField, outputs: Array) -> tuple[Array, Array]:
    return jax.value_and_grad(problem.loss)(outputs)


@jax.jit
def _bend(problem: MeanField, outputs: Array, columns: Array) -> Array:
    """The Hessian R''(outputs) times each column."""

    def times(column: Array) -> Array:
        return jax.jvp(jax.grad(problem.loss), (outputs,), (column,))[1]

    return jax.vmap(times)(columns)


def _with_best_masses(problem: MeanField, atoms: _Atoms) -> _Atoms:
    """The best masses for the atoms' particles; those of no weight are dropped."""
    if not len(atoms.mass):
        return atoms
    columns, price = (np.asarray(part) for part in _columns(problem, atoms.padded().theta))
    mass = nonnegative_fit(
        lambda outputs: _risk(problem, outputs),
        lambda outputs, columns: _bend(problem, outputs, columns),
        columns,
        price[: len(atoms.mass)],
    )
    return _Atoms(atoms.theta, mass).where(mass > 0)


@jax.jit
def _slope_of_energy(problem: MeanField, theta: Array) -> tuple[Array, Array]:
    ones = jnp.ones(len(theta))
    return jax.value_and_grad(lambda theta: energy(problem, Measure(theta, ones)))(theta)


def _slide(problem: MeanField, atoms: _Atoms) -> _Atoms:
    """All particles with their masses, moved down the energy of the network of these units."""
    from scipy.optimize import minimize  # slow to import

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
    """The atoms, and new particles that have no mass yet."""
    return _Atoms(
        np.concatenate([atoms.theta, new]), np.concatenate([atoms.mass, np.zeros(len(new))])
    )
