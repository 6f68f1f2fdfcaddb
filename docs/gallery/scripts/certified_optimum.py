# %% [markdown]
# # A certified optimum in the plane
#
# What does the best two-layer network of *all widths* look like? Here it is computed for 40 points
# in the plane, with a proof that no network is better, and what it computes is drawn.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import jaxmargin as jm

key_angle, key_length = jax.random.split(jax.random.key(3))
angle = jax.random.uniform(key_angle, (40,), maxval=2 * jnp.pi)
length = jax.random.uniform(key_length, (40,), minval=0.3, maxval=2.0)
points = length[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)
y = jnp.sign(jnp.sin(angle + 1.5 * length))  # two arms of a spiral
x = jm.append_one(points)  # the weight of the constant feature is a bias

# %% [markdown]
# The samples span three dimensions, so every neuron that could help is enumerated, and the
# certificate is exact.

# %%
problem = jm.two_layer_problem(x, y, "logistic", lam=0.05)
measure, certificate, history = jm.global_optimum(problem)
network = jm.as_network(problem, measure)
heavy = np.abs(network.w) > 1e-3 * np.abs(network.w).max()
print(f"energy {certificate.energy:.4f}, {certificate.state}")
print(f"fewer units than half of the samples: {heavy.sum() < len(y) / 2}")
print(f"gap below a millionth of the energy: {certificate.gap < 1e-6 * certificate.energy}")
margins = y * jm.two_layer(jm.TwoLayer(*map(jnp.float32, network)), x)
print(f"training errors: {int((margins <= 0).sum())} of {len(y)}")

# %% mystnb={"image": {"alt": "output of the optimum, and its kinks"}}
side = np.linspace(-2.2, 2.2, 201)
grid = np.stack([*np.meshgrid(side, side), np.ones((201, 201))], axis=-1)
outputs = np.maximum(grid @ network.u.T, 0) @ network.w
figure, axes = plt.subplots(figsize=(5, 4.2), layout="constrained")
shades = axes.contourf(
    side, side, outputs, levels=np.linspace(-6, 6, 13), cmap="RdBu", extend="both"
)
axes.contour(side, side, outputs, levels=[0], colors="black")
for u in network.u[heavy]:  # the line on which the unit switches on
    axes.contour(side, side, grid @ u, levels=[0], colors="0.5", linewidths=0.5)
for sign, color in ((1, "tab:blue"), (-1, "tab:red")):
    axes.scatter(*points[y == sign].T, color=color, edgecolor="white", label=f"y = {sign}")
axes.set(aspect="equal", title="output of the optimum, and the kinks of its units")
axes.legend(loc="upper right")
figure.colorbar(shades)
plt.show()

# %% [markdown]
# A unit switches on at its kink, one of the grey lines. The optimum has few units although the
# width was free: extra units cost norm and gain nothing.
#
# **Try next.** Take a smaller `lam`, which asks for less sparsity; `jm.max_margin(x, y)`, the limit
# as it tends to 0; or labels in three classes, with `"cross_entropy"` and `k=3`.
