"""Writes neural_tangents.npz: kernels by neural-tangents 0.6.5 on the JAX it was written for.

It runs by itself, in an environment of its own:

    uv venv nt && uv pip install -p nt jax==0.5.3 jaxlib==0.5.3 frozendict==2.5.1
    uv pip install -p nt --no-deps neural-tangents==0.6.5
    nt/bin/python tests/kernels/golden/make_neural_tangents.py

The code of neural-tangents is not touched. Its `experimental` package, which would need TensorFlow
and holds none of the kernels, is kept from being imported.
"""

import sys
import types
from pathlib import Path
from typing import Any

import jax
import numpy as np

sys.modules["neural_tangents.experimental"] = types.ModuleType("neural_tangents.experimental")
from neural_tangents import stax  # noqa: E402

DEPTHS = (2, 3, 4, 5, 6)
DIMENSIONS = (2, 3, 20, 784)
WEIGHT_VARIANCES = (1.5, 0.7, 2.0, 1.0, 3.0, 0.4)  # the first `depth` of them
R_W, R_U = 0.5, 2.0


def deep(variances) -> Any:
    layers = [stax.Dense(1, W_std=variances[0] ** 0.5)]
    for variance in variances[1:]:
        layers += [stax.Relu(), stax.Dense(1, W_std=variance**0.5)]
    return stax.serial(*layers)[2]


def two_layer(d) -> Any:
    def dense(std):
        return stax.Dense(1, W_std=std, parameterization="standard")

    return stax.serial(dense(R_U * d**0.5), stax.Relu(), dense(R_W))[2]


def main():
    jax.config.update("jax_enable_x64", True)
    values = {}
    for d in DIMENSIONS:
        # A seed for which no two of the plane's directions are nearly collinear (|c| < 0.82): there
        # float32 has an error in the cosine itself.
        rows = np.random.default_rng(178).normal(size=(7, d)).astype(np.float32)
        values[f"rows d={d}"] = rows  # in float32, so that both precisions see the same inputs
        x, z = rows[:4].astype(float), rows[4:].astype(float)
        values[f"two_layer_ntk d={d}"] = two_layer(d)(x, z, "ntk")
        for depth in DEPTHS:
            kernel = deep(WEIGHT_VARIANCES[:depth])(x, z, ("ntk", "nngp"))
            values[f"relu_ntk d={d} depth={depth}"] = kernel.ntk
            values[f"relu_nngp d={d} depth={depth}"] = kernel.nngp
    np.savez_compressed(Path(__file__).with_name("neural_tangents.npz"), **values)


if __name__ == "__main__":
    main()
