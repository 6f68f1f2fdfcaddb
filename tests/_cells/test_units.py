"""Units in their cells: moved inside, merged, and led across walls."""

import numpy as np

from jaxmargin._cells.units import Units, across, distinct, inside, merged, together, units_at


def draw(m: int = 6, n: int = 8, d: int = 3) -> tuple[np.ndarray, Units]:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(n, d))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x, units_at(x, rng.normal(size=(m, 2)), rng.normal(size=(m, d)))


def network(x: np.ndarray, w: np.ndarray, u: np.ndarray) -> np.ndarray:
    return np.maximum(x @ u.T, 0) @ w


def test_units_have_unit_w_and_the_outputs_and_the_cost_of_the_network():
    rng = np.random.default_rng(0)
    x, w, u = rng.normal(size=(5, 3)), rng.normal(size=(4, 2)), rng.normal(size=(4, 3))
    w[3] = 0
    units = units_at(x, w, u)
    assert len(units.v) == 3
    np.testing.assert_allclose(units.outputs(x), network(x, w, u))
    np.testing.assert_allclose(np.linalg.norm(units.w, axis=1), 1)
    cost = np.linalg.norm(w[:3], axis=1) * np.linalg.norm(u[:3], axis=1)
    np.testing.assert_allclose(units.length, cost)


def test_units_on_walls_are_moved_inside_of_their_cells():
    x, units = draw()
    wall = x[np.argmin(np.abs(units.v @ x.T), axis=1)]  # the nearest of each
    onto = units.v - np.sum(units.v * wall, axis=1, keepdims=True) * wall
    found = inside(x, units._replace(v=onto), 1e-3)
    signs = np.where(found.active, 1, -1)
    assert np.all(signs * (found.v @ x.T) > 0)
    assert len(found.v) == 6
    assert np.all(found.length >= 1e-3)


def test_a_unit_whose_cell_is_empty_is_dropped():
    x = np.array([[1.0, 0.0], [1.0, 0.0]])
    active = np.array([[True, False], [True, True]])
    units = Units(np.ones((2, 1)), np.ones((2, 2)), active)
    assert inside(x, units, 0.1).active.tolist() == [[True, True]]


def test_units_of_one_direction_and_one_w_are_made_one():
    x, units = draw()
    doubled = together(units, units.where(np.array([2]))._replace(v=3 * units.v[2:3]))
    found = merged(doubled)
    assert len(found.v) == 6
    np.testing.assert_allclose(found.outputs(x), doubled.outputs(x))
    assert merged(units.where(np.zeros(6, bool))).v.shape == (0, 3)


def test_one_unit_of_each_cell_and_w_stays():
    _, units = draw()
    assert len(distinct(together(units, units)).v) == 6


def test_a_unit_is_led_across_all_walls_that_it_leans_against():
    _, units = draw()
    leaning = np.zeros(units.active.shape)
    leaning[1, [0, 3]] = 1.0
    leaning[4, 2] = 5.0
    found = across(units, leaning)
    assert len(found.v) == 2
    changed = {tuple(np.flatnonzero(row)) for row in found.active ^ units.active[[4, 1]]}
    assert changed == {(0, 3), (2,)}
    assert np.all(found.length < 1e-5 * units.length.max())
