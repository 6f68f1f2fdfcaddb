"""The shapes and types written in signatures are true: checked at run time by beartype.

A process of its own, since jaxtyping's hook rewrites the package while it is imported. Warnings
are errors there too. An int is a float, as for every type checker (PEP 484).
"""

import os
import subprocess
import sys
from pathlib import Path

HOOK = """
import sys, types
import tests.conftest
import jax, jax.numpy as jnp, numpy as np, optax
from beartype import BeartypeConf, beartype
from jaxtyping import TypeCheckError, install_import_hook

checker = types.ModuleType("checker")
checker.check = beartype(conf=BeartypeConf(is_pep484_tower=True))
sys.modules["checker"] = checker
with install_import_hook("jaxmargin", "checker.check"):
    import jaxmargin as jm
    from tests import registry
"""

# Tracing runs every check and compiles nothing; under vmap the mapped axis must not show.
FUNCTIONS = """
def doubled(leaf):
    return jnp.stack([jnp.asarray(leaf)] * 2)

for dtype in ("float32", "float64"):
    with jax.enable_x64(dtype == "float64"):
        for contract in registry.CONTRACTS:
            args = contract.args(dtype)
            jax.eval_shape(contract.call, *args)
            if contract.vmap:
                jax.eval_shape(jax.vmap(contract.call), *jax.tree.map(doubled, args))
"""

DRIVERS = """
key = jax.random.key(0)
x, y = jm.data.two_axis(key, 4, 3)
jm.data.teacher(key, 4, d=3, hidden=2, margin=0.1, inputs="sphere")
jm.data.sinusoid(4)
jm.init_mlp(key, (3, 2, 1), std=[1.0, 2])
params = jm.init_two_layer(key, 3, 2)
objective = jm.regularized(jm.two_layer, "logistic", lam=1)
jm.train(objective, optax.sgd(0.1), params, x, y, num_steps=2, record=[1],
         minibatch=jm.Minibatch(key, 2), metrics=lambda params, x, y: {"n": jm.norms.l2(params)},
         eval_params=lambda state, params: params, stop=lambda record: record.objective < 0)
objective = jm.regularized(jm.two_layer, "logistic", lam=np.ones(2, "float32"))
optimizer = jm.perturb_units(key, 1, unit_axis=0, optimizer=optax.sgd(0.1))
jm.train(objective, optimizer, *jax.tree.map(doubled, (params, x, y)), num_steps=1, trials=True)
jm.margin_path(jm.two_layer, params, x, y, [0.1, 0.01], r=1, num_steps=2)
jm.margins.rademacher_complexity(key, x, num_draws=2)
jm.margins.margin_bound(0.1, n=10, depth=2, radius=1, delta=0.1)
jm.margins.margin_loss_bound(y / 10, depth=2, radius=1, delta=0.1, gamma=0.1)
jm.margins.guaranteed_margin(1e-4, jnp.array(0.1), n=10, degree=2, r=1)
jm.margins.regularization_for_margin(0.1, n=10, degree=2)
jm.margins.log_theorem_regularization(0.1, n=10, degree=2, c=3)
gram, labels = jnp.eye(4) + x @ x.T, jnp.array([0, 1, 2, 0])
jm.fit_interpolant(gram, y)
jm.fit_ridge(gram, x, ridge=1)
jm.fit_svm(gram, labels)
jm.fit_svm(gram[None], y[None], c=1)
jm.fit_kernel_logistic(gram, labels, lam=1)
jm.l1_svm(gram, y)
jm.l1_svm(gram, y, c=1)
jm.max_margin(x, np.asarray(y), tol=1e-4, starts=jnp.ones((1, 3)))
problem = jm.two_layer_problem(x, y[:, None] * jnp.ones((1, 2)), "squared", lam=1, smoothing=1)
jm.mean_field.check_two_homogeneous(key, problem, 5)
jm.from_network(jm.as_network(problem, jm.Measure(jm.sample_sphere(key, 3, 5), jnp.ones(3))))
problem = jm.MeanField(phi=lambda theta: theta**2, loss=jnp.sum, potential=jnp.sum)
jm.velocity(problem, jm.Measure(jm.sample_sphere(key, 3, 2), jnp.ones(3)), jnp.ones((4, 2)))
jm.fit_ridge_matrix_free(jm.k1, x, y, ridge=1, devices=jax.devices()[:2], num_landmarks=2)
problem = jm.two_layer_problem(x, y, "logistic", lam=1)
start = jm.Measure(jm.sample_sphere(key, 3, 4), jnp.full(3, 1 / 3))
for flow in (
    jm.wasserstein_flow(problem, step_size=0.1, safeguard=True),
    jm.perturbed_flow(problem, step_size=0.1, noise=1, devices=jax.devices()[:2]),
    jm.perturbed_flow(problem, step_size=0.1, noise=1, scheme="weighted", reserve=2),
    jm.perturbed_flow(problem, step_size=lambda count: 0.1, noise=optax.linear_schedule(1, 0, 2)),
):
    jm.run_flow(key, flow, flow.init(start), num_steps=2, record=2, metrics=jm.second_moment,
           stop=lambda record: record.metrics < 0, on_record=lambda step, record: None)
"""

# The hook is awake: each of these calls must be refused.
LIES = """
lies = [
    lambda: jm.logistic_loss(jnp.array([1, 2])),
    lambda: jm.squared_loss(jnp.ones(3), jnp.ones(4)),
    lambda: jm.sample_margins(jnp.ones(3), jnp.ones(4)),
    lambda: jm.mlp([jnp.ones((1, 3))], jnp.ones(3)),
    lambda: jm.norms.lp("2"),
    lambda: jm.two_layer_problem(jnp.ones((3, 2)), jnp.ones(4), "logistic", lam=0.1),
]
for lie in lies:
    try:
        lie()
    except TypeCheckError:
        continue
    raise SystemExit("not refused: the annotations are not being checked")
"""


def test_annotations_are_true():
    root = Path(__file__).parents[1]
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", HOOK + FUNCTIONS + DRIVERS + LIES],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
