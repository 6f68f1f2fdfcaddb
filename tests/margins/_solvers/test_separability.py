"""Labels that no network separates are found and named; all others pass."""

import itertools
import tracemalloc
from contextlib import nullcontext

import numpy as np
import pytest
import scipy.optimize

import jaxmargin as jm
from jaxmargin.margins._inputs import differences_of
from jaxmargin.margins._solvers.separability import (
    listed_samples,
    require_distinct_features,
    require_interpolable,
    require_separable,
)
from tests.margins.samples import circle, hexagon

ROUNDING = 1e-12


def is_separable(x: np.ndarray, y: np.ndarray) -> bool:
    try:
        require_separable(x, y, differences_of(y), ROUNDING)
    except ValueError:
        return False
    return True


def test_it_agrees_with_the_margin_over_many_directions_for_all_labels():
    """Samples on three lines through 0: some labels of opposite samples cannot be separated."""
    x, _ = hexagon()
    features, verdicts = np.maximum(x @ circle(1001).T, 0), []
    for labels in itertools.product([-1.0, 1.0], repeat=6):
        y = np.array(labels)
        if abs(y.sum()) == 6:
            continue
        try:
            margin = jm.l1_svm(features, y).margin
        except ValueError:
            margin = 0.0
        assert is_separable(x, y) == (margin > 1e-9), labels
        verdicts.append(margin > 1e-9)
    assert verdicts.count(False) == 2


def test_samples_that_no_network_separates_are_named():
    x, y = hexagon()
    with pytest.raises(ValueError, match="is 0 for every u, with p on samples") as caught:
        jm.max_margin(x, y)
    for i in range(6):
        assert f"{i} (0.167)" in str(caught.value)
    sums = np.maximum(circle(100) @ x.T, 0) @ y
    np.testing.assert_allclose(sums, 0, atol=1e-12)
    # In more dimensions too, among samples that would be separated; a bias resolves it.
    rng = np.random.default_rng(0)
    lifted = np.concatenate([np.pad(x, ((0, 0), (0, 3))), rng.normal(size=(3, 5))])
    with pytest.raises(ValueError, match="is 0 for every u, with p on samples"):
        jm.max_margin(lifted, np.append(y, [1, 1, -1]))
    assert jm.max_margin(np.append(x, np.ones((6, 1)), axis=1), y).margin > 1e-3


def test_the_vanishing_combination_is_that_of_the_message():
    """With lengths 1 and 2 on the lines, p is in proportion to 1 / length."""
    x, y = hexagon()
    lengths = np.array([1.0, 2.0, 1.0, 2.0, 1.0, 2.0])
    x = lengths[:, None] * x
    with pytest.raises(ValueError, match="with p on samples") as caught:
        require_separable(x, y, differences_of(y), ROUNDING)
    p = 1 / lengths / np.sum(1 / lengths)
    np.testing.assert_allclose(np.maximum(circle(50) @ x.T, 0) @ (p * y), 0, atol=1e-12)
    for i in range(6):
        assert f"{i} ({p[i]:.3g})" in str(caught.value)


def test_rays_that_differ_by_less_than_rounding_are_one():
    near = np.array([[1.0, 0.0], [2.0, 2e-13], [0.0, 1.0]])
    y = np.array([1.0, -1.0, 1.0])
    with pytest.raises(ValueError, match="samples 0 and 1 lie on one ray"):
        require_separable(near, y, differences_of(y), ROUNDING)
    require_separable(near, y, differences_of(y), 1e-14)


def test_equal_features_of_one_label_pass():
    phi = np.array([[1.0, 2.0], [1.0, 2.0], [2.0, 1.0]])
    require_distinct_features(phi, np.array([1.0, 1.0, -1.0]))
    with pytest.raises(ValueError, match="rows 1 and 2 are equal"):
        require_distinct_features(phi[[2, 0, 1]], np.array([1.0, 1.0, -1.0]))


def test_equal_rows_are_found_in_memory_of_the_order_of_the_rows():
    rng = np.random.default_rng(0)
    phi = rng.normal(size=(20_000, 2))
    y = np.where(np.arange(20_000) % 2, 1.0, -1.0)
    tracemalloc.start()
    require_distinct_features(phi, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50 * phi.nbytes  # a table of all pairs has 10,000 times as much
    phi[[7, 9, 19_998]] = 0.0, -0.0
    with pytest.raises(ValueError, match=r"rows 7 and 19998 are equal and have labels \+1 and -1"):
        require_distinct_features(phi, y)


def test_opposite_samples_of_very_different_lengths_are_separable():
    """f = |x| a + b x is free on both rays, however short one sample is."""
    y = np.array([1.0, -1.0])
    require_separable(np.array([[1.0], [-1e-12]]), y, differences_of(y), ROUNDING)


def test_a_message_lists_the_heaviest_samples():
    p = np.array([0.05, 0.5, 0.0, 0.45])
    assert listed_samples(p) == "samples 1 (0.5), 3 (0.45), 0 (0.05)"
    assert listed_samples(p[:2], np.array([7, 9])) == "samples 9 (0.5), 7 (0.05)"
    assert listed_samples(np.full(100, 0.01)).count("(") == 8


def test_three_classes_are_separable_where_a_model_of_all_networks_separates_them():
    """On three lines through 0, for all labels; each even function of a line, and all linear ones.

    Two classes on opposite sides, as the hexagon has them, cannot be separated; a third class of
    samples in between does not help them.
    """
    x, y = hexagon()
    more = np.array([[1.0, 0.1], [0.1, 1.0]])
    verdicts = []
    for third in itertools.product([False, True], repeat=6):
        classes = np.append(np.where(third, 2, y > 0), [2, 2])
        points = np.concatenate([x, more])
        verdicts.append(is_separable(points, classes))
        assert verdicts[-1] == margins_are_feasible(even_and_odd(points), classes)
    assert 0 < verdicts.count(False) < 64


def even_and_odd(x: np.ndarray) -> np.ndarray:
    """What all networks are on lines: one even function each, and the linear functions.

    The first six samples lie on three lines, and each of the others is alone on its own.
    """
    lines = np.eye(3 + len(x) - 6)[[0, 1, 2, 0, 1, 2, *range(3, 3 + len(x) - 6)]]
    return np.concatenate([lines, x], axis=1)


def margins_are_feasible(features: np.ndarray, y: np.ndarray) -> bool:
    """Whether a linear model of the features has f_{y_i} >= f_j + 1, by an interior point."""
    (n, p), k = features.shape, 3
    rows = np.zeros((n, k, p, k))
    for i, label in enumerate(y):
        for j in range(k):
            rows[i, j, :, label] += features[i]
            rows[i, j, :, j] -= features[i]
    table = -rows[np.arange(k) != y[:, None]].reshape(-1, p * k)
    found = scipy.optimize.linprog(
        np.zeros(p * k), A_ub=table, b_ub=-np.ones(len(table)), bounds=(None, None),
        method="highs-ipm",
    )  # fmt: skip
    return found.status == 0


def test_targets_on_lines_are_fitted_where_a_least_squares_problem_says_so():
    x, _ = hexagon()
    for targets in itertools.product([-1.0, 0.0, 2.0], repeat=6):
        y = np.array(targets)
        missed = np.linalg.lstsq(even_and_odd(x), y, rcond=None)[1]
        fits = float(missed.sum()) < 1e-12
        expected = nullcontext() if fits else pytest.raises(ValueError, match="contradicts the tar")
        with expected:
            require_interpolable(x, y, ROUNDING)


def test_rows_on_one_ray_need_proportional_targets():
    x = np.array([[1.0, 2.0], [2.0, 4.0], [0.0, 0.0], [3.0, -1.0]])
    np.testing.assert_array_equal(
        require_interpolable(x, np.array([1.0, 2.0, 0.0, 5.0], np.float32), 1e-6), [1, 2, 0, 5]
    )
    with pytest.raises(ValueError, match="samples 0 and 1 lie on one ray"):
        require_interpolable(x, np.array([1.0, 1.0, 0.0, 5.0]), ROUNDING)
    with pytest.raises(ValueError, match="sample 2 is a row of zeros"):
        require_interpolable(x, np.array([1.0, 2.0, 3.0, 5.0]), ROUNDING)
