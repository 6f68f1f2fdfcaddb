"""The contracts of `jaxmargin.plots`: see `tests/contracts.py`."""

from collections.abc import Callable
from typing import Any

from tests.contracts import Contract

CONTRACTS: list[Contract] = []
DRIVERS = {
    "plots.plot_history",
    "plots.plot_margin_distribution",
    "plots.plot_path",
    "plots.plot_trials",
    "plots.plot_units",
}
CONTAINERS: dict[str, Callable[[], Any]] = {}
TYPES: set[str] = set()
