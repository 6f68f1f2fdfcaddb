"""README and documentation speak of what exists, and the API pages hold every public name once."""

import ast
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import jaxmargin as jm
from docs import api_pages, docstrings
from jaxmargin.experiments import EXPERIMENTS

ROOT = Path(__file__).parents[1]
WRITTEN = [  # not the pages that are made from the code
    path
    for path in [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]
    if not {"_build", "api"} & set(path.relative_to(ROOT).parts)
]
HISTORY = ROOT / "CHANGELOG.md"  # it has the old names too
PACKAGES = {name for name, value in vars(jm).items() if isinstance(value, ModuleType)}

each_page = pytest.mark.parametrize(
    "path", WRITTEN, ids=lambda path: str(path.relative_to(ROOT).with_suffix(""))
)


def resolve(name: str) -> Any:
    """The object that a reader gets who writes `jaxmargin.<name>`."""
    value = jm
    for part in name.removeprefix("jaxmargin.").split("."):
        value = getattr(value, part)
    return value


def exists(name: str) -> bool:
    try:
        resolve(name)
    except AttributeError:
        return False
    return True


def quoted(text: str) -> set[str]:
    """Names, dotted or not, that stand in backticks and outside of blocks of code."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return set(re.findall(r"`([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)`", prose))


def code_blocks(path: Path) -> list[ast.Module]:
    blocks = re.findall(r"^```python\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE)
    return [ast.parse(block) for block in blocks if not block.startswith(">>>")]


def public(package: ModuleType) -> Iterator[str]:
    """What `__all__` promises, with the names of a module in place of the module."""
    for name in package.__all__:
        value = getattr(package, name)
        if isinstance(value, ModuleType):
            yield from (f"{name}.{inner}" for inner in api_pages.public_names(value))
        else:
            yield name


@pytest.mark.parametrize("page", sorted(set(api_pages.contents()) - {api_pages.GROUND}))
def test_the_page_of_a_package_holds_exactly_its_public_names(page: str):
    text = api_pages.pages()[page]
    package = f"jaxmargin.{page}"
    expected = sorted(f"{package}.{name}" for name in public(import_module(package)))
    kinds = "autofunction|autoclass|autoexception|py:data"
    entries = re.findall(rf"^\.\. (?:{kinds}):: (.+)", text, re.MULTILINE)
    assert sorted(entries) == expected
    assert sorted(re.findall(r":py:obj:`.+ <(.+)>`", text)) == expected


def test_the_pages_cover_every_name_of_the_package_itself():
    pages = api_pages.contents().values()
    documented = {entry.name.split(".")[-1] for page in pages for entry in page}
    assert set(jm.__all__) - PACKAGES <= documented


def test_every_public_name_says_in_one_line_what_it_is():
    for page, names in api_pages.contents().items():
        for entry in names:
            assert api_pages.summary(entry).strip(), f"{page}: {entry.name}"


def test_the_index_lists_every_page_of_the_api():
    assert "\napi/index\n" in (ROOT / "docs" / "index.md").read_text()
    index = api_pages.pages()["index"]
    listed = re.findall(r"^   \* - :doc:`(\w+)`\n     - .+\n", index, re.MULTILINE)
    assert sorted(listed) == sorted(api_pages.contents())
    assert set(api_pages.ORDER) <= set(listed)


def test_the_version_is_one_in_all_places():
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.findall(r"^version: (.+)$", citation, re.MULTILINE) == [jm.__version__]
    assert f"## [{jm.__version__}]" in HISTORY.read_text()


def test_every_name_of_the_map_exists():
    rows = (ROOT / "docs" / "paper_map.md").read_text().splitlines()
    names = {name for row in rows if row.startswith("|") for name in quoted(row.split("|")[-2])}
    assert len(names) > 50
    assert [name for name in sorted(names) if not exists(name)] == []


def test_the_readme_lists_every_package():
    rows = re.findall(r"^\| `(\w+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(set(api_pages.contents()) - {api_pages.GROUND})


@each_page
def test_names_below_a_package_exist(path: Path):
    if path != HISTORY:
        dotted = {name for name in quoted(path.read_text()) if "." in name}
        ours = {name for name in dotted if name.split(".")[0] in PACKAGES | {"jaxmargin"}}
        assert [name for name in sorted(ours) if not exists(name)] == []


@each_page
def test_code_imports_what_exists_and_calls_it_as_it_is_defined(path: Path):
    for block in code_blocks(path):
        imported = {}
        for node in ast.walk(block):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jaxmargin"):
                module = import_module(str(node.module))
                imported |= {alias.name: getattr(module, alias.name) for alias in node.names}
        for call in ast.walk(block):
            if isinstance(call, ast.Call):
                check_call(call, called(call.func, imported))


def check_call(call: ast.Call, function: Any) -> None:
    """Fail unless the arguments fit the function's signature; None stands for others' functions."""
    if function is not None and not any(isinstance(value, ast.Starred) for value in call.args):
        keywords = {word.arg: None for word in call.keywords if word.arg}
        try:
            inspect.signature(function).bind(*call.args, **keywords)
        except TypeError as error:
            pytest.fail(f"{ast.unparse(call)}: {error}")


def called(node: ast.expr, imported: dict[str, Any]) -> Any:
    """The function of jaxmargin that is called, or None if it is another one."""
    if isinstance(node, ast.Name):
        return imported.get(node.id, getattr(jm, node.id, None))
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        owner = imported.get(node.value.id)
        return getattr(owner, node.attr) if isinstance(owner, ModuleType) else None
    return None


@each_page
def test_commands_and_links_lead_somewhere(path: Path):
    text = path.read_text()
    if path != HISTORY:
        assert set(re.findall(r"jaxmargin reproduce ([\w.-]+\w)", text)) <= {*EXPERIMENTS, "all"}
    for link in re.findall(r"\]\(([\w./-]+\.(?:md|png|py|ipynb))[)#]", text):
        target = (path.parent / link).resolve()
        made = target.parent == ROOT / "docs" / "api" and target.stem in api_pages.pages()
        assert made or target.exists(), link


def test_a_docstring_keeps_its_formulas_and_its_examples():
    written = [
        "The bound of |f| as lam -> 0, see `a -> b`:",
        "",
        "    |f| <= a * b",
        "         + c",
        "",
        "Args:",
        "    x: (n, d) inputs *x*.",
        "",
        "Returns:",
        "    `Bound`: above 1 it says nothing.",
        "",
        "Example:",
        "    >>> f(x)",
        "    |2| * 3 -> 6",
        "",
    ]
    expected = [
        r"The bound of \|f\| as lam → 0, see `a -> b`:",
        "",
        ".. code-block:: text",
        "",
        *written[2:6],
        r"    x: (n, d) inputs \*x\*.",
        "",
        "Returns:",
        "    : `Bound`: above 1 it says nothing.",
        *written[10:],
    ]
    assert docstrings.prepared(written) == expected
