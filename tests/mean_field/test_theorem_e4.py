"""The constants of Theorem E.4: the proof holds with the numbers."""

import math

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

import jaxmargin as jm
from tests.mean_field.cases_of_e4 import (
    CASES,
    D_IN,
    KEY,
    LEVEL,
    Case,
    N,
    X,
    Y,
    measure_of,
    problem_of,
)

each = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.loss}-{case.smoothing}")


@each
def test_constants_of_the_mean_over_samples(case: Case):
    """R is 1/n of the sum, and {R <= level} is that where the sum is at most n level."""
    dim = D_IN + case.outputs
    total = jm.mean_field.regularity(problem_of(case), dim, level=N * LEVEL)
    mean = jm.mean_field.regularity(problem_of(case, reduction="mean"), dim, level=LEVEL)
    for name in ("M_R", "C_R", "level"):
        assert getattr(mean, name) == pytest.approx(getattr(total, name) / N)
    same = {"M_R": 0.0, "C_R": 0.0, "level": 0.0}
    assert mean._replace(**same) == total._replace(**same)
    check_the_proof(problem_of(case, reduction="mean"), dim, epsilon=0.01)


def proof_of(rate: jm.mean_field.TheoreticalRate, log10_time=None):
    """W^2, l, delta_1, delta_2 and the time of the proof at (sigma, t), with 60 digits."""
    with mp.workdps(60):
        c = rate.regularity
        d = rate.dim - 1
        B_L = mp.mpf(c.M_R) * c.B_Phi + c.B_V
        c1 = max(c.k * c.C_R * mp.mpf(c.B_Phi) ** 2, c.k * mp.mpf(c.C_R) * c.B_Phi * c.M_Phi, B_L)
        c2 = mp.sqrt(c.k) * c.M_R * c.M_Phi + c.M_V
        s = mp.mpf(10) ** mp.mpf(rate.log10_noise)
        t = mp.mpf(10) ** mp.mpf(rate.log10_time if log10_time is None else log10_time)
        assert t < c.b_V / (s * B_L), "Lemma E.5"
        W2 = (rate.energy + s * t * B_L) / (c.b_V - s * t * B_L)
        assert rate.energy + s * t * B_L * (W2 + 1) <= c.level
        eps = mp.mpf(rate.epsilon)
        tau = eps / (2 * W2)
        assert s < tau
        beta = (min(tau / (2 * c2), 2) / 2) ** d / 2
        length = mp.log(W2 / (s * beta)) / (tau - s) + 1
        noise = s * length * (W2 + 1)
        assert tau / 4 > noise * c1
        delta_1 = (tau / 4 - noise * c1) ** 2 / (c1**2 * W2 * length) - 3 * noise * c1
        delta_2 = length * eps**2 / (4 * W2) - 2 * noise * B_L
        needed = 2 * length * ((rate.energy - 2 * eps) / min(delta_1, delta_2) + 1)
        return W2, length, delta_1, delta_2, needed, t


@each
def test_the_conditions_of_the_proof_hold(case: Case):
    problem, dim = problem_of(case), D_IN + case.outputs
    for epsilon in (1.0, 0.1, 1e-3, 1e-30, 1e-250):
        check_the_proof(problem, dim, epsilon)


def check_the_proof(problem: jm.MeanField, dim: int, epsilon: float):
    rate = jm.mean_field.theoretical_rate(problem, measure_of(dim), epsilon=epsilon)
    W2, length, delta_1, delta_2, needed, t = proof_of(rate)
    assert delta_1 > 0
    assert delta_2 > 0
    assert needed <= t * (1 + 1e-6)
    assert float(W2) == pytest.approx(rate.second_moment, rel=1e-6)
    assert float(mp.log10(length)) == pytest.approx(math.log10(rate.interval), abs=1e-6)
    assert float(mp.log10(delta_1)) == pytest.approx(rate.log10_delta_1, abs=1e-4)
    assert float(mp.log10(delta_2)) == pytest.approx(rate.log10_delta_2, abs=1e-4)


def test_a_smaller_noise_is_admissible_and_a_larger_is_not():
    problem, start = problem_of(CASES[0]), measure_of(4)
    largest = jm.mean_field.theoretical_rate(problem, start, epsilon=0.1)
    for factor in (0.99, 0.5, 0.1, 1e-3, 1e-20, 1e-200):
        rate = jm.mean_field.theoretical_rate(
            problem, start, epsilon=0.1, noise=largest.noise * factor
        )
        *_, delta_1, delta_2, needed, t = proof_of(rate)
        assert min(delta_1, delta_2) > 0
        assert needed <= t * (1 + 1e-6)
    for factor in (1.001, 2.0, 1e6):
        with pytest.raises(ValueError, match="noise must be at most"):
            jm.mean_field.theoretical_rate(
                problem, start, epsilon=0.1, noise=largest.noise * factor
            )
    # nor does any other time make it work: the proof needs more than every t it is given
    above = largest._replace(log10_noise=largest.log10_noise + 1e-3)
    limit = math.log10(above.regularity.b_V / above.B_L) - above.log10_noise
    for log10_time in np.linspace(limit - 5, limit - 1e-9, 200):
        try:
            *_, delta_1, delta_2, needed, t = proof_of(above, log10_time)
        except AssertionError:
            continue
        assert min(delta_1, delta_2) <= 0 or needed > t


def test_more_accuracy_takes_less_noise_and_more_time():
    problem, start = problem_of(CASES[0]), measure_of(4)
    rates = [
        jm.mean_field.theoretical_rate(problem, start, epsilon=10.0**-i) for i in range(0, 60, 6)
    ]
    assert (np.diff([r.log10_noise for r in rates]) < 0).all()
    assert (np.diff([r.log10_time for r in rates]) > 0).all()
    assert (np.diff([r.interval for r in rates]) > 0).all()


def test_the_noise_is_a_power_of_epsilon_whatever_the_dimension():
    """The theorem says exp(-d log(1/eps) poly); its proof does with eps^4 / d^2, up to logs."""

    def rate(dim: int, epsilon: float):
        x = jnp.zeros((N, dim - 1)).at[:, :D_IN].set(X)
        theta = jnp.zeros((20, dim)).at[:, : D_IN + 1].set(measure_of(D_IN + 1).theta)
        problem = jm.two_layer_problem(x, Y, "logistic", lam=0.1)
        start = jm.Measure(theta, jnp.full(20, 0.05))
        return jm.mean_field.theoretical_rate(problem, start, epsilon=epsilon)

    for dim in (4, 1000):
        slope = (rate(dim, 1e-40).log10_noise - rate(dim, 1e-80).log10_noise) / 40
        assert 4 <= slope < 4.05
        slower = (rate(dim, 1e-80).log10_time - rate(dim, 1e-40).log10_time) / 40
        assert 4 <= slower < 4.05
    wide, wider = rate(5_000, 1e-3), rate(50_000, 1e-3)
    assert -2.1 < wider.log10_noise - wide.log10_noise < -1.9
    assert 1.9 < wider.log10_time - wide.log10_time < 2.1


def test_the_second_moment_stays_below_lemma_e_5():
    """A flow with so much noise that the bound is not far: 0.7 of the time to infinity."""
    problem, dim, m = problem_of(CASES[0]), 4, 400
    found = jm.mean_field.regularity(problem, dim)
    B_L = found.M_R * found.B_Phi + found.B_V
    start = measure_of(dim, m)
    sigma, eta, steps = 0.05, 2e-3, 100
    assert steps * eta < found.b_V / (sigma * B_L)
    with jax.numpy_rank_promotion("allow"):

        def step(measure, key):
            moved = measure.theta + eta * jm.velocity(problem, measure, measure.theta)
            chosen = jax.random.bernoulli(key, eta * sigma, (m, 1))
            theta = jnp.where(chosen, jm.sample_sphere(key, m, dim), moved)
            new = measure._replace(theta=theta)
            return new, (jm.second_moment(new), jm.energy(problem, new))

        _, (moments, energies) = jax.lax.scan(step, start, jax.random.split(KEY, steps))
    drift = sigma * eta * np.arange(1, steps + 1) * B_L
    first = float(jm.energy(problem, start))
    bound = (first + drift) / (found.b_V - drift)
    assert (np.asarray(moments) <= bound).all()
    growth = drift * (np.maximum.accumulate(np.asarray(moments)) + 1)  # Corollary E.12
    assert (np.asarray(energies) <= first + growth + 1e-3).all()


def test_the_summary_names_noise_and_time():
    rate = jm.mean_field.theoretical_rate(problem_of(CASES[0]), measure_of(4), epsilon=1e-200)
    assert rate.noise == 0.0
    assert rate.time == math.inf
    text = str(rate)
    assert "noise" in text
    assert "e-8" in text
    assert rate.log10_steps(0.01) == pytest.approx(rate.log10_time + 2)
    assert str(rate._replace(log10_noise=math.log10(9.97e-5))).count("1.0e-04") == 1


def test_constants_of_a_problem_of_your_own():
    ready, start = problem_of(CASES[0]), measure_of(4)
    constants = jm.mean_field.regularity(ready, 4)
    own = jm.MeanField(
        lambda t: ready.phi(t), lambda a: ready.loss(a), lambda t: ready.potential(t)
    )
    with jax.numpy_dtype_promotion("standard"):  # as users have it
        actual = jm.mean_field.theoretical_rate(own, start, epsilon=0.1, constants=constants)
    expected = jm.mean_field.theoretical_rate(ready, start, epsilon=0.1)
    assert actual.log10_noise == pytest.approx(expected.log10_noise)
