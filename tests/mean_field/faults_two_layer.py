"""Wrong input: two-layer problems, and networks as measures."""

from functools import partial

import jax.numpy as jnp

import jaxmargin as jm
from tests.fault import CLASSES, NAN, PARTICLES, SCALAR_NET, SIGNS, Fault, X, wrong

logistic_of = partial(wrong, partial(jm.two_layer_problem, loss="logistic"))
classes_of = partial(wrong, partial(jm.two_layer_problem, loss="cross_entropy"))
squared_of = partial(wrong, partial(jm.two_layer_problem, loss="squared"))
two_layer = partial(Fault, "two_layer_problem")

FAULTS: list[Fault] = [
    *(
        Fault("as_network", wrong(jm.as_network, measure), error, match)
        for measure, error, match in [
            (PARTICLES._replace(mass=jnp.ones(4)), ValueError,
             r"measure must hold theta \(m, D\) and mass \(m,\) .* got \(5, 4\) and \(4,\)"),
            (PARTICLES._replace(mass=jnp.ones(5, int)), TypeError,
             "measure must hold floats of one dtype, got float32 and int32"),
        ]
    ),
    Fault("as_network", wrong(jm.as_network, PARTICLES, k=4), ValueError,
          r"measure.theta must be \(m, d \+ 4\) = \(w, u\) with d >= 1, got \(5, 4\)"),
    Fault("as_network", wrong(jm.as_network, PARTICLES, k=0), ValueError, "k must be at least 1"),
    Fault("as_network", wrong(jm.as_network, PARTICLES, k=1.0), TypeError, "k must be an integer"),
    Fault("from_network", wrong(jm.from_network, SCALAR_NET._replace(w=jnp.ones(5))), ValueError,
          r"for one m >= 1, got \(4, 3\) and \(5,\)"),
    Fault("from_network", wrong(jm.from_network, jm.TwoLayer(jnp.ones((0, 3)), jnp.ones(0))),
          ValueError, r"for one m >= 1, got \(0, 3\) and \(0,\)"),
    *(
        fault
        for of, y in [
            (logistic_of, SIGNS),
            (partial(classes_of, k=2), CLASSES),
            (squared_of, SIGNS),
        ]
        for fault in [
            two_layer(of(X, y[:5], lam=0.1), ValueError, r"got \(6, 3\) and \(5,\)"),
            two_layer(of(X[0], y, lam=0.1), ValueError, r"x must be \(n, d\) .* got \(3,\)"),
            two_layer(of(X[:0], y[:0], lam=0.1), ValueError, r"n, d >= 1 .* got \(0, 3\)"),
            two_layer(of(X.at[2, 1].set(NAN), y, lam=0.1), ValueError, "x must be finite"),
            two_layer(of(X.astype(int), y, lam=0.1), TypeError, "x must hold floats, got int32"),
            two_layer(of(X, y, lam=0.0), ValueError, "lam must be a finite number > 0, got 0.0"),
            two_layer(of(X, y, lam=None), TypeError, "lam must be a number, got None"),
            two_layer(of(X, y, lam=1, smoothing=-1.0), ValueError, "smoothing must .* >= 0, got"),
        ]
    ),
    Fault("two_layer_problem", logistic_of(X, CLASSES, lam=0.1), TypeError,
          "x and y must hold floats of one dtype, got float32 and int32"),
    Fault("two_layer_problem", logistic_of(X, (SIGNS + 1) / 2, lam=0.1), ValueError,
          r"labels must be -1 or \+1, got 0"),
    Fault("two_layer_problem", classes_of(X, CLASSES + 1, k=2, lam=0.1), ValueError,
          r"class labels must lie in \[0, 2\), as the network has 2 outputs, got 2"),
    Fault("two_layer_problem", classes_of(X, SIGNS, k=2, lam=0.1), TypeError,
          r"labels must be integers in \[0, k\), got dtype float32"),
    Fault("two_layer_problem", classes_of(X, CLASSES, k=1, lam=0.1), ValueError,
          "k must be at least 2, got 1"),
    Fault("two_layer_problem", classes_of(X, CLASSES, k=2.0, lam=0.1), TypeError,
          "k must be an integer, got 2.0"),
    Fault("two_layer_problem", squared_of(X, SIGNS[:, None], lam=0.1), ValueError,
          r"y must be \(n,\), or .* for k >= 2 outputs, got \(6, 1\): one column is y\[:, 0\]"),
    Fault("two_layer_problem", squared_of(X, SIGNS * jnp.inf, lam=0.1), ValueError,
          "y must be finite, but 6 of 6"),
]  # fmt: skip
