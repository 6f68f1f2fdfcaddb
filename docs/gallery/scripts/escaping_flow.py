# %% [markdown]
# # The flow that escapes
#
# Can training leave a start at which gradient descent is stuck? Fourteen points in the plane carry
# random labels, and all 64 units of the network start in one direction. Gradient descent cannot
# part them, since equal units have equal gradients. The perturbed flow replaces a little of the
# network by fresh random units in each step, and finds its way out.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import jaxmargin as jm
from jaxmargin import plots

key_x, key_y, key_theta, key_run = jax.random.split(jax.random.key(0), 4)
x = jax.random.normal(key_x, (14, 2))
y = jax.random.rademacher(key_y, (14,), float)
problem = jm.two_layer_problem(x, y, "logistic", lam=0.02)
one = 0.1 * jm.sample_sphere(key_theta, 1, 3)  # a unit is theta = (w, u_1, u_2)
together = jm.Measure(theta=jnp.tile(one, (64, 1)), mass=jnp.full(64, 1 / 64))

# %% [markdown]
# With finitely many units there are two ways to perturb. One re-initialises whole units now and
# then; the other adds a light new unit in each step and takes a little mass from all others.

# %%
flows = {
    "plain": jm.wasserstein_flow(problem, step_size=0.02),
    "re-initialised": jm.perturbed_flow(problem, step_size=0.02, noise=1e-3),
    "weighted": jm.perturbed_flow(problem, step_size=0.02, noise=1e-2, scheme="weighted"),
}
runs = {
    name: jm.run_flow(key_run, flow, flow.init(together), num_steps=30_000, record=100)
    for name, flow in flows.items()
}
optimum = jm.global_optimum(problem)
least = float(optimum.certificate.energy)
print(f"optimum over all networks: {least:.4f}, certificate {optimum.certificate.state}")
for name, run in runs.items():
    above = float(run.history.lowest[-1]) / least - 1
    print(f"{name}: more than 10% above it: {above > 0.1}, less than 1%: {above < 0.01}")

# %% mystnb={"image": {"alt": "energies of three flows, and their units"}}
figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
for name, run in runs.items():
    axes[0].loglog(run.history.step + 1, run.history.energy / least - 1, label=name)
axes[0].set(xlabel="step", ylabel="energy above the optimum, relative")
axes[0].legend()
for panel, name in zip(axes[1:], ("plain", "weighted"), strict=True):
    plots.plot_units(optimum.measure, x, hollow=True, scale=30, ax=panel)
    plots.plot_units(runs[name].state.measure, scale=30, ax=panel)
    panel.set_title(f"{name}: units (dots), optimum (rings)", fontsize=9)
plt.show()

# %% [markdown]
# On the circles, each dot is a unit and lies in the direction of its u; its area is the weight of
# the unit, and its color the sign of w. The plain flow remains one neuron in 64 copies. The
# perturbed flows find the directions of the optimum. The energy of the weighted one falls smoothly.
# That of the other one falls in stairs, each time that a good unit happens to be drawn. Both stay
# a little above the optimum, since noise keeps replacing good units; the theorem is about the
# *lowest* energy of a run.
#
# **Try next.** Change the noise. Call `jm.certify(problem, run.state.measure)`, which bounds the
# distance to the optimum without knowing it.
