"""Wrong input: the bound of the truncated loss."""

import jax.numpy as jnp

from jaxmargin import margins
from tests.fault import Fault, wrong

RIGHT = {"train_loss": 0.1, "norm": 2.0, "n": 10, "depth": 2, "radius": 1.0, "delta": 0.1}

FAULTS: list[Fault] = [
    *(
        Fault("truncated_loss_bound", wrong(margins.truncated_loss_bound, **(RIGHT | changed)),
              error, match)
        for changed, error, match in (
            ({"train_loss": 1.5}, ValueError, r"train_loss must be in \[0, 1\], .* got 1.5"),
            ({"train_loss": -0.1}, ValueError, "train_loss must be a finite number >= 0"),
            ({"train_loss": jnp.ones(3)}, TypeError, "train_loss must be a number"),
            ({"norm": -1.0}, ValueError, "norm must be a finite number >= 0, got -1.0"),
            ({"norm": "2"}, TypeError, "norm must be a number, got '2'"),
            ({"norm": 1e30}, ValueError, r"norm must be smaller, got 1e\+30: norm\*\*depth is inf"),
            ({"n": 0}, ValueError, "n must be at least 1, got 0"),
            ({"n": 1.5}, TypeError, "n must be an integer, got 1.5"),
            ({"depth": 0}, ValueError, "depth must be at least 1, got 0"),
            ({"depth": 2.0}, TypeError, "depth must be an integer, got 2.0"),
            ({"radius": 0.0}, ValueError, "radius must be a finite number > 0, got 0.0"),
            ({"delta": 1.0}, ValueError, r"delta must be in \(0, 1\), got 1.0"),
        )
    ),
]  # fmt: skip
