"""The map of the paper has every numbered statement, with a test and a page that exist."""

import ast
import re
from pathlib import Path

from tests.test_documentation import exists, quoted

ROOT = Path(__file__).parents[1]
STATEMENTS = [
    "Theorem 2.1", "Assumption 3.1", "Theorem 3.3", "Theorem 4.1", "Corollary 4.2", "Theorem 4.3",
    "Theorem B.1", *(f"Lemma B.{i}" for i in range(2, 8)), "Claim B.8", "Lemma B.9",
    "Theorem B.10", "Proposition B.11",
    "Theorem C.1", "Theorem C.2", "Claim C.3", "Lemma C.4",
    "Proposition D.1", "Theorem D.2", "Lemma D.3",
    *(f"Assumption E.{i}" for i in range(1, 4)), "Theorem E.4",
    *(f"Lemma E.{i}" for i in range(5, 12)), "Corollary E.12",
    *(f"Lemma E.{i}" for i in range(13, 18)), *(f"Claim E.{i}" for i in range(18, 21)),
    "Theorem E.21",
]  # fmt: skip


def rows() -> list[list[str]]:
    """The cells of the table of statements, without its head."""
    text = (ROOT / "docs" / "paper_map.md").read_text()
    table = text.partition("| statement |")[2].splitlines()
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table[2:]]


def test_every_numbered_statement_has_a_row_in_the_order_of_the_paper():
    assert [row[0] for row in rows()] == STATEMENTS


def test_what_is_named_exists():
    for statement, here, _, page in rows():
        assert here, statement
        assert [name for name in quoted(here) if not exists(name)] == [], statement
        assert re.search(r"\]\([\w./-]+\.md\)", page), statement


def test_every_test_of_the_map_exists():
    for statement, _, named, _ in rows():
        path, _, function = named.strip("`").partition("::")
        tree = ast.parse((ROOT / "tests" / path).read_text())
        found = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
        assert function in found, statement
