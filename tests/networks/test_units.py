"""Which axis counts the units of each leaf; what is refused is in `faults_unit_perturbation`."""

import jax.numpy as jnp
import numpy as np

from jaxmargin.networks._units import by_unit, unit_axes

PARAMS = {"a": jnp.arange(6.0).reshape(2, 3), "b": [jnp.arange(3.0), jnp.ones(2)]}


def test_an_entry_stands_for_a_whole_subtree():
    assert unit_axes({"a": -1, "b": [0, None]}, PARAMS) == ([-1, 0, None], 3)
    assert unit_axes({"a": 0, "b": None}, PARAMS) == ([0, None, None], 2)


def test_units_come_to_the_front():
    found = by_unit(PARAMS, [1, 0, None], "nothing")
    np.testing.assert_array_equal(found["a"], PARAMS["a"].T)
    np.testing.assert_array_equal(found["b"][0], PARAMS["b"][0])
    assert found["b"][1] == "nothing"
