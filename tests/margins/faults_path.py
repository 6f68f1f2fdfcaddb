"""Wrong input: the path lambda -> 0."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

import jaxmargin as jm
from tests.fault import CLASS_NET, CLASSES, NAN, SCALAR_NET, SIGNS, Fault, wrong
from tests.interrupts import interrupted

X = jnp.arange(18.0).reshape(6, 3) / 10


def path(**changed: Any) -> jm.margins.MarginPath:
    """A path without fault but for what is changed."""
    right: dict[str, Any] = {
        "apply": jm.two_layer,
        "params": SCALAR_NET,
        "x": X,
        "y": SIGNS,
        "lams": [0.1, 0.01],
        "num_steps": 2,
    }
    settings: dict[str, Any] = right | changed
    return jm.margin_path(**settings)


path_of = partial(wrong, path)


def biased(params: jm.TwoLayer, x: jax.Array) -> jax.Array:
    return jm.two_layer(params, x) + 1


def with_lams(*lams: float) -> Any:
    return path_of(lams=list(lams))


FAULTS: list[Fault] = [
    Fault("margin_path", interrupted(path), jm.Interrupted,
          "interrupted at lam = 0.1, the 1. of 2; those before it are the error's `result`"),
    Fault("margin_path", with_lams(0.1, 0.2), ValueError,
          "lams must descend, got 0.1 before 0.2: sort them, largest first"),
    Fault("margin_path", with_lams(0.1, 0.1), ValueError, "lams must descend, got 0.1 before 0.1"),
    Fault("margin_path", with_lams(0.1, 0.0), ValueError, "each of lams must be .* > 0, got 0.0"),
    Fault("margin_path", with_lams(NAN), ValueError, "each of lams must be .* > 0, got nan"),
    Fault("margin_path", with_lams(), ValueError, r"lams must be a list of numbers, got shape"),
    Fault("margin_path", path_of(y=jnp.ones(6)), ValueError,
          "y must have at least two classes, got only 1: "),
    Fault("margin_path", path_of(x=X.at[3].set(X[0])), ValueError,
          r"no network separates the data: x\[0\] equals x\[3\], but y is 1 and -1; remove one"),
    Fault("margin_path", path_of(apply=biased), ValueError,
          r"apply must be positively homogeneous .* with an error of .*: remove biases"),
    Fault("margin_path", path_of(params=jax.tree.map(jnp.zeros_like, SCALAR_NET)), ValueError,
          "apply must be positively homogeneous and not 0 at params"),
    Fault("margin_path", path_of(params=SCALAR_NET._replace(w=NAN * SCALAR_NET.w)), ValueError,
          r"params\.w must be finite, but 4 of 4"),
    Fault("margin_path", path_of(x=X.at[0, 0].set(NAN)), ValueError, "x must be finite"),
    Fault("margin_path", path_of(y=CLASSES.astype(float)), ValueError,
          "binary labels must be -1 or"),
    Fault("margin_path", path_of(y=SIGNS[:5]), ValueError,
          r"x must be \(n, d\), y \(n,\) and .* got \(6, 3\), \(5,\) and \(6,\)"),
    Fault("margin_path", path_of(params=CLASS_NET, y=CLASSES + 1), ValueError,
          r"class labels must lie in \[0, 2\)"),
    Fault("margin_path", path_of(params=CLASS_NET), TypeError, "labels must be integers"),
    Fault("margin_path", path_of(apply=None), TypeError, r"apply must be a function apply\("),
    Fault("margin_path", path_of(norm=2), TypeError, r"norm must be a function norm\(params\)"),
    Fault("margin_path", path_of(on_record=1), TypeError,
          r"on_record must be a function on_record\(step, record\), got int"),
    Fault("margin_path", path_of(r=0.0), ValueError, "r must be a finite number > 0, got 0.0"),
    Fault("margin_path", path_of(tol=-1.0), ValueError, "tol must be a finite number > 0"),
    Fault("margin_path", path_of(learning_rate=0.0), ValueError, "learning_rate must be .* > 0"),
    Fault("margin_path", path_of(num_steps=0), ValueError, "num_steps must be at least 1, got 0"),
    Fault("margin_path", path_of(num_steps=2.0), TypeError, "num_steps must be an integer"),
    Fault("margin_path", path_of(learning_rate=1e200), jm.DivergenceError,
          "the path diverged at lam = 0.1: lower learning_rate, or the scale of params or x"),
    Fault("margin_path", wrong(jax.jit(lambda x: path(x=x)), X), TypeError,
          "margin_path takes concrete numbers: call it outside jit, vmap and grad"),
]  # fmt: skip
