"""Arguments as arrays: what is taken, what is refused, and what the message says."""

from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import scipy
from jax.experimental import sparse

from jaxmargin._arrays import as_array, as_floats, as_jax, as_result, require_key, result_shape


@pytest.mark.parametrize(
    "value",
    [
        [[1.0, 2.0], [3.0, 4.0]],
        ((1, 2), (3, 4)),
        [jnp.array([1.0, 2.0]), np.array([3.0, 4.0])],
        np.array([[1, 2], [3, 4]], np.int8),
        np.ma.masked_greater(np.array([[1, 2], [3, 4]]), 9),
        jnp.array([[1.0, 2.0], [3.0, 4.0]], jnp.bfloat16),
    ],
)
def test_what_is_an_array_of_numbers_is_taken(value: Any):
    array = as_array("x", value)
    np.testing.assert_array_equal(np.asarray(array, float), [[1, 2], [3, 4]])
    assert as_floats("x", value).dtype in (jnp.float32, jnp.bfloat16)


def test_a_ragged_list_of_tracers_is_refused():
    with pytest.raises(TypeError, match="got list with rows of several lengths"):
        jax.jit(lambda t: as_array("x", [[t, t], [t]]))(1.0)


def test_arrays_are_returned_as_they_are():
    for array in (np.ones(3), jnp.ones(3), np.array([True])):
        assert as_array("x", array) is array
    assert as_floats("x", np.ones(2)).dtype == np.float64


def test_tracers_are_taken_alone_and_in_lists():
    total = jax.jit(lambda t: jnp.sum(as_floats("x", t)) + jnp.sum(as_floats("x", [t, 2 * t])))
    assert total(jnp.float32(2.0)) == 8.0
    assert total(3) == 12.0


class Frame:
    """What a data frame is to NumPy."""

    def __array__(self, dtype=None, copy=None):
        return np.ones((2, 2), dtype)


def test_data_frames_become_arrays():
    assert as_array("x", Frame()).shape == (2, 2)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (None, TypeError, "x must be an array of numbers, got NoneType"),
        ("abc", TypeError, "x must be an array of numbers, got str"),
        ({"a": 1.0}, TypeError, "x must be an array of numbers, got dict"),
        (abs, TypeError, "x must be an array of numbers, got builtin_function"),
        (["a", "b"], TypeError, r"got text: encode it .* np.unique\(labels, return_inverse=True"),
        ([[1.0], [1.0, 2.0]], TypeError, "got list with rows of several lengths"),
        (np.array([1.0, None]), TypeError, "got objects: convert it"),
        (np.ma.masked_array([1.0], [True]), TypeError, "x must not have masked entries: fill"),
        (
            scipy.sparse.csr_matrix(np.eye(2)),
            TypeError,
            r"x must be dense, got a sparse .*: pass x",
        ),
        (
            sparse.BCOO.fromdense(jnp.eye(2)),
            TypeError,
            r"x must be dense, got a sparse .*: pass x",
        ),
        (np.ones(2, complex), TypeError, "got complex128: cast it, say to float32"),
        (np.ones(2, ml_dtypes.float8_e4m3fn), TypeError, "got float8_e4m3fn: cast it"),
        (jax.random.key(0), TypeError, "got random keys"),
        (np.array(["2020-01-01"], "datetime64[D]"), TypeError, "got datetime64"),
    ],
)
def test_what_is_none_meets_one_line(value: Any, error: type, message: str):
    for function in (as_array, as_floats):
        with pytest.raises(error, match=message) as caught:
            function("x", value)
        assert "\n" not in str(caught.value)


def test_keys_of_both_kinds_are_keys():
    for key in (jax.random.key(0), jax.random.PRNGKey(0)):
        require_key(key)
        jax.jit(require_key)(key)
        jax.vmap(require_key)(jax.random.split(key))


@pytest.mark.parametrize("make", [jax.random.key, jax.random.PRNGKey])
def test_several_keys_are_one_too_many(make: Any):
    keys = jax.random.split(make(0), 3)
    require_key(keys, several=True)
    with pytest.raises(ValueError, match=r"one random key, got keys of shape \(3,\): take one of"):
        require_key(keys)


@pytest.mark.parametrize("key", [0, None, "0", jnp.ones(2), object()])
def test_what_is_no_key_is_named(key: Any):
    with pytest.raises(TypeError, match=r"key must be a random key, such as jax.random.key\(0\), "):
        require_key(key)


@pytest.mark.parametrize("value", [1.5, np.ones(2), jnp.ones(2, "bfloat16"), np.float32(2.0)])
def test_a_function_may_return_floats(value: Any):
    found = as_result("f(x)", value)
    assert isinstance(found, jax.Array)
    assert found.shape == np.shape(value)
    shape = result_shape("f(x)", lambda _: value, 1.0)
    assert as_result("f(x)", shape) is shape


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "NoneType"),
        ((jnp.ones(2), jnp.ones(2)), "tuple"),
        ("abc", "str"),
        (jnp.arange(2), "int32"),
        (jax.random.key(0), "key<fry>"),
        (np.ones(2, complex), "complex128"),
        (sparse.BCOO.fromdense(jnp.eye(2)), "BCOO"),
    ],
)
def test_a_function_that_returns_no_floats_is_named(value: Any, told: str):
    with pytest.raises(TypeError, match=f"f.x. must return an array of floats, got {told}"):
        as_result("f(x)", value)
    with pytest.raises(TypeError, match=f"f.x. must return an array of floats, got {told}"):
        result_shape("f(x)", lambda _: value, 1.0)


def test_large_integers_become_floats_before_they_are_cut():
    assert float(as_floats("x", [2**40, 1])[0]) == 2.0**40


def test_lists_of_floats_have_the_precision_of_jax_and_large_integers_stay():
    assert as_array("x", [1.0, 2.0]).dtype == np.float32
    assert as_array("x", [2**40, 1]).dtype == np.int64
    assert isinstance(as_jax("x", np.ones(2)), jax.Array)
