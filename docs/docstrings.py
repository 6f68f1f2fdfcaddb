"""Docstrings as Sphinx reads them: formulas and examples stay as they are written."""

import re
from collections.abc import Iterable

SECTIONS = ("Args:", "Returns:", "Raises:", "Example:", "Reference:", "Attributes:")


def prepared(lines: Iterable[str]) -> list[str]:
    """The same docstring, with the markup that it was written without.

    An indented formula is a block of its own, with its line breaks. In running text, bars and
    asterisks are no markup, and no line breaks an arrow in two. What is returned has no type apart
    from its words, which napoleon looks for before a colon. Examples are left alone.
    """
    made: list[str] = []
    section, example = "", False
    for line in lines:
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        if example:
            made.append(line)
        elif not section and line.startswith("    "):
            if made and not made[-1]:
                made += [".. code-block:: text", ""]
            made.append(line)
        else:
            begins = section == "Returns:" and made[-1] == section
            made.append(_begun(_plain(line)) if begins else _plain(line))
        section = line if line in SECTIONS else section
    return made


def _plain(line: str) -> str:
    """A line without markup outside of backticks."""
    pieces = re.split(r"(`[^`]*`)", line)
    pieces[::2] = [re.sub(r"([|*])", r"\\\1", text).replace(" -> ", " → ") for text in pieces[::2]]
    return "".join(pieces)


def _begun(line: str) -> str:
    """The first line of what is returned, after an empty type."""
    text = line.lstrip()
    return f"{line[: len(line) - len(text)]}: {text}"
