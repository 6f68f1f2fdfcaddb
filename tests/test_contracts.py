"""What every public function owes its users, checked over the registry.

A contract is compiled four times at most: in float32, in float64, mapped, and its gradient.
"""

import inspect
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from tests.contracts import Contract
from tests.registry import CONTAINERS, CONTRACTS, DRIVERS, PUBLIC, TYPES, bare

by_name = pytest.mark.parametrize("contract", CONTRACTS, ids=lambda c: c.name)


@cache
def jitted(contract: Contract):
    return jax.jit(contract.call)


@cache
def jitted_gradient(contract: Contract):
    """Of the sum of all results, in the first argument."""

    def total(*args):
        return sum(jnp.sum(leaf) for leaf in jax.tree.leaves(contract.call(*args)))

    return jax.jit(jax.grad(total))


def is_float(leaf) -> bool:
    return jnp.issubdtype(leaf.dtype, jnp.inexact)


def float_dtypes(tree) -> set[str]:
    return {str(leaf.dtype) for leaf in jax.tree.leaves(tree) if is_float(leaf)}


def all_finite(tree) -> bool:
    return all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(tree) if is_float(leaf))


def assert_close(actual, expected, tolerance: float = 2e-5):
    def close(a, b):
        scale = np.max(np.abs(b), initial=1.0)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale)

    jax.tree.map(close, actual, expected)


@by_name
def test_jit_equals_eager(contract: Contract):
    args = contract.args("float32")
    eager = contract.call(*args)
    assert_close(jitted(contract)(*args), eager)
    assert float_dtypes(eager) <= {"float32"}
    assert all_finite(eager)


@by_name
def test_float64_gives_what_float32_gives(contract: Contract):
    args = contract.args("float32")
    narrow = jitted(contract)(*args)
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: leaf.astype("float64") if is_float(leaf) else leaf, args)
        found = jitted(contract)(*wide)
        assert float_dtypes(found) <= {"float64"}
        assert all_finite(found)
        if contract.float32_error is None:
            assert_close(found, contract.call(*wide))
        else:
            assert_close(found, narrow, contract.float32_error)


@by_name
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_is_kept_where_float64_is_enabled(contract: Contract, dtype: str):
    with jax.enable_x64(True):
        result = jax.eval_shape(contract.call, *contract.args(dtype))
    assert float_dtypes(result) <= {dtype}


@pytest.mark.parametrize("contract", [c for c in CONTRACTS if c.vmap], ids=lambda c: c.name)
def test_vmap_equals_loop(contract: Contract):
    args = contract.args("float32")
    half = jax.tree.map(lambda leaf: leaf / 2 if is_float(leaf) else leaf, args)
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), args, half)
    looped = [jitted(contract)(*args), jitted(contract)(*half)]
    expected = jax.tree.map(lambda *leaves: np.stack(leaves), *looped)
    assert_close(jax.jit(jax.vmap(contract.call))(*stacked), expected)


EDGES = [(c, i) for c in CONTRACTS if c.edges for i in range(len(c.edges("float32")))]


@pytest.mark.parametrize(("contract", "i"), EDGES, ids=lambda v: getattr(v, "name", str(v)))
def test_gradients_are_finite_at_the_edges(contract: Contract, i: int):
    assert contract.edges is not None
    for leaf in jax.tree.leaves(jitted_gradient(contract)(*contract.edges("float32")[i])):
        assert bool(jnp.isfinite(leaf).all()), leaf


def test_public_names_are_the_registry():
    kinds = [{row.name for row in CONTRACTS}, DRIVERS, CONTAINERS.keys(), TYPES]
    assert set().union(*kinds) == PUBLIC.keys()
    assert sum(map(len, kinds)) == len(PUBLIC), "a name is of two kinds"


def test_one_name_is_one_thing_in_one_place():
    assert len({bare(name) for name in PUBLIC}) == len(PUBLIC)


@pytest.mark.parametrize("name", jm.__all__)
def test_the_names_of_daily_use_are_those_of_the_packages(name: str):
    value = getattr(jm, name)
    if inspect.ismodule(value):
        assert any(full.startswith(f"{name}.") or f".{name}." in full for full in PUBLIC)
    else:
        assert name in {bare(full) for full, public in PUBLIC.items() if public is value}


@pytest.mark.parametrize("name", sorted(PUBLIC.keys() - TYPES))
def test_every_public_name_is_documented(name: str):
    value = PUBLIC[name]
    text = inspect.getdoc(value) or ""
    if name in CONTAINERS:
        sections = {"Attributes"}
    else:
        sections = {"Returns", "Example", "Reference"}
        sections |= {"Args"} if inspect.signature(value).parameters else set()
    missing = {section for section in sections if f"{section}:" not in text}
    assert not missing, f"{name} lacks {missing}"
