"""A right call of every public function, as small as can be, for tests that spoil its arguments.

`CALLS` has the public name, from `jaxmargin` on, and the arguments by name; settings that matter
are among them. `tests/test_mutations.py` fails where a public function has no row.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxmargin as jm
from jaxmargin import data, lower_bound, margins, mean_field, networks, plots, sphere
from jaxmargin.networks import norms

KEY = jax.random.key(0)
NET = jm.TwoLayer(
    u=jnp.array([[1.0, 0.5, -0.3], [-0.4, 1.0, 0.2], [0.3, -0.8, 1.0], [-1.0, -0.2, -0.5]]),
    w=jnp.array([1.0, -1.0, 0.5, -0.5]),
)
X = jnp.asarray(np.random.default_rng(0).normal(size=(5, 3)), jnp.float32)
Z = jnp.asarray(np.random.default_rng(1).normal(size=(4, 3)), jnp.float32)
Y = jnp.array([1.0, -1.0, 1.0, -1.0, 1.0])
CLASSES = jnp.array([0, 1, 2, 1, 0])
LOGITS = jnp.asarray(np.random.default_rng(2).normal(size=(5, 3)), jnp.float32)
BETA = jnp.array([0.5, -0.2, 0.1, 0.3, -0.4])
GRAM = jm.two_layer_ntk(X)
HYPERCUBE = jm.data.two_axis(KEY, 5, 4)[0]
PARITIES = jnp.asarray(np.sign(np.random.default_rng(3).normal(size=(5, 4))), jnp.float32)
MATRICES = [jnp.ones((4, 3)), jnp.ones((1, 4))]
PROBLEM = jm.two_layer_problem(X, Y, "logistic", lam=0.1)
SMOOTH = jm.two_layer_problem(X, Y, "logistic", lam=0.1, reduction="mean", smoothing=0.1)
THETA = jnp.ones((2, 4))
MEASURE = jm.Measure(theta=jnp.ones((4, 4)) / 2, mass=jnp.ones(4))
RECORDS = jm.Measure(theta=jnp.ones((2, 3, 4)) / 2, mass=jnp.ones((2, 3)))
FLOW = jm.perturbed_flow(PROBLEM, step_size=0.01, noise=0.1)
STATE = FLOW.init(MEASURE)
OBJECTIVE = jm.regularized(jm.two_layer, "logistic", lam=0.1)
SEPARABLE = jnp.array([[1.0, 0.2], [-1.0, 0.1], [0.3, 1.0]]), jnp.array([1.0, -1.0, 1.0])
SEPARATED = {"params": NET, "x": X, "y": jnp.sign(jm.two_layer(NET, X))}
SPANNED = {"x": HYPERCUBE, "beta": BETA, "z": PARITIES[:3, :2]}
PATH = margins.MarginPath(
    lam=np.array([0.5, 0.25]),
    params=NET,
    norm=np.ones(2),
    margin=np.array([0.05, 0.1]),
    objective=np.ones(2),
    gradient_norm=np.ones(2),
    converged=np.array([True, False]),
)
MARGIN = {"margin_star": 0.25, "n": 20, "degree": 2.0}
BOUND = {"n": 100, "depth": 2, "radius": 1.0, "delta": 0.1}


def regularized(*, params: Any, x: Any, y: Any, **parts: Any) -> Any:
    """A regularized objective, and what it gives."""
    return jm.regularized(**parts)(params, x, y)


def lp(*, params: Any, p: Any) -> Any:
    """An l_p norm, and what it gives."""
    return norms.lp(p)(params)


def per_layer(*, params: Any, inner: Any, outer: Any) -> Any:
    """A norm in two steps, and what it gives."""
    return norms.per_layer(inner, outer)(params)


def tilde(*, kernel: Any) -> Any:
    """A kernel without the label's coordinates, and what it gives."""
    return lower_bound.tilde(kernel)(PARITIES)


def perturb_units(*, params: Any, updates: Any, **settings: Any) -> Any:
    """A perturbation of units, and one of its updates."""
    transform = networks.perturb_units(**settings)
    return transform.update(updates, transform.init(params), params)


def idx(*, folder: Any, split: Any) -> Any:
    """Images from a folder; None would download them."""
    return None if folder is None else data.idx(folder, split=split)


def resumable_run(*, path: Any, **settings: Any) -> Any:
    """A resumable run in a folder of its own."""
    with tempfile.TemporaryDirectory() as home:
        inside = Path(home, path) if isinstance(path, str) else path
        return mean_field.resumable_run(inside, **settings)


_FUNCTIONS: dict[str, dict[Callable, dict[str, Any]]] = {
    "networks": {
        networks.two_layer: {"params": NET, "x": X},
        networks.mlp: {"params": MATRICES, "x": X},
        networks.init_two_layer: {"key": KEY, "d": 3, "m": 4, "k": 2, "std": 1.0},
        networks.init_mlp: {"key": KEY, "widths": (3, 4, 1), "std": 1.0},
        networks.activation_pattern: {"params": NET, "x": X},
        networks.pattern_change: {"before": NET, "after": NET, "x": X},
        networks.append_one: {"x": X},
        networks.balance: {"params": NET},
        networks.widen: {"params": NET, "widths": 6},
        networks.homogeneity_degree: {"apply": jm.two_layer, "params": NET, "x": X},
        networks.centred: {"apply": jm.two_layer, "params0": NET, "alpha": 2.0},
        networks.distance_from_start: {"before": NET, "after": jm.TwoLayer(2 * NET.u, NET.w)},
        networks.logistic_loss: {"margins": Y},
        networks.log_margin: {"scores": LOGITS, "y": CLASSES},
        networks.cross_entropy_loss: {"logits": LOGITS, "labels": CLASSES},
        networks.squared_loss: {"predictions": BETA, "y": Y},
        networks.truncated_squared_loss: {"predictions": BETA, "y": Y},
        regularized: {
            "apply": jm.two_layer, "loss": "logistic", "lam": 0.1, "r": 2.0, "norm": norms.l1,
            "params": NET, "x": X, "y": Y,
        },
        perturb_units: {
            "key": KEY, "noise": 0.1, "unit_axis": 0, "radius": 1.0, "params": NET, "updates": NET,
        },
        networks.train: {
            "objective": OBJECTIVE, "optimizer": optax.sgd(0.1), "params": NET, "x": X, "y": Y,
            "num_steps": 2, "record": 1,
        },
    },
    "networks.norms": {
        norms.l1: {"params": NET},
        norms.l2: {"params": NET},
        norms.linf: {"params": NET},
        lp: {"p": 3.0, "params": NET},
        per_layer: {"inner": norms.l2, "outer": norms.l1, "params": NET},
        norms.per_unit: {"inner": norms.l2, "outer": norms.l1, "unit_axis": 0},
        norms.sum_of_squares: {"params": NET},
    },
    "data": {
        data.digits: {},
        data.embed: {"z": PARITIES, "first": 1.0, "second": 0.0},
        data.groups_of_d: {"target": "label"},
        idx: {"folder": "no such folder", "split": "train"},
        data.read_idx: {"path": "no such file"},
        data.sinusoid: {"n": 5, "cycles": 1.5, "low": -1.0, "high": 1.0},
        data.support_of_d: {"d": 3},
        data.teacher: {"key": KEY, "n": 4, "d": 3, "hidden": 2, "margin": 0.0},
        data.two_axis: {"key": KEY, "n": 4, "d": 3},
    },
    "kernels": {
        jm.k1: {"x": X, "z": Z},
        jm.k2: {"x": X, "z": Z},
        jm.relu_nngp: {
            "x": X, "z": Z, "depth": 2, "weight_variance": 2.0, "bias_variance": 0.0,
        },
        jm.relu_ntk: {
            "x": X, "z": Z, "depth": 2, "weight_variance": 2.0, "bias_variance": 0.0,
        },
        jm.nngp: {
            "x": X, "z": Z, "activation": "erf", "depth": 2, "weight_variance": 2.0,
            "bias_variance": 0.5,
        },
        jm.ntk: {
            "x": X, "z": Z, "activation": "leaky_relu", "depth": 2, "weight_variance": 2.0,
            "bias_variance": 0.5, "negative_slope": 0.1,
        },
        jm.two_layer_ntk: {"x": X, "z": Z, "r_w": 1.0, "r_u": 1.0},
        jm.empirical_ntk: {"apply": jm.two_layer, "params": NET, "x": X, "z": Z},
        jm.kernel_matvec: {"kernel": jm.k1, "x": X, "v": BETA[:4], "z": Z, "block_size": 2},
        jm.kernel_margin: {"gram": GRAM, "y": Y},
        jm.kernel_alignment: {"first": GRAM, "second": jm.k1(X)},
        jm.kernel_change: {"before": GRAM, "after": jm.k1(X)},
        jm.kernel_diagonal: {"kernel": jm.k1, "x": X},
        jm.kernel_classify: {"cross_gram": jm.k1(Z, X), "beta": BETA, "classes": [3, 4]},
        jm.kernel_predict: {"cross_gram": jm.k1(Z, X), "beta": BETA},
        jm.fit_interpolant: {"gram": GRAM, "y": Y},
        jm.fit_ridge: {"gram": GRAM, "y": Y, "ridge": 0.1, "sample_weight": Y**2},
        jm.fit_ridge_path: {"gram": GRAM, "y": Y, "ridges": Y**2},
        jm.fit_svm: {"gram": GRAM, "y": Y, "c": 1.0, "sample_weight": Y**2},
        jm.fit_kernel_logistic: {"gram": GRAM, "y": Y, "lam": 0.1, "sample_weight": Y**2},
        jm.fit_ridge_matrix_free: {
            "kernel": jm.k1, "x": X, "y": Y, "ridge": 0.1, "num_landmarks": 3, "tol": 1e-3,
            "max_iterations": 20, "block_size": 3,
        },
    },
    "margins": {
        margins.sample_margins: {"scores": LOGITS, "y": CLASSES},
        margins.normalized_margin: {"apply": jm.two_layer, "params": NET, "x": X, "y": Y},
        margins.log_normalized_margin: {"apply": jm.two_layer, "params": NET, "x": X, "y": Y},
        margins.smoothed_margin: {"apply": jm.two_layer, **SEPARATED},
        margins.log_smoothed_margin: {
            "apply": jm.two_layer, **SEPARATED, "loss": "exponential",
        },
        margins.kkt_residual: {"apply": jm.two_layer, **SEPARATED},
        margins.margin_distribution: {"apply": jm.two_layer, "params": NET, "x": X, "y": Y},
        margins.l1_svm: {"features": SEPARABLE[0], "y": SEPARABLE[1], "c": 10.0},
        margins.max_margin: {"x": SEPARABLE[0], "y": SEPARABLE[1], "tol": 1e-3},
        margins.min_norm_interpolant: {"x": SEPARABLE[0], "y": SEPARABLE[1], "tol": 1e-3},
        margins.margin_path: {
            "apply": jm.two_layer, "params": NET, "x": X, "y": Y, "lams": [0.1], "num_steps": 2,
        },
        margins.rademacher_bound: {
            "n": 100, "depth": 2, "radius": 1.0, "layer_norms": jnp.array([1.0, 2.0]),
        },
        margins.rademacher_complexity: {"key": KEY, "x": X, "num_draws": 2},
        margins.margin_bound: {"margin": 0.2, **BOUND},
        margins.margin_loss_bound: {
            "margins": (Y + 2) / 10, "depth": 2, "radius": 1.0, "delta": 0.1, "gamma": 0.2,
        },
        margins.measured_margin_bound: {
            "margin": 0.2, "complexity": margins.rademacher_complexity(KEY, X[:, :2], num_draws=2),
            "radius": 1.0, "delta": 0.1,
        },
        margins.truncated_loss_bound: {"train_loss": 0.1, "norm": 2.0, **BOUND},
        margins.guaranteed_margin: {"lam": 1e-4, **MARGIN},
        margins.regularization_for_margin: MARGIN,
        margins.log_theorem_regularization: {**MARGIN, "c": 0.5},
    },
    "mean_field": {
        mean_field.energy: {"problem": PROBLEM, "measure": MEASURE},
        mean_field.first_variation: {"problem": PROBLEM, "measure": MEASURE, "theta": THETA},
        mean_field.velocity: {"problem": PROBLEM, "measure": MEASURE, "theta": THETA},
        mean_field.second_moment: {"measure": MEASURE},
        mean_field.as_network: {"problem": PROBLEM, "measure": MEASURE},
        mean_field.from_network: {"params": NET},
        mean_field.two_layer_problem: {"x": X, "y": Y, "loss": "logistic", "lam": 0.1},
        mean_field.certify: {"problem": PROBLEM, "measure": MEASURE},
        mean_field.check_two_homogeneous: {"key": KEY, "problem": PROBLEM, "dim": 4},
        mean_field.global_optimum: {"problem": PROBLEM, "start": MEASURE, "tol": 1e-3},
        mean_field.perturbed_flow: {"problem": PROBLEM, "step_size": 0.01, "noise": 0.1},
        mean_field.wasserstein_flow: {"problem": PROBLEM, "step_size": 0.01},
        mean_field.regularity: {"problem": SMOOTH, "dim": 4, "level": 1.0},
        mean_field.flow_budget: {
            "problem": SMOOTH, "measures": RECORDS, "directions": jnp.eye(4),
            "time": jnp.array([0.0, 0.1]), "noise": 0.1,
        },
        mean_field.theoretical_rate: {"problem": SMOOTH, "measure": MEASURE, "epsilon": 0.1},
        mean_field.run_flow: {
            "key": KEY, "flow": FLOW, "state": STATE, "num_steps": 2, "record": 1,
        },
        resumable_run: {
            "path": "run.npz", "key": KEY, "flow": FLOW, "state": STATE, "num_steps": 2,
            "save_every": 2,
        },
    },
    "lower_bound": {
        tilde: {"kernel": jm.two_layer_ntk},
        lower_bound.taylor_kernel: {"z": PARITIES, "z2": PARITIES[:3], "r_w": 1.0, "r_u": 1.0},
        lower_bound.taylor_error: {"z": PARITIES, "z2": PARITIES[:3], "r_w": 1.0, "r_u": 1.0},
        lower_bound.taylor_coefficients: {"d": 4, "r_w": 1.0, "r_u": 1.0},
        lower_bound.parity_gram: {"z": PARITIES, "z2": PARITIES[:3], "size": 2},
        lower_bound.fourier_coefficients: {"power": 2, "dim": 4},
        lower_bound.quadratic_constant: {"z": PARITIES},
        lower_bound.quadratic_form: {
            "z": PARITIES, "beta": BETA, "coefficients": jnp.arange(6, dtype=jnp.float32),
        },
        lower_bound.cross_moment: {"z": PARITIES, "beta": BETA, "p": 1, "q": 2},
        lower_bound.f_tilde: SPANNED,
        lower_bound.paired_sum: {**SPANNED, "label": 1},
        lower_bound.deviation: SPANNED,
        lower_bound.paired_error_bound: SPANNED,
        lower_bound.least_squares_limit: {"ratio": 0.3},
        lower_bound.best_in_span: {"x": HYPERCUBE[:3]},
        lower_bound.held_out_error: {
            "key": KEY, "x": HYPERCUBE[:3], "beta": BETA[:3], "num_test": 10,
        },
    },
    "plots": {
        plots.plot_trials: {"x": jnp.arange(5.0), "values": PARITIES.T, "ax": None},
        plots.plot_history: {
            "history": networks.History(jnp.arange(5), Y, None), "name": "objective", "ax": None,
        },
        plots.plot_margin_distribution: {"margins": Y, "ax": None},
        plots.plot_path: {"path": PATH, "limit": 0.2, "ax": None},
        plots.plot_units: {
            "network": jm.TwoLayer(NET.u[:, :2], NET.w), "x": X[:, :2], "y": Y, "scale": 10.0,
            "hollow": False, "ax": None,
        },
    },
    "sphere": {
        sphere.maximum: {"x": X, "dual": BETA},
        sphere.maxima: {"x": X, "dual": BETA, "count": 2},
        sphere.sample_sphere: {"key": KEY, "m": 2, "dim": 3},
    },
}  # fmt: skip
CALLS: dict[str, tuple[Callable, dict[str, Any]]] = {
    f"{package}.{function.__name__}": (function, arguments)
    for package, rows in _FUNCTIONS.items()
    for function, arguments in rows.items()
}
