"""The guards: what they let pass, what they refuse, and what they see under jit."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmargin import _checks as checks

NAN, INF = float("nan"), float("inf")
LOGITS = jnp.ones((3, 2))

PASS = {
    "finite": partial(checks.require_finite, "x", np.ones(3)),
    "finite integers": partial(checks.require_finite, "x", jnp.arange(3)),
    "finite tree": partial(checks.require_finite, "x", {"a": jnp.ones(2), "b": None}),
    "positive": partial(checks.require_positive, "x", 1e-30),
    "positive array": partial(checks.require_positive, "x", jnp.array(2.0)),
    "zero": partial(checks.require_positive, "x", 0, zero=True),
    "count": partial(checks.require_count, "x", np.int64(1)),
    "count of 0": partial(checks.require_count, "x", 0, least=0),
    "callable": partial(checks.require_callable, "f", len, "f(x)"),
    "no callable": partial(checks.require_callable, "f", None, "f(x)", optional=True),
    "rows": partial(checks.require_rows, "x", jnp.ones((1, 1))),
    "same shape": partial(checks.require_same_shape, jnp.ones((2, 3)), jnp.ones((2, 3))),
    "class labels": partial(checks.require_class_labels, LOGITS, jnp.array([0, 1, 7])),
    "signs": partial(checks.require_signs, np.array([-1.0, 1.0])),
    "classes": partial(checks.require_classes, jnp.array([1, 0, 1]), 2),
    "concrete": partial(checks.require_concrete, "f", jnp.ones(3), {"a": 1.0}, None),
}


@pytest.mark.parametrize("guard", PASS.values(), ids=PASS)
def test_what_passes(guard):
    guard()


REFUSED = {
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
    "bool count": (checks.require_count, ("n", True), TypeError, "n must be an integer, got True"),
    "float count": (checks.require_count, ("n", 2.0), TypeError, "n must be an integer, got 2.0"),
    "small count": (checks.require_count, ("n", 0), ValueError, "n must be at least 1, got 0"),
    "not callable": (checks.require_callable, ("f", 3, "f(x)"), TypeError,
                     "f must be a function f(x), got int"),
    "missing": (checks.require_callable, ("f", None, "f(x)"), TypeError, "got NoneType"),
    "integers": (checks.require_floats, ("x", jnp.arange(3)), TypeError,
                 "x must hold floats, got int32: cast it, say to float32"),
    "a vector": (checks.require_rows, ("x", jnp.ones(3)), ValueError,
                 "x must be (n, d) with n, d >= 1, got shape (3,)"),
    "no rows": (checks.require_rows, ("x", jnp.ones((0, 3))), ValueError, "got shape (0, 3)"),
    "integer rows": (checks.require_rows, ("x", jnp.ones((2, 3), int)), TypeError, "hold floats"),
    "shapes": (checks.require_same_shape, (jnp.ones((3, 1)), jnp.ones(3)), ValueError,
               "the same shape, got (3, 1) and (3,)"),
    "one class": (checks.require_class_labels, (jnp.ones((3, 1)), jnp.zeros(3, int)), ValueError,
                  "k >= 2 classes, got shape (3, 1)"),
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


def test_a_callable_is_given_back():
    assert checks.require_callable("f", len, "f(x)") is len
    assert checks.require_callable("f", None, "f(x)", optional=True) is None


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
