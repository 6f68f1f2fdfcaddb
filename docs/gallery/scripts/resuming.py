# %% [markdown]
# # Several devices, and a run that goes on after an interruption
#
# How does one use several devices for one run, and not lose it if it is interrupted? A flow can be
# shared out over the devices that JAX sees, and a long run can save itself as it goes. The devices
# of this example are four that one CPU pretends to be.

# %%
import tempfile
from contextlib import suppress
from pathlib import Path

import jax

with suppress(RuntimeError):  # which JAX raises if it has computed something before
    jax.config.update("jax_num_cpu_devices", 4)

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import jaxmargin as jm

key_x, key_y, key_theta, key_run = jax.random.split(jax.random.key(0), 4)
x = jax.random.normal(key_x, (16, 2))
y = jax.random.rademacher(key_y, (16,), float)
problem = jm.two_layer_problem(x, y, "logistic", lam=0.01)
measure = jm.Measure(theta=jm.sample_sphere(key_theta, 64, 3), mass=jnp.full(64, 1 / 64))

# %% [markdown]
# The argument `devices` places the particles. The result is the same up to rounding, whatever the
# number of devices, since the random numbers are drawn as if there were one.

# %%
energies = {}
for count in (1, 4):
    flow = jm.perturbed_flow(
        problem, step_size=0.02, noise=0.1, scheme="weighted", devices=jax.devices()[:count]
    )
    ran = jm.run_flow(key_run, flow, flow.init(measure), num_steps=500)
    energies[count] = ran.history.energy
    print(f"{count} devices: particles on {len(ran.state.measure.theta.devices())}")
same = np.allclose(energies[1], energies[4], rtol=1e-3)
print(f"the same course to a part in a thousand: {same}")

# %% [markdown]
# `resumable_run` saves state and history every `save_every` steps. If its process is killed, the
# same call goes on from the last save. The file also helps if a run turns out to be too short: here
# the first call ends after 1,000 steps, and the second one goes on to 3,000. The result has the
# same bits as that of a run without a break.

# %%
flow = jm.perturbed_flow(problem, step_size=0.02, noise=0.01)
start = flow.init(measure)
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "flow.npz"
    jm.resumable_run(file, key_run, flow, start, num_steps=1_000, save_every=500)
    resumed = jm.resumable_run(file, key_run, flow, start, num_steps=3_000, save_every=500)
whole = jm.run_flow(key_run, flow, start, num_steps=3_000)
print("the same bits:", np.array_equal(resumed.state.measure.theta, whole.state.measure.theta))

# %% mystnb={"image": {"alt": "energy of the resumed run"}}
figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
axes.plot(resumed.history.step, resumed.history.energy)
axes.axvline(1_000, color="0.5", linestyle="--", label="end of the first call")
axes.set(xlabel="step", ylabel="energy", yscale="log")
axes.legend()
plt.show()

# %% [markdown]
# **Try next.** [Several devices, several hosts](../devices.md) shows the same on many machines.
