"""Theorem C.2: what is guaranteed is the proof's minimum, holds on solved cases, is attained."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
import scipy

import jaxmargin as jm

GRID = [
    (lam, n, degree, r, k, alpha)
    for lam in (1e-3, 1e-40, 1e-300)
    for n, degree, r, k, alpha in (
        (1, 2, 2.0, 2, 1.0),
        (10, 2, 2.0, 2, 2.0),
        (1000, 3, 2.0, 2, 1.5),
        (50, 1, 3.0, 1000, 3.0),
        (50, 5, 1.0, 3, 1.0),
    )
]


def proof_of(lam, margin_star, n, degree, r, k, alpha) -> float:
    """The least gamma' of the docstring's inequality, by golden sections in 60 digits."""
    with mp.workdps(60):
        lam, star = mp.mpf(lam), mp.mpf(margin_star)

        def infimum(log_size):
            size = mp.exp(log_size)
            return mp.log1p((k - 1) * mp.exp(-(size**degree) * star)) + lam * size**r

        def least(function, low, high):
            grid = [low + (high - low) * i / 200 for i in range(201)]
            best = min(range(1, 200), key=lambda i: function(grid[i]))
            low, high = grid[best - 1], grid[best + 1]
            for _ in range(90):
                a, b = low + (high - low) * mp.mpf("0.382"), low + (high - low) * mp.mpf("0.618")
                low, high = (low, b) if function(a) < function(b) else (a, high)
            return function((low + high) / 2)

        level = alpha * least(infimum, mp.mpf(-5), mp.log(10**5) / degree + 3)
        if n * level >= mp.log(2):
            return 0.0

        def margin(share):  # of the level that the regularizer takes
            size = (share * level / lam) ** (mp.mpf(1) / r)
            return -mp.log(mp.expm1(n * level * (1 - share))) / size**degree

        return float(least(margin, mp.mpf(10) ** -6, 1 - mp.mpf(10) ** -6))


@pytest.mark.parametrize("case", GRID, ids=str)
def test_what_is_guaranteed_is_the_minimum_of_the_proof(case: tuple):
    lam, n, degree, r, k, alpha = case
    found = jm.margins.guaranteed_margin(lam, 0.3, n=n, degree=degree, r=r, k=k, alpha=alpha)
    assert found == pytest.approx(proof_of(lam, 0.3, n, degree, r, k, alpha), rel=1e-9)


@pytest.mark.parametrize("power", [0.2, 0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("alpha", [1.0, 2.0])
def test_less_regularizer_guarantees_more_up_to_the_limit(power: float, alpha: float):
    for n, k in ((1, 2), (2, 2), (30, 5), (10**6, 2)):
        options = {"n": n, "degree": 1 / power, "r": 1.0, "k": k, "alpha": alpha}
        lams = np.geomspace(1, 1e-300, 120)
        found = np.array([jm.margins.guaranteed_margin(lam, 1.0, **options) for lam in lams])
        assert np.all(np.diff(found) >= -1e-12)
        limit = alpha ** (-1 / power)
        assert np.all(found <= limit * (1 + 1e-12))
        assert found[-1] > 0.93 * limit


@pytest.mark.parametrize("fraction", [0.1, 0.9])
def test_the_lambda_is_the_largest_with_its_guarantee(fraction: float):
    for degree, r, alpha in ((1, 2.0, 1.0), (2, 2.0, 2.0), (6, 2.0, 1.5)):
        options = {"n": 20, "degree": degree, "r": r, "k": 3, "alpha": alpha}
        lam = jm.margins.regularization_for_margin(1e-3, **options, fraction=fraction)
        least = fraction * 1e-3 / alpha ** (degree / r)
        assert jm.margins.guaranteed_margin(lam, 1e-3, **options) >= least * (1 - 1e-9)
        assert jm.margins.guaranteed_margin(lam * (1 + 1e-6), 1e-3, **options) < least


@pytest.mark.parametrize("q", [1, 2, 3])
@pytest.mark.parametrize("alpha", [1.2, 2.0])
def test_of_one_sample_the_guarantee_is_attained(q: int, alpha: float):
    """f(x; theta) = theta_1 ... theta_q x at x = 1, theta_2 = ... = theta_q here.

    For q = 1, f(x; theta) = theta . x at x = (1, 0).
    """
    r, star = 2.0, q ** (-q / 2)
    for lam in (0.05, 0.01, 1e-3):
        a, b = np.meshgrid(np.linspace(-2, 12, 1401), np.linspace(0, 6, 1201), indexing="ij")
        size = np.sqrt(a**2 + max(q - 1, 1) * b**2)
        output = a * b ** (q - 1)
        objective = np.logaddexp(0, -output) + lam * size**r
        near = objective <= alpha * objective.min()
        margin = np.divide(output, size**q, out=np.zeros_like(a), where=size > 0)
        worst = margin[near].min()
        found = jm.margins.guaranteed_margin(lam, star, n=1, degree=q, r=r, alpha=alpha)
        if found == 0:  # Theta' = 0 is one of them
            assert math.log(2) <= alpha * objective.min() * (1 + 1e-3)
            assert worst <= 0
        else:
            # The grid's infimum lies above the infimum, by little.
            assert found * 0.999 <= worst <= found * 1.05 + 0.01 * star


class Solved(NamedTuple):
    """A two-layer problem (mean loss) with its infimum, a minimiser and its largest margin."""

    x: np.ndarray
    y: np.ndarray
    lam: float
    u: np.ndarray
    w: np.ndarray
    infimum: float
    margin_star: float

    def objective(self, u: np.ndarray, w: np.ndarray) -> np.ndarray:
        margins = self.margins(u, w)
        size = np.sum(u**2, axis=(-1, -2)) + np.sum(w**2, axis=-1)
        return np.mean(np.logaddexp(0, -margins), axis=-1) + self.lam * size

    def margins(self, u: np.ndarray, w: np.ndarray) -> np.ndarray:
        hidden = np.maximum(np.einsum("...md,nd->...mn", u, self.x), 0)
        return self.y * np.einsum("...m,...mn->...n", w, hidden)

    def normalised(self, u: np.ndarray, w: np.ndarray) -> np.ndarray:
        size = np.sum(u**2, axis=(-1, -2)) + np.sum(w**2, axis=-1)
        return np.min(self.margins(u, w), axis=-1) / size


def largest_margin(x: np.ndarray, y: np.ndarray) -> float:
    """Half the l1-SVM margin over 2000 directions of the circle, hence at most gamma*."""
    t = np.linspace(0, 2 * np.pi, 2000, endpoint=False)
    features = y[:, None] * np.maximum(x @ np.stack([np.cos(t), np.sin(t)]), 0)
    n, m = features.shape
    found = scipy.optimize.linprog(
        np.r_[np.zeros(2 * m), -1],
        A_ub=np.block(
            [[-features, features, np.ones((n, 1))], [np.ones((1, 2 * m)), np.zeros((1, 1))]]
        ),
        b_ub=np.r_[np.zeros(n), 1],
        bounds=[(0, None)] * (2 * m) + [(None, None)],
    )
    return -found.fun / 2


def solve(seed: int, share: float, n: int = 8) -> Solved:
    """At `share` of the largest lam with a guarantee for alpha = 2."""
    x = np.random.default_rng(seed).normal(size=(n, 2))
    y = np.sign(x[:, 0] * x[:, 1])
    star = largest_margin(x, y)
    lam = share * jm.margins.regularization_for_margin(star, n=n, degree=2, alpha=2.0)
    with jax.enable_x64(True):
        problem = jm.two_layer_problem(
            jnp.asarray(x), jnp.asarray(y), "logistic", lam=n * lam
        )  # of the sum
        start = jm.Measure(jm.sample_sphere(jax.random.key(seed), 32, 3), jnp.full(32, 1 / 32))
        best, certificate, _ = jm.global_optimum(problem, start=start)
        assert certificate.state == "exact"
        u, w = (np.asarray(leaf) for leaf in jm.as_network(problem, best))
    return Solved(x, y, lam, u, w, float(certificate.energy) / n, star)


@pytest.mark.parametrize(("seed", "share"), [(0, 1.0), (1, 1.0), (0, 1e-3)])
def test_approximate_minimisers_of_solved_networks_keep_the_margin(seed: int, share: float):
    solved = solve(seed, share)
    options = {"n": len(solved.x), "degree": 2}
    assert float(solved.objective(solved.u, solved.w)) == pytest.approx(solved.infimum, rel=1e-5)
    own = float(solved.normalised(solved.u, solved.w))
    assert jm.margins.guaranteed_margin(solved.lam, solved.margin_star, **options) <= own
    assert own <= solved.margin_star * (1 + 1e-5)
    for alpha in (1.5, 2.0):
        worst = min(far_from(solved, alpha, np.random.default_rng(seed)))
        found = jm.margins.guaranteed_margin(solved.lam, solved.margin_star, **options, alpha=alpha)
        assert 0.1 * solved.margin_star / alpha <= found <= worst < 0.95 * own


def far_from(solved: Solved, alpha: float, rng: np.random.Generator):
    """Normalised margins where rays from the minimiser leave {L <= alpha inf L}."""
    extra = 3  # units in random directions
    u = np.concatenate([solved.u, np.zeros((extra, 2))])
    w = np.concatenate([solved.w, np.zeros(extra)])
    rays = [(rng.normal(size=u.shape), rng.normal(size=w.shape)) for _ in range(300)]
    for unit in range(len(solved.w)):  # each unit by itself, and all of them
        one = (np.arange(len(w)) == unit).astype(float)
        rays += [(-u * one[:, None], -w * one), (u * one[:, None], w * one)]
    rays += [(-u, -w), (u, w)]
    for du, dw in rays:
        low, high = 0.0, 1e-3
        while solved.objective(u + high * du, w + high * dw) <= alpha * solved.infimum and high < 1:
            high *= 2
        for _ in range(40):
            middle = (low + high) / 2
            inside = solved.objective(u + middle * du, w + middle * dw) <= alpha * solved.infimum
            low, high = (middle, high) if inside else (low, middle)
        yield float(solved.normalised(u + low * du, w + low * dw))


def test_approximate_minimisers_of_three_classes_keep_the_margin():
    """Linear scores Theta e_i of class i: the best Theta is s (I - J / 3), gamma* = 1 / sqrt(2)."""
    k, star = 3, 2**-0.5
    centre = np.eye(k) - 1 / k

    def objective(theta, lam):
        logits = np.swapaxes(theta, -1, -2)
        own = np.diagonal(theta, axis1=-1, axis2=-2)
        loss = np.mean(np.log(np.sum(np.exp(logits), axis=-1)) - own, axis=-1)
        return loss + lam * np.sum(theta**2, axis=(-1, -2))

    rng = np.random.default_rng(0)
    for share in (1.0, 0.01):
        for alpha in (1.5, 2.0):
            options = {"n": k, "degree": 1, "k": k, "alpha": alpha}
            lam = share * jm.margins.regularization_for_margin(star, **options)
            found = scipy.optimize.minimize_scalar(
                lambda s, lam=lam: objective(s * centre, lam), bounds=(0, 60)
            )
            theta = found.x * centre
            noise = (
                theta
                + found.x * rng.normal(size=(40_000, k, k)) * rng.uniform(size=(40_000, 1, 1)) / 2
            )
            near = noise[objective(noise, lam) <= alpha * found.fun]
            others = np.where(np.eye(k, dtype=bool), -np.inf, near).max(axis=1)
            margins = np.diagonal(near, axis1=1, axis2=2) - others
            reached = np.min(margins.min(axis=1) / np.sqrt(np.sum(near**2, axis=(1, 2))))
            guaranteed = jm.margins.guaranteed_margin(lam, star, **options)
            assert len(near) > 100
            assert 0.1 * star / alpha ** (1 / 2) <= guaranteed * (1 + 1e-9)
            assert guaranteed <= reached < 0.9 * star


@pytest.mark.parametrize(
    ("degree", "r", "alpha", "c"),
    [
        (2, 2.0, 1.0, 1.75),
        (2, 2.0, 2.0, 3.15),
        (1, 2.0, 2.0, 5.3),
        (1, 3.0, 2.0, 6.7),
        (4, 2.0, 2.0, 1.0),
    ],
)
def test_the_lambda_of_the_theorem_works_with_this_c(degree, r, alpha, c):
    for n, k in (
        (2, 2),
        (3, 2),
        (10, 2),
        (1000, 2),
        (10**6, 2),
        (1, 3),
        (2, 3),
        (1, 1000),
        (50, 10),
    ):
        shape = {"n": n, "degree": degree, "r": r, "k": k}
        log_lam = jm.margins.log_theorem_regularization(0.2, c=c, **shape)
        guaranteed = jm.margins.guaranteed_margin(math.exp(log_lam), 0.2, alpha=alpha, **shape)
        assert guaranteed >= 0.1 * 0.2 / alpha ** (degree / r)


def test_the_theorem_fails_for_one_sample_of_two_classes():
    """Theta' = 0 is a 2-approximate minimiser of log(1 + exp(-theta_1 theta_2)) + lam |theta|^2."""
    star = 1 / 2
    logs = [jm.margins.log_theorem_regularization(star, n=1, degree=2, c=c) for c in (1.0, 100.0)]
    assert logs[0] == logs[1] == pytest.approx(-1 + math.log(star))
    size = np.linspace(0, 10, 100_001)
    objective = np.logaddexp(0, -(size**2) * star) + math.exp(logs[0]) * size**2
    assert math.log(2) < 2 * objective.min()
    assert jm.margins.guaranteed_margin(math.exp(logs[0]), star, n=1, degree=2, alpha=2.0) == 0


def test_the_chain_of_theorem_2_1_at_finite_n_and_d():
    """Lambda for half of the margin 1/8 of D, the margin it guarantees, the bound that it gives.

    With 30,000 samples for each dimension the bound is the same in all dimensions, and lambda is a
    power of 1 / n.
    """
    bounds, sizes, lams = [], [], []
    for d in (10, 40, 160, 640):
        n = 30_000 * d
        lam = jm.margins.regularization_for_margin(1 / 8, n=n, degree=2, fraction=0.5)
        margin = jm.margins.guaranteed_margin(lam, 1 / 8, n=n, degree=2)
        assert margin >= 1 / 16
        found = jm.margins.margin_bound(
            margin, n=n, depth=2, radius=(d - 1) ** 0.5, delta=float(n) ** -5
        )
        bounds.append(float(found.bound))
        sizes.append(n)
        lams.append(lam)
    assert max(bounds) < 0.6
    assert max(bounds) / min(bounds) < 1.1
    slopes = np.diff(np.log(lams)) / np.diff(np.log(sizes))
    assert np.all((slopes > -2) & (slopes < -1))
