"""Errors that name the trial at fault and its cause."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxmargin.kernels._fits.trials import Fitted
from jaxmargin.kernels._fits.verdicts import (
    cause_of,
    in_range,
    nan_where,
    raise_where,
    require_no_doubt,
    require_semidefinite,
)

PAIR = jnp.stack([jnp.eye(3), jnp.ones((3, 3)).at[0, 0].set(2.0)])


def test_a_fault_of_one_trial_names_it():
    raise_where(np.array([False, False]), ValueError, "never said")
    with pytest.raises(ValueError, match="trial 1: singular"):
        raise_where(np.array([False, True]), ValueError, "singular")
    with pytest.raises(ValueError, match=r"^singular"):
        raise_where(np.bool_(True), ValueError, "singular")


def test_the_cause_is_that_of_the_trial_at_fault():
    assert "its rows 1 and 2 are equal" in cause_of(PAIR, np.array([False, True]))
    assert "every entry is 0" in cause_of(jnp.zeros((3, 3)), np.bool_(True))
    require_semidefinite(PAIR, np.array([True, True]))
    with pytest.raises(ValueError, match="trial 1: gram is not positive semidefinite beyond"):
        require_semidefinite(PAIR, np.array([True, False]))


def test_doubt_is_at_most_a_hundredth_of_the_objective():
    require_no_doubt(PAIR, np.array([0.0, 0.0099]), ValueError, "c")
    for doubt in (0.0101, np.nan):
        with pytest.raises(
            ValueError, match=r"trial 0: .* in float32 .*: give c, or mend gram: compute"
        ):
            require_no_doubt(PAIR, np.array([doubt, 0.0]), ValueError, "c")
    with pytest.raises(ValueError, match=r"in float64 .*: give c, or mend gram: its rows 1 and 2"):
        require_no_doubt(np.asarray(PAIR[1], float), np.array(1.0), ValueError, "c")


def test_doubt_about_inputs_far_from_zero_is_told_to_subtract_the_mean():
    x = jnp.array([[1e4], [1e4 + 1], [1e4 + 2]])
    with pytest.raises(ValueError, match=r"give c, or mend gram: .* subtract their mean"):
        require_no_doubt(x @ x.T, np.array(1.0), ValueError, "c")


def test_a_fit_within_range_is_given_back():
    def found(size):
        return Fitted(jnp.ones(3), jnp.ones(()), np.array(size), None)

    assert in_range("fit", found(1.0)) == "fit"
    with pytest.raises(ValueError, match=r"beta has size 1e\+40, outside the range of float32"):
        in_range("fit", found(1e40))


def test_nan_in_place_of_one_trial():
    out = nan_where(jnp.array([False, True]), jnp.ones((2, 3)))
    np.testing.assert_array_equal(out, [[1, 1, 1], [np.nan] * 3])
