# %% [markdown]
# # Margins of your own model
#
# How does one measure a model of one's own? Every measurement takes a function `apply(params, x)`
# and a pytree of float arrays. Here are four models from three libraries. The page shows how each
# becomes such a pair, and what the same measurements say of them. The data are the handwritten
# threes and eights of scikit-learn, 8 x 8 pixels.

# %%
from functools import partial

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import optax
from flax import nnx

import jaxmargin as jm
from jaxmargin import plots

images, digits = jm.data.digits()
chosen = (digits == 3) | (digits == 8)
x, y = images[chosen], jnp.where(digits[chosen] == 3, 1.0, -1.0)
x_train, y_train, x_test, y_test = x[:250], y[:250], x[250:], y[250:]

# %% [markdown]
# **flax.linen.** The parameters are what `init` returns, and `apply` is the module's own. There are
# no biases: a margin is meant for homogeneous models, and a bias is the weight of a constant
# feature, `append_one(x)`.


# %%
class Linen(nn.Module):
    @nn.compact
    def __call__(self, x):
        hidden = nn.relu(nn.Dense(64, use_bias=False)(x))
        return nn.Dense(1, use_bias=False)(hidden)[..., 0]


class Convolutional(nn.Module):
    @nn.compact
    def __call__(self, x):
        maps = nn.relu(nn.Conv(8, (3, 3), use_bias=False)(x.reshape(-1, 8, 8, 1)))
        return nn.Dense(1, use_bias=False)(maps.reshape(len(x), -1))[..., 0]


def linen_model(module):
    return module.apply, module.init(jax.random.key(0), x_train)


# %% [markdown]
# **flax.nnx.** `nnx.split` takes the arrays out of the module, and `nnx.merge` puts them back.


# %%
class Nnx(nnx.Module):
    def __init__(self, rngs):
        self.hidden = nnx.Linear(64, 64, use_bias=False, rngs=rngs)
        self.out = nnx.Linear(64, 1, use_bias=False, rngs=rngs)

    def __call__(self, x):
        return self.out(nnx.relu(self.hidden(x)))[..., 0]


def nnx_model():
    graph, params = nnx.split(Nnx(nnx.Rngs(0)))
    return lambda params, x: nnx.merge(graph, params)(x), params


# %% [markdown]
# **equinox.** The model is a pytree itself; `eqx.partition` takes its arrays out. It takes a single
# sample, so `vmap` makes it take many.


# %%
def equinox_model():
    model = eqx.nn.MLP(
        64, "scalar", 64, 2, use_bias=False, use_final_bias=False, key=jax.random.key(0)
    )
    params, static = eqx.partition(model, eqx.is_inexact_array)
    return lambda params, x: jax.vmap(eqx.combine(params, static))(x), params


models = {
    "linen": linen_model(Linen()),
    "convolutional": linen_model(Convolutional()),
    "nnx": nnx_model(),
    "equinox, three layers": equinox_model(),
}

# %% [markdown]
# All of them are trained alike, with a weak regularizer. Then they are measured:
#
# - the *degree* of homogeneity, which is the number of layers;
# - the *normalised margin*, the distance from the first mistake on the training set;
# - the *residual* of the margin problem, which tells how far the network is from a stationary point
#   of it (a KKT point): the sine of the angle between its weights and the cone of the gradients of
#   the margins, which is 0 at the largest margin;
# - how much the *tangent kernel* has changed in training, and its cosine with the kernel at the
#   start. A network in the kernel regime has a change near 0.

# %% mystnb={"image": {"alt": "margins of the training digits, for four models"}}
figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
for name, (apply, start) in models.items():
    objective = jm.regularized(apply, "logistic", lam=1e-4)
    params = jm.train(objective, optax.adam(1e-2), start, x_train, y_train, num_steps=500).params
    degree, _ = jm.homogeneity_degree(apply, params, x_train)
    margin = jm.normalized_margin(apply, params, x_train, y_train)
    errors = jnp.mean(apply(params, x_test) * y_test <= 0)
    kernel = jax.jit(partial(jm.empirical_ntk, apply))
    before, after = kernel(start, x_train[:40]), kernel(params, x_train[:40])
    change = jnp.linalg.norm(after - before) / jnp.linalg.norm(before)
    cosine = jnp.vdot(after, before) / jnp.linalg.norm(after) / jnp.linalg.norm(before)
    print(f"{name}: degree {degree:.2f}, margin {margin:.4f}, test error {errors:.3f},")
    print(f"    kernel changed by {change:.1f} of its size, cosine {cosine:.2f},")
    kkt = jm.kkt_residual(apply, params, x_train, y_train)
    print(f"    residual of the margin problem {kkt.epsilon / kkt.norm:.2f}")
    spread = jm.margin_distribution(apply, params, x_train, y_train)
    plots.plot_margin_distribution(spread, ax=axes, label=name)
axes.legend()
plt.show()

# %% [markdown]
# Do not compare margins of models of different degree. At norm 1 the three layers of the last
# model have to share the norm among them, and a product of three small numbers is smaller. Compare
# margins of one architecture, say with and without the regularizer.
#
# **Try next.** Set `lam=0`. Multiply the start by 4 (`jax.tree.map(lambda w: 4 * w, start)`) and
# see the kernel change less. Put in a model of yours.
