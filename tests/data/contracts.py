"""The contracts of `jaxmargin.data`: see `tests/contracts.py`."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax

from jaxmargin import data
from tests.contracts import Contract, normal

CONTRACTS = [
    Contract(
        "data.embed",
        partial(data.embed, first=0, second=-1),
        lambda dtype: (normal(3, 4, dtype=dtype),),
    ),
]
DRIVERS = {
    "data.digits",
    "data.groups_of_d",
    "data.idx",
    "data.read_idx",
    "data.sinusoid",
    "data.support_of_d",
    "data.teacher",
    "data.two_axis",
}
CONTAINERS: dict[str, Callable[[], Any]] = {
    "data.Groups": data.groups_of_d,
    "data.TeacherSample": lambda: data.teacher(jax.random.key(0), 4, d=3, hidden=2),
}
TYPES: set[str] = set()
