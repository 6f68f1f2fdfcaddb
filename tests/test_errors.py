"""Errors carry what a driver had reached, also to another process."""

import pickle

import numpy as np
import pytest

import jaxmargin as jm


def test_both_are_value_errors():
    assert issubclass(jm.DivergenceError, ValueError)
    assert issubclass(jm.ConvergenceError, ValueError)


@pytest.mark.parametrize(
    "error",
    [
        jm.DivergenceError("at step 3", step=3, trial=1, result=(np.arange(3),)),
        jm.DivergenceError("at step 3", step=3),
        jm.ConvergenceError("above tol", result={"gap": 0.1}),
        jm.ConvergenceError("above tol"),
    ],
    ids=repr,
)
def test_an_error_survives_pickling(error: ValueError):
    loaded = pickle.loads(pickle.dumps(error))
    assert type(loaded) is type(error)
    assert str(loaded) == str(error)
    assert loaded.args == error.args
    assert loaded.__dict__.keys() == error.__dict__.keys()
    for name, value in error.__dict__.items():
        np.testing.assert_equal(getattr(loaded, name), value)
