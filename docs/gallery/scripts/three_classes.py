# %% [markdown]
# # The largest margin for three classes
#
# What is the largest margin that any network of any width has on samples of three classes? Integer
# labels are classes. The margin of a sample is then the score of its class minus the largest other
# score (appendix C.1), and `max_margin` finds the largest one with a proof, as for two classes.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import jaxmargin as jm

key = jax.random.key(0)
centers = 1.5 * jnp.array([[1.0, 0.0], [-0.5, 0.87], [-0.5, -0.87]])
y = jnp.tile(jnp.arange(3), 8)
points = centers[y] + 0.5 * jax.random.normal(key, (24, 2))
x = jm.append_one(points)

best = jm.max_margin(x, y)
print(f"largest margin {best.margin:.5f}, bound {best.upper_bound:.5f}, {best.state}")
deciding = int((best.dual.sum(axis=1) > 1e-6).sum())
print(f"{len(best.params.u)} units; {deciding} samples decide the margin")

# %% [markdown]
# A network that is trained with a weak regularizer comes close. It has 60 units and begins at
# random:

# %%
start = jm.init_two_layer(jax.random.key(1), d=3, m=60, k=3, std=0.3)
path = jm.margin_path(jm.two_layer, start, x, y, [2**-8, 2**-14, 2**-20], num_steps=2_000)
print("share of the largest margin:", *(f"{share:.3f}" for share in path.margin / best.margin))

# %% mystnb={"image": {"alt": "decision regions of two networks"}}
COLORS = ("tab:blue", "tab:orange", "tab:green")
side = np.linspace(-3.2, 3.2, 241)
grid = np.stack([*np.meshgrid(side, side), np.ones((241, 241))], axis=-1)
figure, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained", sharey=True)
trained = jax.tree.map(lambda leaf: leaf[-1], path.params)
networks = {"largest margin": best.params, "trained": trained}
for panel, (title, params) in zip(axes, networks.items(), strict=True):
    scores = np.maximum(grid @ params.u.T, 0) @ params.w
    panel.contourf(
        side, side, scores.argmax(axis=-1), levels=[-0.5, 0.5, 1.5, 2.5], colors=COLORS, alpha=0.2
    )
    for label in range(3):
        panel.scatter(*points[y == label].T, s=18, color=COLORS[label], label=f"class {label}")
    panel.set(aspect="equal", title=title)
axes[0].legend(loc="lower left", fontsize=8)
plt.show()

# %% [markdown]
# **Try next.** Move the clusters together until they overlap, and see the largest margin fall.
