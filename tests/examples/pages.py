"""Pages of the documentation as programs: their blocks of Python, and what these shall print."""

import contextlib
import io
import re
from pathlib import Path

import pytest

_BLOCK = re.compile(
    r"^```python\n(?P<code>.*?)^```$(?:\s*^```text\n(?P<output>.*?)^```$)?",
    re.DOTALL | re.MULTILINE,
)
_NUMBER = re.compile(r"-?\d*\.?\d+(?:e[-+]?\d+)?")


def blocks(text: str) -> list[tuple[str, str]]:
    """Each block of Python, with the block of text that follows it: what it prints."""
    return [(found["code"], found["output"] or "") for found in _BLOCK.finditer(text)]


def run_page(path: Path) -> None:
    """Run the blocks of a page one after the other, and compare what each prints."""
    names: dict[str, object] = {"__name__": "__main__"}
    for code, promised in blocks(path.read_text()):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, str(path), "exec"), names)
        check_output(printed.getvalue(), promised)


def check_output(printed: str, promised: str) -> None:
    """The same words, and numbers within 5% or one unit of the last digit that is promised."""
    assert _NUMBER.sub("#", printed).split() == _NUMBER.sub("#", promised).split(), printed
    for got, expected in zip(_NUMBER.findall(printed), _NUMBER.findall(promised), strict=True):
        near = pytest.approx(float(expected), rel=0.05, abs=_last_digit(expected))
        assert float(got) == near, f"{got} is printed where the page has {expected}:\n{printed}"


def _last_digit(number: str) -> float:
    """One unit of the last digit and a little more: .01 of 3.14, 100 of 1.23e4."""
    digits, _, exponent = number.partition("e")
    return 1.001 * 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))
