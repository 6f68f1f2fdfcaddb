"""Every public function with each of its arguments spoilt: a clear error, or the right numbers.

The ordinary run takes a sample; `pytest -m slow tests/test_mutations.py` takes them all. Functions
that are not guarded yet are listed, and not tested.
"""

import pytest

from tests.calls import CALLS
from tests.mutations import mutations, outcome
from tests.registry import CONTAINERS, PUBLIC, TYPES

# Functions some of whose arguments, spoilt, are still met with an error from inside.
ROUGH = {
    "data.embed", "data.groups_of_d", "data.idx", "data.read_idx", "data.sinusoid",
    "data.teacher", "data.two_axis", "kernels.empirical_ntk", "kernels.fit_ridge_matrix_free",
    "kernels.kernel_diagonal",
    "kernels.kernel_matvec", "lower_bound.best_in_span", "lower_bound.cross_moment",
    "lower_bound.deviation", "lower_bound.f_tilde", "lower_bound.held_out_error",
    "lower_bound.least_squares_limit", "lower_bound.paired_error_bound", "lower_bound.paired_sum",
    "lower_bound.quadratic_form", "margins.guaranteed_margin", "margins.log_normalized_margin",
    "margins.log_theorem_regularization", "margins.margin_bound", "margins.margin_distribution",
    "margins.margin_path", "margins.normalized_margin", "margins.rademacher_bound",
    "margins.rademacher_complexity", "margins.regularization_for_margin",
    "mean_field.check_two_homogeneous", "mean_field.energy", "mean_field.first_variation",
    "mean_field.global_optimum", "mean_field.regularity", "mean_field.resumable_run",
    "mean_field.run_flow", "mean_field.second_moment", "mean_field.theoretical_rate",
    "mean_field.two_layer_problem", "networks.balance", "networks.homogeneity_degree",
    "networks.init_mlp", "networks.init_two_layer", "networks.norms.sum_of_squares",
    "networks.pattern_change", "networks.regularized", "networks.squared_loss", "networks.train",
    "networks.widen", "sphere.maxima", "sphere.maximum", "sphere.sample_sphere",
}  # fmt: skip
EACH = 12  # of how many spoilt values the ordinary run takes one


def faults(name: str, step: int) -> list[str]:
    """The spoilt calls of a function that do not end well, of every `step`-th spoilt value."""
    function, arguments = CALLS[name]
    found = []
    for argument, value in arguments.items():
        for kind, spoilt in list(mutations(value))[::step]:
            result = outcome(function, arguments, argument, spoilt)
            found += [f"{argument}, {kind}: {result}"] if result else []
    return found


def test_every_function_has_a_call():
    assert set(CALLS) == PUBLIC.keys() - CONTAINERS.keys() - TYPES
    assert CALLS.keys() > ROUGH


GUARDED = [name for name in CALLS if name not in ROUGH]


@pytest.mark.slow
@pytest.mark.parametrize("name", GUARDED)
def test_no_spoilt_argument_is_met_with_a_traceback_or_a_silent_nan(name: str):
    assert faults(name, 1) == []


@pytest.mark.parametrize("name", GUARDED)
def test_a_sample_of_spoilt_arguments(name: str):
    assert faults(name, EACH) == []
