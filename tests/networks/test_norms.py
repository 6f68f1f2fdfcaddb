"""Norms against NumPy in float64, at extreme scales, and their derivatives."""

import math

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from jaxmargin.networks import norms

EXPONENTS = (1, 1.5, 2, 3, math.inf)
NORMS = {
    "l1": (norms.l1, 1),
    "l2": (norms.l2, 2),
    "linf": (norms.linf, math.inf),
} | {f"lp({p})": (norms.lp(p), p) for p in EXPONENTS}

every_norm = pytest.mark.parametrize(("norm", "p"), NORMS.values(), ids=NORMS.keys())


def leaves(dtype, scale=1.0, seed=0):
    """A pytree that mixes containers and shapes, with a zero entry and a negative one."""
    draw = np.random.default_rng(seed).normal(size=10) * scale
    draw[3] = 0.0
    return {
        "a": (jnp.asarray(draw[:6].reshape(2, 3), dtype), jnp.asarray(draw[6], dtype)),
        "b": [jnp.asarray(draw[7:], dtype)],
    }


def flat(tree) -> np.ndarray:
    return np.concatenate(
        [np.ravel(np.asarray(leaf, np.float64)) for leaf in jax.tree.leaves(tree)]
    )


@every_norm
@pytest.mark.parametrize("scale", [1.0, 1e30, 1e-30])
def test_equals_numpy_at_any_scale_in_float32(norm, p: float, scale: float):
    tree = leaves(jnp.float32, scale)
    np.testing.assert_allclose(norm(tree), np.linalg.norm(flat(tree), p), rtol=1e-6)


@every_norm
def test_equals_numpy_in_float64(norm, p: float):
    with jax.enable_x64(True):
        tree = leaves(jnp.float64, 1e100)
        np.testing.assert_allclose(norm(tree), np.linalg.norm(flat(tree), p), rtol=1e-13)


@every_norm
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_summed_in_float32(norm, p: float, dtype: str):
    """90,000 entries of .1, whose sum of squares, and whose count, float16 does not hold."""
    params = jnp.full((300, 300), 0.1, dtype)
    found = norm(params)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, np.linalg.norm(flat(params), p), rtol=1e-5)
    assert norms.sum_of_squares(params).dtype == jnp.float32


@every_norm
def test_is_a_norm(norm, p: float):
    """Triangle inequality, absolute homogeneity, zero only at zero."""
    for seed in range(5):
        a, b = leaves(jnp.float32, seed=seed), leaves(jnp.float32, 10.0**seed, seed=seed + 50)
        total = jax.tree.map(jnp.add, a, b)
        assert norm(total) <= (norm(a) + norm(b)) * (1 + 1e-6)
        # A power of two scales without rounding, so homogeneity is exact.
        assert norm(jax.tree.map(lambda leaf: -8.0 * leaf, a)) == 8.0 * norm(a)
    assert norm({"only": jnp.zeros(3)}) == 0
    assert norm({"only": jnp.array([0.0, -1e-20])}) > 0


@every_norm
@pytest.mark.parametrize("scale", [1.0, 1e30, 1e-30])
def test_gradient_is_the_dual_vector(norm, p: float, scale: float):
    """sign(v) (|v| / ||v||_p)^(p-1): of dual norm 1, whatever the scale of v."""
    tree = leaves(jnp.float32, scale)
    v = flat(tree)
    if p == math.inf:
        expected = np.sign(v) * (np.abs(v) == np.abs(v).max())
    else:
        expected = np.sign(v) * (np.abs(v) / np.linalg.norm(v, p)) ** (p - 1)
    np.testing.assert_allclose(flat(jax.grad(norm)(tree)), expected, rtol=1e-5, atol=1e-7)


@every_norm
def test_gradient_at_zero_is_zero(norm, p: float):
    zeros = jax.tree.map(jnp.zeros_like, leaves(jnp.float32))
    assert not flat(jax.grad(norm)(zeros)).any()


@every_norm
def test_nan_and_infinity_show(norm, p: float):
    assert jnp.isnan(norm({"a": jnp.array([1.0, jnp.nan]), "b": jnp.zeros(2)}))
    assert norm({"a": jnp.array([1.0, -jnp.inf]), "b": jnp.zeros(2)}) == jnp.inf


@pytest.mark.parametrize("p", [1.5, 2, 3])
def test_second_derivatives_beside_a_zero_entry(p: float):
    """They are those of the other entries; for p < 2 the zero entry's own are given as 0."""
    hessian = jax.hessian(norms.lp(p))(jnp.array([3.0, 0.0, -4.0]))
    others = jax.hessian(norms.lp(p))(jnp.array([3.0, -4.0]))
    np.testing.assert_allclose(hessian[::2, ::2], others, rtol=1e-5)
    np.testing.assert_allclose(hessian[1], [0, 1 / 5 if p == 2 else 0, 0], rtol=1e-6)


def test_sum_of_squares_is_smooth_and_equals_the_square():
    tree = leaves(jnp.float32)
    np.testing.assert_allclose(norms.sum_of_squares(tree), np.sum(flat(tree) ** 2), rtol=1e-6)
    np.testing.assert_allclose(flat(jax.grad(norms.sum_of_squares)(tree)), 2 * flat(tree))


@pytest.mark.parametrize(
    ("inner", "outer", "p", "q"),
    [
        (norms.l2, norms.linf, 2, math.inf),
        (norms.l1, norms.l2, 1, 2),
        (norms.linf, norms.lp(3), math.inf, 3),
        (norms.l2, norms.l2, 2, 2),
    ],
)
def test_per_layer_is_a_norm_of_the_leaves_norms(inner, outer, p: float, q: float):
    tree = leaves(jnp.float32)
    inners = [np.linalg.norm(flat(leaf), p) for leaf in jax.tree.leaves(tree)]
    measured = norms.per_layer(inner, outer)(tree)
    np.testing.assert_allclose(measured, np.linalg.norm(inners, q), rtol=1e-6)


def test_any_library_s_parameters():
    x = jnp.ones((1, 3))
    flax_params = nn.Dense(4).init(jax.random.key(0), x)
    equinox_params = eqx.filter(eqx.nn.MLP(3, 2, 4, 1, key=jax.random.key(0)), eqx.is_array)
    for params in (flax_params, equinox_params, (jnp.ones(3),), [jnp.ones(3)], jnp.ones(3)):
        for norm, p in NORMS.values():
            np.testing.assert_allclose(norm(params), np.linalg.norm(flat(params), p), rtol=1e-5)


def test_an_empty_layer_counts_as_zero():
    for norm, p in NORMS.values():
        expected = np.linalg.norm([3.0, 4.0], p)
        tree = {"none": jnp.zeros((0, 2)), "some": jnp.array([3.0, 4.0])}
        np.testing.assert_allclose(norm(tree), expected, rtol=1e-6)


UNIT_NORMS = [(norms.l2, norms.l1, 2, 1), (norms.l1, norms.linf, 1, math.inf)]


@pytest.mark.parametrize(("inner", "outer", "p", "q"), UNIT_NORMS)
def test_per_unit_is_a_norm_of_the_norms_of_units(inner, outer, p: float, q: float):
    """Units along different axes of the leaves; a leaf without units is left out."""
    rng = np.random.default_rng(0)
    first, second, bias = rng.normal(size=(3, 5)), rng.normal(size=(5, 2)), rng.normal(size=2)
    params = {"a": jnp.asarray(first), "b": (jnp.asarray(second), jnp.asarray(bias))}
    norm = norms.per_unit(inner, outer, unit_axis={"a": 1, "b": (0, None)})
    units = np.concatenate([first.T, second], axis=1)
    expected = np.linalg.norm([np.linalg.norm(unit, p) for unit in units], q)
    np.testing.assert_allclose(norm(params), expected, rtol=1e-6)


def test_the_path_norm_is_one_of_units():
    rng = np.random.default_rng(1)
    u, w = rng.normal(size=(4, 3)), rng.normal(size=4)
    params = jm.TwoLayer(u=jnp.asarray(u), w=jnp.asarray(w))
    path = norms.per_unit(lambda unit: norms.l2(unit.u) * norms.l2(unit.w), norms.l1, unit_axis=0)
    np.testing.assert_allclose(path(params), np.linalg.norm(u, axis=1) @ np.abs(w), rtol=1e-6)


def test_units_that_are_0_have_no_gradient_and_take_none_from_the_others():
    """What `widen` adds, where the plain formula has NaN."""
    u = jnp.array([[3.0, 4.0], [0.0, 1.0]])
    wide = jm.widen(jm.TwoLayer(u=u, w=jnp.array([0.0, 1.0])), 4)
    value, grad = jax.value_and_grad(norms.per_unit(norms.l2, norms.l1, unit_axis=0))(wide)
    np.testing.assert_allclose(value, 5 + 2**0.5, rtol=1e-6)
    half = 2**-0.5
    np.testing.assert_allclose(grad.u, [[0.6, 0.8], [0, half], [0, 0], [0, 0]], rtol=1e-6)
    np.testing.assert_allclose(grad.w, [0, half, 0, 0], rtol=1e-6)
    plain = jax.grad(lambda net: jnp.sum(jnp.linalg.norm(net.u, axis=1)))(wide)
    assert bool(jnp.isnan(plain.u[2:]).all())
