"""`flow_budget`: the paper's inequalities in NumPy, and records that break them."""

import contextlib
import io
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from jaxmargin import mean_field
from jaxmargin.mean_field import FlowBudget, flow_budget
from tests.examples.pages import blocks, check_output
from tests.mean_field.problems import PROBLEMS, outputs

N, D, M, P = 5, 3, 6, 400  # samples, entries of a particle, particles, directions
LAM = 0.07
X, Y = np.random.default_rng(4).normal(size=(N, D - 1)), np.array([1.0, -1, 1, 1, -1])
AT = np.random.default_rng(5).normal(size=(P, D))
AT /= np.linalg.norm(AT, axis=1, keepdims=True)


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def logistic(**options: Any) -> jm.MeanField:
    return jm.two_layer_problem(jnp.asarray(X), jnp.asarray(Y), "logistic", lam=LAM, **options)


def slow_record(step: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Particles, masses and times of 8 records that move by little steps in random directions."""
    rng = np.random.default_rng(6)
    theta = rng.normal(size=(M, D)) + step * np.cumsum(rng.normal(size=(8, M, D)), axis=0)
    mass = rng.uniform(0.1, 0.3, size=M) * (1 + step * rng.normal(size=(8, M)))
    return theta, mass, np.cumsum(rng.uniform(0.5, 1.5, size=8))


def budget_of(theta, mass, time, noise: float, problem: Any = None, **options: Any) -> FlowBudget:
    measures = jm.Measure(jnp.asarray(theta), jnp.asarray(mass))
    return flow_budget(
        logistic() if problem is None else problem,
        measures, jnp.asarray(AT), time=jnp.asarray(time), noise=noise, **options,
    )  # fmt: skip


class Oracle:
    """Logistic loss and relu features in NumPy: Phi_i = w [u . x_i]_+, V = lam |theta|^2."""

    def __init__(self, theta: np.ndarray, mass: np.ndarray):
        self.theta, self.mass = theta, mass
        self.Q = mass @ self.phi(theta)
        self.dual = -Y / (1 + np.exp(Y * self.Q))
        self.L = np.log1p(np.exp(-Y * self.Q)).sum() + LAM * mass @ (theta**2).sum(1)
        self.W2 = mass @ (theta**2).sum(1)
        self.v = -self.slope(theta)
        self.speed = mass @ (self.v**2).sum(1)
        self.mean = mass @ self.variation(theta)

    @staticmethod
    def phi(theta: np.ndarray) -> np.ndarray:
        return theta[:, :1] * np.maximum(theta[:, 1:] @ X.T, 0)

    def variation(self, theta: np.ndarray) -> np.ndarray:
        return self.phi(theta) @ self.dual + LAM * (theta**2).sum(1)

    def slope(self, theta: np.ndarray) -> np.ndarray:
        on = (theta[:, 1:] @ X.T > 0) * self.dual
        w = (np.maximum(theta[:, 1:] @ X.T, 0) @ self.dual)[:, None]
        return np.concatenate([w, theta[:, :1] * (on @ X)], axis=1) + 2 * LAM * theta

    def rate(self, noise: float) -> float:
        return -noise * self.mean + noise * self.variation(AT).mean() - self.speed

    def rates_of_integrals(self, noise: float) -> np.ndarray:
        """d/dt int h drho by a small step of the flow, for each h = Phi_i and for V."""
        tiny = 1e-7

        def integrals(theta, mass):
            return np.append(mass @ self.phi(theta), LAM * mass @ (theta**2).sum(1))

        ahead = integrals(self.theta + tiny * self.v, self.mass * (1 - tiny * noise))
        ahead = ahead + tiny * noise * integrals(AT, np.full(P, 1 / P))
        return np.abs(ahead - integrals(self.theta, self.mass)) / tiny


class Constants:
    """Those of Assumptions E.1 to E.3 for this problem, and B_L, c1, c2 as the paper has them."""

    k = N
    M_R, C_R = math.sqrt(N), 0.25
    B_Phi = float(np.linalg.norm(X, 2)) / 2
    b_V = LAM  # noqa: N815
    B_V = LAM
    M_V = 2 * LAM

    def __init__(self):
        self.M_Phi = float(np.linalg.norm(X, axis=1).max())
        self.B_L = self.M_R * self.B_Phi + self.B_V
        self.c1 = max(
            self.k * self.C_R * self.B_Phi**2, self.k * self.C_R * self.B_Phi * self.M_Phi, self.B_L
        )
        self.c2 = math.sqrt(self.k) * self.M_R * self.M_Phi + self.M_V

    def given(self) -> mean_field.Regularity:
        return mean_field.Regularity(
            self.k, self.M_R, self.C_R, self.B_Phi, self.M_Phi, self.b_V, self.B_V, self.M_V
        )


def test_the_constants_are_those_of_the_problem():
    ready = mean_field.regularity(logistic(), D)
    for name in ("k", "M_R", "C_R", "B_Phi", "M_Phi", "b_V", "B_V", "M_V", "B_L", "c1", "c2"):
        assert getattr(ready, name) == pytest.approx(getattr(Constants(), name), rel=1e-6), name


def close(found: mean_field.Sides, left, right, tolerance: float = 1e-9):
    np.testing.assert_allclose(found.left, left, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(found.right, right, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("noise", [0.0, 1e-3])
def test_the_inequalities_at_each_record_are_those_of_numpy(noise: float):
    theta, mass, time = slow_record(0.1)
    c, states = Constants(), [Oracle(*of) for of in zip(theta, mass, strict=True)]
    found = budget_of(theta, mass, time, noise, constants=c.given())
    W2 = max(of.W2 for of in states)
    rate = np.array([of.rate(noise) for of in states])
    noisy = noise * c.B_L * (W2 + 1)
    np.testing.assert_allclose(found.time, time)
    np.testing.assert_allclose(found.energy, [of.L for of in states])
    np.testing.assert_allclose(found.energy_rate, rate)
    np.testing.assert_allclose(found.speed, [of.speed for of in states])
    slopes = np.array([of.variation(AT) for of in states])
    np.testing.assert_allclose(found.lowest_variation, slopes.min(axis=1))
    drift = noise * (time - time[0]) * c.B_L
    close(found.lemma_e5, [of.W2 for of in states], (states[0].L + drift) / (c.b_V - drift))
    close(found.lemma_e7, rate, [noisy - of.mean**2 / W2 for of in states])
    close(found.lemma_e10, np.abs(slopes).max(axis=1), [c.B_L] * 8)
    expected = [noise * c.B_L * (of.W2 + 1) - of.speed for of in states]
    close(found.corollary_e12, rate, expected)
    steep = [np.linalg.norm(of.slope(AT), axis=1).max() for of in states]
    close(found.lemma_e15, steep, [c.c2] * 8)
    left = [of.rates_of_integrals(noise) for of in states]
    root = np.sqrt(W2 * (noisy - rate))[:, None]
    size, slope = np.array([c.B_Phi] * N + [c.B_V]), np.array([c.M_Phi] * N + [c.M_V])
    close(found.lemma_e14, left, noise * size * (W2 + 1) + slope * root, 1e-5)


@pytest.mark.parametrize("noise", [0.0, 1e-3])
def test_the_inequalities_between_records_are_those_of_numpy(noise: float):
    theta, mass, time = slow_record(0.1)
    c, states = Constants(), [Oracle(*of) for of in zip(theta, mass, strict=True)]
    found = budget_of(theta, mass, time, noise, constants=c.given())
    W2 = max(of.W2 for of in states)
    pairs = list(zip(states[:-1], states[1:], np.diff(time), strict=True))
    change = [np.abs(b.variation(AT) - a.variation(AT)).max() for a, b, _ in pairs]
    moved = [c.C_R * c.B_Phi * np.abs(b.Q - a.Q).sum() for a, b, _ in pairs]
    close(found.equation_e2, change, moved)
    allowed = []
    for a, b, length in pairs:
        noisy = noise * length * c.c1 * (W2 + 1)
        allowed.append(noisy + c.c1 * math.sqrt(W2 * length * max(a.L - b.L + noisy, 0)))
    close(found.equation_e3, moved, allowed)
    rises = [b.L - a.L for a, b, _ in pairs]
    close(found.lemma_e13, rises, [noise * length * c.B_L * (W2 + 1) for *_, length in pairs])


def test_a_direction_of_descent_is_followed_as_in_numpy():
    """Lemma E.16 and Claims E.18 to E.20, in a record that moves so little that z stays small."""
    noise, (theta, mass, time) = 0.01, slow_record(1e-4)
    lowest = Oracle(theta[0], mass[0]).variation(AT).argmin()
    theta[:, 0] = 0.1 * AT[lowest]
    c, states = Constants(), [Oracle(*of) for of in zip(theta, mass, strict=True)]
    tau = -states[0].variation(AT).min()
    moved = [c.C_R * c.B_Phi * np.abs(b.Q - a.Q).sum() for a, b in pairwise(states)]
    z = np.concatenate([[0], np.cumsum(moved)])
    assert z[-1] < tau / 4
    beta = (tau / 2 / c.c2 / 2) ** (D - 1) / 2
    inside = [of.variation(AT) <= -tau / 2 + z for of, z in zip(states, z, strict=True)]
    weight = []
    for of, s in zip(states, z, strict=True):
        size = (of.theta**2).sum(1)
        below = of.variation(of.theta / np.sqrt(size)[:, None]) <= -tau / 2 + s
        weight.append(of.mass @ (size * below))
    found = budget_of(theta, mass, time, noise, constants=c.given())
    close(found.lemma_e16, [beta] * 8, np.mean(inside, axis=1))
    close(found.claim_e18, [of.variation(AT).min() for of in states], -tau + z)
    stayed = [of.variation(AT)[was].max() for of, was in zip(states[1:], inside[:-1], strict=True)]
    close(found.claim_e19, stayed, -tau / 2 + z[1:])
    growth = np.diff(weight) / np.diff(time)
    close(found.claim_e20, (tau - noise) * np.array(weight[:-1]) + noise * beta, growth)
    assert weight[0] > 0


def standing(measure: jm.Measure, time: np.ndarray) -> jm.Measure:
    """A record of a measure that does not move."""
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (len(time), *leaf.shape)), measure)


def collapsed() -> jm.Measure:
    """Light particles in one place, which is no optimum."""
    return jm.Measure(0.05 * jnp.tile(jnp.asarray(AT[:1]), (8, 1)), jnp.full(8, 1 / 8))


def lemma_e8(found: FlowBudget, time: np.ndarray, noise: float, W2: float):
    """Its two sides with every pair of records that the lemma speaks of, in NumPy."""
    c, sides = Constants(), []
    for i, lowest in enumerate(found.lowest_variation):
        tau = -lowest
        if tau <= noise:
            continue
        beta = (tau / (4 * c.c2)) ** (D - 1) / 2
        length = (math.log(W2 / noise) - math.log(beta)) / (tau - noise) + 1
        later = np.flatnonzero(time >= time[i] + length)
        if len(later):
            j = later[0]
            length = time[j] - time[i]
            noisy = noise * length * c.c1 * (W2 + 1)
            fall = max(tau / 4 - noisy, 0) ** 2 / (length * c.c1**2 * W2) - noisy
            sides.append((found.energy[j], found.energy[i] - fall, fall))
    return np.array(sides).T


def test_lemma_e8_along_a_flow():
    """Noise so small that the fall which the lemma asks for is positive, for a time of 200."""
    problem, noise, step_size = logistic(smoothing=0.2), 1e-13, 0.02
    flow = jm.perturbed_flow(problem, step_size=step_size, noise=noise, scheme="weighted")
    run = jm.run_flow(
        jax.random.key(0), flow, flow.init(collapsed()),
        num_steps=10_000, record=50, metrics=lambda measure: measure,
    )  # fmt: skip
    time = step_size * np.asarray(run.history.step)
    theta, mass = run.history.metrics
    found = budget_of(theta, mass, time, noise, problem, constants=Constants().given())
    W2 = float(np.sum(np.asarray(mass)[..., None] * np.asarray(theta) ** 2, axis=(1, 2)).max())
    left, right, fall = lemma_e8(found, time, noise, W2)
    assert len(fall) > 5
    assert np.max(fall) > 1e-7
    close(found.lemma_e8, left, right)
    assert np.all(found.lemma_e8.holds)
    assert found.violated == ()


def test_a_plain_flow_that_is_stuck_breaks_lemma_e8_and_claim_e20():
    """Its record, with a noise that was not there: some direction keeps L' below -0.2."""
    problem, noise = logistic(smoothing=0.2), 1e-15
    flow = jm.wasserstein_flow(problem, step_size=0.1)
    still = jm.run_flow(jax.random.key(0), flow, flow.init(collapsed()), num_steps=4_000).state
    assert float(jnp.linalg.norm(jm.velocity(problem, still.measure, still.measure.theta))) < 1e-9
    run = jm.run_flow(
        jax.random.key(0), flow, still, num_steps=3_000, record=100, metrics=lambda of: of
    )
    time = 0.1 * np.asarray(run.history.step)
    theta, mass = run.history.metrics
    found = budget_of(theta, mass, time, noise, problem)
    assert found.lowest_variation.max() < -0.2
    assert set(found.violated) == {"lemma_e8", "claim_e20"}
    assert not np.any(found.lemma_e8.holds)
    assert found.lemma_e8.left.size > 10


def plain_flow(step_size: float, num_steps: int = 40) -> FlowBudget:
    problem = logistic(smoothing=0.2)
    flow = jm.wasserstein_flow(problem, step_size=step_size)
    start = jm.Measure(jnp.asarray(AT[:M]), jnp.full(M, 1 / M))
    run = jm.run_flow(
        jax.random.key(0), flow, flow.init(start),
        num_steps=num_steps, record=1, metrics=lambda measure: measure,
    )  # fmt: skip
    time = step_size * np.asarray(run.history.step)
    theta, mass = run.history.metrics
    return budget_of(theta, mass, time, 0.0, problem)


def test_steps_that_are_too_long_break_the_descent():
    short, long = plain_flow(0.05), plain_flow(2.5)
    assert short.violated == ()
    assert {"equation_e3", "lemma_e13"} <= set(long.violated)
    assert np.array_equal(long.lemma_e13.holds, np.diff(long.energy) <= 1e-9)
    assert "violated at" in str(long)
    assert "violated" not in str(short)


def test_the_rate_of_the_energy_is_that_of_short_steps():
    found = plain_flow(0.002)
    measured = np.diff(found.energy) / np.diff(found.time)
    between = (found.energy_rate[1:] + found.energy_rate[:-1]) / 2
    np.testing.assert_allclose(measured, between, rtol=0.01)


def test_a_second_moment_that_grows_breaks_lemma_e5():
    theta, mass, time = slow_record(1e-4)
    mass[-1] *= 1e3
    found = budget_of(theta, mass, time, 0.0)
    assert "lemma_e5" in found.violated
    assert list(found.lemma_e5.holds) == [True] * 7 + [False]


def test_after_the_time_of_lemma_e5_it_allows_anything():
    theta, mass, time = slow_record(1e-4)
    found = budget_of(theta, mass, 1e6 * time, 0.1)
    assert found.lemma_e5.right[0] < np.inf
    assert np.all(found.lemma_e5.right[1:] == np.inf)
    assert np.all(found.lemma_e5.holds)
    assert "lemma_e5" in str(found)


@pytest.mark.parametrize(
    ("wrong", "broken"),
    [
        ({"M_R": 0.0, "B_V": 1e-3}, "lemma_e10"),
        ({"M_R": 0.0, "M_V": 0.0}, "lemma_e15"),
        ({"M_Phi": 1e-3}, "lemma_e14"),
        ({"C_R": 1e-3}, "equation_e2"),
    ],
)
def test_constants_that_are_too_small_are_seen(wrong: dict[str, float], broken: str):
    theta, mass, time = slow_record(0.1)
    right = budget_of(theta, mass, time, 0.1, constants=Constants().given())
    found = budget_of(theta, mass, time, 0.1, constants=Constants().given()._replace(**wrong))
    assert np.all(right.statements[broken].holds)
    assert broken in found.violated


def test_a_rate_above_what_small_constants_allow_is_seen():
    """Near the measure 0, L rises at the rate sigma int V dU = sigma lam."""
    time = np.arange(3.0)
    tiny = standing(jm.Measure(1e-4 * jnp.asarray(AT[:1]), jnp.ones(1)), time)
    assert budget_of(tiny.theta, tiny.mass, time, 0.1).energy_rate[0] == pytest.approx(
        0.1 * LAM, rel=0.3
    )
    small = Constants().given()._replace(M_R=0.0, B_V=LAM / 10)
    found = budget_of(tiny.theta, tiny.mass, time, 0.1, constants=small)
    assert {"lemma_e7", "corollary_e12"} <= set(found.violated)


@pytest.mark.parametrize("name", PROBLEMS)
def test_flows_of_every_loss_in_float32_keep_to_all_of_it(name: str):
    problem, dim = PROBLEMS[name]("float32"), 3 + outputs(name)
    directions = jm.sample_sphere(jax.random.key(1), 300, dim).astype("float32")
    flow = jm.perturbed_flow(problem, step_size=0.01, noise=0.01, scheme="weighted")
    start = jm.Measure(directions[:8] / 2, jnp.full(8, 0.125, "float32"))
    run = jm.run_flow(
        jax.random.key(0), flow, flow.init(start),
        num_steps=60, record=3, metrics=lambda measure: measure,
    )  # fmt: skip
    time = 0.01 * np.asarray(run.history.step)
    found = flow_budget(problem, run.history.metrics, directions, time=time, noise=0.01)
    assert found.violated == ()
    assert found.energy.dtype == np.float64


def test_a_record_in_float64_is_not_rounded_where_float64_is_not_enabled():
    theta, mass, time = slow_record(0.1)
    expected = budget_of(theta, mass, time, 0.1)
    wide: Any = theta, mass
    problem = logistic()
    with jax.enable_x64(False):
        found = flow_budget(problem, jm.Measure(*wide), AT, time=time, noise=0.1)
    np.testing.assert_allclose(found.energy, expected.energy, rtol=1e-12)


def test_the_page_of_the_flow_prints_what_it_says():
    page = (Path(__file__).parents[2] / "docs" / "theory" / "flow.md").read_text()
    [(code, promised)] = [block for block in blocks(page) if "flow_budget" in block[0]]
    printed = io.StringIO()
    with (
        jax.enable_x64(False),
        jax.numpy_dtype_promotion("standard"),
        contextlib.redirect_stdout(printed),
    ):
        exec(compile(code, "flow.md", "exec"), {"__name__": "__main__"})
    check_output(printed.getvalue(), promised)


def test_without_a_direction_of_descent_nothing_is_followed():
    time = np.arange(3.0)
    problem = jm.two_layer_problem(jnp.asarray(X), jnp.asarray(Y), "logistic", lam=100.0)
    found = budget_of(*standing(collapsed(), time), time, 0.01, problem)
    assert found.lowest_variation.min() > 0
    for name in ("lemma_e8", "lemma_e16", "claim_e18", "claim_e19", "claim_e20"):
        assert found.statements[name].left.size == 0
        assert np.all(found.statements[name].holds)
    assert "nowhere in this record" in str(found)


def test_a_problem_of_your_own_with_its_constants():
    theta, mass, time = slow_record(0.1)
    ready = logistic()
    own = jm.MeanField(
        lambda t: ready.phi(t), lambda a: ready.loss(a), lambda t: ready.potential(t)
    )
    found = budget_of(theta, mass, time, 0.1, own, constants=Constants().given())
    expected = budget_of(theta, mass, time, 0.1, constants=Constants().given())
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9), found, expected)
