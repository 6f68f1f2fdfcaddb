"""The constants of Assumptions E.1 to E.3 hold on samples, and are not far off."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from tests.mean_field.cases_of_e4 import CASES, D_IN, KEY, LEVEL, Case, N, X, problem_of

each = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.loss}-{case.smoothing}")


@each
def test_phi_and_v_keep_their_bounds_on_the_sphere(case: Case):
    problem, dim = problem_of(case), D_IN + case.outputs
    found = jm.mean_field.regularity(problem, dim, level=LEVEL)
    a, b = (jm.sample_sphere(jax.random.key(i), 20_000, dim) for i in (2, 3))
    b = jnp.concatenate([b[:10_000], a[10_000:] + 1e-2 * b[10_000:]])  # far and near pairs
    b = b / jnp.linalg.norm(b, axis=1, keepdims=True)
    phi = jax.jit(jax.vmap(lambda t: problem.phi(t).ravel()))
    at_a, at_b = phi(a), phi(b)
    assert at_a.shape[1] == found.k
    size = np.linalg.norm(at_a, axis=1).max()
    assert 0.5 * found.B_Phi < size <= found.B_Phi
    slopes = np.abs(at_a - at_b) / np.linalg.norm(a - b, axis=1)[:, None]
    assert 0.4 * found.M_Phi < slopes.max() <= found.M_Phi
    gradients = jax.jit(jax.vmap(jax.jacobian(lambda t: problem.phi(t).ravel())))(a)
    assert 0.8 * found.M_Phi < np.linalg.norm(gradients, axis=2).max() <= found.M_Phi
    values = jax.vmap(problem.potential)(a)
    slack = 1e-6
    assert found.b_V * (1 - slack) <= values.min()
    assert values.max() <= found.B_V * (1 + slack)
    steep = np.linalg.norm(jax.vmap(jax.grad(problem.potential))(a), axis=1).max()
    assert steep <= found.M_V * (1 + slack)


@pytest.mark.parametrize("case", [c for c in CASES if c.smoothing], ids=lambda case: case.loss)
def test_smooth_features_have_lipschitz_gradients(case: Case):
    problem, dim = problem_of(case), D_IN + case.outputs
    found = jm.mean_field.regularity(problem, dim, level=LEVEL)
    hessian = jax.jit(jax.vmap(jax.hessian(lambda t: problem.phi(t).ravel())))
    # the curvature sits at the kinks u . x_i = 0
    theta = jm.sample_sphere(jax.random.key(4), 4000, dim)
    k, x = case.outputs, X[0] / jnp.linalg.norm(X[0])
    u = theta[:, k:] - jnp.outer(theta[:, k:] @ x, x)
    kinked = jnp.concatenate([theta[:, :k], u], axis=1)
    kinked = kinked / jnp.linalg.norm(kinked, axis=1, keepdims=True)
    norms = np.abs(np.linalg.eigvalsh(hessian(jnp.concatenate([theta, kinked])))).max()
    assert 0.3 * found.C_Phi < norms <= found.C_Phi
    assert (
        jm.mean_field.regularity(problem_of(case._replace(smoothing=0.0)), dim, level=1.0).C_Phi
        == math.inf
    )


def derivatives(f):
    return lambda a: (f(a), jax.grad(f)(a), jax.hessian(f)(a))


@each
def test_r_keeps_its_bounds(case: Case):
    problem = problem_of(case)
    found = jm.mean_field.regularity(problem, D_IN + case.outputs, level=LEVEL)
    shape = (N,) if case.outputs == 1 else (N, 3)
    scales = jnp.logspace(-2, 2, 200).reshape(200, *[1] * len(shape))
    a = jax.random.normal(KEY, (200, *shape)) * scales
    risk, gradients, hessians = jax.jit(jax.vmap(derivatives(problem.loss)))(a)
    gradients = gradients.reshape(200, -1)
    steep = np.linalg.norm(gradients, axis=1)[np.asarray(risk) <= found.level]
    assert 0.5 * found.M_R < steep.max() <= found.M_R
    largest = np.linalg.eigvalsh(hessians.reshape(200, N * case.outputs, -1)).max()
    assert 0.8 * found.C_R < largest <= found.C_R * (1 + 1e-6)
    assert (found.level == math.inf) == (case.loss != "squared")
