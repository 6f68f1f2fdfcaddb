"""Every public function with each of its arguments spoilt: a clear error, or the right numbers.

The ordinary run takes a sample; `pytest -m slow tests/test_mutations.py` takes them all.
"""

from pathlib import Path

import pytest

from tests.calls import CALLS
from tests.mutations import INFINITE, NAN, mutations, outcome
from tests.registry import CONTAINERS, PUBLIC, TYPES

# What functions give for some finite arguments, as their docstrings say.
DOCUMENTED = {
    "networks.homogeneity_degree": NAN,  # where the network vanishes on x at every scale
    "margins.log_normalized_margin": INFINITE,  # the logarithm of 0
    "sphere.maxima": INFINITE,  # -inf where fewer points lie apart
    "mean_field.regularity": INFINITE,  # constants that hold everywhere, or of relu nowhere
    "mean_field.flow_budget": INFINITE,  # where a lemma allows anything
    "mean_field.theoretical_rate": INFINITE,  # those constants are in it
}
EACH = 20  # of how many spoilt values the ordinary run takes one


@pytest.fixture(autouse=True)
def files_stay_here(tmp_path: Path, monkeypatch):
    """A spoilt value may be a right name of a file."""
    monkeypatch.chdir(tmp_path)


def faults(name: str, step: int) -> list[str]:
    """The spoilt calls of a function that do not end well, of every `step`-th spoilt value."""
    function, arguments = CALLS[name]
    found = []
    for argument, value in arguments.items():
        for kind, spoilt in list(mutations(value))[::step]:
            result = outcome(function, arguments, argument, spoilt)
            if result and result != DOCUMENTED.get(name):
                found.append(f"{argument}, {kind}: {result}")
    return found


def test_every_function_has_a_call():
    assert set(CALLS) == PUBLIC.keys() - CONTAINERS.keys() - TYPES
    assert CALLS.keys() > DOCUMENTED.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_no_spoilt_argument_is_met_with_a_traceback_or_a_silent_nan(name: str):
    assert faults(name, 1) == []


@pytest.mark.parametrize("name", CALLS)
def test_a_sample_of_spoilt_arguments(name: str):
    assert faults(name, EACH) == []
