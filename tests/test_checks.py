"""The guards: what they let pass, what they refuse, and what they see under jit."""

import re
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmargin import _checks as checks
from jaxmargin._checks import checked_classes, checked_labels

NAN, INF = float("nan"), float("inf")
LOGITS = jnp.ones((3, 2))

PASS = {
    "finite": partial(checks.require_finite, "x", np.ones(3)),
    "finite integers": partial(checks.require_finite, "x", jnp.arange(3)),
    "finite tree": partial(checks.require_finite, "x", {"a": jnp.ones(2), "b": None}),
    "positive": partial(checks.require_positive, "x", 1e-30),
    "positive array": partial(checks.require_positive, "x", jnp.array(2.0)),
    "zero": partial(checks.require_positive, "x", 0, zero=True),
    "within range": partial(checks.require_range, "b", np.array([0, 1e30]), "float32", "y"),
    "labels": partial(checks.label_array, "y", [1, 2]),
    "count": partial(checks.require_count, "x", np.int64(1)),
    "count of 0": partial(checks.require_count, "x", 0, least=0),
    "callable": partial(checks.require_callable, "f", len, "f(x)"),
    "no callable": partial(checks.require_callable, "f", None, "f(x)", optional=True),
    "rows": partial(checks.require_rows, "x", jnp.ones((1, 1))),
    "same shape": partial(checks.require_same_shape, jnp.ones((2, 3)), jnp.ones((2, 3))),
    "class labels": partial(checks.require_class_labels, LOGITS, jnp.array([0, 1, 7])),
    "signs": partial(checks.require_signs, np.array([-1.0, 1.0])),
    "classes": partial(checks.require_classes, jnp.array([1, 0, 1]), 2),
    "a choice": partial(checks.require_choice, "loss", "a", ("a", "b")),
    "a number": partial(checks.require_number, "x", np.float64(-2.0)),
    "entries": partial(checks.require_entries, "x", n=2**31 - 1, d=1),
    "callable of any arguments": partial(checks.require_callable, "f", lambda *_: 0, "f(x, y)"),
    "callable that does not tell": partial(checks.require_callable, "f", dict.fromkeys, "f(x, y)"),
    "callable with a default": partial(checks.require_callable, "f", lambda x, y=1: 0, "f(x)"),
    "enabled dtypes": partial(checks.require_enabled, a=jnp.ones(2), b=np.ones(2), c=[None, 3]),
    "concrete": partial(checks.require_concrete, "f", jnp.ones(3), {"a": 1.0}, None),
}


@pytest.mark.parametrize("guard", PASS.values(), ids=PASS)
def test_what_passes(guard):
    guard()


REFUSED = {
    "text labels": (checks.label_array, ("y", ["b", "a", "b"]), TypeError,
                    "y must hold numbers, got 'a', 'b': number the classes by np.unique(y, return"),
    "ragged labels": (checks.label_array, ("y", [[1], [1, 2]]), TypeError, "array of numbers"),
    "NaN": (checks.require_finite, ("x", jnp.array([1.0, NAN])), ValueError,
            "x must be finite, but 1 of 2 entries are not (the first is nan at index (1,))"),
    "infinite": (checks.require_finite, ("x", np.array([[INF, -INF]])), ValueError,
                 "x must be finite, but 2 of 2 entries are not (the first is inf at index (0, 0))"),
    "half precision": (checks.require_finite, ("x", jnp.array([NAN], "bfloat16")), ValueError,
                       "x must be finite"),
    "NaN in a tree": (checks.require_finite, ("p", {"a": (0.0, jnp.array(NAN))}), ValueError,
                      "p['a'][1] must be finite"),
    "zero": (checks.require_positive, ("x", 0.0), ValueError,
             "x must be a finite number > 0, got 0.0"),
    "negative": (checks.require_positive, ("x", -1), ValueError, "> 0, got -1"),
    "no number": (checks.require_positive, ("x", "1"), TypeError, "x must be a number, got '1'"),
    "an array": (checks.require_positive, ("x", jnp.ones(2)), TypeError, "x must be a number"),
    "a flag": (checks.require_positive, ("x", True), TypeError, "x must be a number, got True"),
    "a key": (checks.require_positive, ("x", jax.random.key(0)), TypeError, "x must be a number"),
    "complex": (checks.require_positive, ("x", jnp.array(1j)), TypeError, "x must be a number"),
    "overflow": (checks.require_range, ("b", np.array([0, 1e39]), "float32", "y"), ValueError,
                 "b has size 1e+39, outside the range of float32 (1.2e-38 to 3.4e+38): scale y"),
    "infinite size": (checks.require_range, ("b", np.array([INF]), "float32", "y"), ValueError,
                      "b has size inf"),
    "underflow": (checks.require_range, ("b", np.array(1e-39), "float32", "y"), ValueError,
                  "b has size 1e-39"),
    "bool count": (checks.require_count, ("n", True), TypeError, "n must be an integer, got True"),
    "float count": (checks.require_count, ("n", 2.0), TypeError, "n must be an integer, got 2.0"),
    "small count": (checks.require_count, ("n", 0), ValueError, "n must be at least 1, got 0"),
    "not callable": (checks.require_callable, ("f", 3, "f(x)"), TypeError,
                     "f must be a function f(x), got int"),
    "missing": (checks.require_callable, ("f", None, "f(x)"), TypeError, "got NoneType"),
    "one argument": (checks.require_callable, ("f", lambda x: 0, "f(x, z=None)"), TypeError,
                     "f must be a function f(x, z=None), got one that cannot be called with 2 arg"),
    "no default": (checks.require_callable, ("f", lambda x, z: 0, "f(x, z=None)"), TypeError,
                   "f must be a function f(x, z=None), got one that cannot be called with 1 argu"),
    "two arguments": (checks.require_callable, ("f", lambda x, y: 0, "f(x)"), TypeError,
                      "f must be a function f(x), got one that cannot be called with 1 argument"),
    "no name": (checks.require_choice, ("loss", "c", {"a": 1, "b": 2}), ValueError,
                "loss must be one of a, b, got 'c'"),
    "unhashable name": (checks.require_choice, ("loss", ["a"], {"a": 1}), ValueError,
                        "loss must be one of a, got ['a']"),
    "many entries": (partial(checks.require_entries, n=10**12, d=3), ("x",), ValueError,
                     "n * d must be at most 2,147,483,647, the most entries of x, got "
                     "1,000,000,000,000 * 3, which would take 12,000 GB: take fewer"),
    "an array's shape": (checks.require_number, ("x", jnp.ones(2)), TypeError,
                         "x must be a number, got an array of shape (2,)"),
    "several keys": (checks.require_number, ("x", jax.random.split(jax.random.key(0))), TypeError,
                     "x must be a number, got random keys of shape (2,)"),
    "infinite result": (checks.finite_result, ("the sum", jnp.array([1.0, INF]), "x", [1.0]),
                        ValueError, "the sum is beyond float32, whose largest number is 3.4e+38: "
                        "scale x down, or use float64"),
    "integers": (checks.require_floats, ("x", jnp.arange(3)), TypeError,
                 "x must hold floats, got int32: cast it, say to float32"),
    "a vector": (checks.require_rows, ("x", jnp.ones(3)), ValueError,
                 "x must be (n, d) with n, d >= 1, got shape (3,)"),
    "no rows": (checks.require_rows, ("x", jnp.ones((0, 3))), ValueError, "got shape (0, 3)"),
    "integer rows": (checks.require_rows, ("x", jnp.ones((2, 3), int)), TypeError, "hold floats"),
    "shapes": (checks.require_same_shape, (jnp.ones((3, 1)), jnp.ones(3)), ValueError,
               "the same shape, got (3, 1) and (3,)"),
    "one class": (checks.require_class_labels, (jnp.ones((3, 1)), jnp.zeros(3, int)), ValueError,
                  "scores have shape (3, 1), of one output column: for labels -1, +1 and the lo"),
    "no class": (checks.require_class_labels, (jnp.ones((3, 0)), jnp.zeros(3, int)), ValueError,
                 "k >= 2 classes, got shape (3, 0)"),
    "a scalar": (checks.require_class_labels, (jnp.array(1.0), jnp.array(0)), ValueError,
                 "got shape ()"),
    "float labels": (checks.require_class_labels, (LOGITS, jnp.ones(3)), TypeError,
                     "labels must be integers in [0, k), got dtype float32"),
    "few labels": (checks.require_class_labels, (LOGITS, jnp.zeros(2, int)), ValueError,
                   "labels must have shape (3,), one for each row of logits, got (2,)"),
    "zeros and ones": (checks.require_signs, (np.array([0, 1]),), ValueError,
                       "binary labels must be -1 or +1, got 0"),
    "class k": (checks.require_classes, (jnp.array([0, 2]), 2), ValueError,
                "class labels must lie in [0, 2), as the network has 2 outputs, got 2"),
}  # fmt: skip


@pytest.mark.parametrize(("guard", "args", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(guard, args, error, message: str):
    with pytest.raises(error, match=re.escape(message)):
        guard(*args)


def test_values_are_not_seen_under_jit():
    """NaN, 0 and 7 are refused where they are concrete."""

    @jax.jit
    def inside(x, labels):
        checks.require_finite("x", {"x": x})
        checks.require_positive("x", x[0])
        checks.require_signs(x)
        checks.require_classes(labels, 2)
        assert not checks.is_concrete(x)
        assert checks.is_concrete({"a": 1.0}, np.ones(2))
        return x

    inside(jnp.array([NAN, 0.0]), jnp.array([7]))


@pytest.mark.parametrize("transform", [jax.jit, jax.vmap, jax.grad])
def test_a_driver_is_refused_under_any_transform(transform):
    def driver(x):
        checks.require_concrete("driver", 1.0, {"deep": (x,)})
        return jnp.sum(x)

    with pytest.raises(TypeError, match="driver takes concrete numbers: call it outside jit, vmap"):
        transform(driver)(jnp.ones(3))


def test_a_result_is_not_finite_where_its_inputs_are_not():
    """Nor is it looked at under jit."""
    bad = jnp.array([NAN, INF])
    for of in (bad, {"a": (1.0, bad)}, jnp.array(NAN, "bfloat16")):
        assert checks.finite_result("y", bad, "x", 1.0, of) is bad
    for of in (3, "text", jnp.ones(2), {"a": jnp.ones(2)}, None):
        assert checks.finite_result("y", of, "x", bad) is of
    jax.jit(lambda x: checks.finite_result("y", x / 0, "x", x))(jnp.ones(2))


def test_a_callable_is_given_back():
    assert checks.require_callable("f", len, "f(x)") is len
    assert checks.require_callable("f", None, "f(x)", optional=True) is None


def test_names_of_classes_are_told_and_large_integers_stay():
    assert checks.label_array("y", [2**40, 1]).dtype == "int64"
    assert checks.listed(np.arange(7.0)) == "0, 1, 2, 3, 4, ... (7 values)"


SCORES = jnp.ones(2)


@pytest.mark.parametrize("y", [[1, -1], np.array([1, -1], np.int8), jnp.array([1.0, -1.0])])
def test_signs_get_the_dtype_of_the_scores(y: Any):
    signs = checked_labels(SCORES, y)
    assert signs.dtype == SCORES.dtype
    np.testing.assert_array_equal(signs, [1, -1])


def test_classes_stay_integers():
    logits = jnp.ones((2, 3))
    for labels in (np.array([2, 0], np.uint8), [2, 0]):
        for check in (checked_labels, checked_classes):
            assert jnp.issubdtype(check(logits, labels).dtype, jnp.integer)


def test_a_traced_value_that_is_no_sign_is_nan():
    signs = jax.jit(lambda y: checked_labels(SCORES, y))(jnp.array([0, -1]))
    np.testing.assert_array_equal(signs, [np.nan, -1])


def test_a_column_is_not_taken_for_classes():
    for scores, y in ((SCORES, SCORES[:, None]), (SCORES[:, None], SCORES)):
        with pytest.raises(ValueError, match=r"\[\.\.\., 0\]"):
            checked_labels(scores, y)


def test_rows_that_depend_on_others_are_noticed():
    x, w = jnp.arange(6.0).reshape(3, 2), jnp.array([1.0, 2.0])
    own = partial(checks.require_own_rows, lambda w, x: x @ w, w)
    own(x, x @ w)
    own(x[:1], 1 + x[:1] @ w)  # one row has no others
    jax.jit(lambda x: own(x, 1 + x @ w))(x)  # has no values
    own(x, x @ w + jnp.nan)  # is the business of others
    with pytest.raises(ValueError, match="row 0 change by 1: put batch normalisation"):
        own(x, x @ w + jnp.array([1.0, 0.0, 0.0]))
    with pytest.raises(ValueError, match="row 2 change by 1: put batch normalisation"):
        own(x, x @ w + jnp.array([0.0, 0.0, 1.0]))
