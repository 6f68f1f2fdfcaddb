"""Wrong input: each fault, its exception, and one line that names it and says what is expected.

The rows are in `faults/`, one file for a few modules.
"""

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

from tests.fault import Fault
from tests.test_contracts import public_names

pytestmark = pytest.mark.usefixtures("quick_compilation")

FOLDER = Path(__file__).parent
TABLES = sorted(FOLDER.glob("*/faults_*.py"))
FAULTS: list[Fault] = [
    row for path in TABLES for row in import_module(f"tests.{path.parent.name}.{path.stem}").FAULTS
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.name}: {fault.match[:40]}")
def test_a_fault_is_one_clear_line(fault: Fault):
    with pytest.raises(fault.error, match=fault.match) as caught:
        fault.call()
    assert "\n" not in str(caught.value)


MODULES = {
    "bounds",
    "certificates",
    "convergence",
    "data",
    "flow",
    "homogeneity",
    "l1svm",
    "losses",
    "margins",
    "meanfield",
    "networks",
    "norms",
    "perturbation",
    "polishing",
    "regularization_path",
    "runs",
    "training",
    "two_layer_problems",
    "weak_regularizer",
}
CHECKED = sorted(
    name
    for name, value in public_names().items()
    if getattr(value, "__module__", "").removeprefix("jaxmargin.") in MODULES
)


def documented_errors(function) -> set[str]:
    """The exceptions that the Raises section of a docstring names."""
    text = inspect.getdoc(function) or ""
    section = re.search(r"^Raises:\n(.*?)(?=^\w|\Z)", text, re.MULTILINE | re.DOTALL)
    return set(re.findall(r"^ {4}(\w+):", section[1], re.MULTILINE)) if section else set()


@pytest.mark.parametrize("name", CHECKED)
def test_the_documented_errors_are_those_of_the_table(name: str):
    raised = {fault.error.__name__ for fault in FAULTS if fault.name == name}
    assert documented_errors(public_names()[name]) == raised
