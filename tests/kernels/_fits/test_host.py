"""LAPACK on the host, against NumPy and the compiled solver."""

from unittest.mock import patch

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmargin import fit_interpolant, fit_ridge
from jaxmargin.kernels._fits.host import (
    cholesky,
    condition,
    is_symmetric,
    ridge_on_host,
    solved,
    symmetric,
)
from jaxmargin.kernels._fits.trials import condition_number
from tests.kernels.problems import N, problem, trials


def test_symmetric_is_float64_and_the_mean_of_both_halves():
    whole = np.array([[1.0, 2.0], [2.0, 3.0]])
    assert symmetric(whole) is whole
    found = symmetric(jnp.array([[1.0, 2.0], [4.0, 3.0]]))
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [[1.0, 3.0], [3.0, 3.0]])


def test_one_entry_in_any_block_spoils_the_symmetry():
    matrix = np.ones((600, 600))
    assert is_symmetric(matrix)
    for at in ((0, 1), (599, 0), (300, 10), (256, 257)):
        spoilt = matrix.copy()
        spoilt[at] = 2
        assert not is_symmetric(spoilt)
    assert not is_symmetric(np.full((2, 2), np.nan))


@pytest.mark.parametrize("overwrite", [False, True])
def test_the_factor_solves(overwrite: bool):
    with jax.enable_x64(True):
        matrix = np.array(problem("float64")[0])
    y = np.random.default_rng(0).normal(size=(N, 2))
    before = matrix.copy()
    factor = cholesky(matrix, overwrite=overwrite)
    assert factor is not None
    np.testing.assert_allclose(solved(factor, y), np.linalg.solve(before, y), rtol=1e-9)
    assert overwrite or (matrix == before).all()
    assert cholesky(-before) is None


def test_the_condition_number_is_that_of_the_compiled_fits():
    with jax.enable_x64(True):
        gram = problem("float64")[0]
        expected = condition_number(gram, (jnp.linalg.cholesky(gram), True))
    matrix = np.asarray(gram)
    factor = cholesky(matrix)
    assert factor is not None
    np.testing.assert_allclose(condition(matrix, factor), expected, rtol=1e-9)


@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_host_and_compiled_solver_agree(ridge: float):
    def fit(gram, y):
        return fit_ridge(gram, y, ridge=ridge) if ridge else fit_interpolant(gram, y)

    with jax.enable_x64(True):
        gram, y = problem("float64")
        for call in ((gram, y), (gram, jnp.stack([y, 0 * y, 1e-30 * y], 1)), trials("float64")):
            found = fit(*call)
            with patch("jax.default_backend", lambda: "gpu"):
                expected = fit(*call)
            for one, other in zip(found, expected, strict=True):
                assert (one.shape, one.dtype) == (other.shape, other.dtype)
                np.testing.assert_allclose(one, other, rtol=1e-8)


def test_what_has_no_factor_is_left_to_the_compiled_solver():
    assert ridge_on_host(np.ones((3, 3)) - 2 * np.eye(3), np.ones(3), 0.5) is None
