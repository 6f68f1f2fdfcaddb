"""What a Gram matrix tells of the inputs that made it."""

import numpy as np
import pytest

from jaxmargin.kernels._fits.diagnosis import diagnose

X = np.random.default_rng(0).normal(size=(12, 3))
EPS32, EPS64 = float(np.finfo("float32").eps), float(np.finfo("float64").eps)


def linear(x):
    return x @ x.T


def gaussian(x, width=1.0):
    return np.exp(-np.sum((x[:, None] - x[None]) ** 2, axis=2) / width**2)


def rounded(gram):
    return gram.astype(np.float32).astype(float)


SICK = {
    "zero": (np.zeros((3, 3)), EPS32, "every entry is 0"),
    "a zero row": (linear(np.where(np.arange(12)[:, None] == 4, 0, X)), EPS64, "row 4 is 0"),
    "negative": (-gaussian(X), EPS32, "entry 0 of its diagonal is not > 0"),
    "mean": (rounded(linear(X + 1e4)), EPS32, "subtract their mean"),
    "cast": (rounded(gaussian(X, 30.0)), EPS64, "numbers of float32, so it was rounded before"),
    "twins": (gaussian(np.concatenate([X, X[3:4]])), EPS64, "its rows 3 and 12 are equal"),
    "rank": (linear(X), EPS64, "its rank is 3 for 12 different inputs"),
    "rank and twins": (linear(np.concatenate([X, X[:1]])), EPS64, "rank is 3 for 12 different"),
    "rank in float32": (rounded(linear(X)), EPS32, "its rank is 3 for 12 different inputs"),
    "smooth": (rounded(gaussian(X, 5.0)), EPS32, "compute the kernel in float64"),
    "smooth in float64": (gaussian(X[:, :1], 3.0), EPS64, "some inputs are nearly equal"),
    "indefinite": (gaussian(X) - 0.9 * np.eye(12), EPS64, "beyond any rounding"),
}


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize(("gram", "eps", "cause"), SICK.values(), ids=SICK)
def test_the_cause_is_found_at_every_scale(gram, eps: float, cause: str, scale: float):
    scaled = gram * 2.0 ** np.round(np.log2(scale))
    assert cause in diagnose(scaled, eps)
