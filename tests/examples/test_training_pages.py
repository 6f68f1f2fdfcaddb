"""The code of the page on training runs as it stands, and does what the page says."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxmargin as jm

PAGE = Path(__file__).parents[2] / "docs" / "examples" / "training.md"


@cache
def names_after_the_page() -> dict[str, Any]:
    """What the names mean after all blocks of the page."""
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        exec("\n".join(blocks), names)
    return names


def test_early_stops():
    names = names_after_the_page()
    objective = names["done"].history.objective
    assert objective[-1] < 0.3 <= objective[-2]
    assert names["state"].step % 50 == 0
    assert names["waited"] == 3


def test_each_strength_has_its_own_norm():
    path = names_after_the_page()["path"]
    sizes = jax.vmap(jm.norms.l2)(path.params)
    assert sizes[0] > sizes[1] > sizes[2]


def test_weights_of_classes_are_those_of_their_samples():
    names = names_after_the_page()
    by_class, by_sample = names["by_class"], names["by_sample"]
    objective = by_class.history.objective
    np.testing.assert_allclose(by_sample.history.objective, objective, rtol=1e-5)
    scores = jm.two_layer(by_class.params, names["x"])
    losses = np.log1p(np.exp(-names["y"] * scores))
    weighted = np.mean(np.where(names["y"] > 0, 3, 1) * losses)
    penalty = 1e-3 * jm.norms.l2(by_class.params) ** 2
    np.testing.assert_allclose(objective[-1], weighted + penalty, rtol=1e-4)


def test_batch_statistics_are_those_of_all_samples():
    """The frozen network scores the samples as the batch did, and each row by itself."""
    names = names_after_the_page()
    params, x = names["trained"].params, names["x"]
    with jax.numpy_rank_promotion("allow"):
        together = names["scores"](params, x)
        batch, _ = names["with_statistics"](params, x)
        alone = names["scores"](params, x[:1])
        halved, _ = names["with_statistics"](params, x[:32])
    np.testing.assert_allclose(together, batch, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(alone, together[:1], rtol=1e-4, atol=1e-5)
    assert np.abs(halved - together[:32]).max() > 1e-2
    assert names["trained"].history.objective[-1] < 0.5
