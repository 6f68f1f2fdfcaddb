"""The map of the paper has every numbered statement and equation, with a test that exists."""

import ast
import re
from pathlib import Path

from tests.test_documentation import exists, quoted

ROOT = Path(__file__).parents[1]
STATEMENTS = [
    "Theorem 1.1", "Theorem 1.2",
    "Theorem 2.1", "Assumption 3.1", "Example 3.2", "Theorem 3.3",
    "Theorem 4.1", "Corollary 4.2", "Theorem 4.3",
    "Theorem B.1", *(f"Lemma B.{i}" for i in range(2, 8)), "Claim B.8", "Lemma B.9",
    "Theorem B.10", "Proposition B.11",
    "Theorem C.1", "Theorem C.2", "Claim C.3", "Lemma C.4",
    "Proposition D.1", "Theorem D.2", "Lemma D.3",
    *(f"Assumption E.{i}" for i in range(1, 4)), "Theorem E.4",
    *(f"Lemma E.{i}" for i in range(5, 12)), "Corollary E.12",
    *(f"Lemma E.{i}" for i in range(13, 18)), *(f"Claim E.{i}" for i in range(18, 21)),
    "Theorem E.21",
]  # fmt: skip
LAST_EQUATIONS = {"2": 2, "3": 2, "4": 3, "B": 15, "C": 9, "D": 2, "E": 18}  # of each section
EQUATIONS = [f"{part}.{i}" for part, last in LAST_EQUATIONS.items() for i in range(1, last + 1)]


def rows(head: str) -> list[list[str]]:
    """The cells of the table that begins with this head, without the head."""
    text = (ROOT / "docs" / "paper_map.md").read_text()
    table = text.partition(f"| {head} |")[2].partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table[2:]]


def numbers(cell: str) -> list[str]:
    """The equations of a cell: `E.2`, `E.2, E.3` or `E.7 to E.10`."""
    if " to " not in cell:
        return cell.split(", ")
    (part, first), (_, last) = (end.split(".") for end in cell.split(" to "))
    return [f"{part}.{i}" for i in range(int(first), int(last) + 1)]


def missing_test(named: str) -> str:
    """The test of a cell if there is none of that name, else nothing."""
    path, _, function = named.strip("`").partition("::")
    tree = ast.parse((ROOT / "tests" / path).read_text())
    found = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    return "" if function in found else named


def test_every_numbered_statement_has_a_row_in_the_order_of_the_paper():
    assert [row[0] for row in rows("statement")] == STATEMENTS


def test_every_numbered_equation_has_a_row_in_the_order_of_the_paper():
    assert [number for row in rows("equation") for number in numbers(row[0])] == EQUATIONS


def test_what_is_named_exists():
    for head, column in (("statement", 1), ("equation", 2)):
        for row in rows(head):
            assert row[column], row[0]
            assert [name for name in quoted(row[column]) if not exists(name)] == [], row[0]


def test_every_statement_has_a_page():
    for row in rows("statement"):
        assert re.search(r"\]\([\w./-]+\.md\)", row[3]), row[0]


def test_every_test_of_the_map_exists():
    named = [row[2] for row in rows("statement")] + [row[3] for row in rows("equation")]
    assert [test for test in map(missing_test, named) if test] == []
