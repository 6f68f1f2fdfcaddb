"""What the checks of a measure's values say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from jaxmargin.mean_field._particles.checks import check_measure
from tests.mean_field.problems import PROBLEMS, measure


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def test_a_measure_is_checked_by_its_values():
    problem, rho = PROBLEMS["logistic"]("float64"), measure("logistic", "float64")
    jax.tree.map(np.testing.assert_array_equal, check_measure(problem, rho), rho)
    faults = {
        r"measure.theta must be finite": rho._replace(theta=rho.theta.at[1, 2].set(jnp.nan)),
        r"measure.mass must be finite": rho._replace(mass=rho.mass.at[3].set(jnp.inf)),
        r"measure.mass must be >= 0, got -0.5": rho._replace(mass=rho.mass.at[3].set(-0.5)),
        r"outputs of the particles have shape \(6, 2\)": measure("squared, 2 outputs", "float64"),
    }
    for match, wrong in faults.items():
        with pytest.raises(ValueError, match=match):
            check_measure(problem, wrong)
    for changed in ("loss", "potential"):
        parts = {"phi": problem.phi, "loss": problem.loss, "potential": problem.potential}
        with pytest.raises(ValueError, match=f"problem.{changed} must give a scalar"):
            check_measure(jm.MeanField(**parts | {changed: lambda a: a**2}), rho)
    # Under jit the values are not known; the shapes still are.
    jax.jit(check_measure)(problem, faults[r"measure.mass must be >= 0, got -0.5"])
