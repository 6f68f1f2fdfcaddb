"""Wasserstein gradient flow of particles, plain and perturbed (section 3, eq. 3.1 and 3.2).

    rho_{t+1} = rho_t + eta (-sigma rho_t + sigma U^d - div(v[rho_t] rho_t))     (section E.4)

Each step moves the particles by eta v, and then perturbs the measure. The exact perturbation would
add a continuum of particles. The number of particles is kept instead, by a random perturbation that
changes the integral of every 2-homogeneous function as the exact one does, in expectation.

A flow is a bundle of functions, and a pytree: `run_flow` compiles once for all problems, step sizes
and noises whose shapes agree, and once for each schedule.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int, PRNGKeyArray

from jaxmargin._checks import require_choice, require_count, require_held
from jaxmargin._devices import device_mesh
from jaxmargin._schedules import Rates, Schedule, rate_at
from jaxmargin.mean_field._particles.checks import check_measure, require_problem
from jaxmargin.mean_field._particles.passes import integrate, regularizer, variation_of_dual
from jaxmargin.mean_field._particles.schemes import SCHEMES
from jaxmargin.mean_field.measure import Measure
from jaxmargin.mean_field.problem import MeanField, energy

_AXIS = "particles"
_HALVINGS = 30  # at most, of a step that increases the energy
_REGROWTH = 1.2  # factor by which a step size that was halved may grow in each later step


class FlowState(NamedTuple):
    """What the next step needs.

    Attributes:
        measure: the particles.
        step: number of steps taken, the count that schedules are functions of.
        step_size: with the safeguard, the step size that the next step tries first; without it,
            the flow's own for the next step.
    """

    measure: Measure
    step: Int[Array, ""]
    step_size: Float[Array, ""]


class FlowInfo(NamedTuple):
    """What a step tells about itself.

    Attributes:
        energy: L[rho] before the step.
        step_size: eta, the length of the step.
    """

    energy: Float[Array, ""]
    step_size: Float[Array, ""]


class Flow(NamedTuple):
    """A flow on particles.

    Attributes:
        init: `init(measure) -> state` checks the measure and makes it the start of a run.
        step: `step(key, state) -> (state, info)` is a pure function, for loops of your own.
    """

    init: Callable[[Measure], FlowState]
    step: Callable[[PRNGKeyArray, FlowState], tuple[FlowState, FlowInfo]]


def wasserstein_flow(
    problem: MeanField,
    *,
    step_size: float | Schedule,
    safeguard: bool = False,
    devices: Sequence | None = None,
) -> Flow:
    """The Wasserstein gradient flow d rho/dt = -div(v[rho] rho), by Euler steps (eq. 3.1).

    For a measure of m particles of mass 1/m this is gradient descent on a network of m units. It
    stops at the first stationary measure, which need not be a global optimum.

    Args:
        problem: `MeanField`.
        step_size: eta, a number > 0, or a schedule `step_size(count)` of the number of steps done
            so far, with values >= 0. Any optax schedule will do.
        safeguard: whether to halve a step until the energy does not increase; later steps grow
            again, up to step_size. Each length that is tried costs one more pass over the
            particles.
        devices: share the particles out to these devices; None leaves them where they are.

    Returns:
        `Flow(init, step)`.

    Raises:
        ValueError: step_size is not positive, a schedule does not give scalars or has a negative
            value or NaN at step 0 (`run_flow` looks at all its steps), or devices is empty. `init`
            raises it for a measure without particles, with NaN or a negative mass, or that does
            not fit the problem.
        TypeError: problem is no `MeanField`, or step_size not a number or a function. `init` raises
            it for a measure that does not hold floats of the problem's dtype.

    Example:
        >>> from jaxmargin import two_layer_problem, sample_sphere
        >>> problem = two_layer_problem(jnp.eye(2), jnp.array([1.0, -1.0]), "logistic", lam=0.1)
        >>> flow = wasserstein_flow(problem, step_size=0.1)
        >>> state = flow.init(Measure(sample_sphere(jax.random.key(0), 8, 3), jnp.full(8, 1 / 8)))
        >>> state, info = flow.step(jax.random.key(1), state)
        >>> bool(flow.step(jax.random.key(1), state)[1].energy < info.energy)
        True

    Reference:
        Wei, Lee, Liu, Ma (2019), eq. 3.1; Chizat, Bach (2018).
    """
    rates = _checked(step_size, 0.0)
    return _flow(problem, rates, _Scheme(), safeguard, devices)


def perturbed_flow(
    problem: MeanField,
    *,
    step_size: float | Schedule,
    noise: float | Schedule,
    scheme: str = "reinitialize",
    reserve: int | None = None,
    safeguard: bool = False,
    devices: Sequence | None = None,
) -> Flow:
    """The perturbed Wasserstein gradient flow (eq. 3.2), which finds global optima (Theorem 3.3).

    After each Euler step of the plain flow, a share eta sigma of the measure is replaced by the
    uniform distribution on the sphere. There are two ways, and both are right in expectation:

    - "reinitialize": each particle becomes a fresh uniform one with probability eta sigma. This is
      the paper's own reading ("re-initializing a very small fraction of the neurons").
    - "weighted": all masses shrink by the factor 1 - eta sigma, and a fresh particle of mass
      eta sigma joins. To keep the number of particles, the two of least weight mass |theta|^2 are
      then made one: one of them survives, with a probability proportional to its weight, and takes
      the weight of both. A newborn particle must have time to grow before it is taken, so that
      light particles need slots of their own: `reserve`. All particles are kept on the unit
      sphere, where the mass is the weight.

    step_size and noise are numbers or schedules. A schedule is a function of the number of steps
    done so far that `jit` can trace, such as those of optax. The state keeps that number, so that a
    run in pieces is the whole run under a schedule too. A noise that falls in the course of a run
    finds new directions at first and does not disturb them later.

    Args:
        problem: `MeanField`.
        step_size: eta, a number > 0, or a schedule `step_size(count)` with values >= 0.
        noise: sigma, a number >= 0 with eta sigma <= 1, or a schedule `noise(count)` of such.
        scheme: "reinitialize" or "weighted".
        reserve: the number of empty slots that `init` adds to the measure, for "weighted"; None
            adds one for each particle.
        safeguard: whether to halve a step until the transport does not increase the energy; later
            steps grow again, up to step_size.
        devices: share the particles out to these devices; None leaves them where they are. The
            results are the same to rounding. Empty slots are added to make the shares equal.
            "weighted" uses them as a reserve, so that its results are the same only for equal
            numbers of slots.

    Returns:
        `Flow(init, step)`.

    Raises:
        ValueError: a number is out of range, or the value of a schedule at step 0 (`run_flow` looks
            at all its steps); a schedule does not give scalars; the scheme is unknown, devices is
            empty, or reserve is given without "weighted". `init` raises it for a measure without
            particles or without mass, with NaN or a negative mass, or that does not fit the
            problem.
        TypeError: problem is no `MeanField`, step_size or noise not a number or a function, or
            reserve not an integer.
            `init` raises it for a measure that does not hold floats of the problem's dtype.

    Example:
        >>> from jaxmargin import two_layer_problem, run_flow
        >>> problem = two_layer_problem(jnp.eye(2), jnp.array([1.0, -1.0]), "logistic", lam=0.1)
        >>> collapsed = Measure(jnp.tile(jnp.array([0.1, 0.1, 0.0]), (16, 1)), jnp.full(16, 1 / 16))
        >>> flow = perturbed_flow(problem, step_size=0.05, noise=0.01)
        >>> key = jax.random.key(0)
        >>> _, history = run_flow(key, flow, flow.init(collapsed), num_steps=2_000)
        >>> plain = wasserstein_flow(problem, step_size=0.05)
        >>> _, stuck = run_flow(key, plain, plain.init(collapsed), num_steps=2_000)
        >>> bool(history.lowest[-1] < 0.9 * stuck.lowest[-1])
        True

        A noise that falls by a factor 10 every 1,000 steps:

        >>> import optax
        >>> annealed = perturbed_flow(
        ...     problem, step_size=0.05, noise=optax.exponential_decay(0.1, 1_000, 0.1))
        >>> _, late = run_flow(key, annealed, annealed.init(collapsed), num_steps=2_000)
        >>> bool(late.energy[-1] < history.energy[-1])
        True

    Reference:
        Wei, Lee, Liu, Ma (2019), eq. 3.2 and Theorem 3.3; Theorem E.21 for the discrete steps.
    """
    rates = _checked(step_size, noise)
    require_choice("scheme", scheme, SCHEMES)
    if reserve is not None:
        require_count("reserve", reserve, least=0)
        if scheme != "weighted":
            raise ValueError(f'reserve belongs to scheme "weighted", got scheme {scheme!r}')
    chosen = _Scheme(SCHEMES[scheme], reserve, doubles=scheme == "weighted")
    return _flow(problem, rates, chosen, safeguard, devices)


def _checked(step_size: float | Schedule, noise: float | Schedule) -> Rates:
    with np.errstate(over="ignore"):  # of a number that is refused below
        rates = Rates.checked(step_size, noise)
    require_held(jnp.result_type(float), step_size=step_size, noise=noise)
    return rates


@dataclass(frozen=True)
class _Scheme:
    """How a flow is perturbed. It can be hashed, so that equal flows share a compilation."""

    perturb: Callable | None = None
    reserve: int | None = None
    doubles: bool = False

    def slots(self, m: int) -> int:
        """Slots for a measure of m particles."""
        return m + (self.reserve if self.reserve is not None else m if self.doubles else 0)


def _flow(
    problem: MeanField,
    rates: Rates,
    scheme: _Scheme,
    safeguard: bool,
    devices: Sequence | None,
) -> Flow:
    require_problem(problem)
    mesh = None
    if devices is not None:
        mesh = device_mesh(_AXIS, devices)
        problem = jax.device_put(problem, NamedSharding(mesh, PartitionSpec()))
    return Flow(
        jax.tree_util.Partial(_Init(scheme, mesh), problem, rates.step_size),
        jax.tree_util.Partial(_Step(scheme, mesh, safeguard), problem, rates),
    )


@dataclass(frozen=True)
class _Init:
    scheme: _Scheme
    mesh: Mesh | None

    def __call__(self, problem: MeanField, step_size: Any, measure: Measure) -> FlowState:
        theta, mass = check_measure(problem, measure)
        dtype = jax.eval_shape(energy, problem, measure).dtype
        if dtype != theta.dtype:
            raise TypeError(
                f"problem and measure must hold floats of one dtype, got {dtype} and {theta.dtype}"
            )
        concrete = not isinstance(mass, Tracer)
        if concrete and self.scheme.perturb is not None and not np.any(np.asarray(mass) > 0):
            raise ValueError("measure.mass must not be all 0: a probability measure has 1/m each")
        m = len(mass)
        empty = self.scheme.slots(m) - m
        if self.mesh is not None:
            empty += -(m + empty) % self.mesh.size
        padded = Measure(jnp.pad(theta, ((0, empty), (0, 0))), jnp.pad(mass, (0, empty)))
        step = jnp.zeros((), int)
        state = FlowState(padded, step, jnp.asarray(rate_at(step_size, step), theta.dtype))
        if self.mesh is None:
            return state
        return jax.device_put(state, _shardings(self.mesh))


def _shardings(mesh: Mesh) -> FlowState:
    shared: Any = NamedSharding(mesh, PartitionSpec(_AXIS))
    everywhere: Any = NamedSharding(mesh, PartitionSpec())
    return FlowState(Measure(shared, shared), everywhere, everywhere)


@dataclass(frozen=True)
class _Step:
    scheme: _Scheme
    mesh: Mesh | None
    safeguard: bool

    def __call__(
        self, problem: MeanField, rates: Rates, key: PRNGKeyArray, state: FlowState
    ) -> tuple[FlowState, FlowInfo]:
        dtype = state.step_size.dtype
        largest, noise = (jnp.asarray(a, dtype) for a in rates.at(state.step))
        forces = self._shared(_forces, problem, state.measure)
        moved, step_size = self._transport(problem, state, largest, forces)
        if self.scheme.perturb is not None:
            moved = self.scheme.perturb(key, moved, step_size * noise, forces.total_mass, self.mesh)
        following = jnp.asarray(rate_at(rates.step_size, state.step + 1), dtype)
        if self.safeguard:
            regrown = jnp.minimum(_REGROWTH * step_size, following)
            following = jnp.where(step_size < largest, regrown, following)
        new = FlowState(moved, state.step + 1, following)
        if self.mesh is not None:
            new = jax.lax.with_sharding_constraint(new, _shardings(self.mesh))
        return new, FlowInfo(forces.energy, step_size)

    def _transport(
        self, problem: MeanField, state: FlowState, largest: Array, forces: "_Forces"
    ) -> tuple[Measure, Array]:
        """The measure with its particles moved by eta v, and eta."""

        def move(step_size: Array) -> Measure:
            return state.measure._replace(theta=state.measure.theta - step_size * forces.slopes)

        if not self.safeguard:
            return move(largest), largest
        rounding = 4 * jnp.finfo(state.step_size.dtype).eps * jnp.abs(forces.energy)

        def too_long(trial: tuple[Array, Array]) -> Array:
            step_size, halvings = trial
            value = self._shared(_energy, problem, move(step_size))
            return ~(value <= forces.energy + rounding) & (halvings < _HALVINGS)

        def halve(trial: tuple[Array, Array]) -> tuple[Array, Array]:
            return trial[0] / 2, trial[1] + 1

        first = jnp.minimum(state.step_size, largest)
        step_size, _ = jax.lax.while_loop(too_long, halve, (first, jnp.asarray(0)))
        return move(step_size), step_size

    def _shared(self, function: Callable, problem: MeanField, measure: Measure) -> Any:
        """The value of function(problem, measure, axis_name), where each device sees its share."""
        if self.mesh is None:
            return function(problem, measure, None)
        own: Any = PartitionSpec(_AXIS)
        everywhere: Any = PartitionSpec()
        out = _Forces(everywhere, own, everywhere) if function is _forces else everywhere
        return jax.shard_map(
            partial(function, axis_name=_AXIS),
            mesh=self.mesh,
            in_specs=(everywhere, own),
            out_specs=out,
            check_vma=False,
        )(problem, measure)


class _Forces(NamedTuple):
    energy: Float[Array, ""]
    slopes: Float[Array, "m dim"]  # grad L'[rho] at the particles
    total_mass: Float[Array, ""]


def _sums(
    problem: MeanField, measure: Measure, axis_name: str | None
) -> tuple[Array, Array, Array]:
    """The outputs, int V drho and int drho; the devices add up one vector that holds all three."""
    own = (integrate(problem.phi, measure), regularizer(problem, measure), jnp.sum(measure.mass))
    if axis_name is None:
        return own
    flat, unravel = ravel_pytree(own)
    return unravel(jax.lax.psum(flat, axis_name))


def _forces(problem: MeanField, measure: Measure, axis_name: str | None) -> _Forces:
    outputs, penalty, total_mass = _sums(problem, measure, axis_name)
    risk, dual = jax.value_and_grad(problem.loss)(outputs)
    _, slopes = variation_of_dual(problem, dual, measure.theta)
    return _Forces(risk + penalty, slopes, total_mass)


def _energy(problem: MeanField, measure: Measure, axis_name: str | None) -> Array:
    outputs, penalty, _ = _sums(problem, measure, axis_name)
    return problem.loss(outputs) + penalty
