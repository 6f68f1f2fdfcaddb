"""The rules of the house, as functions from the source of a module to its faults.

`tests/test_architecture.py` applies them to every module of `jaxmargin`, and to planted faults.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HOUSE = Path(__file__).parents[1] / "jaxmargin"

# What a package may import beside itself. The ground are the files at the top of the house.
BELOW = {
    "ground": set(),
    "networks": {"ground"},
    "data": {"ground", "networks"},
    "kernels": {"ground", "networks"},
    "margins": {"ground", "networks"},
    "mean_field": {"ground", "networks"},
    "lower_bound": {"ground", "networks", "data", "kernels"},
    "plots": {"ground", "networks", "margins", "mean_field"},
}
PACKAGES = [*list(BELOW)[1:], "experiments"]  # experiments may import all of them
GROUND_FOLDERS = {
    "_cells",
    "_sphere",
}  # private files of the ground, too many for the top of the house

CORE = {"jax", "jaxlib", "jaxtyping", "numpy", "optax", "scipy", "threadpoolctl"}
EXTRAS = {  # libraries of the packages that `import jaxmargin` does not import
    "plots": {"matplotlib"},
    "experiments": {"click", "cycler", "matplotlib", "pooch", "requests", "rich", "sklearn"},
}
INSIDE_FUNCTIONS = {"data": {"pooch", "requests", "sklearn"}}
SLOW = ("scipy.stats", "scipy.fft")  # `import jaxmargin` shall not pay for them

MAX_FILE = 450
MAX_FUNCTION = 45  # lines without the docstring

FILES = {
    ".".join(path.relative_to(HOUSE).with_suffix("").parts): path.read_text()
    for path in sorted(HOUSE.rglob("*.py"))
}


def package_of(module: str) -> str:
    """`networks` of `networks.models`; `ground` of the files at the top."""
    first, dot, _ = module.partition(".")
    if first in GROUND_FOLDERS:
        return "ground"
    return first if dot or first in PACKAGES else "ground"


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def file_of(module: str) -> str:
    return module.rpartition(".")[2]


class Import(NamedTuple):
    """One imported module or name, dotted, and whether it stands at the top of the file."""

    name: str
    top: bool


def imports(tree: ast.Module) -> Iterator[Import]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node in tree.body)
        elif isinstance(node, ast.ImportFrom):
            prefix = "." * node.level + (node.module or "")
            for alias in node.names:
                yield Import(f"{prefix}.{alias.name}", node in tree.body)


def target_file(name: str, files=FILES) -> str:
    """The file that `jaxmargin.<...>` imports: `networks.models` of `networks.models.TwoLayer`."""
    parts = name.split(".")[1:]
    for end in range(len(parts), 0, -1):
        for file in (".".join(parts[:end]), ".".join([*parts[:end], "__init__"])):
            if file in files:
                return file
    return "__init__"


def import_faults(module: str, tree: ast.Module) -> Iterator[str]:
    for name, top in imports(tree):
        root, *rest = name.split(".")
        if root == "jaxmargin":
            if not may_import(module, name):
                yield f"{module} imports {name}"
        elif any(map(is_private, rest)):
            yield f"{module} imports the private {name}"
        elif name.startswith("jax.interpreters") or not may_use(module, root, top):
            yield f"{module} imports {name}"
        elif top and name.startswith(SLOW) and package_of(module) != "experiments":
            yield f"{module} imports {name} at the top"


def may_use(module: str, library: str, top: bool) -> bool:
    package = package_of(module)
    allowed = CORE | EXTRAS.get(package, set())
    lazy = set() if top else INSIDE_FUNCTIONS.get(package, set())
    return library in sys.stdlib_module_names or library in allowed | lazy


def home_of(folder: str) -> str:
    """`kernels.` of `kernels._fits`, a private folder that only its own package may use."""
    package, dot, below = folder.partition(".")
    return f"{package}." if dot and is_private(below) else ""


def may_import(module: str, name: str) -> bool:
    """Whether a module may import `jaxmargin.<...>`: a file, or a name that a file defines."""
    target = target_file(name)
    folder, _, file = target.rpartition(".")
    below = name.removeprefix(f"jaxmargin.{target}").split(".")
    own, other = package_of(module), package_of(target)
    if not f"{module}.".startswith(home_of(folder)):
        return False
    if is_private(file) and folder and folder != module.rpartition(".")[0]:
        return False
    if any(map(is_private, below)):
        return False
    if module == "__main__":
        return other == "experiments"
    if module == "__init__":
        return other not in EXTRAS
    if own == "experiments":
        return True
    if file == "__init__":  # a name comes from the module that defines it
        return False
    return other == own or other in BELOW[own]


def defined_names(tree: ast.Module) -> list[str]:
    """Functions, classes and constants at the top of a file."""
    names = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found = (node for target in targets for node in ast.walk(target))
            names += [name.id for name in found if isinstance(name, ast.Name)]
    return names


def exported_names(tree: ast.Module) -> list[str] | None:
    """The list `__all__`, if there is one."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return None


def public_faults(module: str, tree: ast.Module, exported: list[str]) -> Iterator[str]:
    """Of a file whose package exports these names."""
    file = file_of(module)
    private = file.startswith("_") or any(is_private(part) for part in module.split("."))
    if private or package_of(module) == "experiments":
        return
    if "." not in module or file in exported:  # it is a namespace, with a list of its own
        own = exported_names(tree)
        if own is None:
            yield f"{module} is a namespace without __all__"
            return
        exported = own
    for name in defined_names(tree):
        if not name.startswith("_") and name not in exported:
            yield f"{module}.{name} is not in __all__"


PAPER = r"\b(sections?|appendix|appendices|eq\.|equations?|Theorems?|Lemmas?|example) [A-F1-5]\b"


def init_faults(module: str, tree: ast.Module) -> Iterator[str]:
    """Of the `__init__` of a package: what it exports, and what it tells."""
    package = module.removesuffix(".__init__")
    docstring = ast.get_docstring(tree) or ""
    if len(docstring.splitlines()) < 3:
        yield f"{module} does not say in a few lines what the package is about"
    if package not in PACKAGES:
        return
    if not re.search(PAPER, docstring):
        yield f"{module} names no section, appendix or equation of the paper"
    exported = exported_names(tree)
    if exported is None:
        yield f"{module} has no __all__"
    for name, _ in imports(tree):
        inside = name.startswith(f"jaxmargin.{package}.")
        if inside and any(is_private(part) for part in name.split(".")):
            yield f"{module} exports {name} from a private file"
        if inside and exported and file_of(name) not in exported and package != "experiments":
            yield f"{module} imports {name} and does not export it"


def dotted(node: ast.AST) -> str:
    """`a.b.c` of an attribute chain that starts at a name, else the empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        start = dotted(node.value)
        return f"{start}.{node.attr}" if start else ""
    return ""


NAMED_TUPLE = {"_asdict", "_fields", "_make", "_replace"}


def imported_modules(tree: ast.Module) -> set[str]:
    """The names in a file that stand for modules: lower case, bound by an import."""
    names = [
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    ]
    return {name for name in names if name == name.lower()}


def body_faults(module: str, tree: ast.Module) -> Iterator[str]:
    may_print = package_of(module) == "experiments" or module == "__main__"
    modules = imported_modules(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            yield f"{module}:{node.lineno} asserts: raise ValueError or TypeError"
        if isinstance(node, ast.Call) and dotted(node.func) == "print" and not may_print:
            yield f"{module}:{node.lineno} prints"
        if isinstance(node, ast.Attribute):
            root, *rest = dotted(node).split(".")
            private = rest and is_private(rest[-1]) and rest[-1] not in NAMED_TUPLE
            if root in modules and (private or rest[:1] == ["interpreters"]):
                yield f"{module}:{node.lineno} uses {dotted(node)}"


def size_faults(module: str, tree: ast.Module, lines: int) -> Iterator[str]:
    if lines > MAX_FILE:
        yield f"{module} has {lines} lines"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node, clean=False)
            documented = len(docstring.splitlines()) if docstring else 0
            length = (node.end_lineno or 0) - node.lineno + 1 - documented
            if length > MAX_FUNCTION:
                yield f"{module}.{node.name} has {length} lines"


def comment_faults(module: str, source: str) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and re.search(r"[-=#~*_]{4,}", token.string):
            yield f"{module}:{token.start[0]} has a ruler: a second module begins here"


def faults(module: str, source: str, exported: list[str] | None = None) -> list[str]:
    """All faults of a file; `exported` replaces the `__all__` of its package."""
    tree = ast.parse(source)
    if exported is None:
        folder = module.rpartition(".")[0]
        init = FILES.get(f"{folder}.__init__" if folder else "__init__", "")
        exported = exported_names(ast.parse(init)) or []
    return [
        *import_faults(module, tree),
        *(init_faults(module, tree) if module.endswith(".__init__") else ()),
        *public_faults(module, tree, exported),
        *body_faults(module, tree),
        *size_faults(module, tree, len(source.splitlines())),
        *comment_faults(module, source),
    ]
