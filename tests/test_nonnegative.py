"""The interior points find the best coefficients of a fixed dictionary, as other solvers do."""

import cvxpy as cp
import numpy as np
import pytest
from scipy.optimize import nnls
from scipy.special import expit

from jaxmargin._nonnegative import nonnegative_fit


def squared(y: np.ndarray):
    """R(a) = |a - y|^2 and its Hessian."""
    return (
        lambda a: (np.sum((a - y) ** 2), 2 * (a - y)),
        lambda a, columns: 2 * columns,
    )


def logistic(y: np.ndarray):
    """R(a) = sum_i log(1 + e^{-y_i a_i}) and its Hessian."""
    return (
        lambda a: (np.sum(np.logaddexp(0, -y * a)), -y * expit(-y * a)),
        lambda a, columns: columns * (expit(a) * expit(-a)),
    )


def dictionary(m: int, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(m, n)),
        np.where(rng.normal(size=n) > 0, 1.0, -1.0),
        rng.uniform(1, 2, m),
    )


@pytest.mark.parametrize("m", [1, 5, 40])
def test_a_squared_fit_is_that_of_least_squares(m: int):
    """|A'c - y|^2 + p . c is |A'c - y'|^2 up to a constant, where 2 A (y - y') = p."""
    columns, y, price = dictionary(m, 60)
    shifted = y - np.linalg.lstsq(2 * columns, price, rcond=None)[0]
    expected = nnls(columns.T, shifted)[0]
    found = nonnegative_fit(*squared(y), columns, price)
    np.testing.assert_allclose(found, expected, atol=1e-8 * max(1.0, expected.max()))
    assert np.all((found == 0) == (expected == 0))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_logistic_fit_is_that_of_a_cone_program(scale: float):
    """With more columns than samples; the outputs are unique, the coefficients need not be."""
    columns, y, price = dictionary(30, 12)
    price = 0.2 * price
    c = cp.Variable(len(price), nonneg=True)
    loss = cp.sum(cp.logistic(cp.multiply(-y, columns.T @ c)))
    program = cp.Problem(cp.Minimize(loss + price @ c))
    program.solve(solver=cp.CLARABEL, tol_gap_abs=1e-12, tol_gap_rel=1e-12)
    found = nonnegative_fit(*logistic(y), scale * columns, scale * price)
    value = np.sum(np.logaddexp(0, -y * (scale * found @ columns))) + scale * price @ found
    assert value == pytest.approx(float(np.asarray(program.value)), rel=1e-9)
    np.testing.assert_allclose(scale * found @ columns, c.value @ columns, atol=1e-5)


def test_equal_columns_share_what_one_would_have():
    columns, y, price = dictionary(8, 30)
    alone = nonnegative_fit(*squared(y), columns, price)
    twice = nonnegative_fit(*squared(y), np.repeat(columns, 2, axis=0), np.repeat(price, 2))
    np.testing.assert_allclose(twice.reshape(8, 2).sum(axis=1), alone, atol=1e-8)


def test_rows_of_padding_change_nothing():
    columns, y, price = dictionary(8, 30)
    padded = np.concatenate([columns, np.zeros((5, 30))])
    np.testing.assert_array_equal(
        nonnegative_fit(*squared(y), padded, price), nonnegative_fit(*squared(y), columns, price)
    )


def test_nothing_is_bought_at_a_high_price():
    columns, y, price = dictionary(8, 30)
    assert not np.any(nonnegative_fit(*squared(y), columns, 1e3 * price))


def test_outputs_may_have_two_axes():
    columns, y, price = dictionary(8, 30)
    folded = nonnegative_fit(*squared(y.reshape(10, 3)), columns.reshape(8, 10, 3), price)
    np.testing.assert_array_equal(folded, nonnegative_fit(*squared(y), columns, price))
