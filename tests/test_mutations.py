"""Every public function with each of its arguments spoilt: a clear error, or the right numbers.

The ordinary run takes a sample; `pytest -m slow tests/test_mutations.py` takes them all.
"""

import numpy as np
import pytest

from tests.calls import CALLS
from tests.mutations import mutations, outcome
from tests.registry import CONTAINERS, PUBLIC, TYPES

CASES = [(name, argument) for name, (_, arguments) in CALLS.items() for argument in arguments]
SAMPLE = 60


def test_every_function_has_a_call():
    assert set(CALLS) == PUBLIC.keys() - CONTAINERS.keys() - TYPES


def faults(name: str, argument: str, kinds: slice) -> list[str]:
    """The spoilt calls that do not end well."""
    function, arguments = CALLS[name]
    spoilt = list(mutations(arguments[argument]))[kinds]
    results = ((kind, outcome(function, arguments, argument, value)) for kind, value in spoilt)
    return [f"{kind}: {result}" for kind, result in results if result]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "argument"), CASES)
def test_no_spoilt_argument_is_met_with_a_traceback_or_a_silent_nan(name: str, argument: str):
    assert faults(name, argument, slice(None)) == []


@pytest.mark.parametrize("index", np.random.default_rng(0).permutation(len(CASES))[:SAMPLE])
def test_a_sample_of_spoilt_arguments(index: int):
    name, argument = CASES[index]
    assert faults(name, argument, slice(int(index) % 8, None, 8)) == []
