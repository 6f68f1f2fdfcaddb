"""Results, states, settings and errors travel: through pickle, through a copy, through JAX."""

import copy
import dataclasses
import pickle
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.registry import CONTAINERS, PUBLIC

# Not pytrees: they are static arguments of compiled functions.
STATIC = {"networks.Regularized"}

by_name = pytest.mark.parametrize("name", CONTAINERS)
TRIPS = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "deepcopy": copy.deepcopy,
    "flatten": lambda value: jax.tree.map(lambda leaf: leaf, value),
}


@cache
def instance(name: str):
    return CONTAINERS[name]()


def parts(value) -> dict:
    """What an error or an object carries, by name."""
    if isinstance(value, BaseException):
        return {"args": value.args, **vars(value)}
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def assert_same(copied, value):
    """Equal in type, structure and content; functions are equal in type."""
    assert type(copied) is type(value)
    if jax.tree_util.all_leaves([value]) and not isinstance(value, jax.Array | np.ndarray):
        if isinstance(value, BaseException) or dataclasses.is_dataclass(value):
            assert_same(parts(copied), parts(value))
        elif not callable(value):
            assert copied == value
        return
    leaves, others = jax.tree.leaves(value), jax.tree.leaves(copied)
    if len(leaves) == 1 and leaves[0] is value:
        assert copied.dtype == value.dtype
        if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            copied, value = jax.random.key_data(copied), jax.random.key_data(value)
        np.testing.assert_array_equal(copied, value)
        return
    assert jax.tree.structure(copied) == jax.tree.structure(value)
    for other, leaf in zip(others, leaves, strict=True):
        assert_same(other, leaf)


@by_name
@pytest.mark.parametrize("trip", TRIPS)
def test_a_copy_is_the_same(name: str, trip: str):
    value = instance(name)
    assert type(value) is PUBLIC[name]
    assert_same(TRIPS[trip](value), value)


@by_name
def test_results_and_states_are_pytrees(name: str):
    value = instance(name)
    is_pytree = not jax.tree_util.all_leaves([value])
    assert is_pytree == (name not in STATIC and not isinstance(value, BaseException))
    if name in STATIC:
        hash(value)
