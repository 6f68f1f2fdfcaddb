"""What margins and interpolants take."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from jaxmargin.margins._inputs import check_samples, differences_of, hashable, rounding_of


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64])
def test_labels_of_two_signs_are_floats_whatever_they_were(dtype: type):
    x, y = check_samples("f", np.ones((3, 2), np.float32), np.array([1, -1, 1], dtype))
    assert x.dtype == y.dtype == np.float64
    np.testing.assert_array_equal(differences_of(y), [[[1]], [[-1]], [[1]]])


def test_classes_have_a_row_for_each_other_class():
    y = check_samples("f", np.ones((3, 2)), np.array([2, 0, 1], np.uint8))[1]
    assert y.dtype == int
    rows = differences_of(y)
    np.testing.assert_array_equal(rows[0], [[-1, 0, 1], [0, -1, 1]])
    np.testing.assert_array_equal(rows[1], [[1, -1, 0], [1, 0, -1]])
    assert rows.shape == (3, 2, 3)


def test_the_rounding_is_that_of_the_dtype():
    assert rounding_of(np.ones(1, np.float32)) == pytest.approx(4.8e-7, rel=0.01)
    assert rounding_of(np.ones(1)) == pytest.approx(8.9e-16, rel=0.01)


class OfArrays:
    """A model that is no valid static argument, as a module that holds arrays."""

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __call__(self, params: jm.TwoLayer, x: jax.Array) -> jax.Array:
        return jm.two_layer(params, x)


def test_models_without_a_hash_are_measured_all_the_same():
    assert hashable(jm.two_layer) is jm.two_layer
    x, y = jnp.eye(2), jnp.array([1.0, -1.0])
    params = jm.TwoLayer(jnp.eye(2), jnp.array([1.0, -1.0]))
    path = partial(jm.margin_path, lams=[0.1], num_steps=20)
    for measure in (jm.kkt_residual, path):
        own, known = (measure(apply, params, x, y) for apply in (OfArrays(), jm.two_layer))
        jax.tree.map(np.testing.assert_array_equal, own, known)
