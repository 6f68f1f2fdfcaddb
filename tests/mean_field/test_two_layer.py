"""Two-layer problems: the network that each is, its features, its norm, and its reduction."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from jaxmargin.mean_field.two_layer import SmoothTwoLayerFeatures, TwoLayerFeatures
from tests.mean_field.problems import LAM, PROBLEMS, D, N, measure, normal, outputs, points

Y = np.resize([1.0, -1.0], N)


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def close(actual, expected, tolerance: float = 1e-12):
    scale = float(np.max(np.abs(expected), initial=1.0))
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("name", ["logistic", "squared, 2 outputs", "cross-entropy"])
def test_a_measure_and_its_network_have_the_same_outputs(name: str):
    """The network has one output, or as many as the problem, without being told."""
    problem, k = PROBLEMS[name]("float64"), outputs(name)
    rho = jm.Measure(normal(7, k + D, dtype="float64"), jnp.linspace(0.0, 0.4, 7))
    x = normal(N, D, dtype="float64", seed=4)
    network = jm.as_network(problem, rho)
    total = np.zeros((N, k))
    for theta, s in zip(*map(np.asarray, rho), strict=True):
        total += s * np.outer(np.maximum(x @ theta[k:], 0), theta[:k])
    close(jm.two_layer(network, x), total[:, 0] if k == 1 else total)
    close(jm.norms.sum_of_squares(network), jm.second_moment(rho))
    again = jm.from_network(network)
    close(again.mass, np.full(7, 1 / 7))
    close(jm.second_moment(again), jm.second_moment(rho))
    jax.tree.map(close, jm.as_network(problem, again), network)


@pytest.mark.parametrize(
    ("name", "loss"),
    [("logistic", "logistic"), ("cross-entropy", "cross_entropy"), ("squared", "squared")],
)
def test_the_energy_is_the_objective_of_the_network(name: str, loss: Any):
    """The objective's loss is the mean over samples: the sum with n lam is n times as much."""
    problem, k = PROBLEMS[name]("float64"), outputs(name)
    network = jm.init_two_layer(jax.random.key(0), D, 5, k=None if k == 1 else k)
    x, y = problem.phi.x, problem.loss.labels if loss == "cross_entropy" else problem.loss.y
    rho, classes = jm.from_network(network), k if loss == "cross_entropy" else None
    objective = jm.regularized(jm.two_layer, loss, lam=LAM / N)
    close(jm.energy(problem, rho), N * objective(network, x, y))
    mean = jm.two_layer_problem(x, y, loss, k=classes, lam=LAM / N, reduction="mean")
    close(jm.energy(mean, rho), objective(network, x, y))


def test_a_unit_without_mass_has_no_infinite_derivative():
    rho = jm.Measure(jnp.ones((2, 3)), jnp.array([0.0, 0.25]))
    problem = jm.two_layer_problem(jnp.eye(2), jnp.ones(2), "logistic", lam=0.1)
    slope = jax.grad(lambda rho: jnp.sum(jm.as_network(problem, rho).w))(rho)
    close(slope.mass, np.array([0.0, 1.0]))


def smooth(x: jax.Array, width: float) -> SmoothTwoLayerFeatures:
    return SmoothTwoLayerFeatures(x, jnp.asarray(width, x.dtype))


@pytest.mark.parametrize("k", [1, 3])
def test_smooth_features_are_two_homogeneous_and_near_relu(k: int):
    """0 <= |smooth - relu| <= |w| width |theta| / 2, since sqrt(z^2 + s^2) - |z| <= s."""
    x, theta = normal(N, D, dtype="float64", seed=5), normal(9, k + D, dtype="float64")
    relu = jax.vmap(TwoLayerFeatures(x))(theta)
    heights = jnp.linalg.norm(theta, axis=1)
    w = jnp.abs(theta[:, :k].reshape(9, *([1] * (k > 1)), k) if k > 1 else theta[:, :1])
    for width in (1.0, 1e-2, 1e-6):
        values = jax.vmap(smooth(x, width))(theta)
        close(jax.vmap(smooth(x, width))(3 * theta), 9 * values)
        scale = heights.reshape(9, *[1] * (values.ndim - 1))
        bound = jnp.broadcast_to(w * width * scale / 2, values.shape)
        assert bool(jnp.all(jnp.abs(values - relu) <= bound * (1 + 1e-9) + 1e-14))


@pytest.mark.parametrize("width", [0.0, 1e-30, 1e-200])
def test_smooth_features_of_width_zero_are_relu(width: float):
    """Also where the square of the width underflows, and as an array that is 0."""
    x, y = normal(N, D, dtype="float64", seed=5), jnp.asarray(Y)
    theta = normal(9, 1 + D, dtype="float64")
    close(jax.vmap(smooth(x, width))(theta), jax.vmap(TwoLayerFeatures(x))(theta))
    rho, velocity = jm.Measure(theta, jnp.full(9, 1 / 9)), jax.jit(jm.velocity)
    problem = jm.two_layer_problem(x, y, "logistic", lam=LAM)
    smoothed = jm.two_layer_problem(x, y, "logistic", lam=LAM, smoothing=jnp.array(width))
    close(velocity(smoothed, rho, theta), velocity(problem, rho, theta))


def test_smooth_features_have_lipschitz_gradients_on_the_sphere():
    """|Hessian of w (z + |(z, width theta)|) / 2| <= |w| |A|^2 / (2 width) + |x| + |A|.

    With |A|^2 = |x|^2 + width^2. The gradients of relu jump: pairs across the kink tell the two
    apart.
    """
    width, x = 0.3, normal(1, D, dtype="float64", seed=5)
    length = float(jnp.linalg.norm(x))
    a = float(np.hypot(length, width))
    lipschitz = a**2 / (2 * width) + length + a
    base = normal(200, 1 + D, dtype="float64")
    onto = base[:, 1:] - (base[:, 1:] @ x[0])[:, None] * x / length**2  # on the kink
    base = base.at[:100, 1:].set(onto[:100])
    base = base / jnp.linalg.norm(base, axis=1, keepdims=True)

    def steepest(phi, distance: float) -> float:
        other = base + distance * normal(200, 1 + D, dtype="float64", seed=1)
        other = other / jnp.linalg.norm(other, axis=1, keepdims=True)
        slope = jax.jit(jax.vmap(jax.grad(lambda theta: phi(theta)[0])))
        change = jnp.linalg.norm(slope(base) - slope(other), axis=1)
        return float(jnp.max(change / jnp.linalg.norm(base - other, axis=1)))

    for distance in (1e-1, 1e-3, 1e-6):
        assert steepest(smooth(x, width), distance) <= lipschitz * (1 + 10 * distance)
    assert steepest(TwoLayerFeatures(x), 1e-6) > 1e3 * lipschitz


@pytest.mark.parametrize("name", ["logistic", "smooth cross-entropy"])
def test_every_derivative_at_zero_is_zero(name: str):
    problem = PROBLEMS[name]("float64")
    zero = jnp.zeros(outputs(name) + D)
    assert not jax.jit(jax.jacobian(problem.phi))(zero).any()
    assert not jax.jit(jax.grad(problem.potential))(zero).any()


def test_strengths_can_be_swept():
    """lam and smoothing may be arrays, under vmap."""
    x, y = normal(N, D, dtype="float64", seed=5), jnp.asarray(Y)
    rho = measure("logistic", "float64")

    def swept(lam, smoothing):
        return jm.energy(jm.two_layer_problem(x, y, "logistic", lam=lam, smoothing=smoothing), rho)

    lams, smoothings = jnp.array([0.1, 1.0]), jnp.array([0.0, 0.5])
    alone = [
        jm.energy(jm.two_layer_problem(x, y, "logistic", lam=float(a), smoothing=float(b)), rho)
        for a, b in zip(lams, smoothings, strict=True)
    ]
    close(jax.vmap(swept)(lams, smoothings), jnp.stack(alone))


def test_classes_that_no_label_shows_and_outputs_of_other_problems():
    x, labels = normal(4, D, dtype="float64"), jnp.array([0, 1, 0, 1])
    problem = jm.two_layer_problem(x, labels, "cross_entropy", k=4, lam=LAM)
    nothing = jm.Measure(jnp.zeros((1, 4 + D)), jnp.ones(1))
    close(jm.energy(problem, nothing), 4 * np.log(4))
    for other in (2, 5):
        with pytest.raises(ValueError, match=rf"shape \(4, {other}\), and not \(4, 4\)"):
            jm.energy(problem, jm.Measure(jnp.ones((1, other + D)), jnp.ones(1)))


def test_one_feature_one_sample_one_unit():
    rho = jm.Measure(points("logistic", 1, "float64")[:, :2], jnp.ones(1))
    problem = jm.two_layer_problem(jnp.ones((1, 1)), jnp.ones(1), "squared", lam=LAM)
    w, u = rho.theta[0]
    value = (w * max(u, 0) - 1) ** 2 + LAM * (w**2 + u**2)
    close(jm.energy(problem, rho), value)


@pytest.mark.parametrize("wide", [1, 100])
@pytest.mark.parametrize("k", [1, 2])
def test_products_in_either_order_are_those_of_single_particles(k: int, wide: int, monkeypatch):
    """The sums and gradients of all particles, against those that JAX derives one by one."""
    monkeypatch.setattr("jaxmargin.mean_field.two_layer._WIDE", wide)
    rng = np.random.default_rng(0)
    features = TwoLayerFeatures(jnp.asarray(rng.normal(size=(5, 3))))
    theta, mass = jnp.asarray(rng.normal(size=(4, 3 + k))), jnp.asarray(rng.uniform(size=4))
    outputs = jax.vmap(features)(theta)
    close(features.integrate(theta, mass), jnp.tensordot(mass, outputs, axes=1))
    dual = jnp.asarray(rng.normal(size=outputs.shape[1:]))
    single = jax.value_and_grad(lambda one: jnp.sum(dual * features(one)))
    jax.tree.map(close, features.pull_back(dual, theta), jax.vmap(single)(theta))
