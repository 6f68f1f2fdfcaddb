"""A mean-field problem handed to the rounds over cells: scales, zeros, given measures."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from tests.contracts import normal


def samples() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(8, 2)), np.where(np.arange(8) % 2, 1.0, -1.0)


def energy(x: np.ndarray, lam: float, **settings) -> float:
    with jax.enable_x64(True):
        problem = jm.two_layer_problem(
            jnp.asarray(x), jnp.asarray(samples()[1]), "logistic", lam=lam
        )
        return float(jm.global_optimum(problem, **settings).certificate.energy)


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_samples_and_lam_of_one_scale_have_one_optimum(scale: float):
    x, _ = samples()
    assert energy(scale * x, 0.1 * scale) == pytest.approx(energy(x, 0.1), rel=1e-6)


def test_a_sample_of_zeros_only_adds_its_loss_at_0():
    x, _ = samples()
    x[3] = 0
    with jax.enable_x64(True):
        kept = np.arange(8) != 3
        y = samples()[1][kept]
        problem = jm.two_layer_problem(jnp.asarray(x[kept]), jnp.asarray(y), "logistic", lam=0.1)
        rest = float(jm.global_optimum(problem).certificate.energy)
    assert energy(x, 0.1) == pytest.approx(rest + np.log(2), rel=1e-6)


def test_no_round_is_above_the_measure_that_was_given():
    with jax.enable_x64(True):
        x, y = (jnp.asarray(part) for part in samples())
        problem = jm.two_layer_problem(x, y, "squared", lam=0.1)
        start = jm.global_optimum(problem, tol=1e-2).measure
        start = jax.tree.map(jnp.asarray, start)
        again = jm.global_optimum(problem, start=start)
        before = float(jm.energy(problem, start))
    assert again.history.energy[0] <= before * (1 + 1e-12)


def test_a_loss_of_the_user_that_joins_the_samples_is_solved():
    """R(a) = (sum_i a_i - 3)^2 + |a|^2, whose Hessian is a full matrix."""

    class Joined:
        def __call__(self, a):
            return (jnp.sum(a) - 3) ** 2 + jnp.sum(a**2)

        def conjugate(self, p):
            """sup_a p.a - (1.a - 3)^2 - |a|^2, at a = H^-1 (p + 6 1) / 2 with H = I + 1 1^T."""
            n = p.shape[0]
            q = p + 6
            return (jnp.sum(q**2) - jnp.sum(q) ** 2 / (n + 1)) / 4 - 9

    with jax.enable_x64(True):
        x, y = (jnp.asarray(part) for part in samples())
        plain = jm.two_layer_problem(x, y, "squared", lam=0.05)
        problem = jm.MeanField(plain.phi, Joined(), plain.potential)
        start = jm.Measure(normal(4, 3, dtype=x.dtype), jnp.ones(4))
        found = jm.global_optimum(problem, start=start).certificate
    assert found.state == "exact"
    assert found.gap <= 1e-6 * found.energy


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_a_sample_of_zeros_only_adds_its_square(reduction: Literal["sum", "mean"]):
    x, y = samples()
    x[3] = 0
    kept, n = np.arange(8) != 3, 8 if reduction == "mean" else 1
    with jax.enable_x64(True):
        whole = jm.two_layer_problem(
            jnp.asarray(x), jnp.asarray(2 * y), "squared", lam=0.1 / n, reduction=reduction
        )
        part = jm.two_layer_problem(
            jnp.asarray(x[kept]), jnp.asarray(2 * y[kept]), "squared", lam=0.1
        )
        energies = [float(jm.global_optimum(of).certificate.energy) for of in (whole, part)]
    assert n * energies[0] == pytest.approx(energies[1] + 4, rel=1e-6)


@pytest.mark.parametrize("lam", [1e-9, 1e-13])
def test_a_vanishing_lam_finds_the_interpolant_of_least_norm(lam: float):
    """L = lam |Theta|^2 up to a part of the order lam: what equality constraints give."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(6, 2)), rng.normal(size=6)
    with jax.enable_x64(True):
        problem = jm.two_layer_problem(jnp.asarray(x), jnp.asarray(y), "squared", lam=lam)
        found = jm.global_optimum(problem)
    assert found.certificate.state == "exact"
    assert found.certificate.gap <= 1e-6 * found.certificate.energy
    least = jm.min_norm_interpolant(x, y).norm_squared
    assert float(found.certificate.energy) / lam == pytest.approx(least, rel=2e-6)
