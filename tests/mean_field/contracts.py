"""The contracts of `jaxmargin.mean_field`: see `tests/contracts.py`."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

import jaxmargin as jm
from jaxmargin import mean_field
from jaxmargin.mean_field import MeanRisk
from tests.contracts import Contract, labels, net, normal, samples, signs, zero_net
from tests.mean_field.problems import PROBLEMS, measure, points


def measured(name: str):
    """A measure first, for the edges; then the problem and points."""
    return lambda dtype: (
        measure(name, dtype),
        PROBLEMS[name](dtype),
        points(name, 5, dtype, seed=3),
    )


def _edges(name: str):
    def edges(dtype):
        rho, *rest = measured(name)(dtype)
        zero = rho._replace(theta=jnp.zeros_like(rho.theta))
        return [
            (zero, *rest),
            (rho._replace(mass=jnp.zeros_like(rho.mass)), rest[0], zero.theta),
            (rho._replace(theta=1e3 * rho.theta), *rest),
        ]

    return edges


def _of_measure(name: str, problem: str, call: Callable) -> Contract:
    return Contract(f"mean_field.{name}", call, measured(problem), edges=_edges(problem))


def _certificate(rho, x, y):
    return jm.certify(jm.two_layer_problem(x, y, "squared", lam=0.1), rho)


def _quarters(dtype):
    return jm.Measure(normal(4, 3, dtype=dtype), jnp.full(4, 0.25, dtype))


def _to_certify(dtype):
    return _quarters(dtype), *samples(dtype, d=2)


CONTRACTS = [
    _of_measure("energy", "logistic", lambda rho, p, at: jm.energy(p, rho)),
    _of_measure("energy", "smooth cross-entropy", lambda rho, p, at: jm.energy(p, rho)),
    _of_measure("first_variation", "logistic", lambda rho, p, at: jm.first_variation(p, rho, at)),
    _of_measure("velocity", "smooth cross-entropy", lambda rho, p, at: jm.velocity(p, rho, at)),
    _of_measure("second_moment", "logistic", lambda rho, p, at: jm.second_moment(rho)),
    _of_measure("as_network", "logistic", lambda rho, p, at: jm.as_network(p, rho)),
    Contract(
        "mean_field.from_network",
        jm.from_network,
        lambda dtype: (net(dtype),),
        edges=lambda dtype: [(zero_net(dtype),)],
    ),
    Contract(
        "mean_field.two_layer_problem",
        lambda x: jm.two_layer_problem(x, signs(5, x.dtype), "logistic", lam=0.1),
        lambda dtype: (samples(dtype)[0],),
    ),
    Contract(
        "mean_field.two_layer_problem",
        lambda x: jm.two_layer_problem(x, labels(), "cross_entropy", k=3, lam=0.1, smoothing=0.1),
        lambda dtype: (normal(3, 4, dtype=dtype),),
    ),
    Contract(
        "mean_field.two_layer_problem",
        partial(jm.two_layer_problem, loss="squared", lam=0.1),
        samples,
    ),
]
DRIVERS = {
    "mean_field.certify",
    "mean_field.check_two_homogeneous",
    "mean_field.flow_budget",
    "mean_field.global_optimum",
    "mean_field.perturbed_flow",
    "mean_field.regularity",
    "mean_field.resumable_run",
    "mean_field.run_flow",
    "mean_field.theoretical_rate",
    "mean_field.wasserstein_flow",
}


def _problem(name: str = "logistic"):
    return PROBLEMS[name]("float32")


def _flow():
    return jm.perturbed_flow(_problem(), step_size=0.1, noise=0.1)


def _state():
    return _flow().init(measure("logistic", "float32"))


def _run():
    return jm.run_flow(jax.random.key(0), _flow(), _state(), num_steps=2)


def _budget():
    records = jax.tree.map(lambda *leaves: jnp.stack(leaves), *2 * [measure("logistic", "float32")])
    directions = jnp.eye(4, dtype="float32")
    return mean_field.flow_budget(_problem(), records, directions, time=jnp.arange(2.0), noise=0.1)


def _rate():
    rho = measure("smooth logistic", "float32")
    return mean_field.theoretical_rate(_problem("smooth logistic"), rho, epsilon=0.1)


CONTAINERS: dict[str, Callable[[], Any]] = {
    "mean_field.Certificate": lambda: _certificate(*_to_certify("float32")),
    "mean_field.CrossEntropyRisk": lambda: _problem("cross-entropy").loss,
    "mean_field.Flow": _flow,
    "mean_field.FlowBudget": _budget,
    "mean_field.FlowHistory": lambda: _run()[1],
    "mean_field.FlowInfo": lambda: _flow().step(jax.random.key(0), _state())[1],
    "mean_field.FlowState": _state,
    "mean_field.FlowRun": _run,
    "mean_field.LogisticRisk": lambda: _problem().loss,
    "mean_field.MeanField": _problem,
    "mean_field.MeanRisk": lambda: MeanRisk(_problem().loss),
    "mean_field.Measure": lambda: measure("logistic", "float32"),
    "mean_field.Optimum": lambda: jm.global_optimum(_problem()),
    "mean_field.OptimumHistory": lambda: jm.global_optimum(_problem()).history,
    "mean_field.Regularity": lambda: _rate().regularity,
    "mean_field.Sides": lambda: _budget().lemma_e5,
    "mean_field.SmoothTwoLayerFeatures": lambda: _problem("smooth logistic").phi,
    "mean_field.SquaredNorm": lambda: _problem().potential,
    "mean_field.SquaredRisk": lambda: _problem("squared").loss,
    "mean_field.TheoreticalRate": _rate,
    "mean_field.TwoLayerFeatures": lambda: _problem().phi,
}
TYPES = {"mean_field.BoundedRisk", "mean_field.Features", "mean_field.Risk"}
