"""Wrong input: two-layer problems, and networks as measures."""

from functools import partial

import jax.numpy as jnp

import jaxmargin as jm
from tests.fault import CLASSES, NAN, PARTICLES, PROBLEM, SCALAR_NET, SIGNS, Fault, X, wrong

NAME = "two_layer_problem"
make = partial(wrong, jm.two_layer_problem)
logistic = partial(wrong, partial(jm.two_layer_problem, loss="logistic", lam=0.1))
classes = partial(wrong, partial(jm.two_layer_problem, loss="cross_entropy", lam=0.1))
squared = partial(wrong, partial(jm.two_layer_problem, loss="squared", lam=0.1))

FAULTS: list[Fault] = [
    *(
        Fault("as_network", wrong(jm.as_network, PROBLEM, measure), error, match)
        for measure, error, match in [
            (PARTICLES._replace(mass=jnp.ones(4)), ValueError,
             r"measure must hold theta \(m, D\) and mass \(m,\) .* got \(5, 4\) and \(4,\)"),
            (PARTICLES._replace(mass=jnp.ones(5, int)), TypeError,
             "measure must hold floats of one dtype, got float32 and int32"),
            (PARTICLES._replace(mass=-PARTICLES.mass), ValueError,
             "measure.mass must be >= 0, got -1: a sign belongs into theta"),
            (PARTICLES._replace(theta=NAN * PARTICLES.theta), ValueError,
             "measure.theta must be finite"),
            (PARTICLES._replace(theta=jnp.ones((5, 6))), ValueError,
             r"outputs of the particles have shape \(6, 3\), and not \(6,\)"),
            (PARTICLES._replace(theta=jnp.ones((5, 3))), ValueError,
             r"theta must be \(..., d \+ k\) = \(w, u\) with d = 3 features"),
        ]
    ),
    Fault("as_network", wrong(jm.as_network, jm.MeanField(jnp.square, jnp.sum, jnp.sum), PARTICLES),
          TypeError, "problem must be one that two_layer_problem makes"),
    Fault("from_network", wrong(jm.from_network, SCALAR_NET._replace(w=jnp.ones(5))), ValueError,
          r"for one m >= 1, got \(4, 3\) and \(5,\)"),
    Fault("from_network", wrong(jm.from_network, None), TypeError,
          r"params must be a TwoLayer\(u, w\), got NoneType"),
    Fault("from_network", wrong(jm.from_network, jm.TwoLayer(CLASSES[:, None], CLASSES)), TypeError,
          "params.u must hold floats, got int32"),
    Fault("as_network", wrong(jm.as_network, PROBLEM, PARTICLES.theta), TypeError,
          r"measure must be a Measure\(theta, mass\), got ArrayImpl"),
    Fault("as_network", wrong(jm.as_network, None, PARTICLES), TypeError,
          "problem must be a MeanField, got NoneType"),
    Fault(NAME, logistic(None, SIGNS), TypeError, "x must be an array of numbers, got NoneType"),
    Fault(NAME, logistic([[1.0], [1.0, 2.0]], SIGNS), TypeError,
          "x must be an array of numbers, got list with rows of several lengths"),
    Fault(NAME, logistic(X, ["a"] * 6), TypeError, "y must be an array of numbers, got text"),
    Fault("from_network", wrong(jm.from_network, jm.TwoLayer(jnp.ones((0, 3)), jnp.ones(0))),
          ValueError, r"for one m >= 1, got \(0, 3\) and \(0,\)"),
    *(
        fault
        for loss, k, y in [
            ("logistic", None, SIGNS),
            ("cross_entropy", 2, CLASSES),
            ("squared", None, SIGNS),
        ]
        for of in [partial(wrong, partial(jm.two_layer_problem, loss=loss, k=k))]
        for fault in [
            Fault(NAME, of(X, y[:5], lam=0.1), ValueError, r"got \(6, 3\) and \(5,\)"),
            Fault(NAME, of(X[0], y, lam=0.1), ValueError, r"x must be \(n, d\) .* got \(3,\)"),
            Fault(NAME, of(X[:0], y[:0], lam=0.1), ValueError, r"n, d >= 1 .* got \(0, 3\)"),
            Fault(NAME, of(X.at[2, 1].set(NAN), y, lam=0.1), ValueError, "x must be finite"),
            Fault(NAME, of(X.astype(int), y, lam=0.1), TypeError, "x must hold floats, got int32"),
            Fault(NAME, of(X, y, lam=0.0), ValueError, "lam must be a finite number > 0, got 0.0"),
            Fault(NAME, of(X, y, lam=None), TypeError, "lam must be a number, got None"),
            Fault(NAME, of(X, y, lam=1, smoothing=-1.0), ValueError, "smoothing must .* >= 0, got"),
            Fault(NAME, of(X, y, lam=1, smoothing="1"), TypeError, "smoothing must be a number"),
        ]
    ),
    Fault(NAME, logistic(X, SIGNS, smoothing=1e39), ValueError,
          "smoothing = 1e[+]39 is inf in float32, in which it is kept: scale the data"),
    Fault(NAME, make(X, SIGNS, "logistic", lam=1e-50), ValueError,
          "lam = 1e-50 is 0 in float32, in which it is kept: scale the data"),
    Fault(NAME, make(X, SIGNS, ["logistic"], lam=0.1), ValueError, "loss must be one of"),
    Fault(NAME, make(X, SIGNS, "hinge", lam=0.1), ValueError,
          "loss must be one of logistic, cross_entropy, squared, got 'hinge'"),
    Fault(NAME, logistic(X, SIGNS, reduction="max"), ValueError,
          "reduction must be one of sum, mean, got 'max'"),
    Fault(NAME, logistic(X, SIGNS, k=2), ValueError,
          "k is the number of classes of \"cross_entropy\", got k=2 with 'logistic'"),
    Fault(NAME, classes(X, CLASSES), ValueError, "got k=None with 'cross_entropy'"),
    Fault(NAME, logistic(X, CLASSES), TypeError,
          "x and y must hold floats of one dtype, got float32 and int32"),
    Fault(NAME, logistic(X, (SIGNS + 1) / 2), ValueError, r"labels must be -1 or \+1, got 0"),
    Fault(NAME, classes(X, CLASSES + 1, k=2), ValueError,
          r"class labels must lie in \[0, 2\), as the network has 2 outputs, got 2"),
    Fault(NAME, classes(X, SIGNS, k=2), TypeError,
          r"labels must be integers in \[0, k\), got dtype float32"),
    Fault(NAME, classes(X, CLASSES, k=1), ValueError, "k must be at least 2, got 1"),
    Fault(NAME, classes(X, CLASSES, k=2.0), TypeError, "k must be an integer, got 2.0"),
    Fault(NAME, squared(X, SIGNS[:, None]), ValueError,
          r"y must be \(n,\), or .* for k >= 2 outputs, got \(6, 1\): one column is y\[:, 0\]"),
    Fault(NAME, squared(X, SIGNS * jnp.inf), ValueError, "y must be finite, but 6 of 6"),
]  # fmt: skip
