"""The built pages load nothing from elsewhere: no script, style, font or picture."""

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="needs jaxmargin[docs]")

ROOT = Path(__file__).parents[1]
BUILT = ROOT / "docs" / "_build"
CONF = "from docs.conf import *  # noqa: F403\n\ndel setup  # it writes the API pages\n"
PAGE = "# Page\n\nHere is $x^2$.\n\n```python\nx = 1\n```\n"
POINTERS = {"author", "canonical", "copyright", "help", "index", "next", "prev", "search"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One page with a formula, built with the settings of the documentation."""
    source, site = tmp_path_factory.mktemp("docs"), tmp_path_factory.mktemp("site")
    (source / "conf.py").write_text(CONF)
    (source / "index.md").write_text(PAGE)
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", source, site]
    subprocess.run(command, cwd=ROOT, check=True)
    return site


class Loads(HTMLParser):
    """The addresses that a browser loads to show a page; links that a reader follows are none."""

    def __init__(self, text: str):
        super().__init__()
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.addresses += [given[name] for name in ("src", "data", "poster") if name in given]
        if tag == "link" and not POINTERS & set(given.get("rel", "").split()):
            self.addresses.append(given.get("href", ""))


def loaded(folder: Path) -> Iterator[tuple[Path, str]]:
    """Each page and style of the site, with each address that it loads."""
    for page in folder.rglob("*.html"):
        yield from ((page, address) for address in Loads(page.read_text()).addresses)
    for style in folder.rglob("*.css"):
        text = style.read_text()
        for address in re.findall(r"(?:url\(|@import\s)\s*[\"']?([^\"')\s]+)", text):
            yield style, address


def foreign(folder: Path) -> list[str]:
    return [
        f"{file.relative_to(folder)}: {address}"
        for file, address in loaded(folder)
        if re.match(r"(?:[a-z]+:)?//", address, re.IGNORECASE)
    ]


def test_a_page_loads_nothing_from_elsewhere(site: Path):
    assert foreign(site) == []


@pytest.mark.skipif(not BUILT.exists(), reason="the documentation is not built")
def test_the_built_documentation_loads_nothing_from_elsewhere():
    assert foreign(BUILT) == []


def test_the_renderer_of_formulas_and_its_fonts_are_in_the_site(site: Path):
    scripts = [address for _, address in loaded(site) if "mathjax" in address]
    assert scripts
    for address in scripts:
        file = site / address.partition("?")[0]
        assert file.is_file()
        assert list(file.parent.rglob("MathJax_Math-Italic.woff"))


@pytest.mark.parametrize(
    "load",
    [
        '<script src="https://elsewhere.org/a.js"></script>',
        '<link rel="stylesheet" href="//elsewhere.org/a.css">',
        '<img alt="" src="http://elsewhere.org/a.png">',
        "<style>@import 'https://elsewhere.org/a.css';</style>",
    ],
    ids=["script", "style", "picture", "import"],
)
def test_a_planted_load_is_found(tmp_path: Path, load: str):
    name = "page.css" if "@import" in load else "page.html"
    (tmp_path / name).write_text(load)
    assert len(foreign(tmp_path)) == 1
