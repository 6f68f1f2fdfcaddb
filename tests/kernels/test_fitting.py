"""What every fit does with a Gram matrix: its condition, its rounding, and one trial at a time."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import hilbert

from jaxmargin.kernels._fitting import condition_number, for_each, rounding_of, semidefinite


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


def test_a_definite_matrix_is_left_alone_and_a_singular_one_raised_by_its_rounding():
    with jax.enable_x64(True):
        definite, singular = jnp.asarray(hilbert(3)), jnp.ones((3, 3))
        rounding = jnp.asarray(rounding_of(jnp.ones((3, 3), jnp.float32)))
        same, sound = semidefinite(definite, rounding)
        np.testing.assert_array_equal(same, definite)
        raised, also_sound = semidefinite(singular, rounding)
        np.testing.assert_array_equal(raised, singular + rounding * jnp.eye(3))
        _, unsound = semidefinite(-singular, rounding)
        assert (bool(sound), bool(also_sound), bool(unsound)) == (True, True, False)


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
