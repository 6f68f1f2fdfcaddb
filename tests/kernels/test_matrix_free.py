"""Matrix-free ridge regression, against the dense solution and its own residual."""

import pickle
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmargin import ConvergenceError, fit_ridge, fit_ridge_matrix_free, k1, two_layer_ntk

N = 203  # no multiple of eight devices
RIDGE = 0.3


def samples(dtype, outputs: int | None = None):
    x = np.random.default_rng(0).normal(size=(N, 4))
    y = np.maximum(x, 0) @ np.random.default_rng(1).normal(size=(4, outputs or 1))
    return jnp.asarray(x, dtype), jnp.asarray(y if outputs else y[:, 0], dtype)


def fit(x, y, kernel=two_layer_ntk, **settings):
    usual = {"ridge": RIDGE, "num_landmarks": 30, "block_size": 64, "devices": jax.devices()[:1]}
    return fit_ridge_matrix_free(kernel, x, y, **usual | settings)


@pytest.mark.parametrize(("devices", "outputs"), [(1, None), (8, 3)])
def test_agrees_with_the_dense_solution(devices: int, outputs: int | None):
    with jax.enable_x64(True):
        x, y = samples("float64", outputs)
        found = fit(x, y, tol=1e-12, devices=jax.devices()[:devices])
        dense = fit_ridge(two_layer_ntk(x), y, ridge=RIDGE).beta
        np.testing.assert_allclose(found.beta, dense, atol=1e-10 * float(jnp.abs(dense).max()))
        assert found.converged
        assert found.beta.sharding == y.sharding


def test_float32_on_all_devices_has_the_residual_that_it_tells():
    x, y = samples("float32", 2)
    found = fit(x, y, kernel=k1, devices=None)
    assert found.beta.dtype == "float32"
    gram = np.asarray(k1(x), np.float64) + RIDGE * np.eye(N)
    residual = np.asarray(y, np.float64) - gram @ np.asarray(found.beta, np.float64)
    relative = np.max(np.linalg.norm(residual, axis=0) / np.linalg.norm(y, axis=0))
    assert found.history.residual[-1] <= np.sqrt(np.finfo("float32").eps)
    np.testing.assert_allclose(found.history.residual[-1], relative, rtol=0.02)


def test_landmarks_save_iterations():
    x, y = samples("float32")
    iterations = [fit(x, y, num_landmarks=m).history.step[-1] for m in (1, 30, N)]
    assert iterations[0] > 2 * iterations[1]
    assert iterations[2] <= 2


def test_outputs_do_not_wait_for_each_other():
    """A zero target is solved by zero, and does not turn its neighbour into NaN."""
    x, y = samples("float32", 2)
    found = fit(x, y.at[:, 0].set(0))
    assert not found.beta[:, 0].any()
    np.testing.assert_allclose(found.beta[:, 1], fit(x, y[:, 1]).beta, rtol=1e-2, atol=1e-3)
    nothing = fit(x, jnp.zeros_like(y))
    assert nothing.converged
    assert nothing.history.step.tolist() == [0]


SCALES = [1e-30, 1e-18, 1e18, 1e30]


@pytest.mark.parametrize("scale", SCALES)
def test_beta_is_linear_in_y(scale: float):
    """Norms and inner products square the size of y, which would over- or underflow in float32."""
    x, y = samples("float32")
    both = fit(x, jnp.stack([y, scale * y], axis=1)).beta
    np.testing.assert_allclose(both[:, 0], fit(x, y).beta, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(both[:, 1] / scale, both[:, 0], rtol=1e-4, atol=1e-4)


def scaled_kernel(x, z=None):
    """As `two_layer_ntk`, but for the first feature, which is a scale."""
    return x[0, 0] * two_layer_ntk(x[:, 1:], None if z is None else z[:, 1:])


@pytest.mark.parametrize("scale", SCALES)
def test_beta_is_of_degree_minus_one_in_kernel_and_ridge(scale: float):
    x, y = samples("float32")
    wide = jnp.concatenate([jnp.full((N, 1), scale, x.dtype), x], axis=1)
    found = fit(wide, y, kernel=scaled_kernel, ridge=RIDGE * scale)
    np.testing.assert_allclose(found.beta * scale, fit(x, y).beta, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("ridge", [1e25, 1e100])
def test_a_large_ridge_leaves_y_over_it(ridge: float):
    x, y = samples("float32")
    y = y * 1e30 / jnp.max(jnp.abs(y))
    if ridge > 1e38:
        with pytest.raises(ValueError, match="beta has size 1e-70, outside the range of float32"):
            fit(x, y, ridge=ridge)
    else:
        np.testing.assert_allclose(fit(x, y, ridge=ridge).beta, y / ridge, rtol=1e-6, atol=1e-12)


def test_every_iteration_is_recorded():
    x, y = samples("float32")
    seen = []
    found = fit(x, y, on_record=lambda step, record: seen.append((step, *record)))
    steps, residuals = found.history
    assert [step for step, _, _ in seen] == steps.tolist() == list(range(len(steps)))
    assert all(step == of_record for step, of_record, _ in seen)
    np.testing.assert_allclose([r for _, _, r in seen][:-1], residuals[:-1], rtol=1e-6)
    assert residuals[0] == 1


def test_the_result_is_a_pytree_that_pickles():
    found = fit(*samples("float32"))
    again = pickle.loads(pickle.dumps(found))
    for actual, expected in zip(jax.tree.leaves(again), jax.tree.leaves(found), strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_not_converged_is_an_error_that_holds_the_fit():
    x, y = samples("float32")
    with pytest.raises(
        ConvergenceError, match=r"after 2 iterations.*raise max_iterations"
    ) as caught:
        fit(x, y, max_iterations=2, num_landmarks=1)
    partial = caught.value.result
    assert partial.beta.shape == y.shape
    assert (partial.history.step[-1], partial.converged) == (2, False)
    assert partial.history.residual[-1] < 1


def test_rounding_that_hides_the_tolerance_is_told():
    with pytest.raises(ConvergenceError, match="the rounding of float32 allows no less"):
        fit(*samples("float32"), tol=1e-12)


@pytest.mark.accelerator
def test_accelerator_agrees_with_the_cpu():
    x, y = samples("float32")
    found = fit(x, y)
    cpu = jax.devices("cpu")
    expected = fit(jax.device_put(x, cpu[0]), jax.device_put(y, cpu[0]), devices=cpu)
    np.testing.assert_allclose(found.history.residual, expected.history.residual, rtol=0.1)
    gram = np.asarray(two_layer_ntk(x))
    size = np.linalg.norm(y)
    assert np.linalg.norm(gram @ (found.beta - expected.beta)) < 1e-3 * size


LARGE = """
import jax, jax.numpy as jnp, resource
from jaxmargin import fit_ridge_matrix_free, two_layer_ntk
x = jax.random.normal(jax.random.key(0), (50_000, 20))
y = jnp.sum(jax.nn.relu(x @ jax.random.normal(jax.random.key(1), (20, 6))), axis=1)
print(fit_ridge_matrix_free(two_layer_ntk, x, y, ridge=1.0).converged)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux")
def test_fifty_thousand_samples_take_less_than_two_gigabytes():
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", LARGE], cwd=root, capture_output=True, text=True, check=True
    )
    converged, kilobytes = done.stdout.split()
    assert converged == "True"
    assert int(kilobytes) < 2e6
