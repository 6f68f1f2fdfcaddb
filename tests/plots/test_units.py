"""Dots of units: their directions, weights and colours, and the samples around them."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure

from jaxmargin import Measure, TwoLayer
from jaxmargin.plots import plot_units


def net(u: Any, w: Any) -> TwoLayer:
    return TwoLayer(jnp.asarray(u, jnp.float32), jnp.asarray(w, jnp.float32))


def measure(theta: Any, mass: Any) -> Measure:
    return Measure(jnp.asarray(theta, jnp.float32), jnp.asarray(mass, jnp.float32))


@pytest.fixture
def ax() -> Axes:
    return Figure().subplots()


def dots(ax: Axes) -> dict[Any, tuple[np.ndarray, np.ndarray]]:
    """Of each label, the places and areas of its dots."""
    drawn = [one for one in ax.collections if isinstance(one, PathCollection)]
    return {
        one.get_label(): (np.asarray(one.get_offsets()), one.get_sizes())
        for one in drawn
        if not str(one.get_label()).startswith("_")
    }


def test_a_dot_is_a_direction_and_its_area_a_weight(ax: Axes):
    network = net(u=np.array([[3.0, 0.0], [0.0, -1.0]]), w=np.array([4.0, -2.0]))
    assert plot_units(network, ax=ax, scale=10.0) is ax
    found = dots(ax)
    assert list(found) == ["w > 0", "w < 0"]
    np.testing.assert_allclose(found["w > 0"][0], [[1, 0]], atol=1e-7)
    np.testing.assert_allclose(found["w < 0"][0], [[0, -1]], atol=1e-7)
    np.testing.assert_allclose(found["w > 0"][1], 10 * (9 + 16), rtol=1e-6)
    np.testing.assert_allclose(found["w < 0"][1], 10 * (1 + 4), rtol=1e-6)


def test_units_of_one_sign_in_one_direction_are_one_dot(ax: Axes):
    angle = np.radians([1.0, 2.0, 1.5, 100.0])
    u = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    theta = np.concatenate([[[1.0], [2.0], [-1.0], [1.0]], u], axis=1)
    mass = np.array([1.5, 1.2, 1.0, 0.0])  # weights 3, 6 and 2; the last weighs nothing
    plot_units(measure(theta, mass), ax=ax, scale=1.0)
    found = dots(ax)
    places = {label: np.degrees(np.arctan2(*place[0, ::-1])) for label, (place, _) in found.items()}
    assert places == pytest.approx({"w > 0": 5 / 3, "w < 0": 1.5}, abs=1e-2)
    assert found["w > 0"][1] == pytest.approx([9.0])
    assert found["w < 0"][1] == pytest.approx([5.0])  # as small as a dot may be


def test_the_heaviest_is_as_large_in_every_picture(ax: Axes):
    for size in (1e-6, 1.0, 1e6):
        axes = ax.figure.subplots()
        plot_units(net(size * np.eye(2), np.array([size, 0.0])), ax=axes)
        areas = np.concatenate([area for _, area in dots(axes).values()])
        assert areas.max() == pytest.approx(220)


def test_several_outputs_have_a_colour_each(ax: Axes):
    w = np.array([[0.1, 2.0, 0.0], [-3.0, 1.0, 1.0]])
    plot_units(net(np.eye(2), w), ax=ax)
    assert list(dots(ax)) == ["output 0", "output 1"]
    np.testing.assert_allclose(dots(ax)["output 1"][0], [[1, 0]], atol=1e-7)


def test_a_network_of_zeros_has_no_dots(ax: Axes):
    plot_units(net(np.zeros((2, 2)), np.zeros(2)), ax=ax)
    assert dots(ax) == {}
    unit_without_direction = measure(np.array([[1.0, 0.0, 0.0]]), np.ones(1))
    plot_units(unit_without_direction, ax=ax)
    np.testing.assert_array_equal(dots(ax)["w > 0"][0], [[0, 0]])


def test_kinks_are_orthogonal_to_the_samples_and_labels_are_drawn(ax: Axes):
    x = np.array([[3.0, 4.0], [-1.0, 0.0], [0.0, 0.0]])
    network = net(np.eye(2), np.ones(2))
    plot_units(network, x, ax=ax)
    (kinks,) = [one for one in ax.collections if isinstance(one, LineCollection)]
    for segment, sample in zip(kinks.get_segments(), x, strict=True):
        np.testing.assert_allclose(segment @ sample, 0, atol=1e-12)
    before = len(ax.collections)
    plot_units(network, x, np.array([1.0, -1.0, -1.0]), ax=ax)
    labelled = ax.collections[before + 1 : before + 3]  # after the kinks, one for each label
    places = [np.asarray(one.get_offsets()) for one in labelled]
    np.testing.assert_allclose(places[1], 0.85 * x[:1] / 5)
    np.testing.assert_allclose(places[0], 0.85 * x[1:] / 5)
    plot_units(network, x, [0, 1, 2], ax=ax)


def test_rings_have_spokes(ax: Axes):
    network = net(np.array([[0.0, 2.0], [1e-6, 0.0]]), np.array([2.0, 0.0]))
    plot_units(network, ax=ax, hollow=True)
    (spokes,) = [one for one in ax.collections if isinstance(one, LineCollection)]
    np.testing.assert_allclose(spokes.get_segments(), [[[0, 0], [0, 1]]], atol=1e-7)
    assert len(dots(ax)["w > 0"][0]) == 1  # the ring that is too small to be seen is left out
