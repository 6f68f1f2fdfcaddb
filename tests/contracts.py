"""The registry: each public name once, with tiny inputs and what must hold for it.

`test_contracts.py` runs the shared checks over it, and holds it equal to the public and to the
documented names. Adding a public function is adding a row.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxmargin as jm
from jaxmargin import data, lower_bound, margins
from jaxmargin.margins import bounds
from jaxmargin.networks import norms
from tests.mean_field.problems import PROBLEMS, measure, points


class Contract(NamedTuple):
    """What the shared checks need to know of one public function.

    Attributes:
        name: the public name, below `jaxmargin.`.
        call: the function of float arrays (and pytrees of them) only.
        args: `args(dtype)` gives tiny arguments.
        edges: `edges(dtype)` gives arguments at which the gradient in the first must be finite.
        vmap: whether mapping over a new leading axis of every argument must equal a loop.
    """

    name: str
    call: Callable
    args: Callable[[Any], tuple]
    edges: Callable[[Any], list[tuple]] | None = None
    vmap: bool = True


def normal(*shape: int, dtype, seed: int = 0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def signs(n: int, dtype):
    return jnp.asarray(np.where(np.arange(n) % 2, 1.0, -1.0), dtype)


def net(dtype, d=3, m=4):
    return jm.TwoLayer(u=normal(m, d, dtype=dtype), w=normal(m, dtype=dtype, seed=1))


def deep(dtype):
    return tuple(
        normal(*shape, dtype=dtype, seed=i) for i, shape in enumerate([(4, 3), (5, 4), (1, 5)])
    )


def zero_net(dtype):
    return jm.TwoLayer(u=jnp.zeros((4, 3), dtype), w=jnp.zeros(4, dtype))


def samples(dtype, n=5, d=3):
    return normal(n, d, dtype=dtype, seed=7), signs(n, dtype)


def _norm_contract(name: str, norm: Callable) -> Contract:
    return Contract(
        f"norms.{name}",
        norm,
        lambda dtype: (net(dtype),),
        edges=lambda dtype: [
            (zero_net(dtype),),
            (net(dtype)._replace(w=jnp.zeros(4, dtype)),),
            (jm.TwoLayer(*(leaf * 1e15 for leaf in net(dtype))),),
            (jm.TwoLayer(*(leaf * 1e-15 for leaf in net(dtype))),),
        ],
    )


def rows(dtype):
    """Two copies of one row, its opposite, zero, and lengths of 1e15 and 1e-15."""
    x = normal(6, 3, dtype=dtype, seed=3)
    scale = jnp.array([1, 1, -1, 0, 1e15, 1e-15], dtype)[:, None]
    return x.at[1:3].set(x[0]) * scale


def _kernel_contract(name: str, kernel: Callable) -> Contract:
    return Contract(
        name,
        kernel,
        lambda dtype: (normal(4, 3, dtype=dtype), normal(5, 3, dtype=dtype, seed=1)),
        edges=lambda dtype: [(rows(dtype),), (rows(dtype), rows(dtype))],
    )


def cube(n: int, dtype, seed: int = 0):
    return jnp.where(normal(n, 4, dtype=dtype, seed=seed) > 0, 1.0, -1.0).astype(dtype)


def spanned(dtype):
    """Inputs of D, a coefficient for each, and points of the hypercube."""
    x = data.embed(cube(3, dtype), 1, 0).at[2, :2].set(jnp.array([0, -1], dtype))
    return x, normal(3, dtype=dtype), cube(2, dtype, seed=1)


def _cube_contract(name: str, call: Callable) -> Contract:
    return Contract(f"hypercube.{name}", call, lambda dtype: (cube(3, dtype),))


def _span_contract(name: str, call: Callable) -> Contract:
    return Contract(f"lower_bound.{name}", call, spanned)


def _measure(dtype):
    return jm.Measure(normal(4, 3, dtype=dtype), jnp.full(4, 0.25, dtype))


def _gap(measure, x, y):
    return jm.certify(jm.two_layer_problem(x, y, "squared", lam=0.1), measure)


def _labels(dtype):
    return jnp.array([0, 2, 1])


def measured(name: str):
    """A measure first, for the edges; then the problem and points."""
    return lambda dtype: (
        measure(name, dtype),
        PROBLEMS[name](dtype),
        points(name, 5, dtype, seed=3),
    )


def _measure_edges(name: str):
    def edges(dtype):
        rho, *rest = measured(name)(dtype)
        zero = rho._replace(theta=jnp.zeros_like(rho.theta))
        return [
            (zero, *rest),
            (rho._replace(mass=jnp.zeros_like(rho.mass)), rest[0], zero.theta),
            (rho._replace(theta=1e3 * rho.theta), *rest),
        ]

    return edges


def _measure_contract(name: str, problem: str, call: Callable) -> Contract:
    return Contract(name, call, measured(problem), edges=_measure_edges(problem))


CONTRACTS = [
    _norm_contract("l1", norms.l1),
    _norm_contract("l2", norms.l2),
    _norm_contract("linf", norms.linf),
    _norm_contract("lp", norms.lp(3)),
    _norm_contract("sum_of_squares", norms.sum_of_squares),
    _norm_contract("per_layer", norms.per_layer(norms.l2, norms.linf)),
    Contract(
        "two_layer",
        jm.two_layer,
        lambda dtype: (net(dtype), samples(dtype)[0]),
        edges=lambda dtype: [(zero_net(dtype), samples(dtype)[0])],
    ),
    Contract("mlp", jm.mlp, lambda dtype: (deep(dtype), samples(dtype)[0])),
    Contract(
        "activation_pattern", jm.activation_pattern, lambda dtype: (net(dtype), samples(dtype)[0])
    ),
    Contract(
        "pattern_change",
        jm.pattern_change,
        lambda dtype: (
            net(dtype),
            net(dtype)._replace(u=normal(4, 3, dtype=dtype, seed=9)),
            samples(dtype)[0],
        ),
    ),
    Contract(
        "balance",
        jm.balance,
        lambda dtype: (deep(dtype),),
        edges=lambda dtype: [(zero_net(dtype),), (net(dtype)._replace(w=jnp.zeros(4, dtype)),)],
    ),
    Contract("widen", partial(jm.widen, widths=7), lambda dtype: (deep(dtype),)),
    Contract(
        "homogeneity_degree",
        partial(jm.homogeneity_degree, jm.mlp),
        lambda dtype: (deep(dtype), samples(dtype)[0]),
    ),
    Contract("append_one", jm.append_one, lambda dtype: (samples(dtype)[0],)),
    Contract(
        "logistic_loss",
        jm.logistic_loss,
        lambda dtype: (normal(5, dtype=dtype),),
        edges=lambda dtype: [(jnp.array([-1e4, -0.0, 0.0, 1e4], dtype),)],
    ),
    Contract(
        "cross_entropy_loss",
        jm.cross_entropy_loss,
        lambda dtype: (normal(3, 4, dtype=dtype), _labels(dtype)),
        edges=lambda dtype: [
            (jnp.zeros((3, 4), dtype), _labels(dtype)),
            (1e4 * normal(3, 4, dtype=dtype), _labels(dtype)),
        ],
    ),
    Contract(
        "squared_loss",
        jm.squared_loss,
        lambda dtype: (normal(5, dtype=dtype), signs(5, dtype)),
        edges=lambda dtype: [(signs(5, dtype), signs(5, dtype))],
    ),
    Contract(
        "truncated_squared_loss",
        jm.truncated_squared_loss,
        lambda dtype: (normal(5, dtype=dtype), signs(5, dtype)),
        edges=lambda dtype: [(signs(5, dtype) + 1, signs(5, dtype))],
    ),
    Contract(
        "regularized",
        jm.regularized(jm.two_layer, "logistic", lam=0.1, r=0.5, norm=norms.lp(3)),
        lambda dtype: (net(dtype), *samples(dtype)),
        edges=lambda dtype: [(zero_net(dtype), *samples(dtype))],
    ),
    _kernel_contract("k1", jm.k1),
    _kernel_contract("k2", partial(jm.k2, precise=True)),
    _kernel_contract("two_layer_ntk", partial(jm.two_layer_ntk, r_w=0.5, r_u=2.0)),
    _kernel_contract("relu_nngp", partial(jm.relu_nngp, depth=3)),
    _kernel_contract("relu_ntk", partial(jm.relu_ntk, depth=3, precise=True)),
    Contract(
        "kernel_matvec",
        partial(jm.kernel_matvec, jm.two_layer_ntk, block_size=2),
        lambda dtype: (normal(5, 3, dtype=dtype), normal(5, 2, dtype=dtype, seed=1)),
        edges=lambda dtype: [(rows(dtype), signs(6, dtype))],
    ),
    _cube_contract("embed", partial(data.embed, first=0, second=-1)),
    _cube_contract("tilde", lower_bound.tilde(jm.two_layer_ntk)),
    _cube_contract("taylor_kernel", partial(lower_bound.taylor_kernel, r_w=0.5, r_u=2.0)),
    _cube_contract("taylor_error", lower_bound.taylor_error),
    _cube_contract("parity_gram", partial(lower_bound.parity_gram, size=3)),
    _cube_contract("quadratic_constant", lower_bound.quadratic_constant),
    Contract(
        "lower_bound.cross_moment",
        partial(lower_bound.cross_moment, p=1, q=3),
        lambda dtype: (cube(3, dtype), normal(3, dtype=dtype)),
    ),
    Contract(
        "lower_bound.quadratic_form",
        lower_bound.quadratic_form,
        lambda dtype: (cube(3, dtype), normal(3, dtype=dtype), normal(6, dtype=dtype, seed=1)),
    ),
    _span_contract("f_tilde", lower_bound.f_tilde),
    _span_contract("f_plus", lower_bound.f_plus),
    _span_contract("f_minus", lower_bound.f_minus),
    _span_contract("deviation", lower_bound.deviation),
    _span_contract("paired_error_bound", lower_bound.paired_error_bound),
    Contract(
        "lower_bound.least_squares_limit",
        lower_bound.least_squares_limit,
        lambda dtype: (jnp.array([0.1, 0.25, 0.4], dtype),),
        edges=lambda dtype: [(jnp.array([1e-3, 0.5, 0.7], dtype),)],
    ),
    Contract(
        "empirical_ntk",
        partial(jm.empirical_ntk, jm.two_layer),
        lambda dtype: (net(dtype), normal(5, 3, dtype=dtype), normal(4, 3, dtype=dtype, seed=1)),
        edges=lambda dtype: [(zero_net(dtype), rows(dtype))],
    ),
    Contract(
        "margins", jm.sample_margins, lambda dtype: (normal(3, 4, dtype=dtype), _labels(dtype))
    ),
    Contract(
        "normalized_margin",
        partial(jm.normalized_margin, jm.two_layer),
        lambda dtype: (net(dtype), *samples(dtype)),
        edges=lambda dtype: [(zero_net(dtype), *samples(dtype))],
    ),
    Contract(
        "margin_distribution",
        partial(jm.margin_distribution, jm.two_layer),
        lambda dtype: (net(dtype), *samples(dtype)),
    ),
    Contract(
        "kernel_predict",
        jm.kernel_predict,
        lambda dtype: (normal(4, 5, dtype=dtype), normal(5, 2, dtype=dtype, seed=1)),
        edges=lambda dtype: [(jnp.zeros((4, 5), dtype), jnp.zeros(5, dtype))],
    ),
    _measure_contract("energy", "logistic", lambda rho, p, at: jm.energy(p, rho)),
    _measure_contract("energy", "smooth cross-entropy", lambda rho, p, at: jm.energy(p, rho)),
    _measure_contract(
        "first_variation", "logistic", lambda rho, p, at: jm.first_variation(p, rho, at)
    ),
    _measure_contract(
        "velocity", "smooth cross-entropy", lambda rho, p, at: jm.velocity(p, rho, at)
    ),
    _measure_contract("second_moment", "logistic", lambda rho, p, at: jm.second_moment(rho)),
    _measure_contract("as_network", "logistic", lambda rho, p, at: jm.as_network(rho)),
    Contract(
        "from_network",
        jm.from_network,
        lambda dtype: (net(dtype),),
        edges=lambda dtype: [(zero_net(dtype),)],
    ),
    Contract(
        "logistic_two_layer",
        lambda x: jm.two_layer_problem(x, signs(5, x.dtype), "logistic", lam=0.1),
        lambda dtype: (samples(dtype)[0],),
    ),
    Contract(
        "cross_entropy_two_layer",
        lambda x: jm.two_layer_problem(
            x, _labels(None), "cross_entropy", k=3, lam=0.1, smoothing=0.1
        ),
        lambda dtype: (normal(3, 4, dtype=dtype),),
    ),
    Contract(
        "squared_two_layer",
        partial(partial(jm.two_layer_problem, loss="squared"), lam=0.1),
        samples,
    ),
    Contract(
        "bounds.rademacher_bound",
        lambda radius, norms: bounds.rademacher_bound(
            n=100, depth=3, radius=radius, layer_norms=norms
        ),
        lambda dtype: (jnp.asarray(2.0, dtype), jnp.asarray([0.5, 1.0, 2.0], dtype)),
    ),
    Contract(
        "bounds.margin_bound",
        partial(bounds.margin_bound, n=100, depth=2, radius=1.0, delta=0.1),
        lambda dtype: (jnp.asarray(0.2, dtype),),
        edges=lambda dtype: [(jnp.asarray(value, dtype),) for value in (0.0, -1.0, 0.5, 1e-12)],
    ),
    Contract(
        "bounds.margin_loss_bound",
        partial(bounds.margin_loss_bound, depth=2, radius=1.0, delta=0.1),
        lambda dtype: (jnp.asarray([0.2, 0.4, -0.1], dtype),),
        edges=lambda dtype: [(jnp.asarray([0.0, -0.1], dtype),)],
    ),
    Contract(
        "margins.rademacher_complexity",
        lambda x: margins.rademacher_complexity(jax.random.key(0), x, num_draws=3),
        lambda dtype: (normal(4, 2, dtype=dtype),),
    ),
    Contract("certify", _gap, lambda dtype: (_measure(dtype), *samples(dtype, d=2))),
]

# Public names that are not functions of arrays: drivers (concrete values, files, randomness)
# and containers. The shared checks of documentation still hold for them.
DRIVERS = {
    "check_two_homogeneous": jm.mean_field.check_two_homogeneous,
    "data.digits": data.digits,
    "data.mnist": data.mnist,
    "data.read_idx": data.read_idx,
    "data.sinusoid": data.sinusoid,
    "data.teacher": data.teacher,
    "data.two_axis": data.two_axis,
    "lower_bound.fourier_coefficients": lower_bound.fourier_coefficients,
    "lower_bound.taylor_coefficients": lower_bound.taylor_coefficients,
    "fit_interpolant": jm.fit_interpolant,
    "fit_kernel_logistic": jm.fit_kernel_logistic,
    "fit_ridge": jm.fit_ridge,
    "fit_ridge_matrix_free": jm.fit_ridge_matrix_free,
    "fit_svm": jm.fit_svm,
    "guaranteed_margin": jm.margins.guaranteed_margin,
    "init_mlp": jm.init_mlp,
    "l1_svm": jm.l1_svm,
    "max_margin": jm.max_margin,
    "init_two_layer": jm.init_two_layer,
    "log_theorem_regularization": jm.margins.log_theorem_regularization,
    "lower_bound.held_out_error": lower_bound.held_out_error,
    "lower_bound.best_in_span": lower_bound.best_in_span,
    "regularization_for_margin": jm.margins.regularization_for_margin,
    "resumable_run": jm.resumable_run,
    "sample_sphere": jm.sample_sphere,
    "global_optimum": jm.global_optimum,
    "margin_path": jm.margin_path,
    "train": jm.train,
    "perturb_units": jm.perturb_units,
    "regularity": jm.mean_field.regularity,
    "theoretical_rate": jm.mean_field.theoretical_rate,
    "perturbed_flow": jm.perturbed_flow,
    "run": jm.run_flow,
    "wasserstein_flow": jm.wasserstein_flow,
}
CONTAINERS = {
    "Certificate": jm.mean_field.Certificate,
    "ConvergenceError": jm.ConvergenceError,
    "DivergenceError": jm.DivergenceError,
    "Flow": jm.mean_field.Flow,
    "FlowHistory": jm.mean_field.FlowHistory,
    "FlowInfo": jm.mean_field.FlowInfo,
    "FlowState": jm.mean_field.FlowState,
    "History": jm.networks.History,
    "Homogeneity": jm.networks.Homogeneity,
    "L1SVM": jm.margins.L1SVM,
    "MaxMargin": jm.margins.MaxMargin,
    "MeanField": jm.MeanField,
    "MarginPath": jm.margins.MarginPath,
    "Measure": jm.Measure,
    "Minibatch": jm.Minibatch,
    "RidgeFit": jm.kernels.RidgeFit,
    "Trained": jm.networks.Trained,
    "TwoLayer": jm.TwoLayer,
    "bounds.MarginBound": bounds.MarginBound,
    "margins.RademacherEstimate": margins.RademacherEstimate,
    "data.TeacherSample": data.TeacherSample,
    "lower_bound.Deviation": lower_bound.Deviation,
    "lower_bound.HeldOut": lower_bound.HeldOut,
    "lower_bound.Oracle": lower_bound.Oracle,
    "Regularity": jm.mean_field.Regularity,
    "TheoreticalRate": jm.mean_field.TheoreticalRate,
}
