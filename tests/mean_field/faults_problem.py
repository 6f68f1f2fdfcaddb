"""Wrong input: mean-field problems."""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp

import jaxmargin as jm
from tests.fault import (
    CLASSES,
    KEY,
    NAN,
    PARTICLES,
    PROBLEM,
    SCALAR_NET,
    SIGNS,
    Fault,
    X,
    wrong,
)

logistic_of = partial(wrong, partial(jm.two_layer_problem, loss="logistic"))
classes_of = partial(wrong, partial(jm.two_layer_problem, loss="cross_entropy"))
squared_of = partial(wrong, partial(jm.two_layer_problem, loss="squared"))


def homogeneous(**changed: Callable) -> Callable:
    """The check of a problem without fault but for what is changed."""
    right = {
        "phi": lambda theta: theta**2,
        "loss": jnp.sum,
        "potential": lambda theta: jnp.sum(theta**2),
    }
    parts = right | changed
    return wrong(jm.mean_field.check_two_homogeneous, KEY, jm.MeanField(**parts), 3)


FAULTS: list[Fault] = [
    *(
        Fault(name, wrong(call, measure), error, match)
        for name, call in [
            ("energy", partial(jm.energy, PROBLEM)),
            ("first_variation", lambda rho: jm.first_variation(PROBLEM, rho, jnp.ones((2, 4)))),
            ("velocity", lambda rho: jm.velocity(PROBLEM, rho, jnp.ones((2, 4)))),
            ("second_moment", jm.second_moment),
            ("as_network", jm.as_network),
        ]
        for measure, error, match in [
            (PARTICLES._replace(mass=jnp.ones(4)), ValueError,
             r"measure must hold theta \(m, D\) and mass \(m,\) .* got \(5, 4\) and \(4,\)"),
            (jm.Measure(jnp.ones((0, 4)), jnp.ones(0)), ValueError, r"m >= 1 .* got \(0, 4\)"),
            (PARTICLES._replace(theta=jnp.ones(5)), ValueError, r"got \(5,\) and \(5,\)"),
            (PARTICLES._replace(mass=jnp.ones(5, int)), TypeError,
             "measure must hold floats of one dtype, got float32 and int32"),
        ]
    ),
    *(
        Fault(function.__name__, wrong(function, PROBLEM, measure, theta), error, match)
        for function in (jm.first_variation, jm.velocity)
        for measure, theta, error, match in [
            (PARTICLES, jnp.ones((2, 5)), ValueError,
             r"theta must be \(p, D\) with D = 4 as the particles of measure, got \(2, 5\)"),
            (PARTICLES, jnp.ones(4), ValueError, r"theta must be \(p, D\) .* got \(4,\)"),
            (PARTICLES, jnp.ones((2, 4), int), TypeError,
             "theta must hold float32 as the particles of measure, got int32"),
            (PARTICLES._replace(theta=jnp.ones((5, 3))), jnp.ones((2, 3)), ValueError,
             r"theta must be \(..., d \+ k\) = \(w, u\) with d = 3 features .* got shape \(3,\)"),
        ]
    ),
    Fault("energy", wrong(jm.energy, PROBLEM, PARTICLES._replace(theta=jnp.ones((5, 5)))),
          ValueError, r"have shape \(6, 2\), and not \(6,\): a particle must be \(w, u\) with one"),
    Fault("energy", wrong(jm.energy, jm.two_layer_problem(X, CLASSES, "cross_entropy", k=3, lam=0.1),
          PARTICLES._replace(theta=jnp.ones((5, 5)))), ValueError,
          r"have shape \(6, 2\), and not \(6, 3\)"),
    Fault("as_network", wrong(jm.as_network, PARTICLES, k=4), ValueError,
          r"measure.theta must be \(m, d \+ 4\) = \(w, u\) with d >= 1, got \(5, 4\)"),
    Fault("as_network", wrong(jm.as_network, PARTICLES, k=0), ValueError, "k must be at least 1"),
    Fault("as_network", wrong(jm.as_network, PARTICLES, k=1.0), TypeError, "k must be an integer"),
    Fault("from_network", wrong(jm.from_network, SCALAR_NET._replace(w=jnp.ones(5))), ValueError,
          r"for one m >= 1, got \(4, 3\) and \(5,\)"),
    Fault("from_network", wrong(jm.from_network, jm.TwoLayer(jnp.ones((0, 3)), jnp.ones(0))),
          ValueError, r"for one m >= 1, got \(0, 3\) and \(0,\)"),
    Fault("sample_sphere", wrong(jm.sample_sphere, KEY, 0, 3), ValueError, "m must be at least 1"),
    Fault("sample_sphere", wrong(jm.sample_sphere, KEY, 3, 0), ValueError, "dim must be at least"),
    Fault("sample_sphere", wrong(jm.sample_sphere, KEY, 3, 2.0), TypeError, "dim must be an int"),
    Fault("check_two_homogeneous", wrong(jm.mean_field.check_two_homogeneous, KEY, PROBLEM, 4.0), TypeError,
          "dim must be an integer, got 4.0"),
    Fault("check_two_homogeneous", homogeneous(phi=lambda theta: theta**3), ValueError,
          r"problem.phi must be 2-homogeneous, .* but c = 3 multiplied it by 27: a network's unit"),
    Fault("check_two_homogeneous", homogeneous(potential=lambda t: jnp.sum(t**2) + 1), ValueError,
          r"problem.potential must be 2-homogeneous, .* c = 3 multiplied it by 5:"),
    Fault("check_two_homogeneous", homogeneous(potential=lambda t: -jnp.sum(t**2)), ValueError,
          r"problem.potential must be > 0 away from theta = 0, got -1 on the sphere"),
    *(
        fault
        for of, name, y in [
            (logistic_of, "logistic_two_layer", SIGNS),
            (partial(classes_of, k=2), "cross_entropy_two_layer", CLASSES),
            (squared_of, "squared_two_layer", SIGNS),
        ]
        for fault in [
            Fault(name, of(X, y[:5], lam=0.1), ValueError, r"got \(6, 3\) and \(5,\)"),
            Fault(name, of(X[0], y, lam=0.1), ValueError, r"x must be \(n, d\) .* got \(3,\)"),
            Fault(name, of(X[:0], y[:0], lam=0.1), ValueError, r"n, d >= 1 .* got \(0, 3\)"),
            Fault(name, of(X.at[2, 1].set(NAN), y, lam=0.1), ValueError, "x must be finite"),
            Fault(name, of(X.astype(int), y, lam=0.1), TypeError, "x must hold floats, got int32"),
            Fault(name, of(X, y, lam=0.0), ValueError, "lam must be a finite number > 0, got 0.0"),
            Fault(name, of(X, y, lam=None), TypeError, "lam must be a number, got None"),
            Fault(name, of(X, y, lam=1, smoothing=-1.0), ValueError, "smoothing must .* >= 0, got"),
        ]
    ),
    Fault("logistic_two_layer", logistic_of(X, CLASSES, lam=0.1), TypeError,
          "x and y must hold floats of one dtype, got float32 and int32"),
    Fault("logistic_two_layer", logistic_of(X, (SIGNS + 1) / 2, lam=0.1), ValueError,
          r"labels must be -1 or \+1, got 0"),
    Fault("cross_entropy_two_layer", classes_of(X, CLASSES + 1, k=2, lam=0.1), ValueError,
          r"class labels must lie in \[0, 2\), as the network has 2 outputs, got 2"),
    Fault("cross_entropy_two_layer", classes_of(X, SIGNS, k=2, lam=0.1), TypeError,
          r"labels must be integers in \[0, k\), got dtype float32"),
    Fault("cross_entropy_two_layer", classes_of(X, CLASSES, k=1, lam=0.1), ValueError,
          "k must be at least 2, got 1"),
    Fault("cross_entropy_two_layer", classes_of(X, CLASSES, k=2.0, lam=0.1), TypeError,
          "k must be an integer, got 2.0"),
    Fault("squared_two_layer", squared_of(X, SIGNS[:, None], lam=0.1), ValueError,
          r"y must be \(n,\), or .* for k >= 2 outputs, got \(6, 1\): one column is y\[:, 0\]"),
    Fault("squared_two_layer", squared_of(X, SIGNS * jnp.inf, lam=0.1), ValueError,
          "y must be finite, but 6 of 6"),
]  # fmt: skip
