"""The public names, and the rows of `tests/<package>/contracts.py` for them, collected.

Public are the names in `__all__` of each package, below the package: `networks.two_layer`. A module
in `__all__` is a namespace, whose names are public below it: `networks.norms.l1`. The names of
`jaxmargin.sphere` and `jaxmargin.errors` are public in the same way.
"""

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

from tests import contracts
from tests.contracts import Contract

PACKAGES = ("networks", "data", "kernels", "margins", "mean_field", "lower_bound", "plots")
NAMESPACES = ("errors", "sphere")  # modules at the top of the package

TABLES = [contracts, *(import_module(f"tests.{name}.contracts") for name in PACKAGES)]
CONTRACTS: list[Contract] = [row for table in TABLES for row in table.CONTRACTS]
DRIVERS: set[str] = {name for table in TABLES for name in table.DRIVERS}
CONTAINERS: dict[str, Callable[[], Any]] = {
    name: make for table in TABLES for name, make in table.CONTAINERS.items()
}
TYPES: set[str] = {name for table in TABLES for name in table.TYPES}


def _names_below(prefix: str, module: ModuleType) -> dict[str, Any]:
    found = {}
    for name in module.__all__:
        value = getattr(module, name)
        full = f"{prefix}.{name}"
        found |= _names_below(full, value) if isinstance(value, ModuleType) else {full: value}
    return found


def _public_names() -> dict[str, Any]:
    found = {}
    for name in (*NAMESPACES, *PACKAGES):
        found |= _names_below(name, import_module(f"jaxmargin.{name}"))
    return found


PUBLIC = _public_names()


def bare(name: str) -> str:
    """`two_layer` of `networks.two_layer`: no two public names share it."""
    return name.rpartition(".")[2]
