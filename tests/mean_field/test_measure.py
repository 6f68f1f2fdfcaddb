"""Measures: weights, the second moment, and what is refused."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from jaxmargin.mean_field.two_layer import TwoLayerFeatures
from tests.mean_field.problems import PROBLEMS, measure

RHO = measure("logistic", "float32")


def test_weights_are_masses_times_squared_sizes():
    theta, mass = (np.asarray(leaf, np.float64) for leaf in RHO)
    expected = [s * np.dot(one, one) for one, s in zip(theta, mass, strict=True)]
    np.testing.assert_allclose(RHO.weights, expected, rtol=1e-6)
    np.testing.assert_allclose(jm.second_moment(RHO), sum(expected), rtol=1e-6)


def test_the_second_moment_of_a_network_is_its_squared_norm():
    """sum_j mass_j |theta_j|^2 is |w|^2 + |u|^2 of the units sqrt(mass_j) theta_j."""
    network = jm.as_network(PROBLEMS["logistic"]("float32"), RHO)
    np.testing.assert_allclose(jm.norms.sum_of_squares(network), jm.second_moment(RHO), rtol=1e-6)


def test_a_checked_measure_holds_arrays_of_jax():
    on_host: Any = jax.tree.map(np.asarray, RHO)
    found = on_host.checked()
    assert all(isinstance(leaf, jax.Array) for leaf in found)
    jax.tree.map(np.testing.assert_array_equal, found, RHO)


@pytest.mark.parametrize(
    ("wrong", "error", "match"),
    [
        (RHO._replace(mass=RHO.mass[1:]), ValueError, r"got \(7, 4\) and \(6,\)"),
        (jm.Measure(RHO.theta[:0], RHO.mass[:0]), ValueError, "m >= 1 particles"),
        (RHO._replace(theta=RHO.theta[0]), ValueError, r"theta \(m, D\)"),
        (RHO._replace(mass=jnp.ones(7, int)), TypeError, "floats of one dtype"),
    ],
)
def test_shapes_and_dtypes_are_checked(wrong: jm.Measure, error: type[Exception], match: str):
    with pytest.raises(error, match=match):
        wrong.checked()


def test_two_layer_features_have_passes_of_their_own_and_a_function_has_none():
    features = TwoLayerFeatures(jnp.ones((2, 3)))
    assert isinstance(features, jm.mean_field.Features)
    assert not isinstance(jnp.square, jm.mean_field.Features)
