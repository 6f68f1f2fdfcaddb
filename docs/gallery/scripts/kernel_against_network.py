# %% [markdown]
# # The tangent kernel against a trained network on digits
#
# Does a trained network predict better than its tangent kernel on real data? The kernel is that of
# infinitely wide two-layer networks at their random start. Its support vector machine and a trained
# network of 200 units get the same handwritten digits.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import jaxmargin as jm

x, y = jm.data.digits()
order = jax.random.permutation(jax.random.key(0), len(x))
x, y = x[order], y[order]
x_test, y_test = x[1000:], y[1000:]
start = jm.init_two_layer(jax.random.key(1), d=64, m=200, k=10, std=0.1)
objective = jm.regularized(jm.two_layer, "cross_entropy", lam=1e-4)
sizes = (50, 100, 200, 400, 800)

# %% [markdown]
# `fit_svm` takes the Gram matrix of the training digits, and fits each class against the rest.


# %%
def kernel_scores(x_train, y_train):
    fit = jm.fit_svm(jm.two_layer_ntk(x_train), y_train)
    return jm.kernel_predict(jm.two_layer_ntk(x_test, x_train), fit.beta)


def network_scores(x_train, y_train):
    trained = jm.train(objective, optax.adam(0.01), start, x_train, y_train, num_steps=1_000)
    return jm.two_layer(trained.params, x_test)


errors = {"tangent kernel": [], "trained network": []}
for n in sizes:
    for name, scores in zip(errors, (kernel_scores, network_scores), strict=True):
        wrong = jnp.argmax(scores(x[:n], y[:n]), axis=1) != y_test
        errors[name].append(float(wrong.mean()))
for name, values in errors.items():
    print(f"{name}: test errors", *(f"{value:.3f}" for value in values))

# %% mystnb={"image": {"alt": "test error of kernel and network"}}
figure, axes = plt.subplots(figsize=(5, 3.3), layout="constrained")
for name, values in errors.items():
    spread = np.sqrt(np.array(values) * (1 - np.array(values)) / len(x_test))
    axes.errorbar(sizes, values, spread, marker="o", capsize=2, label=name)
axes.set(xscale="log", yscale="log", xlabel="training digits", ylabel="test error")
axes.set_xticks(sizes, sizes)
axes.minorticks_off()
axes.legend()
plt.show()

# %% [markdown]
# On these digits the kernel is as good as the network or better, by one to three standard errors
# (the bars have one). That is no contradiction to the theory. A digit depends on nearly all of its
# pixels, and the kernel looks at all inputs alike. The distribution D has two coordinates that
# matter among many that do not; there a network finds the two, and the kernel cannot.
#
# **Try next.** Take `jm.relu_ntk(x, depth=4)`, the kernel of deeper networks; `c=1.0` for a soft
# margin; or the data of `data.teacher` or `data.two_axis`, whose labels depend on a few directions
# of the inputs.
