"""The arc-cosine functions, in each of the forms that a platform may get."""

from functools import partial

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import jaxmargin as jm
from jaxmargin.kernels import _arccosine as arccosine
from jaxmargin.kernels._arccosine import Cosine

by_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])

ANGLES = np.concatenate(
    [np.logspace(-12, -1, 30), np.linspace(0.1, 3, 50), np.pi - np.logspace(-1, -12, 30)]
)


def cosines(dtype: str) -> Cosine:
    gap = 2 * np.minimum(np.sin(ANGLES / 2), np.cos(ANGLES / 2)) ** 2
    return Cosine(jnp.asarray(np.cos(ANGLES), dtype), jnp.asarray(gap, dtype))


def exact(depth: int) -> np.ndarray:
    """(angle, 2): sum_j c_j kappa_0(c_j) ... kappa_0(c_{q-1}) and c_q, in 40 digits."""
    found = []
    with mpmath.workdps(40):
        for angle in ANGLES:
            theta = mpmath.mpf(float(angle))
            total = c = mpmath.cos(theta)
            for _ in range(depth - 1):
                rest = mpmath.pi - theta
                c = (mpmath.sin(theta) + rest * mpmath.cos(theta)) / mpmath.pi
                total = total * rest / mpmath.pi + c
                theta = mpmath.acos(c)
            found.append((float(total), float(c)))  # pyright: ignore[reportArgumentType]
    return np.array(found)


def recursion(c: Cosine, arc_cosines, depth: int):
    total = c.value
    for _ in range(depth - 1):
        kappa_0, c = arc_cosines(c)
        total = total * kappa_0 + c.value
    return total


@by_dtype
@pytest.mark.parametrize("depth", [2, 3, 6, 20])
def test_compositions_in_40_digits(dtype: str, depth: int):
    with jax.enable_x64(dtype == "float64"):
        layers = partial(recursion, depth=depth)
        plain = partial(layers, arc_cosines=arccosine.arc_cosines)
        for function in (plain, arccosine.by_angle(layers)):
            error = np.abs(np.asarray(function(cosines(dtype)), float) - exact(depth)[:, 0])
            assert error.max() < 12 * depth * float(jnp.finfo(dtype).eps)


@by_dtype
@pytest.mark.parametrize("form", ["_turn_and_h_by_powers", "_turn_and_h_by_atan2"])
def test_every_form_of_the_angle_and_h(form: str, dtype: str):
    gap = np.concatenate([np.logspace(-24, -3, 28), np.linspace(0.01, 1, 60)]).astype(dtype)
    with mpmath.workdps(60):
        phi = [2 * mpmath.asin(mpmath.sqrt(mpmath.mpf(float(g)) / 2)) for g in gap]
        h = np.array([float((mpmath.sin(p) - p * mpmath.cos(p)) / mpmath.pi) for p in phi])
        turn = np.array([float(p / mpmath.pi) for p in phi])
    eps = float(jnp.finfo(dtype).eps)
    with jax.enable_x64(dtype == "float64"):
        actual_turn, actual_h = getattr(arccosine, form)(jnp.asarray(gap))
    assert np.max(np.abs(np.asarray(actual_turn, float) / turn - 1)) < 4 * eps
    # Near 0 the closed form of h has only as many digits as sqrt(gap), which it is compared to.
    scale = h if form.endswith("powers") else np.sqrt(gap.astype(float))
    assert np.max(np.abs(np.asarray(actual_h, float) - h) / scale) < 4 * eps
    assert np.all((np.asarray(actual_h) >= 0) & (np.asarray(actual_h) <= gap))


def test_accelerators_get_the_closed_form():
    traced = jax.jit(partial(jm.relu_ntk, depth=3)).trace(jnp.ones((4, 3)))
    for platform, closed in (("cpu", False), ("cuda", True), ("tpu", True)):
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        assert ("atan2" in text) == closed, platform
