"""Lemmas B.6, B.7 and B.9: the polynomial g and moments over the hypercube."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binom

import jaxmargin as jm
from jaxmargin import data, lower_bound


def cube(dim: int) -> np.ndarray:
    """All 2^dim points."""
    return np.array(list(itertools.product([-1.0, 1.0], repeat=dim)))


def orbit(dim: int) -> tuple[np.ndarray, np.ndarray]:
    """One z for each overlap with (1, ..., 1), ascending, and the probability of that overlap."""
    agree = np.arange(dim + 1)
    return np.where(np.arange(dim) < agree[:, None], 1.0, -1.0), binom.pmf(agree, dim, 0.5)


def signs(n: int, dim: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice([-1.0, 1.0], size=(n, dim))


def kappa(t: np.ndarray, d: int, r_w: float = 1.0, r_u: float = 1.0) -> np.ndarray:
    """K as a function of <x', x> on D, where |x|^2 = d - 1 (eq. B.1 and above), in NumPy."""
    c = t / (d - 1)
    k1 = t * (1 - np.arccos(c) / np.pi)
    k2 = (d - 1) / np.pi * np.sqrt(1 - c**2)
    return r_w**2 / 2 * k1 + r_u**2 / 2 * (k1 + k2)


def slope(d: list[int], values: list) -> float:
    return float(np.polyfit(np.log(d), np.log(np.asarray(values, float)), 1)[0])


@pytest.mark.parametrize(("r_w", "r_u"), [(1.0, 1.0), (0.3, 2.0), (1.0, 0.0), (0.0, 1.0)])
def test_tilde_is_the_kernel_across_the_axes(r_w, r_u):
    z, d = cube(4), 6
    with jax.enable_x64(True):
        kernel = lower_bound.tilde(partial(jm.two_layer_ntk, r_w=r_w, r_u=r_u))
        gram = kernel(jnp.asarray(z[:5]), jnp.asarray(z))
        assert np.allclose(gram, kappa(z[:5] @ z.T, d, r_w, r_u), rtol=0, atol=1e-13)
        tau1, tau2 = r_w**2 / 2, r_u**2 / 2
        parts = [lower_bound.tilde(k)(jnp.asarray(z)) for k in (jm.k1, jm.k2)]
        assert np.allclose((tau1 + tau2) * parts[0] + tau2 * parts[1], kernel(jnp.asarray(z)))


@pytest.mark.parametrize(("r_w", "r_u"), [(1.0, 1.0), (1.0, 0.0), (0.0, 1.0)])
def test_g_is_the_taylor_polynomial_of_degree_five(r_w, r_u):
    d = 12
    with jax.enable_x64(True):

        def k_tilde(nu):
            c = nu * (1 - jnp.arccos(nu) / jnp.pi)
            s = jnp.sqrt(1 - nu**2) / jnp.pi
            return (d - 1) * (r_w**2 / 2 * c + r_u**2 / 2 * (c + s))

        derivatives, f, factorial = [], k_tilde, 1.0
        for j in range(6):
            factorial *= max(j, 1)
            derivatives.append(float(f(0.0)) / factorial)
            f = jax.grad(f)
        g = np.asarray(lower_bound.taylor_coefficients(d, r_w=r_w, r_u=r_u))
    assert np.allclose([*g, 0.0], derivatives, atol=1e-13)
    tau1, tau2 = r_w**2 / 2, r_u**2 / 2
    # The coefficient of x^2 in g(x / (d - 1)), as the proof of Lemma B.3 has it.
    assert np.isclose(g[2] / (d - 1) ** 2, (tau1 + tau2 / 2) / (np.pi * (d - 1)))


def test_taylor_error_falls_as_one_over_d_squared():
    """Lemma B.6 claims log^2.5(d) / d^1.5 with probability 1 - d^-10; g is better than that."""
    dims, typical, quantile = [64, 256, 1024], [], []
    with jax.enable_x64(True):
        for d in dims:
            z, weight = orbit(d - 2)
            error = np.asarray(lower_bound.taylor_error(jnp.ones((1, d - 2)), jnp.asarray(z))[0])
            nu = (2 * np.arange(d - 1) - (d - 2)) / (d - 1)
            small = np.abs(nu) < 0.2
            first = -(d - 1) * 3.5 / (80 * np.pi) * nu**6
            assert np.allclose(error[small], first[small], rtol=0.06, atol=1e-12 * d)
            typical.append(np.sqrt(weight @ error**2))
            by_size = np.argsort(-np.abs(error))
            beyond = np.cumsum(weight[by_size]) > d**-10.0
            quantile.append(np.abs(error)[by_size][np.argmax(beyond)])
    assert abs(slope(dims, typical) + 2) < 0.1
    log, dims = np.log(dims), np.array(dims)
    assert np.all(np.diff(quantile / (log**2.5 / dims**1.5)) < 0)
    rate = quantile / (log**3 / dims**2)
    assert np.ptp(rate) < 0.05 * rate[0]


def test_taylor_error_of_every_pair():
    z = cube(5)
    with jax.enable_x64(True):
        error = lower_bound.taylor_error(jnp.asarray(z), r_w=0.5, r_u=2.0)
        t = z @ z.T
        g = np.polynomial.polynomial.polyval(
            t / 6, np.asarray(lower_bound.taylor_coefficients(7, r_w=0.5, r_u=2.0))
        )
        assert np.allclose(error, g - kappa(t, 7, 0.5, 2.0), rtol=0, atol=1e-13)


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


BAD = {
    "embed": (
        lambda: data.embed(jnp.ones(3), 0, 1),
        r"z must be \(n, d - 2\), got shape \(3,\)",
    ),
    "parity_gram shapes": (
        lambda: lower_bound.parity_gram(jnp.ones((2, 3)), jnp.ones((2, 4)), size=1),
        r"got \(2, 3\) and \(2, 4\)",
    ),
    "parity_gram size": (
        lambda: lower_bound.parity_gram(jnp.ones((2, 3)), size=-1),
        "size must be at least 0, got -1",
    ),
    "power": (lambda: lower_bound.fourier_coefficients(-1, 3), "power must be at least 0"),
    "dim": (lambda: lower_bound.fourier_coefficients(1, 0), "dim must be at least 1"),
    "beta": (
        lambda: lower_bound.cross_moment(jnp.ones((2, 3)), jnp.ones(3), p=1, q=1),
        r"beta must be \(n,\) = \(2,\), got \(3,\)",
    ),
    "coefficients": (
        lambda: lower_bound.quadratic_form(jnp.ones((2, 3)), jnp.ones(2), jnp.ones((1, 1))),
        "coefficients must be a vector",
    ),
    "taylor_kernel": (
        lambda: lower_bound.taylor_kernel(jnp.ones((2, 3)), jnp.ones((2, 4))),
        r"got \(2, 3\) and \(2, 4\)",
    ),
    "d": (lambda: lower_bound.taylor_coefficients(2), "d must be at least 3, got 2"),
}


@pytest.mark.parametrize(("call", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_tilde_wants_a_function():
    with pytest.raises(TypeError, match="kernel must be a function"):
        lower_bound.tilde(jnp.ones(3))  # pyright: ignore[reportArgumentType]
