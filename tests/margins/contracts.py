"""The contracts of `jaxmargin.margins`: see `tests/contracts.py`."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxmargin as jm
from jaxmargin import margins
from tests.contracts import Contract, labelled, labels, net, normal, samples, zero_net

CONTRACTS = [
    Contract(
        "margins.sample_margins",
        jm.sample_margins,
        lambda dtype: (normal(3, 4, dtype=dtype), labels()),
    ),
    Contract(
        "margins.normalized_margin",
        partial(jm.normalized_margin, jm.two_layer),
        lambda dtype: (net(dtype), *labelled(dtype)),
        edges=lambda dtype: [(zero_net(dtype), *labelled(dtype))],
    ),
    Contract(
        "margins.log_normalized_margin",
        partial(margins.log_normalized_margin, jm.two_layer),
        lambda dtype: (net(dtype), *labelled(dtype)),
        edges=lambda dtype: [(zero_net(dtype), *labelled(dtype))],
    ),
    Contract(
        "margins.margin_distribution",
        partial(jm.margin_distribution, jm.two_layer),
        lambda dtype: (net(dtype), *labelled(dtype)),
    ),
    Contract(
        "margins.smoothed_margin",
        partial(margins.smoothed_margin, jm.two_layer),
        lambda dtype: (net(dtype), *labelled(dtype)),
        edges=lambda dtype: [(jm.TwoLayer(*(30 * leaf for leaf in net(dtype))), *labelled(dtype))],
    ),
    Contract(
        "margins.log_smoothed_margin",
        partial(margins.log_smoothed_margin, jm.two_layer, loss="exponential"),
        lambda dtype: (net(dtype), *labelled(dtype)),
    ),
    Contract(
        "margins.rademacher_bound",
        lambda radius, norms: margins.rademacher_bound(
            n=100, depth=3, radius=radius, layer_norms=norms
        ),
        lambda dtype: (jnp.asarray(2.0, dtype), jnp.asarray([0.5, 1.0, 2.0], dtype)),
    ),
    Contract(
        "margins.margin_bound",
        partial(margins.margin_bound, n=100, depth=2, radius=1.0, delta=0.1),
        lambda dtype: (jnp.asarray(0.2, dtype),),
        edges=lambda dtype: [(jnp.asarray(value, dtype),) for value in (0.0, -1.0, 0.5, 1e-12)],
    ),
    Contract(
        "margins.margin_loss_bound",
        partial(margins.margin_loss_bound, depth=2, radius=1.0, delta=0.1),
        lambda dtype: (jnp.asarray([0.2, 0.4, -0.1], dtype),),
        edges=lambda dtype: [(jnp.asarray([0.0, -0.1], dtype),)],
    ),
    Contract(
        "margins.measured_margin_bound",
        lambda margin: margins.measured_margin_bound(
            margin,
            margins.RademacherEstimate(jnp.asarray(0.1, margin.dtype), 0.01, True, 100, 10),
            radius=1.0,
            delta=0.1,
        ),
        lambda dtype: (jnp.asarray(0.2, dtype),),
        edges=lambda dtype: [(jnp.asarray(value, dtype),) for value in (0.0, -1.0, 0.5, 1e-12)],
    ),
    Contract(
        "margins.truncated_loss_bound",
        partial(margins.truncated_loss_bound, n=100, depth=2, radius=1.0, delta=0.1),
        lambda dtype: (jnp.asarray(0.2, dtype), jnp.asarray(3.0, dtype)),
        edges=lambda dtype: [(jnp.asarray(0.0, dtype), jnp.asarray(0.0, dtype))],
    ),
    Contract(
        "margins.rademacher_complexity",
        lambda x: margins.rademacher_complexity(jax.random.key(0), x, num_draws=3),
        lambda dtype: (normal(4, 2, dtype=dtype),),
        float32_error=None,
    ),
]
DRIVERS = {
    "margins.guaranteed_margin",
    "margins.kkt_residual",
    "margins.l1_svm",
    "margins.log_theorem_regularization",
    "margins.margin_path",
    "margins.max_margin",
    "margins.min_norm_interpolant",
    "margins.regularization_for_margin",
}


def _path():
    x, y = samples("float32")
    return jm.margin_path(jm.two_layer, net("float32"), x, y, [0.1], num_steps=2)


def _kkt():
    x, _ = samples("float32")
    params = net("float32")
    return margins.kkt_residual(jm.two_layer, params, x, jnp.sign(jm.two_layer(params, x)))


CONTAINERS: dict[str, Callable[[], Any]] = {
    "margins.KKT": _kkt,
    "margins.SignedLog": lambda: margins.log_normalized_margin(
        jm.two_layer, net("float32"), *samples("float32")
    ),
    "margins.L1SVM": lambda: jm.l1_svm(jnp.eye(3), np.array([1.0, -1.0, 1.0])),
    "margins.MarginBound": lambda: margins.margin_bound(0.1, n=10, depth=2, radius=1.0, delta=0.1),
    "margins.MarginPath": _path,
    "margins.MaxMargin": lambda: jm.max_margin(jnp.eye(2), np.array([1.0, -1.0])),
    "margins.MaxMarginHistory": lambda: jm.max_margin(jnp.eye(2), np.array([1.0, -1.0])).history,
    "margins.MinNorm": lambda: jm.min_norm_interpolant(jnp.eye(2), np.array([1.0, -1.0])),
    "margins.MinNormHistory": lambda: (
        jm.min_norm_interpolant(jnp.eye(2), np.array([1.0, -1.0])).history
    ),
    "margins.TruncatedLossBound": lambda: margins.truncated_loss_bound(
        0.1, 2.0, n=10, depth=2, radius=1.0, delta=0.1
    ),
    "margins.RademacherEstimate": lambda: margins.rademacher_complexity(
        jax.random.key(0), jnp.eye(2), num_draws=2
    ),
}
TYPES: set[str] = set()
