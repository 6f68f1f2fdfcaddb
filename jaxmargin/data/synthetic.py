"""The distribution D, teacher networks, and points on a line (eq. 2.1, section 5, appendix F)."""

import itertools
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from jaxmargin._arrays import as_jax, require_key
from jaxmargin._checks import (
    is_concrete,
    require_choice,
    require_concrete,
    require_count,
    require_entries,
    require_number,
    require_positive,
)
from jaxmargin.networks.models import TwoLayer, init_two_layer, two_layer

_AXES = ((1, 0), (-1, 0), (0, 1), (0, -1))
_TARGETS = {"label": (1.0, 1.0, -1.0, -1.0), "half_space": (1.0, -1.0, -1.0, -1.0)}
_MAX_TEACHERS = 1000  # teachers drawn before a bound on the majority class is called too tight
_MAX_BATCHES = 1000  # batches of inputs drawn before a margin is called too large
_MAX_SUPPORT = 20  # features, so that a million points of D are listed
_LEAST_BATCH = 256  # inputs a batch, so that ten batches without a hit mean something


def two_axis(key: PRNGKeyArray, n: int, d: int) -> tuple[Float[Array, "n d"], Float[Array, " n"]]:
    """Samples of the distribution D (Wei et al. 2019, eq. 2.1).

    The first two coordinates are (1, 0) or (-1, 0) for y = +1, and (0, 1) or (0, -1) for y = -1.
    Each of the four has probability 1/4. The other d - 2 coordinates are uniform signs and tell
    nothing about y.

    Args:
        key: random key.
        n: number of samples, >= 1.
        d: number of features, >= 2.

    Returns:
        x (n, d) with entries in {-1, 0, 1}; y (n,) in {-1, +1}.

    Raises:
        ValueError: n < 1 or d < 2, or an array of more entries than 32 bits count.
        TypeError: n or d is not an integer, or key no key.

    Example:
        >>> x, y = two_axis(jax.random.key(0), 4, 6)
        >>> x.shape, bool((jnp.abs(x[:, 0]) - jnp.abs(x[:, 1]) == y).all())
        ((4, 6), True)

    Reference:
        Wei, Lee, Liu, Ma (2019), eq. 2.1 and Figure 1.
    """
    require_key(key)
    require_count("n", n)
    require_count("d", d, least=2)
    require_entries("x", n=n, d=d)
    key_label, key_sign = jax.random.split(key)
    y = jax.random.rademacher(key_label, (n,), float)
    signs = jax.random.rademacher(key_sign, (n, d), float)
    positive = (y > 0)[:, None]
    on_axis = jnp.concatenate([positive, ~positive], axis=1)
    return signs.at[:, :2].multiply(on_axis.astype(signs.dtype)), y


class TeacherSample(NamedTuple):
    """Labelled samples and the network that labelled them.

    Attributes:
        x: (n, d) inputs.
        y: (n,) labels in {-1, +1}.
        teacher: the `TwoLayer` network with y = sign f(x).
    """

    x: Float[Array, "n d"]
    y: Float[Array, " n"]
    teacher: TwoLayer


def teacher(
    key: PRNGKeyArray,
    n: int,
    *,
    d: int,
    hidden: int,
    margin: float = 0.0,
    inputs: Literal["gaussian", "sphere"] = "gaussian",
    max_majority: float = 1.0,
) -> TeacherSample:
    """Samples labelled by a random two-layer network with N(0, 1) weights (section 5, appendix F).

    Inputs with |f(x)| < margin, or with f(x) = 0, are rejected. Some teachers give nearly all
    samples the same label, and guessing that label would look good. A teacher that labels more
    than the fraction `max_majority` of the samples alike is therefore drawn again.

    Args:
        key: random key.
        n: number of samples, >= 1. To have test samples of the same teacher, ask for all samples
            at once and split them.
        d: number of features, >= 1.
        hidden: hidden units of the teacher, >= 1.
        margin: least |f(x)| of an accepted input, >= 0.
        inputs: "gaussian" for N(0, I), "sphere" for uniform on the unit sphere.
        max_majority: largest accepted fraction of the larger class, in [0.5, 1].

    Returns:
        `TeacherSample(x, y, teacher)`.

    Raises:
        ValueError: an argument out of range, a margin that no input or hardly any has, or a
            max_majority that no teacher met.
        TypeError: a count that is not an integer, margin or max_majority not a number, or key no
            key; called under `jit`.

    Example:
        >>> x, y, f = teacher(jax.random.key(0), 100, d=20, hidden=10, margin=0.01)
        >>> x.shape, bool((y * two_layer(f, x) >= 0.01).all())
        ((100, 20), True)

    Reference:
        Wei, Lee, Liu, Ma (2019), section 5 and appendix F.
    """
    require_concrete("teacher", key, margin, max_majority)
    require_key(key)
    require_count("n", n)
    require_count("d", d)
    require_count("hidden", hidden)
    require_entries("x", n=n, d=d)
    require_positive("margin", margin, zero=True)
    require_choice("inputs", inputs, ("gaussian", "sphere"))
    require_positive("max_majority", max_majority)
    if not 0.5 <= max_majority <= 1:
        raise ValueError(f"max_majority must be in [0.5, 1], got {max_majority}")
    for attempt in range(_MAX_TEACHERS):
        key_teacher, key_x = jax.random.split(jax.random.fold_in(key, attempt))
        network = init_two_layer(key_teacher, d, hidden)
        x, scores = _accepted_inputs(key_x, network, n, margin, inputs)
        positive = float(jnp.mean(scores > 0))
        if max(positive, 1 - positive) <= max_majority:
            return TeacherSample(x, jnp.sign(scores), network)
    raise ValueError(
        f"none of {_MAX_TEACHERS} teachers kept the larger class within max_majority = "
        f"{max_majority} of {n} samples: raise max_majority, or n"
    )


@partial(jax.jit, static_argnames=("n", "inputs"))
def _draw_inputs(key: Array, network: TwoLayer, n: int, inputs: str) -> tuple[Array, Array]:
    x = jax.random.normal(key, (n, network.u.shape[1]))
    if inputs == "sphere":
        x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
    return x, two_layer(network, x)


def _accepted_inputs(
    key: Array, network: TwoLayer, n: int, margin: float, inputs: str
) -> tuple[Array, Array]:
    """The first n of a stream of inputs with |f(x)| >= margin (and f(x) != 0)."""
    xs, scores, found, drawn = [], [], 0, 0
    batch = max(n, _LEAST_BATCH)
    while found < n:
        # After ten batches without a single hit, or a thousand without enough, give up.
        if drawn >= _MAX_BATCHES * batch or (drawn >= 10 * batch and found == 0):
            raise ValueError(
                f"only {found} of {drawn} inputs have a margin of at least {margin} on the "
                f"teacher, but {n} are needed: lower the margin"
            )
        # In NumPy, because each number of accepted inputs would be a new shape for JAX to compile.
        x, score = map(
            np.asarray, _draw_inputs(jax.random.fold_in(key, drawn), network, batch, inputs)
        )
        accepted = (np.abs(score) >= margin) & (score != 0)
        xs.append(x[accepted])
        scores.append(score[accepted])
        found += int(np.sum(accepted))
        drawn += batch
    return jnp.asarray(np.concatenate(xs)[:n]), jnp.asarray(np.concatenate(scores)[:n])


def sinusoid(
    n: int, *, cycles: float = 1.5, low: float = -1.0, high: float = 1.0
) -> tuple[Float[Array, "n 1"], Float[Array, " n"]]:
    """Evenly spaced points on a line, labelled by the sign of a sinusoid (appendix F.3).

    Args:
        n: number of points, >= 2; they include both ends.
        cycles: periods of the sinusoid between the ends, > 0.
        low: left end.
        high: right end, > low.

    Returns:
        x (n, 1) ascending, y (n,) in {-1, +1}. `append_one(x)` gives a network a bias.

    Raises:
        ValueError: n < 2, cycles not positive, or an empty interval.
        TypeError: n is not an integer, or cycles or an end not a number.

    Example:
        >>> x, y = sinusoid(6)
        >>> y.tolist()
        [1.0, 1.0, -1.0, -1.0, 1.0, 1.0]

    Reference:
        Wei, Lee, Liu, Ma (2019), appendix F.3 and Figure 5. The figure shows the labels, but the
        text does not give them.
    """
    require_count("n", n, least=2)
    require_entries("x", n=n)
    require_positive("cycles", cycles)
    if is_concrete(low, high):
        _check_ends(low, high)
    fraction = jnp.linspace(0.5 / n, 1 - 0.5 / n, n)
    y = jnp.where(jnp.sin(2 * jnp.pi * cycles * fraction) >= 0, 1.0, -1.0)
    return jnp.linspace(low, high, n)[:, None], y


def _check_ends(low: float, high: float) -> None:
    for name, end in (("low", low), ("high", high)):
        require_number(name, end)
    dtype = jnp.result_type(float)
    if not (low < high and high - low <= float(jnp.finfo(dtype).max)):
        raise ValueError(
            f"low must be below high, both finite and as far apart as {dtype} can hold, got {low} "
            f"and {high}"
        )


def embed(z: Float[Array, "n d_minus_2"], first: float, second: float) -> Float[Array, "n d"]:
    """Put two given coordinates before each row: (a, b, z).

    Args:
        z: (n, d - 2) rows; integers become floats.
        first: first coordinate a.
        second: second coordinate b.

    Returns:
        (n, d).

    Raises:
        ValueError: z is not a matrix, or first or second not a number.
        TypeError: one of them holds no numbers.

    Example:
        >>> embed(jnp.array([[1.0, -1.0]]), 0, -1).tolist()
        [[0.0, -1.0, 1.0, -1.0]]

    Reference:
        Wei, Lee, Liu, Ma (2019), appendix B.1.
    """
    z = as_jax("z", z)
    if z.ndim != 2:
        raise ValueError(f"z must be (n, d - 2), got shape {z.shape}")
    if not jnp.issubdtype(z.dtype, jnp.floating):
        z = z.astype(float)
    pair = [as_jax(*named).astype(z.dtype) for named in (("first", first), ("second", second))]
    for name, number in zip(("first", "second"), pair, strict=True):
        if number.shape:
            raise ValueError(f"{name} must be a number, got shape {number.shape}")
    return jnp.concatenate([jnp.broadcast_to(jnp.stack(pair), (len(z), 2)), z], axis=1)


class Groups(NamedTuple):
    """The four groups of D, of probability 1/4 each, and the value of a target on each.

    Attributes:
        axes: (4, 2) integers, the first two coordinates of each group.
        values: (4,) the target there.
    """

    axes: Int[np.ndarray, "4 2"]
    values: Float[np.ndarray, " 4"]


def groups_of_d(target: str = "label") -> Groups:
    """The four values that the first two coordinates of D take, and a target there.

    The other coordinates are noise, so that a target of D is a function of these two.

    Args:
        target: "label" for y itself; "half_space" for sign(x_1 - 1/2), which a threshold on one
            coordinate gives, and which is wrong on one group of the four.

    Returns:
        `Groups(axes, values)`, in NumPy.

    Raises:
        ValueError: unknown target.

    Example:
        >>> axes, values = groups_of_d()
        >>> axes.tolist(), values.tolist()
        ([[1, 0], [-1, 0], [0, 1], [0, -1]], [1.0, 1.0, -1.0, -1.0])

    Reference:
        Wei, Lee, Liu, Ma (2019), eq. 2.1.
    """
    require_choice("target", target, _TARGETS)
    return Groups(np.array(_AXES), np.array(_TARGETS[target]))


def support_of_d(d: int) -> tuple[Float[Array, "n d"], Float[Array, " n"]]:
    """All n = 2^d points that the distribution D can give, and their labels.

    D is uniform on them, so that training on this set is training on the whole distribution. The
    optimum is known: a network with margin 1 on every point has ||Theta||^2 >= 8, and four units
    reach 8 (appendix B.2). The largest normalised margin is therefore 1/8.

    The bound 8 follows from duality. Any nu with |sum_i nu_i [u . x_i]_+| <= 1 for all unit
    vectors u gives ||Theta||^2 >= 2 sum_i nu_i y_i, and nu = 4 y / 2^d is such a nu: for
    u = (a, b, v) the sum is E|a + v . z| - E|b + v . z|, an expectation over random signs z. As
    E|v . z| <= E|b + v . z|, it is at most |a|; in the same way it is at least -|b|.

    Args:
        d: number of features, from 3 to 20; the arrays have 2^d rows.

    Returns:
        x (2^d, d) with entries in {-1, 0, 1}; y (2^d,) in {-1, +1}.

    Raises:
        ValueError: d < 3 or d > 20.
        TypeError: d is not an integer.

    Example:
        >>> x, y = support_of_d(3)
        >>> x.shape, x[0].tolist(), float(y[0])
        ((8, 3), [1.0, 0.0, -1.0], 1.0)

    Reference:
        Wei, Lee, Liu, Ma (2019), eq. 2.1; appendix B.2 for the four units.
    """
    require_count("d", d, least=3)
    if d > _MAX_SUPPORT:
        raise ValueError(f"d must be at most {_MAX_SUPPORT}, got {d}: the arrays have 2^d rows")
    z = jnp.array(list(itertools.product((-1.0, 1.0), repeat=d - 2)))
    x = jnp.concatenate([embed(z, *axis) for axis in _AXES])
    labels = jnp.array(_TARGETS["label"])
    return x, jnp.repeat(labels, len(z), total_repeat_length=len(x))
