"""README and guide run as they stand, and print what they say that they print."""

from pathlib import Path

import jax
import pytest

from tests.examples.pages import blocks, check_output, run_page

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "docs" / "index.md", *sorted(ROOT.glob("docs/guide/*.md"))]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_prints_what_it_says(path: Path, optimized):
    assert blocks(path.read_text())
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        run_page(path)


def test_blocks_are_found_with_their_output():
    page = "```python\na\n```\n\n```text\n1\n```\n\nWords.\n\n```python\nb\n```\n\n```sh\nc\n```\n"
    assert blocks(page) == [("a\n", "1\n"), ("b\n", "")]


@pytest.mark.parametrize(
    ("printed", "promised"),
    [
        ("margin 0.12", "margin 0.12"),
        ("margin 0.13", "margin 0.12"),
        ("1.02e-3 of 97", "1.0e-3 of 100"),
        ("a   b\n", "a b"),
    ],
)
def test_output_that_agrees(printed: str, promised: str):
    check_output(printed, promised)


@pytest.mark.parametrize(
    ("printed", "promised"),
    [
        ("margin 0.14", "margin 0.12"),
        ("loss 0.12", "margin 0.12"),
        ("margin 0.12 0.3", "margin 0.12"),
        ("-0.12", "0.12"),
        ("margin nan", "margin 0.12"),
    ],
)
def test_output_that_differs(printed: str, promised: str):
    with pytest.raises(AssertionError):
        check_output(printed, promised)
