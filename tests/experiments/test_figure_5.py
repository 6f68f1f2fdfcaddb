"""Figure 5: a short run, each part checked against a cone program; its claims at length."""

import numpy as np
import pytest

from benchmarks import cone_program
from jaxmargin.data.synthetic import sinusoid
from jaxmargin.experiments import figure_5
from jaxmargin.experiments.harness.experiment import Context
from jaxmargin.networks.models import append_one
from tests.experiments.reproduced import reproduce

SHORT = ["--starts", "2", "--exponents", "12,16,45", "--width", "50", "--steps", "3000"]


@pytest.fixture(scope="module")
def series(tmp_path_factory) -> dict[str, np.ndarray]:
    record, series = reproduce("figure-5", tmp_path_factory.mktemp("figure-5"), *SHORT)
    assert all(claim["holds"] for claim in record["claims"][1:])  # the margin at 2^-45 is below .99
    return series


def samples() -> tuple[np.ndarray, np.ndarray]:
    settings = figure_5.PAPER
    line, y = sinusoid(10, cycles=settings.cycles, low=-2.0, high=2.0)
    return np.asarray(append_one(line), np.float64), np.asarray(y, np.float64)


def test_the_margins_are_those_of_cone_programs(series: dict[str, np.ndarray]):
    x, y = samples()
    expected = [cone_program.margin_at(x, y, lam=2.0**-e)[0] for e in series["exponent"]]
    np.testing.assert_allclose(series["margin"], np.stack([expected] * 2), rtol=1e-3)
    np.testing.assert_allclose(series["certified_margin"], expected[:2], rtol=1e-3)
    assert series["svm_margin"] == pytest.approx(cone_program.max_margin(x, y), rel=1e-5)
    assert series["grid_margin"] <= series["svm_bound"]


def test_the_functions_have_the_margins_at_the_samples(series: dict[str, np.ndarray]):
    x, y = samples()
    line = figure_5._grid(figure_5.PAPER)[:, 0]
    for function, margin in (
        (series["svm_function"], series["svm_margin"]),
        (series["function"][0, 1], series["margin"][0, 1]),
    ):
        assert np.min(y * np.interp(x[:, 0], line, function)) == pytest.approx(margin, rel=1e-2)


@pytest.mark.slow
def test_the_claims_hold():
    series = figure_5.run(figure_5.QUICK, Context())
    assert all(claim.holds for claim in figure_5.claims(figure_5.QUICK, series))
    ratios = dict(zip(series["exponent"], figure_5.ratios(series).min(axis=0), strict=True))
    apart = dict(zip(series["exponent"], figure_5.disagreement(series).max(axis=0), strict=True))
    assert ratios[14] >= 0.94
    assert ratios[60] >= 0.99
    assert apart[14] <= 0.06
    assert apart[45] <= 0.015
