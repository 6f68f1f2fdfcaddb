"""Wrong input: each fault, its exception, and one line that names it and says what is expected.

The rows stand in `tests/<package>/faults_*.py`, beside the tests of what they test; those of
`sphere` in `tests/faults_sphere.py`. A row bears the bare name of a public function: `train`.
"""

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

from tests.fault import Fault
from tests.registry import PUBLIC, TYPES, bare

FOLDER = Path(__file__).parent
TABLES = {
    ".".join(path.relative_to(FOLDER.parent).with_suffix("").parts)
    for path in FOLDER.rglob("faults_*.py")
}
FAULTS: list[tuple[str, Fault]] = [
    (table, fault) for table in sorted(TABLES) for fault in import_module(table).FAULTS
]
HOMES = {bare(name): name for name in PUBLIC}


@pytest.mark.parametrize(
    "fault", [fault for _, fault in FAULTS], ids=lambda fault: f"{fault.name}: {fault.match[:40]}"
)
def test_a_fault_is_one_clear_line(fault: Fault):
    with pytest.raises(fault.error, match=fault.match) as caught:
        fault.call()
    assert "\n" not in str(caught.value)


def test_rows_are_of_public_names_and_stand_beside_their_tests():
    """A row of `networks.train` is in `tests/networks/`, one of `sphere.maximum` in `tests/`."""
    astray = set()
    for table, fault in FAULTS:
        home = HOMES.get(bare(fault.name), "")
        package = home.partition(".")[0] if (FOLDER / home.partition(".")[0]).is_dir() else ""
        if not home or table.rpartition(".")[0] != f"tests.{package}".removesuffix("."):
            astray.add(f"{fault.name} in {table}")
    assert astray == set()


def documented_errors(value) -> set[str]:
    """The exceptions that the Raises section of a docstring names."""
    text = inspect.getdoc(value) or ""
    section = re.search(r"^Raises:\n(.*?)(?=^\w|\Z)", text, re.MULTILINE | re.DOTALL)
    return set(re.findall(r"^ {4}(\w+):", section[1], re.MULTILINE)) if section else set()


def uncovered() -> dict[str, str]:
    """The public names whose documented errors are not those of their rows, and both of these."""
    rows: dict[str, set[str]] = {}
    for _, fault in FAULTS:
        rows.setdefault(bare(fault.name), set()).add(fault.error.__name__)
    found = {}
    for name in sorted(PUBLIC.keys() - TYPES):
        documented, raised = documented_errors(PUBLIC[name]), rows.get(bare(name), set())
        if documented != raised:
            found[name] = f"documents {sorted(documented)}, rows have {sorted(raised)}"
    return found


def test_the_documented_errors_are_those_of_the_rows():
    assert uncovered() == {}
