"""The contracts of `jaxmargin.networks`: see `tests/contracts.py`."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

import jaxmargin as jm
from jaxmargin.networks import norms
from tests.contracts import Contract, labelled, labels, net, normal, samples, signs, zero_net


def deep(dtype):
    return tuple(
        normal(*shape, dtype=dtype, seed=i) for i, shape in enumerate([(4, 3), (5, 4), (1, 5)])
    )


def _norm(name: str, norm: Callable) -> Contract:
    return Contract(
        f"networks.norms.{name}",
        norm,
        lambda dtype: (net(dtype),),
        edges=lambda dtype: [
            (zero_net(dtype),),
            (net(dtype)._replace(w=jnp.zeros(4, dtype)),),
            (jm.TwoLayer(*(leaf * 1e15 for leaf in net(dtype))),),
            (jm.TwoLayer(*(leaf * 1e-15 for leaf in net(dtype))),),
        ],
    )


CONTRACTS = [
    _norm("l1", norms.l1),
    _norm("l2", norms.l2),
    _norm("linf", norms.linf),
    _norm("lp", norms.lp(3)),
    _norm("sum_of_squares", norms.sum_of_squares),
    _norm("per_layer", norms.per_layer(norms.l2, norms.linf)),
    _norm("per_unit", norms.per_unit(norms.l2, norms.l1, unit_axis=0)),
    Contract(
        "networks.two_layer",
        jm.two_layer,
        lambda dtype: (net(dtype), samples(dtype)[0]),
        edges=lambda dtype: [(zero_net(dtype), samples(dtype)[0])],
    ),
    Contract("networks.mlp", jm.mlp, lambda dtype: (deep(dtype), samples(dtype)[0])),
    Contract(
        "networks.activation_pattern",
        jm.activation_pattern,
        lambda dtype: (net(dtype), samples(dtype)[0]),
    ),
    Contract(
        "networks.pattern_change",
        jm.pattern_change,
        lambda dtype: (
            net(dtype),
            net(dtype)._replace(u=normal(4, 3, dtype=dtype, seed=9)),
            samples(dtype)[0],
        ),
    ),
    Contract(
        "networks.balance",
        jm.balance,
        lambda dtype: (deep(dtype),),
        edges=lambda dtype: [(zero_net(dtype),), (net(dtype)._replace(w=jnp.zeros(4, dtype)),)],
    ),
    Contract("networks.widen", partial(jm.widen, widths=7), lambda dtype: (deep(dtype),)),
    Contract(
        "networks.homogeneity_degree",
        partial(jm.homogeneity_degree, jm.mlp),
        lambda dtype: (deep(dtype), samples(dtype)[0]),
    ),
    Contract("networks.append_one", jm.append_one, lambda dtype: (samples(dtype)[0],)),
    Contract(
        "networks.logistic_loss",
        jm.logistic_loss,
        lambda dtype: (normal(5, dtype=dtype),),
        edges=lambda dtype: [(jnp.array([-1e4, -0.0, 0.0, 1e4], dtype),)],
    ),
    Contract(
        "networks.log_margin",
        jm.networks.log_margin,
        lambda dtype: (normal(3, 4, dtype=dtype), labels()),
        edges=lambda dtype: [
            (jnp.zeros((3, 4), dtype), labels()),
            (1e4 * normal(3, 4, dtype=dtype), labels()),
        ],
    ),
    Contract(
        "networks.cross_entropy_loss",
        jm.cross_entropy_loss,
        lambda dtype: (normal(3, 4, dtype=dtype), labels()),
        edges=lambda dtype: [
            (jnp.zeros((3, 4), dtype), labels()),
            (1e4 * normal(3, 4, dtype=dtype), labels()),
        ],
    ),
    Contract(
        "networks.squared_loss",
        jm.squared_loss,
        lambda dtype: (normal(5, dtype=dtype), signs(5, dtype)),
        edges=lambda dtype: [(signs(5, dtype), signs(5, dtype))],
    ),
    Contract(
        "networks.truncated_squared_loss",
        jm.truncated_squared_loss,
        lambda dtype: (normal(5, dtype=dtype), signs(5, dtype)),
        edges=lambda dtype: [(signs(5, dtype) + 1, signs(5, dtype))],
    ),
    Contract(
        "networks.regularized",
        jm.regularized(jm.two_layer, "logistic", lam=0.1, r=0.5, norm=norms.lp(3)),
        lambda dtype: (net(dtype), *labelled(dtype)),
        edges=lambda dtype: [(zero_net(dtype), *labelled(dtype))],
    ),
]

# Public names that are not functions of arrays: drivers (concrete values, files, randomness),
# containers and types. The shared checks of documentation still hold for them.
DRIVERS = {
    "networks.init_mlp",
    "networks.init_two_layer",
    "networks.perturb_units",
    "networks.train",
}


def _trained():
    objective = jm.regularized(jm.two_layer, "logistic", lam=0.1)
    net_and_data = net("float32"), *samples("float32")
    return jm.train(objective, optax.sgd(0.1), *net_and_data, num_steps=2)


def _perturbed():
    transform = jm.perturb_units(jax.random.key(0), 0.5, unit_axis=0)
    return transform.init(net("float32"))


CONTAINERS: dict[str, Callable[[], Any]] = {
    "networks.History": lambda: _trained().history,
    "networks.OptState": lambda: _trained().opt_state,
    "networks.Homogeneity": lambda: jm.homogeneity_degree(
        jm.mlp, deep("float32"), samples("float32")[0]
    ),
    "networks.Minibatch": lambda: jm.Minibatch(jax.random.key(0), 2),
    "networks.PerturbUnitsState": _perturbed,
    "networks.Regularized": lambda: jm.regularized(jm.two_layer, "logistic", lam=0.1),
    "networks.Trained": _trained,
    "networks.TwoLayer": lambda: net("float32"),
}
TYPES = {
    "networks.Activation",
    "networks.Apply",
    "networks.Loss",
    "networks.Metrics",
    "networks.Mlp",
    "networks.Network",
    "networks.Objective",
    "networks.norms.Norm",
}
