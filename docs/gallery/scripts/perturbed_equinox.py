# %% [markdown]
# # Perturbed units in a chain of optax
#
# Can a network that is trained by optax leave a start at which descent is stuck? `perturb_units`
# brings the perturbation of the flow (eq. 3.2) to any such network: at each update, every hidden
# unit becomes a fresh random one with a small probability. Here is an equinox model whose 64 units
# all start as one. Plain descent cannot part them, since equal units have equal gradients.

# %%
import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import optax

import jaxmargin as jm

x, y = jm.data.two_axis(jax.random.key(0), 32, 6)
model = eqx.nn.MLP(6, "scalar", 64, 1, use_bias=False, use_final_bias=False, key=jax.random.key(1))
params, static = eqx.partition(model, eqx.is_inexact_array)


def weights(params):
    return params.layers[0].weight, params.layers[1].weight


def apply(params, x):
    return jax.vmap(eqx.combine(params, static))(x)


one = 0.1 * jm.sample_sphere(jax.random.key(2), 1, 7)
together = jnp.tile(one[:, 1:], (64, 1)), jnp.full((1, 64), one[0, 0])
start = eqx.tree_at(weights, params, together)

# %% [markdown]
# The transform has to know which axis of each parameter counts the units. Weights of equinox are
# (out, in): the hidden units are axis 0 of the first matrix, and axis 1 of the second.

# %%
axes_of_units = eqx.tree_at(weights, params, (0, 1))
objective = jm.regularized(apply, "logistic", lam=2e-3)
histories = {}
for noise in (0.0, 1e-5, 1e-4, 1e-3):
    perturbation = jm.perturb_units(jax.random.key(3), noise, unit_axis=axes_of_units)
    optimizer = optax.chain(optax.sgd(0.1), perturbation)
    ran = jm.train(objective, optimizer, start, x, y, num_steps=8_000, record=40)
    histories[noise] = ran.history
    print(f"noise {noise:g}: stuck at the end: {bool(ran.history.objective[-1] > 0.3)}")

# %% mystnb={"image": {"alt": "objective for four noises"}}
figure, axes = plt.subplots(figsize=(5, 3.3), layout="constrained")
for noise, history in histories.items():
    axes.plot(history.step, history.objective, label=f"noise {noise:g}")
axes.set(xlabel="step", ylabel="objective", yscale="log")
axes.legend()
plt.show()

# %% [markdown]
# With little noise it takes long until a good direction is drawn; with much noise heavy units are
# lost now and then, and the objective jumps up.
#
# **A flax model, with Adam.** Kernels of flax are (in, out), so the units are axis 1 of the first
# kernel and axis 0 of the second. Adam remembers averages of the gradients of each unit. In a chain
# these averages would outlive the unit, and move the fresh one that takes its place. So the
# optimizer is handed to `perturb_units` instead: what it remembers of a unit then begins anew with
# the unit.


# %%
class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        hidden = nn.relu(nn.Dense(64, use_bias=False)(x))
        return nn.Dense(1, use_bias=False)(hidden)[..., 0]


axes_of_kernels = {"params": {"Dense_0": {"kernel": 1}, "Dense_1": {"kernel": 0}}}
optimizer = jm.perturb_units(
    jax.random.key(4), 1e-4, unit_axis=axes_of_kernels, optimizer=optax.adam(1e-2)
)
objective = jm.regularized(Net().apply, "logistic", lam=2e-3)
start = Net().init(jax.random.key(5), x)
ran = jm.train(objective, optimizer, start, x, y, num_steps=2_000)
print(f"flax with Adam: objective {ran.history.objective[0]:.2f} at the start,", end=" ")
print(f"{ran.history.objective[-1]:.2f} at the end")

# %% [markdown]
# **Try next.** A deeper model: parameters without units have the axis `None`. [The page on the
# flow](../theory/flow.md) compares the noises with a start at random units.
