"""Problems over measures: against NumPy, finite differences, and one route against the other."""

import pickle
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from tests.mean_field.problems import LAM, PROBLEMS, D, N, measure, normal, outputs, points

by_problem = pytest.mark.parametrize("name", PROBLEMS)
SCALAR, SEVERAL = "logistic", "smooth cross-entropy"
by_few = pytest.mark.parametrize("name", [SCALAR, SEVERAL])
energy, first_variation, velocity = map(jax.jit, (jm.energy, jm.first_variation, jm.velocity))


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def close(actual, expected, tolerance: float = 1e-12):
    scale = float(np.max(np.abs(expected), initial=1.0))
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * scale)


def numpy_energy(name: str, problem: Any, rho: jm.Measure) -> float:
    """L[rho] by the formulas of the paper, one particle and one sample after the other."""
    x = np.asarray(problem.phi.x)
    k = outputs(name)
    total = np.zeros((N, k))
    for theta, mass in zip(*map(np.asarray, rho), strict=True):
        w, u = theta[:k], theta[k:]
        for i in range(N):
            z = u @ x[i]
            width = 0.3 * np.linalg.norm(theta) if "smooth" in name else 0
            total[i] += mass * w * (z + np.sqrt(z**2 + width**2)) / 2
    if "cross-entropy" in name:
        labels = np.asarray(problem.loss.labels)
        risk = sum(
            np.log(np.exp(total[i]).sum()) - total[i, label] for i, label in enumerate(labels)
        )
    elif "logistic" in name:
        risk = np.log(1 + np.exp(-np.asarray(problem.loss.y) * total[:, 0])).sum()
    else:
        risk = ((total - np.asarray(problem.loss.y).reshape(N, k)) ** 2).sum()
    return risk + LAM * float(np.asarray(rho.mass) @ (np.asarray(rho.theta) ** 2).sum(1))


@by_problem
def test_energy_is_that_of_numpy(name: str):
    problem, rho = PROBLEMS[name]("float64"), measure(name, "float64")
    close(energy(problem, rho), numpy_energy(name, problem, rho))


@by_few
def test_first_variation_is_the_derivative_by_an_added_particle(name: str):
    """(L[rho + e delta] - L[rho - e delta]) / 2e."""
    problem, rho = PROBLEMS[name]("float64"), measure(name, "float64")
    theta = points(name, 4, "float64", seed=3)

    @jax.jit
    def added(e: float, one: jax.Array):
        theta = jnp.concatenate([rho.theta, one[None]])
        return energy(problem, jm.Measure(theta, jnp.append(rho.mass, e)))

    e = 1e-5
    slopes = [(added(e, one) - added(-e, one)) / (2 * e) for one in theta]
    close(first_variation(problem, rho, theta), np.array(slopes), 1e-7)


@by_few
def test_velocity_is_minus_the_gradient(name: str):
    problem, rho = PROBLEMS[name]("float64"), measure(name, "float64")
    theta = points(name, 5, "float64", seed=3)
    slope = jax.grad(lambda theta: jnp.sum(first_variation(problem, rho, theta)))
    close(velocity(problem, rho, theta), -jax.jit(slope)(theta))
    gradient = jax.jit(jax.grad(jm.energy, 1))(problem, rho)
    close(velocity(problem, rho, rho.theta), -gradient.theta / rho.mass[:, None])
    close(first_variation(problem, rho, rho.theta), gradient.mass)


@by_few
def test_lemma_e17_the_radial_derivative_is_twice_the_value(name: str):
    """theta . grad h = 2 h for the 2-homogeneous h = L'[rho]."""
    problem, rho = PROBLEMS[name]("float64"), measure(name, "float64")
    theta = points(name, 9, "float64", seed=3)
    radial = -jnp.sum(theta * velocity(problem, rho, theta), axis=1)
    close(radial, 2 * first_variation(problem, rho, theta))


@by_few
def test_only_mass_times_squared_size_counts(name: str):
    """(s, theta) is (s / c^2, c theta), and two particles of s / 4 and 3 s / 4 at one place."""
    problem, rho = PROBLEMS[name]("float64"), measure(name, "float64")
    c = jnp.linspace(0.3, 4, len(rho.mass))
    scaled = jm.Measure(c[:, None] * rho.theta, rho.mass / c**2)
    split = jm.Measure(
        jnp.concatenate([rho.theta, scaled.theta]),
        jnp.concatenate([rho.mass / 4, 3 * scaled.mass / 4]),
    )
    theta = points(name, 5, "float64", seed=3)
    for same in (scaled, split):
        close(energy(problem, same), energy(problem, rho))
        close(jm.second_moment(same), jm.second_moment(rho))
        close(velocity(problem, same, theta), velocity(problem, rho, theta))
    close(first_variation(problem, rho, 3 * theta), 9 * first_variation(problem, rho, theta))
    close(velocity(problem, rho, 3 * theta), 3 * velocity(problem, rho, theta))


@by_few
def test_energy_is_convex_in_the_measure(name: str):
    """Under its chords, and over its tangents L[rho] + int L'[rho] d(nu - rho)."""
    problem = PROBLEMS[name]("float64")
    rho, nu = measure(name, "float64"), measure(name, "float64", m=5, seed=8)
    theta = jnp.concatenate([rho.theta, nu.theta])

    def mixed(t: float):
        return jm.Measure(theta, jnp.concatenate([(1 - t) * rho.mass, t * nu.mass]))

    ends = float(energy(problem, rho)), float(energy(problem, nu))
    for t in (0.25, 0.5, 0.75):
        assert energy(problem, mixed(t)) < (1 - t) * ends[0] + t * ends[1]
    slope = jnp.dot(first_variation(problem, rho, theta), jnp.concatenate([-rho.mass, nu.mass]))
    assert ends[1] > ends[0] + float(slope)


def test_at_the_optimum_the_first_variation_is_nonnegative_and_zero_on_the_particles():
    """One sample x = y = 1: f minimises log(1 + e^-f) + 2 lam f, at e^f = 1 / (2 lam) - 1."""
    problem = jm.two_layer_problem(jnp.ones((1, 1)), jnp.ones(1), "logistic", lam=LAM)
    f = np.log(1 / (2 * LAM) - 1)
    rho = jm.Measure(jnp.full((1, 2), f**0.5), jnp.ones(1))
    close(energy(problem, rho), np.log1p(np.exp(-f)) + 2 * LAM * f)
    angles = np.linspace(0, 2 * np.pi, 1001)
    circle = jnp.asarray(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    assert float(jnp.min(first_variation(problem, rho, circle))) > -1e-15
    close(first_variation(problem, rho, rho.theta), np.zeros(1), 1e-15)
    close(velocity(problem, rho, rho.theta), np.zeros((1, 2)), 1e-15)


@by_few
def test_zero_particles_and_no_points(name: str):
    problem, theta = PROBLEMS[name]("float64"), points(name, 7, "float64")
    nothing = jm.Measure(jnp.zeros_like(theta), jnp.ones(7))
    massless = jm.Measure(theta, jnp.zeros(7))
    close(energy(problem, nothing), energy(problem, massless))
    assert not velocity(problem, massless, jnp.zeros_like(theta)).any()
    assert velocity(problem, massless, theta[:0]).shape == theta[:0].shape
    assert first_variation(problem, massless, theta[:0]).shape == (0,)


def phi_of(x: jax.Array, theta: jax.Array) -> jax.Array:
    return theta[0] * jax.nn.relu(x @ theta[1:])


def sum_of_squares(a: jax.Array) -> jax.Array:
    return jnp.sum(a**2)


def own_problem(phi: Callable) -> Any:
    return jm.MeanField(phi=phi, loss=sum_of_squares, potential=sum_of_squares)


class Counted:
    """A jitted velocity that counts its traces."""

    def __init__(self):
        self.traces = 0
        self.call = jax.jit(self._call)

    def _call(self, problem, rho):
        self.traces += 1
        return jm.velocity(problem, rho, rho.theta)


@pytest.mark.parametrize("name", [SCALAR, SEVERAL, "own"])
def test_problems_of_the_same_shapes_compile_once(name: str):
    counted, rho = Counted(), measure(name, "float64")
    for seed in (1, 2):
        x = normal(N, D, dtype="float64", seed=seed)
        if name == "own":
            problem = own_problem(jax.tree_util.Partial(phi_of, x))
        else:
            problem = PROBLEMS[name]("float64")
            problem = jm.MeanField(problem.phi._replace(x=x), problem.loss, problem.potential)
        expected = velocity(problem, rho, rho.theta)
        close(counted.call(problem, rho), expected)
    assert counted.traces == 1


def test_a_closure_compiles_anew_and_a_function_does_not():
    counted, rho = Counted(), measure("logistic", "float64")
    x, z = (normal(N, D, dtype="float64", seed=seed) for seed in (1, 2))

    def closure(theta):
        return phi_of(x, theta)

    for problem in [own_problem(closure), own_problem(closure)]:
        close(counted.call(problem, rho), velocity(problem, rho, rho.theta))
    assert counted.traces == 1
    other = own_problem(lambda theta: phi_of(z, theta))
    close(counted.call(other, rho), velocity(other, rho, rho.theta))
    assert counted.traces == 2
    partial = own_problem(jax.tree_util.Partial(phi_of, x))
    close(energy(partial, rho), energy(own_problem(closure), rho))


class Quadratic:
    """A user's risk, neither a function nor a pytree, with its conjugate."""

    def __call__(self, a):
        return jnp.sum(a**2)

    def conjugate(self, p):
        return jnp.sum(p**2) / 4


def test_a_loss_that_is_an_object_keeps_its_conjugate():
    problem: Any = jm.MeanField(phi=lambda t: t**2, loss=Quadratic(), potential=sum_of_squares)
    a = jnp.arange(3.0)
    close(problem.loss(a) + problem.loss.conjugate(2 * a), jnp.dot(a, 2 * a))
    through_jit = jax.jit(lambda problem: problem.loss.conjugate(2 * a))(problem)
    close(through_jit, problem.loss.conjugate(2 * a))
    assert not hasattr(jm.MeanField(sum_of_squares, jnp.sum, sum_of_squares).loss, "conjugate")


class Squares:
    """A user's features, neither a function nor a pytree, with passes of their own."""

    def __call__(self, theta):
        return theta**2

    def integrate(self, theta, mass):
        return mass @ theta**2

    def pull_back(self, dual, theta):
        return theta**2 @ dual, 2 * dual[None, :] * theta


def test_features_that_are_an_object_keep_their_passes():
    problem = jm.MeanField(Squares(), jnp.sum, sum_of_squares)
    assert isinstance(problem.phi, jm.mean_field.Features)
    function = jm.MeanField(lambda theta: theta**2, jnp.sum, sum_of_squares)
    assert not isinstance(function.phi, jm.mean_field.Features)
    rho = measure("logistic", "float64")
    for call in (energy, lambda *args: velocity(*args, rho.theta)):
        close(call(problem, rho), call(function, rho))


def test_a_problem_of_plain_functions_is_a_fixed_point_of_jax():
    """Built again from its leaves it has the same structure, so that a loop may carry it."""
    problem = jm.MeanField(lambda theta: theta[:1], lambda a: jnp.sum(a**2), jnp.sum)
    again = jax.tree.map(lambda leaf: leaf, problem)
    assert jax.tree.structure(again) == jax.tree.structure(problem)
    assert again == problem
    carried, _ = jax.lax.scan(lambda carry, _: (carry, None), problem, length=2)
    assert carried == problem


def test_problems_can_be_pickled():
    rho = measure("logistic", "float64")
    for problem in (PROBLEMS["logistic"]("float64"), own_problem(sum_of_squares)):
        again = pickle.loads(pickle.dumps(problem))
        assert jax.tree.structure(again) == jax.tree.structure(problem)
        close(energy(again, rho), energy(problem, rho))


@by_problem
def test_ready_problems_are_two_homogeneous(name: str):
    """In float32 too, with float64 at hand."""
    problem = PROBLEMS[name]("float32")
    jm.mean_field.check_two_homogeneous(jax.random.key(0), problem, outputs(name) + D)
