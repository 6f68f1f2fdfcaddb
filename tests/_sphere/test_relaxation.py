"""The semidefinite bound: true for all multipliers, a formula for some, and its derivatives."""

import numpy as np
import pytest

from jaxmargin._sphere.relaxation import Multipliers, Relaxation
from jaxmargin._sphere.relu_sum import scaled, unit_rows
from tests._sphere.oracle import maximum_by_patterns


def problem(n: int, d: int, k: int | None, seed: int = 0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(size=n if k is None else (n, k)), rng


def some(relaxation: Relaxation, rng: np.random.Generator) -> Multipliers:
    plain = relaxation.plain()
    return Multipliers(
        plain.log_c + rng.normal(size=len(plain.log_c)),
        rng.uniform(size=len(plain.part)),
        rng.uniform(size=len(plain.square)),
        rng.exponential(size=len(plain.push)) * 0.2,
        rng.exponential(size=plain.pairs.shape) * 0.2,
        rng.normal() * np.ones(()),
    )


@pytest.mark.parametrize("k", [None, 3])
@pytest.mark.parametrize("known", [{}, {1: 1}, {0: -1, 4: 1, 2: -1}])
def test_no_point_of_its_part_is_above_the_bound(k: int | None, known: dict[int, int]):
    x, dual, rng = problem(7, 3, k)
    function = scaled(x, dual)
    u = unit_rows(rng.normal(size=(20_000, 3)))
    for sample, side in known.items():
        u = u[side * (u @ x[sample]) >= 0]
    totals = function.totals(u)
    highest = totals.max() if k is None else np.linalg.norm(totals, axis=1).max()
    relaxation = Relaxation(function, known)
    assert highest <= relaxation.bound(relaxation.plain())
    for _ in range(20):
        assert highest <= relaxation.bound(some(relaxation, rng))
    assert highest <= relaxation.improved(relaxation.plain())[0]


def test_the_plain_bound_is_the_formula():
    """For unit rows; where no row has a weight above 0 it is |X^T r| / 2."""
    x, dual, _ = problem(9, 4, None)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    for r in (dual, -np.abs(dual)):
        up = np.maximum(r, 0)
        spectral = np.linalg.eigvalsh((x.T * up) @ x)[-1]
        expected = np.linalg.norm(x.T @ r) / 2 + np.sqrt(up.sum() * spectral) / 2
        function = scaled(x, r)
        relaxation = Relaxation(function, {})
        assert function.unscaled(relaxation.bound(relaxation.plain())) <= expected * (1 + 1e-10)


@pytest.mark.parametrize("k", [None, 2])
def test_the_slopes_are_derivatives(k: int | None):
    x, dual, rng = problem(6, 3, k)
    relaxation = Relaxation(scaled(x, dual), {1: 1, 4: -1})
    at = some(relaxation, rng)
    z = rng.normal(size=relaxation.matrix(at).shape)
    z = z + z.T
    slopes = relaxation.slopes(at, z)
    for name in Multipliers._fields:
        change = rng.normal(size=np.shape(getattr(at, name)))
        moved = [
            np.sum(z * relaxation.matrix(at._replace(**{name: getattr(at, name) + s * change})))
            for s in (1e-5, -1e-5)
        ]
        expected = np.sum(getattr(slopes, name) * change)
        assert (moved[0] - moved[1]) / 2e-5 == pytest.approx(expected, rel=1e-6, abs=1e-8)


def test_with_all_signs_known_it_is_the_maximum_of_the_cone():
    """The largest of all cones is the maximum."""
    x, dual, _ = problem(4, 6, None)
    function = scaled(x, dual)
    highest = 0.0
    for bits in range(16):
        known = {i: 1 if bits >> i & 1 else -1 for i in range(4)}
        for sign in (1, -1):
            relaxation = Relaxation(function._replace(weights=sign * function.weights), known)
            highest = max(highest, relaxation.improved(relaxation.plain())[0])
    assert function.unscaled(highest) == pytest.approx(maximum_by_patterns(x, dual), rel=1e-9)


def test_the_slack_points_at_convex_terms_of_unknown_sign_only():
    x, dual, _ = problem(6, 3, None)
    relaxation = Relaxation(scaled(x, dual), {2: 1, 3: -1})
    slack = relaxation.slack_of_samples(relaxation.plain())
    free = (dual > 0) & ~np.isin(np.arange(6), [2, 3])
    assert free.any()
    np.testing.assert_array_equal(np.isfinite(slack), free)
