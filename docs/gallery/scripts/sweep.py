# %% [markdown]
# # A sweep over the strength of the regularizer, with trials
#
# How strong should the regularizer be, and does a larger margin mean a smaller test error?
# `train(..., trials=True)` trains many networks in one call, each from its own start and on its own
# data. Here are ten trials for each of four strengths.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import optax

import jaxmargin as jm
from jaxmargin import plots


def trial(key):
    key_data, key_test, key_start = jax.random.split(key, 3)
    train_set, test_set = jm.data.two_axis(key_data, 100, 20), jm.data.two_axis(key_test, 1_000, 20)
    return train_set, test_set, jm.init_two_layer(key_start, d=20, m=32)


(x, y), test_set, starts = jax.vmap(trial)(jax.random.split(jax.random.key(0), 10))

# %% [markdown]
# If `lam` is an array, it has one strength for each trial: here 40 trials, ten for each strength.
# The function `metrics` is called at the recorded steps, inside the compiled loop. It gets
# `metric_args`, which have a trial axis too, as further arguments.


# %%
def measure(params, x, y, x_test, y_test):
    return {
        "margin": jm.normalized_margin(jm.two_layer, params, x, y),
        "test error": jnp.mean(jm.two_layer(params, x_test) * y_test <= 0),
    }


lams = jnp.array([1e-5, 1e-4, 1e-3, 1e-2])
starts, x, y, test_set = jax.tree.map(
    lambda leaf: jnp.concatenate([leaf] * len(lams)), (starts, x, y, test_set)
)
objective = jm.regularized(jm.two_layer, "logistic", lam=jnp.repeat(lams, 10))
ran = jm.train(
    objective, optax.adam(0.01), starts, x, y,
    num_steps=2_000, metrics=measure, metric_args=test_set, trials=True,
)  # fmt: skip
ends = {name: leaf[:, -1].reshape(4, 10) for name, leaf in ran.history.metrics.items()}
for lam, margins, errors in zip(lams, ends["margin"], ends["test error"], strict=True):
    print(f"lam = {lam:g}: margin {margins.mean():.4f}, test error {errors.mean():.3f}")

# %% mystnb={"image": {"alt": "margin and test error against lambda"}}
figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
for panel, (name, values) in zip(axes, ends.items(), strict=True):
    plots.plot_trials(lams, values.T, ax=panel)
    panel.set(xscale="log", xlabel="lambda", ylabel=name)
figure.suptitle("mean of 10 trials ± standard error")
plt.show()

# %% [markdown]
# Margin and test error go together: the larger the one, the smaller the other. At the strongest
# penalty the margin on the samples falls again, while the test error still improves. So the margin
# is a reason for a small test error, and not the only one.
#
# **Try next.** With `record=50`, `ran.history.metrics` has margins and errors during the whole run.
# Take minibatches, `minibatch=jm.Minibatch(key, 32)`, or a smaller start.
