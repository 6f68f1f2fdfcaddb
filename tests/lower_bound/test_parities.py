"""Lemmas B.7 and B.9: moments over the hypercube, by enumeration."""

import itertools
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binom

from jaxmargin import lower_bound
from tests.lower_bound.cube import cube, signs


@pytest.mark.parametrize("size", range(7))
def test_parity_gram_is_the_sum_over_sets(size):
    a, b = signs(4, 5), signs(3, 5, seed=1)
    sets = list(itertools.combinations(range(5), size))
    brute = sum((np.outer(a[:, s].prod(1), b[:, s].prod(1)) for s in sets), np.zeros((4, 3)))
    gram = lower_bound.parity_gram(jnp.asarray(a, "float32"), jnp.asarray(b, "float32"), size=size)
    assert np.array_equal(gram, brute)


@pytest.mark.parametrize("dim", [1, 2, 3, 6])
@pytest.mark.parametrize("power", range(6))
def test_fourier_coefficients_are_moments(power, dim):
    z = cube(dim)
    c = lower_bound.fourier_coefficients(power, dim)
    brute = [np.mean(z.sum(1) ** power * z[:, :k].prod(1)) for k in range(len(c))]
    assert np.array_equal(c, brute)
    # Positive only where the parity fits: the proof of Lemma B.9 says positive throughout.
    assert all((c_k > 0) == (k % 2 == power % 2) for k, c_k in enumerate(c))


@pytest.mark.parametrize(("p", "q"), list(itertools.combinations_with_replacement(range(5), 2)))
def test_cross_moments_are_exact_and_not_negative(p, q):
    """Lemma B.9, over the whole hypercube, for random coefficients and for the worst ones."""
    dim, n = 5, 12
    z, samples = cube(dim), signs(n, dim)
    overlap = z @ samples.T
    form = (overlap**q).T @ (overlap**p) / len(z)
    form = (form + form.T) / 2
    assert np.linalg.eigvalsh(form)[0] >= -1e-10 * np.abs(form).max()
    if (p + q) % 2:
        assert np.abs(form).max() == 0
    with jax.enable_x64(True):
        for beta in np.random.default_rng(1).normal(size=(3, n)):
            exact = lower_bound.cross_moment(jnp.asarray(samples), jnp.asarray(beta), p=p, q=q)
            assert np.isclose(exact, beta @ form @ beta, rtol=1e-10, atol=1e-10)


def test_quadratic_form_by_enumeration_and_by_sampling():
    rng = np.random.default_rng(2)
    with jax.enable_x64(True):
        a = jnp.asarray(rng.normal(size=6))
        for dim in (2, 6):
            z, samples, beta = cube(dim), signs(5, dim), rng.normal(size=5)
            f = np.polynomial.polynomial.polyval(z @ samples.T, np.asarray(a)) @ beta
            exact = lower_bound.quadratic_form(jnp.asarray(samples), jnp.asarray(beta), a)
            assert np.isclose(exact, np.mean(f**2), rtol=1e-10)
        dim, n = 38, 100
        g = np.asarray(lower_bound.taylor_coefficients(dim + 2)) / (dim + 1.0) ** np.arange(5)
        samples, beta = signs(n, dim), rng.normal(size=n)
        square = (
            np.polynomial.polynomial.polyval(signs(20_000, dim, 3) @ samples.T, g) @ beta
        ) ** 2
        exact = lower_bound.quadratic_form(jnp.asarray(samples), jnp.asarray(beta), jnp.asarray(g))
        assert abs(exact - square.mean()) < 4 * square.std() / np.sqrt(len(square))


def test_second_moments_of_products_have_twice_the_papers_part():
    """E[(z.a)^2 (z.b)^2] = dim^2 + 2 ((a.b)^2 - dim); eq. B.11 has the last term once."""
    dim = 6
    z, samples = cube(dim), signs(7, dim)
    squares = (z @ samples.T) ** 2
    brute = squares.T @ squares / len(z)
    overlap = samples @ samples.T
    assert np.allclose(brute, dim**2 + 2 * (overlap**2 - dim))
    gram = lower_bound.parity_gram(jnp.asarray(samples, "float32"), size=2)
    assert np.allclose(brute, dim**2 + 4 * np.asarray(gram))


def test_lemma_b7_holds_up_to_half_of_d_squared_samples():
    dim = 30
    ends = dim * (dim - 1) // 2
    with jax.enable_x64(True):
        a = lower_bound.taylor_coefficients(dim + 2) / (dim + 1.0) ** np.arange(5.0)
        for n in (dim, ends // 4, ends // 2):
            samples = jnp.asarray(signs(n, dim))
            constant = float(lower_bound.quadratic_constant(samples))
            assert abs(constant - 2 * (1 - np.sqrt(n / ends)) ** 2) < 0.2
            worst = np.linalg.eigh(np.asarray(lower_bound.parity_gram(samples, size=2)))[1][:, 0]
            for beta in (worst, np.random.default_rng(n).normal(size=n)):
                form = lower_bound.quadratic_form(samples, jnp.asarray(beta), a)
                assert form >= (1 - 1e-12) * constant * a[2] ** 2 * dim**2 * np.sum(beta**2)
        assert lower_bound.quadratic_constant(jnp.asarray(signs(ends + 1, dim))) < 1e-12


def test_tail_of_quadratic_forms_is_exponential_not_gaussian():
    """Claim B.8 bounds Pr[|z' Y z| > t] by 2 exp(-c' t^2 / 16); no c' > 0 does for all t and dim.

    For Y = (1 1' - I) / sqrt(dim (dim - 1)) the form is ((sum z)^2 - dim) / sqrt(dim (dim - 1)).
    """
    dim, largest = 10_000, []
    for t in (5, 20, 80):
        s = np.sqrt(dim + t * np.sqrt(dim * (dim - 1)))
        log_tail = np.log(2) + binom.logsf(np.floor((dim + s) / 2), dim, 0.5)
        largest.append(16 * (np.log(2) - log_tail) / t**2)
        assert log_tail > -t  # exponential
    assert largest[1] < largest[0] / 2
    assert largest[2] < largest[1] / 2


def test_integer_signs_are_as_good_as_floats():
    z: Any = np.where(np.random.default_rng(0).normal(size=(5, 9)) > 0, 1, -1).astype(np.int8)
    beta: Any = [1, -2, 1, 0, 2]
    floats = jnp.asarray(z, float)
    np.testing.assert_array_equal(
        lower_bound.parity_gram(z, size=3), lower_bound.parity_gram(floats, size=3)
    )
    for moment in (
        partial(lower_bound.quadratic_form, coefficients=[0.3, 0.5, 0.7]),
        partial(lower_bound.cross_moment, p=2, q=4),
    ):
        assert float(moment(z, beta)) == float(moment(floats, jnp.asarray(beta, float))) > 0
    assert float(lower_bound.quadratic_constant(z)) == float(lower_bound.quadratic_constant(floats))


def test_there_are_no_sets_of_more_coordinates_than_there_are():
    gram = lower_bound.parity_gram(jnp.ones((2, 3)), size=10**12)
    np.testing.assert_array_equal(gram, np.zeros((2, 2)))


def test_the_constant_in_half_precision():
    z = np.where(np.random.default_rng(0).normal(size=(5, 9)) > 0, 1.0, -1.0)
    half = lower_bound.quadratic_constant(jnp.asarray(z, "float16"))
    assert half.dtype == "float16"
    np.testing.assert_allclose(half, lower_bound.quadratic_constant(jnp.asarray(z)), atol=1e-3)
