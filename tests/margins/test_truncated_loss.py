"""The bound of the truncated loss: its formula, its class for each norm, and its coverage."""

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from jaxmargin import margins


def of_one_class(train_loss, size, *, n, depth, radius, delta):
    """For ||Theta||^q <= size, chosen before: symmetrisation, contraction, Golowich et al."""
    single = mp.mpf(radius) * (mp.sqrt(2 * depth * mp.log(2)) + 1) / mp.sqrt(n)
    single *= mp.mpf(depth) ** (-mp.mpf(depth) / 2)
    return train_loss + 4 * size * single + mp.sqrt(mp.log(1 / delta) / (2 * n))


@pytest.mark.parametrize("norm", [0.0, 0.7, 3.0, 20.0])
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_it_is_above_the_bound_of_the_class_that_holds_the_network(norm: float, depth: int):
    """Classes of largest score 2^k have the failure delta / ((k + 1) (k + 2)), in all delta."""
    setting = {"n": 1000, "depth": depth, "radius": 1.5}
    with jax.enable_x64(True):
        found = margins.truncated_loss_bound(0.1, norm, delta=0.05, **setting)
        bound, terms = float(found.bound), [float(term) for term in found[1:]]
    with mp.workdps(30):
        largest = mp.mpf(1.5) * mp.mpf(depth) ** (-mp.mpf(depth) / 2)
        k = 0
        while mp.mpf(2) ** k < largest * mp.mpf(norm) ** depth:
            k += 1
        delta = mp.mpf(0.05) / ((k + 1) * (k + 2))
        least = of_one_class(0.1, mp.mpf(2) ** k / largest, delta=delta, **setting)
        twice = of_one_class(0.1, mp.mpf(2) ** (k + 1) / largest, delta=delta**2, **setting)
    assert float(least) <= bound * (1 + 1e-12)
    assert bound <= float(twice)
    np.testing.assert_allclose(bound, sum(terms), rtol=1e-12)


def test_over_200_draws_with_noise_the_bounds_hold_as_often_as_they_promise():
    """Labels of D that are wrong with probability .1: the four units have margins +-1/8.

    At this n the mean over the samples alone is too low in half of the draws.
    """
    n, p, delta, setting = 100_000, 0.1, 0.1, {"depth": 2, "radius": 2**0.5}
    wrong = np.random.default_rng(0).binomial(n, p, size=200) / n
    assert 0.3 < np.mean(wrong < p) < 0.7

    @jax.jit
    @jax.vmap
    def bounds(wrong):
        of_margin = margins.margin_bound(0.125, n=n, delta=delta, **setting).bound + wrong
        of_loss = margins.truncated_loss_bound(wrong, 8**0.5, n=n, delta=delta, **setting).bound
        return of_margin, of_loss

    of_margin, of_loss = bounds(jnp.asarray(wrong, jnp.float32))
    for bound in (of_margin, of_loss):
        assert np.mean(bound >= p) >= 1 - delta
        assert np.max(bound) < 0.7


def test_at_the_edges_and_under_jit():
    setting = {"n": 10, "depth": 2, "radius": 1.0}
    zero = margins.truncated_loss_bound(0.0, 0.0, delta=0.1, **setting)
    assert zero.complexity == 4 * margins.rademacher_bound(**setting) / 0.5
    traced = jax.jit(lambda *a: margins.truncated_loss_bound(*a, delta=0.1, **setting))(0.0, 0.0)
    np.testing.assert_allclose(traced, zero, rtol=1e-6)
