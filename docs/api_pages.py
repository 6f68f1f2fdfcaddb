"""One page of the documentation a package, made from the names in its `__all__`.

`sphinx-build` writes the pages to `docs/api/` before it reads any page, so that they cannot fall
behind the code; they are not committed. A page begins with what the package says of itself. Tables
of one line a name follow, one table for each module, under what the module is for: functions first,
then the classes that they take and return. The modules come last, each with its own words and its
names. The page `index` lists the packages.
"""

import ast
import inspect
import pkgutil
import re
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

import jaxmargin

GROUND = "ground"  # the page of the public modules that lie beside the packages
ORDER = [
    "networks",
    "data",
    "kernels",
    "margins",
    "mean_field",
    "lower_bound",
    "plots",
    "experiments",
]

PAGE = """\
# {title}

```{{eval-rst}}
.. automodule:: {package}

.. currentmodule:: {package}

{tables}
```
{daily}{sections}"""

TABLE = """\
.. rubric:: {task}

.. list-table::
   :class: names
   :widths: 30 70

{rows}
"""

INDEX = """\
# API

Names of daily use are at `jaxmargin.<name>`. Each package is a section of the paper:

```{{eval-rst}}
.. list-table::
   :class: names
   :widths: 20 80

{rows}
```

```{{toctree}}
:hidden:

{pages}
```
"""

DAILY = """
These are also names of `jaxmargin` itself: {names}.
"""

SECTION = """
## {title}

```{{eval-rst}}
{words}
.. currentmodule:: {package}

{entries}
```
"""


class Entry(NamedTuple):
    """One public name.

    Attributes:
        name: the name below its package, such as `l1_svm` or `norms.l2`.
        module: the module that defines it, such as `jaxmargin.margins.l1svm`.
        value: what the name stands for.
    """

    name: str
    module: str
    value: Any


def public_names(module: ModuleType) -> list[str]:
    """`__all__`, or the public functions and classes that the module itself defines."""
    own = [name for name, value in vars(module).items() if _made_in(value, module)]
    return list(getattr(module, "__all__", [name for name in own if not name.startswith("_")]))


def _made_in(value: Any, module: ModuleType) -> bool:
    return getattr(value, "__module__", None) == module.__name__


def entries(package: ModuleType) -> list[Entry]:
    """The public names of a package, in the order in which its `__init__` imports them."""
    sources = _import_sources(package)
    order = {name: place for place, name in enumerate(sources)}
    found = []
    for name in sorted(public_names(package), key=lambda name: order.get(name, -1)):
        value = getattr(package, name)
        if isinstance(value, ModuleType):
            found += _module_entries(value)
        else:
            found.append(Entry(name, sources.get(name, package.__name__), value))
    return found


def _import_sources(package: ModuleType) -> dict[str, str]:
    """For each name that `__init__` imports, the module it comes from."""
    return {
        alias.asname or alias.name: node.module or ""
        for node in ast.parse(inspect.getsource(package)).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def _module_entries(module: ModuleType) -> list[Entry]:
    """The names of a public module, which users write after the module's own name."""
    short = module.__name__.rpartition(".")[2]
    return [
        Entry(f"{short}.{name}", module.__name__, getattr(module, name))
        for name in public_names(module)
    ]


def contents() -> dict[str, list[Entry]]:
    """For each page, the names that it documents."""
    found: dict[str, list[Entry]] = {GROUND: []}
    for info in pkgutil.iter_modules(jaxmargin.__path__):
        if info.name.startswith("_"):
            continue
        module = import_module(f"jaxmargin.{info.name}")
        if info.ispkg:
            found[info.name] = entries(module)
        else:
            found[GROUND] += _module_entries(module)
    return found


def pages() -> dict[str, str]:
    """For each page, its text, in the Markdown that MyST reads."""
    found = contents()
    made = {page: _page(page, _package(page), names) for page, names in found.items()}
    return {"index": _index(found), **made}


def _package(page: str) -> str:
    return "jaxmargin" if page == GROUND else f"jaxmargin.{page}"


def _index(found: dict[str, list[Entry]]) -> str:
    """The page of all packages, with what each is for."""
    names = sorted(found, key=lambda page: ORDER.index(page) if page in ORDER else len(ORDER))
    purposes = {page: _task(_package(page)) for page in names if page != GROUND}
    purposes[GROUND] = " ".join(dict.fromkeys(_task(entry.module) for entry in found[GROUND]))
    rows = [f"   * - :doc:`{page}`\n     - {purposes[page]}" for page in names]
    return INDEX.format(rows="\n".join(rows), pages="\n".join(names))


def _page(title: str, package: str, names: list[Entry]) -> str:
    homes = [_home(entry, package) for entry in names]
    daily = [short for entry in names if (short := entry.name.split(".")[-1]) in jaxmargin.__all__]
    return PAGE.format(
        title=title,
        package=package,
        tables="\n".join(
            _table(home, package, [entry for entry in names if _home(entry, package) == home])
            for home in dict.fromkeys(homes)
        ),
        daily=DAILY.format(names=", ".join(f"`{name}`" for name in daily)) if daily else "",
        sections="".join(
            SECTION.format(
                title=home.rpartition(".")[2],
                words="" if home == package else f".. automodule:: {home}\n",
                package=package,
                entries="\n".join(
                    _directive(entry, package)
                    for entry, at in zip(names, homes, strict=True)
                    if at == home
                ),
            )
            for home in dict.fromkeys(homes)
        ),
    )


def _home(entry: Entry, package: str) -> str:
    """The module under whose heading the name stands: the package's own, if its file is private."""
    return package if entry.module.rpartition(".")[2].startswith("_") else entry.module


def _table(home: str, package: str, names: list[Entry]) -> str:
    """The names of a module in one line each, functions first."""
    names = sorted(names, key=lambda entry: inspect.isclass(inspect.unwrap(entry.value)))
    rows = "\n".join(_row(entry, package) for entry in names)
    return TABLE.format(task=_task(home), rows=rows)


def _task(module: str) -> str:
    """What a module is for: the first line that it says of itself."""
    return _escaped((inspect.getdoc(import_module(module)) or "").partition("\n")[0])


def _escaped(text: str) -> str:
    """A line without markup other than backticks, whose arrows no line breaks in two."""
    return re.sub(r"([|*_\\])", r"\\\1", text).replace(" -> ", " → ")


def _row(entry: Entry, package: str) -> str:
    """A link to the name, and the first line of what it says of itself."""
    line = _escaped(summary(entry))
    return f"   * - :py:obj:`{entry.name} <{package}.{entry.name}>`\n     - {line}"


def summary(entry: Entry) -> str:
    """The first line of the docstring; for a constant, its comment, or else its value."""
    if _is_constant(entry):
        value, comment = _assignment(entry)
        return comment or value
    return (inspect.getdoc(entry.value) or "").partition("\n")[0]


def _directive(entry: Entry, package: str) -> str:
    """What Sphinx writes for the name: a class with its methods, a function, a constant."""
    name = f"{package}.{entry.name}"
    if _is_constant(entry):
        value, comment = _assignment(entry)
        return f".. py:data:: {name}\n\n   {comment}\n\n   ``{value}``\n"
    if not inspect.isclass(entry.value):
        return f".. autofunction:: {name}\n"
    kind = "exception" if issubclass(entry.value, Exception) else "class"
    return f".. auto{kind}:: {name}\n   :members:\n   :member-order: bysource\n"


def _is_constant(entry: Entry) -> bool:
    """Whether the name is neither a function nor a class: an alias of a type, a table."""
    value = inspect.unwrap(entry.value)
    if inspect.isclass(value):
        return value.__name__ != entry.name.split(".")[-1]
    return not inspect.isroutine(value)


def _assignment(entry: Entry) -> tuple[str, str]:
    """How a constant is defined (its type where that is given), and the comment on it."""
    source = inspect.getsource(import_module(entry.module))
    lines, short = source.splitlines(), entry.name.split(".")[-1]
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            if isinstance(target, ast.Name) and target.id == short:
                value = node.annotation if isinstance(node, ast.AnnAssign) else node.value
                return ast.unparse(value), _comment(lines, node.lineno - 1, node.end_lineno)
    raise LookupError(f"{entry.module} does not define {short}")


def _comment(lines: list[str], first: int, end: int | None) -> str:
    """The comment at the end of a statement, or else the comment lines right above it."""
    beside = lines[(end or first + 1) - 1].partition("  # ")[2]
    above = []
    while not beside and first > 0 and lines[first - 1].startswith("#"):
        first -= 1
        above.insert(0, lines[first].lstrip("#: "))
    return beside or " ".join(above)
