"""The descent on all units ends where the gradient of the energy is 0, below where it began."""

import numpy as np
from scipy.optimize import check_grad

from jaxmargin._cells.slide import slide
from tests._cells.risks import squared

PRICE = 0.2


def test_it_ends_lower_and_balanced_at_a_stationary_point():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 3)), rng.normal(size=24)
    w, u = rng.normal(size=(9, 2)), rng.normal(size=(9, 3))
    risk = squared(y)

    def energy(flat: np.ndarray) -> float:
        w, u = flat[:18].reshape(9, 2), flat[18:].reshape(9, 3)
        outputs = np.maximum(x @ u.T, 0) @ w
        return risk.value(outputs.ravel()) + PRICE / 2 * float(flat @ flat)

    def pair(outputs: np.ndarray) -> tuple[float, np.ndarray]:
        return risk.value(outputs), risk.slope(outputs)

    found = slide(x, pair, PRICE, w, u)
    value = risk.value(found.outputs(x).ravel()) + PRICE * found.length.sum()
    root = np.sqrt(found.length)[:, None]
    flat = np.zeros(45)
    flat[:18].reshape(9, 2)[: len(root)] = root * found.w
    flat[18:].reshape(9, 3)[: len(root)] = found.v / root
    np.testing.assert_allclose(energy(flat), value)
    assert value < energy(np.concatenate([w.ravel(), u.ravel()]))
    # Smooth there: a difference quotient of the energy is 0 as well.
    assert check_grad(energy, lambda flat: np.zeros_like(flat), flat, epsilon=1e-7) < 0.05 * value


def test_the_first_scale_does_not_matter():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 3)), rng.normal(size=12)
    w, u = rng.normal(size=(9, 1)), rng.normal(size=(9, 3))
    risk = squared(y)
    values = []
    for scale in (1e-9, 1.0, 1e9):
        found = slide(
            x, lambda a: (risk.value(a), risk.slope(a)), PRICE, scale * w, scale * u, steps=300
        )
        values.append(risk.value(found.outputs(x).ravel()) + PRICE * found.length.sum())
    np.testing.assert_allclose(values, values[0], rtol=1e-2)
