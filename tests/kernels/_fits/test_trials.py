"""What every fit does with a Gram matrix: its condition, its rounding, and one trial at a time."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import hilbert

from jaxmargin.kernels._fits.host import OnHost
from jaxmargin.kernels._fits.trials import (
    condition_number,
    for_each,
    per_trial,
    rounding_of,
    semidefinite,
)


def test_condition_number_is_within_a_factor_of_the_true_one():
    """|M|_1 is at least the largest eigenvalue, and at most sqrt(n) times it."""
    with jax.enable_x64(True):
        for n in (2, 5, 8):
            matrix = jnp.asarray(hilbert(n))
            found = condition_number(matrix, (jnp.linalg.cholesky(matrix), True))
            true = np.linalg.cond(hilbert(n))
            assert 0.99 * true < found < 1.01 * n**0.5 * true


def test_condition_number_without_a_factor_is_nan():
    matrix = -jnp.eye(3)
    assert jnp.isnan(condition_number(matrix, (jnp.linalg.cholesky(matrix), True)))


def test_a_definite_matrix_is_left_alone_and_a_singular_one_loses_its_negative_part():
    """What is left is the closest semidefinite matrix; what was lost measures the rounding."""
    with jax.enable_x64(True):
        definite, rounding = jnp.asarray(hilbert(3)), jnp.asarray(1e-6)
        same = semidefinite(definite, rounding)
        np.testing.assert_array_equal(same.gram, definite)
        assert (bool(same.sound), float(same.error)) == (True, 0.0)
        axes = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
        rounded = jnp.asarray((axes * [1.0, 0.5, -1e-7]) @ axes.T)
        found = semidefinite(rounded, rounding)
        np.testing.assert_allclose(found.gram, (axes * [1.0, 0.5, 0.0]) @ axes.T, atol=1e-14)
        np.testing.assert_allclose(found.error, 1e-7, rtol=1e-6)
        np.testing.assert_allclose(found.doubt(jnp.array([3.0, 0.0, 4.0])), 12.5e-7, rtol=1e-6)
        assert bool(found.sound)
        assert not bool(semidefinite(rounded, jnp.asarray(1e-8)).sound)
        assert not bool(semidefinite(jnp.zeros((3, 3)), rounding).sound)


def test_rounding_covers_the_eigenvalues_that_float32_moves():
    x = np.random.default_rng(0).normal(size=(50, 3))
    gram = (x @ x.T).astype(np.float32)
    lowest = np.linalg.eigvalsh(gram.astype(float))[0]
    assert 0 < -lowest < rounding_of(jnp.asarray(gram)) * np.diag(gram).max()


def test_for_each_takes_one_after_the_other_on_a_cpu():
    def one(a, b):
        return a + b, a * b

    a, b = jnp.arange(3.0), jnp.arange(3.0) + 1
    summed, multiplied = for_each(one, a, b)
    np.testing.assert_array_equal(summed, a + b)
    np.testing.assert_array_equal(multiplied, a * b)
    text = jax.jit(lambda a, b: for_each(one, a, b)).lower(a, b).as_text()
    assert "while" in text


def test_trials_that_the_host_leaves_are_solved_compiled():
    """Both sides tell which they are; a result has the dtype of the Gram matrix."""

    def compiled(gram, y, scale, setting):
        return y * 0 + 1 / setting, jnp.zeros(())

    def host(gram, y, setting):
        if gram[0, 0] == 1:
            return None
        return OnHost(np.full(len(y), 2 / setting), np.ones(()), np.ones(()), np.ones(()))

    grams = jnp.stack([jnp.eye(2), 2 * jnp.eye(2), jnp.eye(2)])
    found = per_trial(compiled, grams, jnp.ones((3, 2)), 0.5, on_host=host)
    np.testing.assert_array_equal(found.beta, [[2, 2], [4, 4], [2, 2]])
    np.testing.assert_array_equal(found.quality, [0, 1, 0])
    assert found.beta.dtype == jnp.float32
    alone = per_trial(compiled, grams[1], jnp.ones(2), 0.5, on_host=host)
    np.testing.assert_array_equal(alone.beta, [4, 4])
