"""Every public function with each of its arguments spoilt: a clear error, or the right numbers.

The ordinary run takes a sample; `pytest -m slow tests/test_mutations.py` takes them all.
"""

import pytest

from tests.calls import CALLS
from tests.mutations import NOT_FINITE, mutations, outcome
from tests.registry import CONTAINERS, PUBLIC, TYPES

# Functions that give NaN or an infinite number for some finite arguments, as their docstrings say.
DOCUMENTED = {
    "networks.homogeneity_degree",  # NaN of a network that vanishes on x at every scale
    "margins.log_normalized_margin",  # the logarithm of 0
    "sphere.maxima",  # -inf where fewer points lie apart
}
EACH = 12  # of how many spoilt values the ordinary run takes one


def faults(name: str, step: int) -> list[str]:
    """The spoilt calls of a function that do not end well, of every `step`-th spoilt value."""
    function, arguments = CALLS[name]
    found = []
    for argument, value in arguments.items():
        for kind, spoilt in list(mutations(value))[::step]:
            result = outcome(function, arguments, argument, spoilt)
            if result and not (result == NOT_FINITE and name in DOCUMENTED):
                found.append(f"{argument}, {kind}: {result}")
    return found


def test_every_function_has_a_call():
    assert set(CALLS) == PUBLIC.keys() - CONTAINERS.keys() - TYPES
    assert CALLS.keys() > DOCUMENTED


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_no_spoilt_argument_is_met_with_a_traceback_or_a_silent_nan(name: str):
    assert faults(name, 1) == []


@pytest.mark.parametrize("name", CALLS)
def test_a_sample_of_spoilt_arguments(name: str):
    assert faults(name, EACH) == []
