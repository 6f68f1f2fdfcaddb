"""Layers as arrays: what is taken, and that the error names what does not fit."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from jaxmargin.networks._layers import matrices_of, unit_weights


def test_lists_and_integers_become_arrays():
    lists: Any = [[1, 2]], np.array([3.0])
    u, w = unit_weights(jm.TwoLayer(*lists))
    assert all(isinstance(layer, jax.Array) for layer in (u, w))
    assert [layer.shape for layer in matrices_of([[[1, 2]], np.ones((2, 1))])] == [(1, 2), (2, 1)]


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        (
            {"kernel": jnp.ones((2, 2))},
            TypeError,
            r"fan_out, fan_in\), the first layer first, got di",
        ),
        ((), ValueError, "params must hold at least one matrix"),
        ((jnp.ones((2, 2)), jnp.ones(2)), ValueError, r"params\[1\] must be a matrix, .* \(2,\)"),
        ((jnp.ones((2, 2)), jax.nn.relu), TypeError, r"params\[1\] must be an array of numbers"),
    ],
)
def test_what_is_no_matrix_is_named(params: Any, error: type, message: str):
    with pytest.raises(error, match=message):
        matrices_of(params)


def test_units_of_two_layers_agree():
    with pytest.raises(ValueError, match=r"for its m units, got \(4, 3\) and \(5,\)"):
        unit_weights(jm.TwoLayer(jnp.ones((4, 3)), jnp.ones(5)))
