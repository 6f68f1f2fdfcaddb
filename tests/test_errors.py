"""Errors carry what a driver had reached, also to another process."""

import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

import jaxmargin as jm


def test_both_are_value_errors():
    assert issubclass(jm.DivergenceError, ValueError)
    assert issubclass(jm.ConvergenceError, ValueError)


def test_an_interrupt_is_no_exception_that_a_sweep_would_catch():
    assert issubclass(jm.Interrupted, KeyboardInterrupt)
    assert not issubclass(jm.Interrupted, Exception)


@pytest.mark.parametrize(
    "error",
    [
        jm.DivergenceError("at step 3", step=3, trial=1, result=(np.arange(3),)),
        jm.DivergenceError("at step 3", step=3),
        jm.Interrupted("at step 3", step=3, result=(np.arange(3),)),
        jm.ConvergenceError("above tol", result={"gap": 0.1}),
        jm.ConvergenceError("above tol"),
    ],
    ids=repr,
)
def test_an_error_survives_pickling(error: BaseException):
    loaded = pickle.loads(pickle.dumps(error))
    assert type(loaded) is type(error)
    assert str(loaded) == str(error)
    assert loaded.args == error.args
    assert loaded.__dict__.keys() == error.__dict__.keys()
    for name, value in error.__dict__.items():
        np.testing.assert_equal(getattr(loaded, name), value)


def diverge(step: int) -> None:
    raise jm.DivergenceError("the flow diverged", step=step, trial=1, result=(np.arange(3),))


def test_a_process_of_a_pool_ends_with_its_error():
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        error = pool.submit(diverge, 7).exception(timeout=120)
    assert isinstance(error, jm.DivergenceError)
    assert (error.step, error.trial) == (7, 1)
    np.testing.assert_array_equal(error.result[0], np.arange(3))
