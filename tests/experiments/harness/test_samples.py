"""Samples of one teacher a trial: their split, labels and values."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np

from jaxmargin.data.synthetic import teacher
from jaxmargin.experiments.harness.samples import labelled, valued
from jaxmargin.networks.models import two_layer

SETTINGS = SimpleNamespace(trials=3, d=4, hidden=3, margin=0.01, max_majority=0.95, test_samples=20)
KEY = jax.random.key(0)


def test_labels_are_those_of_the_teacher_of_each_trial():
    x, y, x_test, y_test = labelled(KEY, SETTINGS, 10)
    assert (x.shape, y.shape) == ((3, 10, 4), (3, 10))
    assert (x_test.shape, y_test.shape) == ((3, 20, 4), (3, 20))
    key = jax.random.split(KEY, 3)[1]
    drawn = teacher(key, 30, d=4, hidden=3, margin=0.01, max_majority=0.95)
    np.testing.assert_array_equal(jnp.concatenate([x[1], x_test[1]]), drawn.x)
    np.testing.assert_array_equal(jnp.concatenate([y[1], y_test[1]]), drawn.y)


def test_values_are_those_of_the_teacher_on_the_unit_sphere():
    x, y, x_test, y_test = valued(KEY, SETTINGS, 10)
    assert (x.shape, y_test.shape) == ((3, 10, 4), (3, 20))
    np.testing.assert_allclose(jnp.linalg.norm(x_test, axis=-1), 1, rtol=1e-6)
    key = jax.random.split(KEY, 3)[2]
    drawn = teacher(key, 30, d=4, hidden=3, inputs="sphere")
    np.testing.assert_allclose(y[2], two_layer(drawn.teacher, x[2]), rtol=1e-5, atol=1e-6)
