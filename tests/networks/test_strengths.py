"""The strength of the regularizer as a number that is traced, and one for each trial."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmargin as jm
from jaxmargin.networks import norms
from tests.networks.objectives import draw, problem

pytestmark = pytest.mark.usefixtures("standard_promotion")

LAMS = [0.0, 0.01, 0.3]
ADAM = optax.adam(0.05)


@pytest.mark.parametrize("kind", [jnp.array, np.array])
def test_trials_with_a_strength_each_are_runs_with_that_strength(kind):
    params, x, y = problem()
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), (params, x, y))
    run = partial(jm.train, optimizer=ADAM, num_steps=6, record=3)
    regularized = partial(jm.regularized, jm.two_layer, "logistic")
    together = run(
        regularized(lam=kind(LAMS)), params=stacked[0], x=stacked[1], y=stacked[2], trials=True
    )
    for i, lam in enumerate(LAMS):
        alone = run(regularized(lam=lam), params=params, x=x, y=y)
        np.testing.assert_allclose(
            together.history.objective[i], alone.history.objective, rtol=1e-5
        )
        jax.tree.map(
            lambda a, b, i=i: np.testing.assert_allclose(a[i], b, rtol=1e-4, atol=1e-6),
            together.params, alone.params,
        )  # fmt: skip


def test_strengths_in_float64_beside_parameters_in_float32():
    with jax.enable_x64(True):
        params, x, y = (jnp.stack([draw(*shape)] * 2).astype("float32")
                        for shape in ((3,), (5, 3), (5,)))  # fmt: skip
        objective = jm.regularized(lambda p, x: x @ p, "squared", lam=np.array([0.1, 0.2]))
        trained = jm.train(objective, optax.sgd(0.1), params, x, y, num_steps=1, trials=True)
        assert trained.params.dtype == trained.history.objective.dtype == jnp.float32


@pytest.mark.parametrize("norm", [norms.l2, norms.l1])
def test_derivatives_in_strength_and_exponent(norm):
    """d/d lam is the penalty, d/d r is lam penalty log(norm)."""
    params, x, y = problem()

    @jax.jit
    def value(lam, r):
        return jm.regularized(jm.two_layer, "logistic", lam=lam, r=r, norm=norm)(params, x, y)

    by_lam, by_r = jax.grad(value, argnums=(0, 1))(0.3, 2.0)
    size = float(norm(params))
    np.testing.assert_allclose(by_lam, size**2, rtol=1e-5)
    np.testing.assert_allclose(by_r, 0.3 * size**2 * np.log(size), rtol=1e-5)
    mapped = jax.vmap(value, in_axes=(0, None))(jnp.array([0.1, 0.2]), 2.0)
    np.testing.assert_allclose(mapped[1] - mapped[0], 0.1 * size**2, rtol=1e-4)


def test_a_part_of_the_parameters_is_left_free():
    """A norm of the first layer alone: the second one's gradient is that of the loss."""
    params, x, y = problem()
    first = partial(jm.regularized, jm.two_layer, "logistic", norm=lambda net: norms.l2(net.u))
    free, held = (jax.grad(first(lam=lam))(params, x, y) for lam in (0.0, 0.5))
    np.testing.assert_allclose(held.w, free.w, rtol=1e-6)
    np.testing.assert_allclose(held.u - free.u, params.u, rtol=1e-4, atol=1e-6)
