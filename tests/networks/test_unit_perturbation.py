"""Re-initialised units: how many, where, and what it does to a network that has collapsed."""

import math
from typing import Any

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmargin as jm

KEY = jax.random.key(0)
SIGMAS = 4.5  # standard errors


def start(m: int, d: int = 3):
    return jm.init_two_layer(jax.random.key(7), d, m)


def update_once(params: Any, updates: Any, **options) -> tuple[Any, Any]:
    optimizer = jm.perturb_units(**({"key": KEY, "unit_axis": 0} | options))
    new, state = optimizer.update(updates, optimizer.init(params), params)
    return new, state


def apply(params: Any, updates: Any) -> Any:
    return optax.apply_updates(params, updates)


def units(params: Any) -> np.ndarray:
    """(m, D) rows (w, u)."""
    return np.concatenate([np.asarray(params.w)[:, None], np.asarray(params.u)], axis=1)


def by_key(params, noise: float, draws: int, **options):
    """Parameters after one perturbation with updates of zero, for many keys."""

    def one(key):
        updates, _ = update_once(
            params, jax.tree.map(jnp.zeros_like, params), noise=noise, key=key, **options
        )
        return apply(params, updates)

    return jax.jit(jax.vmap(one))(jax.random.split(KEY, draws))


@pytest.mark.parametrize("noise", [0.0, 1e-3, 0.3, 1.0])
def test_units_are_chosen_with_probability_noise(noise: float):
    params = start(20_000)
    updates, _ = update_once(params, jax.tree.map(jnp.zeros_like, params), noise=noise)
    chosen = (units(updates) != 0).all(axis=1)
    assert (chosen == (units(updates) != 0).any(axis=1)).all()
    spread = math.sqrt(20_000 * noise * (1 - noise))
    assert abs(chosen.sum() - 20_000 * noise) <= SIGMAS * spread


def test_probabilities_below_the_resolution_of_float32_uniforms():
    """1e-8 against the 2**-23 = 1.2e-7 of a uniform number that is exactly 0."""
    m, noise = 1_000_000, 1e-8
    params = jnp.ones((m, 2))
    optimizer = jm.perturb_units(KEY, noise, unit_axis=0)
    update: Any = optimizer.update

    def count(state, _):
        updates, state = update(params, state, params)
        return state, jnp.sum(updates[:, 0] != 1)

    _, counts = jax.lax.scan(count, optimizer.init(params), None, 50)
    assert int(counts.sum()) <= 3  # mean 0.5; the default mode of bernoulli chooses 5


@pytest.mark.parametrize("radius", [None, 1.5])
def test_fresh_units_are_uniform_on_the_sphere(radius: float | None):
    m, dim = 20_000, 4
    params = start(m)
    updates, _ = update_once(params, jax.tree.map(jnp.zeros_like, params), noise=1.0, radius=radius)
    length = m**-0.5 if radius is None else radius
    fresh = units(apply(params, updates)) / length
    # params are of order 1, which is where params + (fresh - params) is rounded
    np.testing.assert_allclose(np.linalg.norm(fresh, axis=1), 1, atol=5e-7 / length)
    assert np.abs(fresh.mean(axis=0)).max() <= SIGMAS / math.sqrt(m * dim)
    second = fresh.T @ fresh / m - np.eye(dim) / dim
    variance = 3 / (dim * (dim + 2)) - 1 / dim**2  # of a squared coordinate, the widest
    assert np.abs(second).max() <= SIGMAS * math.sqrt(variance / m)
    fourth = (fresh**4).mean(axis=0) * dim * (dim + 2) / 3  # 1 on the sphere
    np.testing.assert_allclose(fourth, 1, atol=0.06)


def test_the_other_units_get_exactly_the_update_of_the_optimizer():
    params = start(500)
    grads = jax.tree.map(lambda leaf: leaf * 0.37 + 0.1, params)
    adam = optax.adam(1e-2)
    chain = optax.chain(adam, jm.perturb_units(KEY, 0.2, unit_axis=0))
    with jax.numpy_dtype_promotion("standard"):  # optax
        alone, _ = jax.jit(adam.update)(grads, adam.init(params), params)
        both, state = jax.jit(chain.update)(grads, chain.init(params), params)
    kept = (units(both) == units(alone)).all(axis=1)
    assert 350 < kept.sum() < 450
    fresh = units(apply(params, both))[~kept]
    np.testing.assert_allclose(np.linalg.norm(fresh, axis=1), 500**-0.5, atol=1e-6)
    assert int(state[1].step) == 1


def test_a_fresh_unit_is_exact_up_to_one_rounding_of_the_old_one():
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda a: 1e3 * a.astype("float64"), start(50))
        narrow = jax.tree.map(lambda a: a.astype("float32"), wide)
        for params, eps in ((wide, 2.0**-52), (narrow, 2.0**-23)):
            updates, _ = update_once(params, params, noise=1.0, radius=1.0)
            fresh = apply(params, updates)
            assert jax.tree.leaves(fresh)[0].dtype == params.u.dtype
            error = np.abs(np.linalg.norm(units(fresh), axis=1) - 1)
            assert error.max() <= 2 * eps * np.abs(units(params)).max()


TESTS = {  # a 2-homogeneous h(w, u) and its mean over the sphere, D = 4
    "w^2": (lambda t: t[0] ** 2, 1 / 4),
    "u_1 u_2": (lambda t: t[1] * t[2], 0.0),
    "relu": (lambda t: t[0] * jax.nn.relu(t[1] + 2 * t[2]), 0.0),
    "|w| relu": (lambda t: jnp.abs(t[0]) * jax.nn.relu(t[1] + 2 * t[2]), 5**0.5 / (math.pi * 4)),
    "relu^2": (lambda t: jax.nn.relu(t[1] - t[3]) ** 2, 1 / 4),
}


def test_in_the_mean_it_is_the_perturbation_of_the_measure():
    """E int h drho' = (1 - noise) int h drho + noise E_U[h], for rho = from_network(params)."""
    params, noise, draws = start(16), 0.25, 4000

    def values(params):
        theta, mass = jm.from_network(params)
        return jnp.stack([mass @ jax.vmap(h)(theta) for h, _ in TESTS.values()])

    found = np.asarray(jax.jit(jax.vmap(values))(by_key(params, noise, draws)))
    fresh = np.array([mean for _, mean in TESTS.values()])
    expected = (1 - noise) * np.asarray(values(params)) + noise * fresh
    error = np.abs(found.mean(axis=0) - expected)
    assert (error <= SIGMAS * found.std(axis=0) / math.sqrt(draws)).all()


def test_jit_equals_eager_and_each_update_draws_anew():
    params = start(500)
    optimizer = optax.chain(optax.sgd(0.1), jm.perturb_units(KEY, 0.1, unit_axis=0))

    def step(carry, _):
        params, state = carry
        updates, state = optimizer.update(params, state, params)
        return (apply(params, updates), state), updates

    first = (params, optimizer.init(params))
    (after, _), updates = jax.lax.scan(step, first, None, 4)
    carry, eager = first, []
    for _ in range(4):
        carry, update = step(carry, None)
        eager.append(update)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), after, carry[0])
    jax.tree.map(lambda a, *b: np.testing.assert_allclose(a, b, atol=1e-6), updates, *eager)
    again, _ = jax.lax.scan(step, first, None, 4)
    jax.tree.map(np.testing.assert_array_equal, again[0], after)


def test_the_draws_follow_the_key_and_the_count():
    params = start(500)
    zero = jax.tree.map(jnp.zeros_like, params)
    optimizer = jm.perturb_units(KEY, 0.3, unit_axis=0)
    state = optimizer.init(params)
    one, later = optimizer.update(zero, state, params)
    same, _ = optimizer.update(zero, state, params)
    next_one, _ = optimizer.update(zero, later, params)
    other, _ = update_once(params, zero, noise=0.3, key=jax.random.key(1))
    assert (units(one) == units(same)).all()
    assert 0.2 < (units(one) != units(next_one)).any(axis=1).mean() < 0.8
    assert 0.2 < (units(one) != units(other)).any(axis=1).mean() < 0.8


def test_vmap_over_keys_and_params_equals_a_loop():
    stacked = jax.vmap(lambda key: jm.init_two_layer(key, 3, 500))(jax.random.split(KEY, 3))
    optimizer = jm.perturb_units(KEY, 0.4, unit_axis=0)
    states: Any = jax.vmap(optimizer.init)(stacked)
    states = states._replace(key=jax.random.split(KEY, 3))
    batched, _ = jax.vmap(optimizer.update)(stacked, states, stacked)
    for i in range(3):
        params, state, mapped = jax.tree.map(lambda leaf, i=i: leaf[i], (stacked, states, batched))
        single, _ = optimizer.update(params, state, params)
        np.testing.assert_allclose(units(mapped), units(single), atol=1e-6)


def test_nothing_is_drawn_when_no_unit_is_chosen():
    """The normals stand in a branch of a `cond`."""
    params = start(8)
    optimizer = jm.perturb_units(KEY, 0.1, unit_axis=0)
    program = jax.make_jaxpr(optimizer.update)(params, optimizer.init(params), params)
    inner = next(
        eqn.params["jaxpr"] for eqn in program.eqns if eqn.params.get("name") == "_perturb"
    )
    outside = [eqn for eqn in inner.eqns if eqn.primitive.name != "cond"]
    assert len(outside) == len(inner.eqns) - 1
    assert "erf_inv" not in str(outside)
    assert "erf_inv" in str(inner)


def fresh_lengths(params, unit_axis, incoming: Any, rows) -> np.ndarray:
    """Lengths of the units, all re-initialised with radius 2; the updates as well."""
    updates, _ = update_once(params, incoming, noise=1.0, unit_axis=unit_axis, radius=2.0)
    return np.linalg.norm(np.concatenate(rows(apply(params, updates)), 1), axis=1)


def test_flax():
    class Model(nn.Module):
        @nn.compact
        def __call__(self, x):
            hidden = nn.relu(nn.Dense(8)(x))  # written in one line, Dense_0 would be the outer one
            return nn.Dense(2)(hidden)

    with jax.numpy_rank_promotion("allow"):
        params: Any = Model().init(KEY, jnp.ones((1, 3)))
    unit_axis = {
        "params": {"Dense_0": {"kernel": 1, "bias": 0}, "Dense_1": {"kernel": 0, "bias": None}}
    }
    ones = jax.tree.map(jnp.ones_like, params)

    def rows(params):
        first, second = params["params"]["Dense_0"], params["params"]["Dense_1"]
        return first["kernel"].T, first["bias"][:, None], second["kernel"]

    np.testing.assert_allclose(fresh_lengths(params, unit_axis, ones, rows), 2, rtol=1e-5)
    updates, _ = update_once(params, ones, noise=1.0, unit_axis=unit_axis)
    assert (updates["params"]["Dense_1"]["bias"] == 1).all()


def test_equinox():
    """Also a model whose parts without arrays are None, and None for a whole subtree."""
    model = eqx.nn.MLP(3, 2, 8, 1, key=KEY, use_final_bias=False)
    params = eqx.filter(model, eqx.is_inexact_array)
    none = jax.tree.map(lambda _: None, params)
    where = lambda m: (m.layers[0].weight, m.layers[0].bias, m.layers[1].weight)  # noqa: E731
    unit_axis: Any = eqx.tree_at(where, none, (0, 0, 1), is_leaf=lambda leaf: leaf is None)

    def rows(m):
        return m.layers[0].weight, m.layers[0].bias[:, None], m.layers[1].weight.T

    np.testing.assert_allclose(fresh_lengths(params, unit_axis, params, rows), 2, rtol=1e-5)
    pair, pair_axes = (params, {"head": jnp.ones(5), "rest": jnp.ones(2)}), (unit_axis, None)
    updates, _ = update_once(pair, pair, noise=1.0, unit_axis=pair_axes)
    assert (updates[1]["head"] == 1).all()


@pytest.mark.parametrize("axis", [1, -1, np.int64(-1)])
def test_negative_axes_count_from_the_end(axis):
    params = jnp.ones((2, 5))
    updates, _ = update_once(params, params, noise=1.0, unit_axis=axis, radius=1.0)
    np.testing.assert_allclose(np.linalg.norm(params + updates, axis=0), 1, rtol=1e-6)


def test_a_unit_of_half_precision():
    params = {"a": jnp.ones((4, 3), "bfloat16"), "b": jnp.ones(4, "float32")}
    updates, _ = update_once(params, params, noise=1.0, radius=1.0)
    assert {k: str(v.dtype) for k, v in updates.items()} == {"a": "bfloat16", "b": "float32"}
    fresh = apply(params, updates)
    lengths = np.sum(np.asarray(fresh["a"], "float32") ** 2, 1) + np.asarray(fresh["b"]) ** 2
    np.testing.assert_allclose(lengths, 1, atol=0.03)


def test_a_collapsed_network_escapes_with_it_and_not_without():
    x, y = jm.data.two_axis(KEY, 32, 6)
    m = 64
    one = jm.init_two_layer(jax.random.key(1), 6, 1, std=1 / 8)
    collapsed = jax.tree.map(lambda leaf: jnp.repeat(leaf, m, axis=0), one)
    objective = jm.regularized(jm.two_layer, "logistic", lam=2e-3)

    def run(noise: float):
        optimizer = optax.chain(optax.sgd(0.1), jm.perturb_units(KEY, noise, unit_axis=0))
        return jm.train(objective, optimizer, collapsed, x, y, num_steps=4000, record=4000)

    plain, perturbed = run(0.0), run(1e-4)
    assert np.ptp(units(plain.params), axis=0).max() == 0
    assert plain.history.objective[-1] > 0.4
    assert perturbed.history.objective[-1] < 0.5 * plain.history.objective[-1]


@pytest.mark.parametrize("noise", [0, 1])
def test_a_probability_given_as_an_integer(noise: int):
    params = jm.TwoLayer(u=jnp.ones((4, 2)), w=jnp.ones(4))
    updates = []
    for value in (noise, float(noise)):
        transform = jm.perturb_units(jax.random.key(0), value, unit_axis=0)
        updates.append(transform.update(params, transform.init(params), params)[0])
    jax.tree.map(np.testing.assert_array_equal, *updates)
    assert bool((updates[0].w == 1).all()) == (noise == 0)
