# %% [markdown]
# # The regularizer vanishes
#
# What does the regularized optimum become as the regularizer vanishes? As lambda tends to 0, it
# tends to a network of the largest margin (Theorem 4.1). With inputs on a line one can draw the
# function that emerges.

# %%
import jax
import matplotlib.pyplot as plt
import numpy as np

import jaxmargin as jm
from jaxmargin import plots

line, y = jm.data.sinusoid(10)
x = jm.append_one(line)
best = jm.max_margin(x, y)
start = jm.init_two_layer(jax.random.key(0), d=2, m=50)
lams = [2**-8, 2**-10, 2**-14, 2**-20, 2**-30, 2**-60]
path = jm.margin_path(jm.two_layer, start, x, y, lams, num_steps=3_000)
print(f"largest margin {best.margin:.5f}, {best.state}")
for lam, margin, norm in zip(path.lam, path.margin, path.norm, strict=True):
    print(f"lam = {lam:.1e}: {margin / best.margin:.3f} of it, norm {norm:.1f}")

# %% mystnb={"image": {"alt": "margin against lambda, and functions on the line"}}
t = np.linspace(line.min() - 0.1, line.max() + 0.1, 400)
inputs = np.stack([t, np.ones_like(t)], axis=1)


def normalized_output(u, w):
    return np.maximum(inputs @ u.T, 0) @ w / ((u**2).sum() + (w**2).sum())


figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
plots.plot_path(path, limit=best.margin, ax=axes[0])
for place in (0, 2, 5):
    u, w = (np.asarray(leaf[place]) for leaf in path.params)
    axes[1].plot(t, normalized_output(u, w), label=f"lambda = $2^{{{np.log2(lams[place]):.0f}}}$")
axes[1].plot(t, normalized_output(*best.params), "k--", label="largest margin")
axes[1].scatter(line, np.sign(y) * best.margin, c=np.where(y > 0, "tab:blue", "tab:red"), zorder=3)
axes[1].set(xlabel="input", ylabel="output at norm 1")
axes[1].legend(fontsize=8)
plt.show()

# %% [markdown]
# The dots are the samples, drawn at the height of the largest margin. The dashed function touches
# the dots that decide this margin. The weights themselves do not converge, since their norm grows
# without bound; their direction does.
#
# **Try next.** Pass another `norm` to `margin_path`: a different norm has a different largest
# margin.
