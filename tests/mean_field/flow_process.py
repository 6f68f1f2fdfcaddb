"""One process of a flow, for the tests that kill one or need two.

    python flow_process.py ARCHIVE STEPS [COORDINATOR COUNT INDEX]

Runs a perturbed flow of 64 particles to STEPS steps, saved in ARCHIVE as it goes, over all devices
of all processes, and prints the lowest energy.
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp

import jaxmargin as jm

STEP_SIZE, NOISE, SAVE_EVERY, RECORD = 0.05, 0.05, 500, 100


def problem() -> jm.MeanField:
    key_x, key_y = jax.random.split(jax.random.key(0))
    x = jax.random.normal(key_x, (16, 2))
    y = jnp.where(jax.random.bernoulli(key_y, 0.5, (16,)), 1.0, -1.0)
    return jm.two_layer_problem(x, y, "logistic", lam=0.02)


def start() -> jm.Measure:
    return jm.Measure(jm.sample_sphere(jax.random.key(1), 60, 3), jnp.full(60, 1 / 60))


def flow(devices=None) -> jm.mean_field.Flow:
    return jm.perturbed_flow(problem(), step_size=STEP_SIZE, noise=NOISE, devices=devices)


def run(archive: str, steps: int, devices=None) -> jm.mean_field.FlowRun:
    chosen = flow(devices)
    state = chosen.init(start())
    return jm.resumable_run(
        archive, jax.random.key(2), chosen, state,
        num_steps=steps, save_every=SAVE_EVERY, record=RECORD,
    )  # fmt: skip


def main() -> None:
    archive, steps, *distributed = sys.argv[1:]
    jax.config.update("jax_num_cpu_devices", 2)
    if distributed:
        coordinator, count, index = distributed
        jax.distributed.initialize(coordinator, int(count), int(index))
    state, history = run(archive, int(steps), jax.devices() if distributed else None)
    print(int(state.step), float(history.lowest[-1]), len(jax.devices()), Path(archive).exists())


if __name__ == "__main__":
    main()
