"""Wrong input: training."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

import jaxmargin as jm
from tests.fault import (
    CLASS_NET,
    CLASSES,
    CROSS_ENTROPY,
    KEY,
    LOGISTIC,
    SCALAR_NET,
    SIGNS,
    SQUARED,
    Fault,
    X,
    wrong,
)
from tests.interrupts import interrupted


def train(**changed: Any) -> jm.networks.Trained:
    """A run without fault but for what is changed."""
    right = {
        "objective": LOGISTIC,
        "optimizer": optax.sgd(0.1),
        "params": SCALAR_NET,
        "x": X,
        "y": SIGNS,
        "num_steps": 2,
    }
    return jm.train(**(right | changed))


def with_updates(params, x) -> Any:
    """A model that returns new statistics beside its scores."""
    return jm.two_layer(params, x), {"mean": x.mean(0)}


def logistic(lam) -> jm.networks.Regularized:
    return jm.regularized(jm.two_layer, "logistic", lam=lam)


def state_of(optimizer, params=SCALAR_NET, step: int = 0) -> jm.networks.OptState:
    return jm.networks.OptState(step, optimizer.init(params))


training = partial(wrong, train)
trials = partial(
    training, x=X[None], y=SIGNS[None], params=jax.tree.map(lambda a: a[None], SCALAR_NET),
    trials=True,
)  # fmt: skip
MOMENTUM = optax.sgd(0.1, momentum=0.9)


FAULTS: list[Fault] = [
    Fault("train", interrupted(train), jm.Interrupted,
          "interrupted at step 0 of 2; what it reached is the error's `result`"),
    Fault("train", training(num_steps=0), ValueError, "num_steps must be at least 1, got 0"),
    Fault("train", training(num_steps=2.0), TypeError, "num_steps must be an integer, got 2.0"),
    Fault("train", training(record=0), ValueError, "record must be at least 1, got 0"),
    Fault("train", training(record=True), TypeError, "record must be an integer, got True"),
    Fault("train", training(record=[1, 3]), ValueError,
          r"record must hold steps from 0 to num_steps = 2, got \[1, 3\]"),
    Fault("train", training(record=[-1]), ValueError, "each step of record must be at least 0"),
    Fault("train", training(record=[0.5]), TypeError, "each step of record must be an integer"),
    Fault("train", training(objective="logistic"), TypeError,
          r"objective must be a function objective\(params, x, y\), got str"),
    Fault("train", training(optimizer=optax.sgd), TypeError,
          r"optimizer must be an optax.GradientTransformation such as optax.sgd\(0.1\), got func"),
    Fault("train", training(optimizer=optax.MultiSteps(optax.sgd(0.1), 2)), TypeError,
          r"got MultiSteps: call its \.gradient_transformation\(\)"),
    Fault("train", training(params={"net": SCALAR_NET, "step": 3}), TypeError,
          r"params\['step'\] must hold floats, got int32: .* eqx.partition or nnx.split"),
    Fault("train", training(params=[SCALAR_NET, jax.nn.relu]), TypeError,
          r"params\[1\] must hold floats, got a "),
    Fault("train", training(x={"a": X}), TypeError, "x must be an array .* got dict"),
    Fault("train", training(y=["a", "b"] * 3), TypeError, "y must be an array .* got text"),
    Fault("train", training(metrics=3), TypeError, r"metrics must be a function .* got int"),
    Fault("train", training(on_record=[]), TypeError,
          r"on_record must be a function on_record\(step, record\), got list"),
    Fault("train", training(y=SIGNS[:5]), ValueError,
          r"x and y must be \(n, ...\) with the same .* leading axes, got \(6, 3\) and \(5,\)"),
    Fault("train", training(x=X[:0], y=SIGNS[:0]), ValueError, r"non-empty .* got \(0, 3\)"),
    Fault("train", training(x=X[:, :2]), ValueError, "x must have the d = 3 features"),
    Fault("train", training(x=X.at[4, 1].set(jnp.nan)), ValueError,
          r"x must be finite, but 1 of 18 .* nan at index \(4, 1\)\): remove or impute them"),
    Fault("train", training(objective=SQUARED, y=SIGNS * jnp.inf), ValueError,
          r"y must be finite, but 6 of 6 entries are not"),
    Fault("train", training(params=SCALAR_NET._replace(w=jnp.full(4, jnp.nan))), ValueError,
          r"params\.w must be finite"),
    Fault("train", training(y=(SIGNS + 1) / 2), ValueError,
          r"labels must be -1 or \+1, got 0: labels 0 and 1 become -1 and \+1 by 2 \* y - 1"),
    Fault("train", training(objective=CROSS_ENTROPY, params=CLASS_NET), TypeError,
          r"labels must be integers in \[0, k\), got dtype float32"),
    Fault("train", training(objective=CROSS_ENTROPY, params=CLASS_NET, y=CLASSES + 1), ValueError,
          r"class labels must lie in \[0, 2\), as the network has 2 outputs, got 2: number the"),
    Fault("train", training(objective=CROSS_ENTROPY, params=CLASS_NET, y=CLASSES - 1), ValueError,
          r"class labels must lie in \[0, 2\), as the network has 2 outputs, got -1"),
    Fault("train", training(minibatch=jm.Minibatch(KEY, 0)), ValueError,
          "minibatch.size must be at least 1, got 0"),
    Fault("train", training(minibatch=jm.Minibatch(KEY, 7)), ValueError,
          "minibatch.size must be at most n = 6, got 7"),
    Fault("train", training(trials=True), ValueError, r"x and y must be \(t, n, ...\)"),
    Fault("train", training(x=X[None], y=SIGNS[None], trials=True), ValueError,
          r"params\.u must have the leading trial axis t = 1, got shape \(4, 3\)"),
    Fault("train", trials(metric_args=(X,)), ValueError,
          r"metric_args\[0\] must have the leading trial axis t = 1, got shape \(6, 3\)"),
    Fault("train", training(opt_state=optax.sgd(0.1).init(SCALAR_NET)), TypeError,
          r"opt_state must be that of an earlier .* got tuple: OptState\(steps_taken, state\)"),
    Fault("train", training(opt_state=state_of(optax.adam(0.1))), ValueError,
          "opt_state must be that of the same optimizer and params, .* has another structure"),
    Fault("train", training(optimizer=MOMENTUM, opt_state=state_of(MOMENTUM, CLASS_NET)),
          ValueError, r"opt_state.inner\S*\.w must be float32 of shape \(4,\) .* got .*\(4, 2\)"),
    Fault("train", training(opt_state=state_of(optax.sgd(0.1), step=-1)), ValueError,
          "opt_state.step must be at least 0, got -1"),
    Fault("train", wrong(jax.jit(lambda x: train(x=x)), X), TypeError,
          "train takes concrete numbers: call it outside jit, vmap and grad"),
    Fault("train", wrong(jax.vmap(lambda x: train(x=x)), X[None]), TypeError,
          r"many runs at once are train\(..., trials=True\)"),
    Fault("train", wrong(jax.vmap(lambda lam: train(objective=logistic(lam))), jnp.ones(2)),
          TypeError, r"many runs at once are train\(..., trials=True\)"),
    Fault("train", training(objective=logistic(jnp.ones(3))), ValueError,
          r"lam has shape \(3,\), one strength for each trial: call train\(..., trials=True\)"),
    Fault("train", trials(objective=logistic(jnp.ones(3))), ValueError,
          r"lam must have the leading trial axis t = 1, got shape \(3,\)"),
    Fault("train", trials(stop=lambda record: True), ValueError,
          "stop must be None with trials: they are recorded at the same steps"),
    Fault("train", training(stop=0.1), TypeError, r"stop must be a function stop\(record\), got"),
    Fault("train", training(stop=lambda record: jnp.ones(2)), TypeError,
          r"stop must give one truth value, got shape \(2,\)"),
    Fault("train", training(stop=lambda record: None), TypeError,
          r"stop\(record\) must be an array of numbers, got NoneType"),
    Fault("train", training(eval_params="average"), TypeError,
          r"eval_params must be a function eval_params\(state, params\), got str"),
    Fault("train", training(optimizer=optax.lookahead(optax.sgd(0.1), 2, 0.5)), ValueError,
          r"start from params=optax.LookaheadParams.init_synced\(params\)"),
    Fault("train", training(params=optax.LookaheadParams.init_synced(SCALAR_NET)), ValueError,
          "params are optax.LookaheadParams, which only optax.lookahead takes"),
    Fault("train", training(params={"params": SCALAR_NET, "batch_stats": jnp.ones(3)}), ValueError,
          r"params\['batch_stats'\] holds running statistics, .* give params\['params'\] alone"),
    Fault("train", training(objective=jm.regularized(with_updates, "logistic", lam=0.1)), TypeError,
          r"apply must return its scores alone, got a tuple: .* take \[0\]"),
    Fault("train", training(optimizer=optax.sgd(1e30)), jm.DivergenceError,
          "training diverged: .* at step [12] of 2; lower the learning rate"),
]  # fmt: skip
