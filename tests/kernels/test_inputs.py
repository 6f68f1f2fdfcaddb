"""What the kernels and the fits take, beyond the faults of `faults_*.py`."""

import jax.numpy as jnp
import numpy as np

from jaxmargin.kernels._inputs import check_labels, check_targets, require_rows

GRAM = jnp.eye(3)


def test_rows_stand_for_both_arguments_where_one_is_missing():
    x, other = require_rows([[1.0, 2.0]], None)
    assert x is other
    assert x.shape == (1, 2)


def test_integer_labels_become_one_hot_rows_and_signs_stay():
    _, classes = check_labels(GRAM, jnp.array([2, 0, 1]))
    np.testing.assert_array_equal(classes, np.eye(3, dtype=bool)[[2, 0, 1]])
    _, signs = check_labels(GRAM, jnp.array([1.0, -1.0, 1.0]))
    np.testing.assert_array_equal(signs, [1, -1, 1])


def test_targets_may_have_a_trial_axis_and_several_outputs():
    gram, y = check_targets(jnp.stack([GRAM, GRAM]), jnp.ones((2, 3, 5)))
    assert gram.shape == (2, 3, 3)
    assert y.shape == (2, 3, 5)
