"""The house: who imports whom, public JAX only, sizes, and no assert or print in the package."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parents[1] / "jaxmargin"

# A module imports only from lower rows. (experiments may import anything, and one another.)
ROWS = {
    "files": 0,
    "numerics": 0,
    "norms": 0,
    "arccosine": 0,
    "networks": 1,
    "losses": 1,
    "kernels": 1,
    "interior_point": 1,
    "newton": 1,
    "meanfield": 1,
    "data": 2,
    "homogeneity": 2,
    "hypercube": 2,
    "margins": 2,
    "empirical": 2,
    "matrix_free": 2,
    "predictors": 2,
    "perturbation": 2,
    "sphere": 2,
    "flow": 2,
    "two_layer_problems": 2,
    "training": 3,
    "regularization_path": 3,
    "runs": 3,
    "certificates": 3,
    "convergence": 3,
    "polishing": 4,
    "sliding": 3,
    "l1svm": 4,
    "bounds": 3,
    "weak_regularizer": 1,
    "lower_bound": 3,
    "oracle": 3,
    "resumable": 4,
}
SIDEWAYS = {("norms", "numerics")}
ENTRIES = {"__init__", "__main__"}  # of the package; only __main__ imports experiments

CORE = {"jax", "jaxlib", "jaxtyping", "numpy", "optax", "scipy"}
EXPERIMENTS = CORE | {"click", "matplotlib", "pooch", "requests", "rich", "sklearn"}
LAZY = {"data": {"pooch", "requests", "sklearn"}}  # inside functions

MAX_FILE = 450
MAX_FUNCTION = 45  # lines without the docstring


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


def import_faults(module: str, tree: ast.Module) -> Iterator[str]:
    """Of a module: "losses", or "experiments.plots"."""
    inside_experiments = module.startswith("experiments")
    for name, top in imports(tree):
        root, *rest = name.split(".")
        if any(part.startswith("_") and not part.endswith("__") for part in rest):
            yield f"{module} imports the private {name}"
        if name.startswith("jax.interpreters"):
            yield f"{module} imports {name}"
        if root == "jaxmargin":
            if not inside_experiments and not may_import(module, rest[0] if rest else "__init__"):
                yield f"{module} imports {name}"
        elif root not in sys.stdlib_module_names:
            allowed = EXPERIMENTS if inside_experiments else CORE
            if root not in allowed | (set() if top else LAZY.get(module, set())):
                yield f"{module} imports {name}"


def may_import(module: str, target: str) -> bool:
    if module == "__main__":
        return target == "experiments" or target in ROWS
    if module == "__init__":
        return target in ROWS
    lower = target in ROWS and ROWS[target] < ROWS[module]
    return lower or (module, target) in SIDEWAYS


def dotted(node: ast.AST) -> str:
    """`a.b.c` of an attribute chain that starts at a name, else the empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        start = dotted(node.value)
        return f"{start}.{node.attr}" if start else ""
    return ""


LIBRARIES = {"jax", "jnp", "np", "optax", "jaxtyping", "scipy"}


def body_faults(module: str, tree: ast.Module) -> Iterator[str]:
    may_print = module.startswith("experiments") or module == "__main__"
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            yield f"{module}:{node.lineno} asserts: raise ValueError or TypeError"
        if isinstance(node, ast.Call) and dotted(node.func) == "print" and not may_print:
            yield f"{module}:{node.lineno} prints"
        if isinstance(node, ast.Attribute):
            root, *rest = dotted(node).split(".")
            private = rest and rest[-1].startswith("_") and not rest[-1].endswith("__")
            if root in LIBRARIES and (private or rest[:1] == ["interpreters"]):
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


def faults(module: str, source: str) -> list[str]:
    tree = ast.parse(source)
    return [
        *import_faults(module, tree),
        *body_faults(module, tree),
        *size_faults(module, tree, len(source.splitlines())),
    ]


FILES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


@pytest.mark.parametrize("module", FILES)
def test_a_module_keeps_the_rules_of_the_house(module: str):
    assert faults(module, FILES[module].read_text()) == []


def test_every_module_has_a_row():
    flat = {module for module in FILES if not module.startswith("experiments")}
    assert flat <= ROWS.keys() | ENTRIES


LONG = "\n".join(["def f():", *["    x = 1"] * 45])
BROKEN = [
    ("losses", "from jaxmargin.training import train", "losses imports jaxmargin.training.train"),
    ("losses", "from jaxmargin.networks import Apply", "losses imports jaxmargin.networks.Apply"),
    ("margins", "import jaxmargin.data", "margins imports jaxmargin.data"),
    ("numerics", "from jaxmargin import norms", "numerics imports jaxmargin.norms"),
    ("margins", "from jaxmargin import TwoLayer", "margins imports jaxmargin.TwoLayer"),
    ("margins", "from . import norms", "margins imports ..norms"),
    ("training", "from jaxmargin.experiments import plots", "training imports jaxmargin"),
    ("__init__", "from jaxmargin import experiments", "__init__ imports jaxmargin.experiments"),
    ("data", "import pooch", "data imports pooch"),
    ("losses", "def f():\n    import sklearn.svm", "losses imports sklearn.svm"),
    ("experiments.plots", "import torch", "experiments.plots imports torch"),
    ("losses", "from jax._src import core", "losses imports the private jax._src.core"),
    ("losses", "import jax.interpreters.ad", "losses imports jax.interpreters.ad"),
    ("losses", "from optax import _x", "losses imports the private optax._x"),
    ("losses", "import jax\njax._src.core.f()", "losses:2 uses jax._src"),
    ("losses", "import jax\nx = jax.interpreters.ad", "losses:2 uses jax.interpreters"),
    ("losses", "assert 1", "losses:1 asserts"),
    ("losses", "def f():\n    print(1)", "losses:2 prints"),
    ("losses", LONG, "losses.f has 46 lines"),
    ("losses", "x = 1\n" * 451, "losses has 451 lines"),
]
FINE = [
    ("norms", "from jaxmargin.numerics import safe_power"),
    ("training", "from jaxmargin import losses\nfrom jaxmargin.margins import margins"),
    ("data", "def f():\n    import pooch"),
    ("__main__", "def f():\n    from jaxmargin.experiments import x\n    print(x)"),
    ("experiments.plots", "import rich\nfrom jaxmargin import __version__\nprint(1)"),
    ("losses", 'def f():\n    """One.' + "\n" * 10 + '    """' + "\n    x = 1" * 44),
    ("losses", "import scipy.linalg\nfrom jax.core import Tracer\n\n'''print(1)'''"),
]


@pytest.mark.parametrize(("module", "source", "fault"), BROKEN, ids=[b[2] for b in BROKEN])
def test_the_rules_see_a_fault(module: str, source: str, fault: str):
    assert any(found.startswith(fault) for found in faults(module, source))


@pytest.mark.parametrize(("module", "source"), FINE)
def test_the_rules_let_the_rest_pass(module: str, source: str):
    assert faults(module, source) == []
