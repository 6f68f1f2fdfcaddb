"""What every public function owes its users, checked over the registry."""

import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from tests.contracts import CONTAINERS, CONTRACTS, DRIVERS, Contract

pytestmark = pytest.mark.usefixtures("quick_compilation")

DOCS = Path(__file__).parents[1] / "docs"
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}

by_name = pytest.mark.parametrize("contract", CONTRACTS, ids=lambda c: c.name)


def public_names() -> dict[str, Any]:
    """`jaxmargin.<name>`, and `<module>.<name>` for the modules that are public themselves."""
    found = {}
    for name in jm.__all__:
        value = getattr(jm, name)
        if isinstance(value, ModuleType):
            own = {
                k: v
                for k, v in vars(value).items()
                if not k.startswith("_") and getattr(v, "__module__", None) == value.__name__
            }
            found |= {f"{name}.{k}": v for k, v in own.items()}
        else:
            found[name] = value
    return found


def assert_close(actual, expected, dtype: str):
    def close(a, b):
        scale = np.max(np.abs(b), initial=1.0)
        np.testing.assert_allclose(a, b, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * scale)

    jax.tree.map(close, actual, expected)


@by_name
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_jit_equals_eager_and_dtype_is_kept(contract: Contract, dtype: str):
    with jax.enable_x64(dtype == "float64"):
        args = contract.args(dtype)
        eager = contract.call(*args)
        assert_close(jax.jit(contract.call)(*args), eager, dtype)
        floats = [
            leaf for leaf in jax.tree.leaves(eager) if jnp.issubdtype(leaf.dtype, jnp.inexact)
        ]
        assert {str(leaf.dtype) for leaf in floats} <= {dtype}
        assert all(bool(jnp.isfinite(leaf).all()) for leaf in floats)


@by_name
def test_float32_is_kept_where_float64_is_enabled(contract: Contract):
    with jax.enable_x64(True):
        result = jax.eval_shape(contract.call, *contract.args("float32"))
    dtypes = {leaf.dtype for leaf in jax.tree.leaves(result)}
    assert {str(t) for t in dtypes if jnp.issubdtype(t, jnp.inexact)} <= {"float32"}


@pytest.mark.parametrize("contract", [c for c in CONTRACTS if c.vmap], ids=lambda c: c.name)
def test_vmap_equals_loop(contract: Contract):
    args = contract.args("float32")
    half = jax.tree.map(
        lambda leaf: leaf / 2 if jnp.issubdtype(leaf.dtype, jnp.inexact) else leaf, args
    )
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), args, half)
    looped = [contract.call(*args), contract.call(*half)]
    expected = jax.tree.map(lambda *leaves: jnp.stack(leaves), *looped)
    assert_close(jax.vmap(contract.call)(*stacked), expected, "float32")


EDGES = [(c, i) for c in CONTRACTS if c.edges for i in range(len(c.edges("float32")))]


@pytest.mark.parametrize(("contract", "i"), EDGES, ids=lambda v: getattr(v, "name", str(v)))
def test_gradients_are_finite_at_the_edges(contract: Contract, i: int):
    assert contract.edges is not None
    first, *rest = contract.edges("float32")[i]

    def total(first):
        return sum(jnp.sum(leaf) for leaf in jax.tree.leaves(contract.call(first, *rest)))

    for leaf in jax.tree.leaves(jax.grad(total)(first)):
        assert bool(jnp.isfinite(leaf).all()), leaf


def test_public_names_are_the_registry():
    registry = {c.name for c in CONTRACTS} | DRIVERS.keys() | CONTAINERS.keys()
    assert {k for k, v in public_names().items() if callable(v)} == registry


@pytest.mark.parametrize("name", sorted(n for n, v in public_names().items() if callable(v)))
def test_every_public_name_is_documented(name: str):
    value = public_names()[name]
    text = inspect.getdoc(value) or ""
    sections = {"Attributes"} if name in CONTAINERS else {"Returns", "Example", "Reference"}
    if name not in CONTAINERS and inspect.signature(value).parameters:
        sections |= {"Args"}
    if name == "Trained":
        sections = set()
    missing = {section for section in sections if f"{section}:" not in text}
    assert not missing, f"{name} lacks {missing}"
    module = inspect.getmodule(value)
    assert module is not None
    page = DOCS / "api" / f"{module.__name__.removeprefix('jaxmargin.')}.md"
    assert page.exists(), f"{name} has no page {page.name}"
    assert f"automodule:: {module.__name__}" in page.read_text()
