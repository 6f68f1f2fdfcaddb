"""Margins, a bound and the distance from the kernel regime of an MLP on digits.

Needs flax and jaxmargin[experiments]; `python own_model.py` prints a table and draws own-model.png.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import jaxmargin as jm
from jaxmargin import data
from jaxmargin.experiments.harness import plots
from jaxmargin.margins import bounds

WIDTH, CLASSES = 100, 10
COLORS = (plots.VERMILLION, plots.BLUE, plots.GREEN)


# start: models
class Model(NamedTuple):
    """What the measurements take of a model.

    Attributes:
        apply: `apply(params, x)` giving the logits (n, k).
        params: any pytree of float arrays.
        layers: its matrices (fan_out, fan_in), first layer first; for activation patterns only.
    """

    apply: Callable[..., Any]
    params: Any
    layers: Callable[[Any], tuple[jax.Array, ...]]


class FlaxMlp(nn.Module):
    """Two hidden layers; without biases it is homogeneous of degree 3 in its parameters."""

    use_bias: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Logits (n, k)."""
        for _ in range(2):
            x = nn.relu(nn.Dense(WIDTH, self.use_bias)(x))
        return nn.Dense(CLASSES, self.use_bias)(x)


def flax_model(key: jax.Array, d: int, *, use_bias: bool = False) -> Model:
    """In flax the parameters are what `init` returns, and kernels are (fan_in, fan_out)."""
    module = FlaxMlp(use_bias)

    def layers(params: Any) -> tuple[jax.Array, ...]:
        return tuple(params["params"][f"Dense_{i}"]["kernel"].T for i in range(3))

    return Model(module.apply, module.init(key, jnp.ones((1, d))), layers)


# end: models


# start: data
class Digits(NamedTuple):
    """Images of 8 x 8 pixels in [0, 1] with the constant feature 1, a bias; |x| <= sqrt(65)."""

    x: jax.Array
    y: jax.Array
    x_test: jax.Array
    y_test: jax.Array


def load_digits(key: jax.Array, *, n: int = 1347) -> Digits:
    """N digits to train on, the other ones of the 1,797 to test on."""
    x, y = data.digits()
    order = jax.random.permutation(key, len(x))
    x, y = jm.append_one(x)[order], y[order]
    return Digits(x[:n], y[:n], x[n:], y[n:])


# end: data


# start: training
def train(model: Model, digits: Digits, *, lam: float, steps: int, key: jax.Array) -> Any:
    """Mean cross-entropy + lam ||Theta||_F^2, by Adam on minibatches of 128."""
    objective = jm.regularized(model.apply, "cross_entropy", lam=lam)
    optimizer = optax.adam(optax.cosine_decay_schedule(3e-3, steps))
    batches = jm.Minibatch(key, 128)
    x, y, *_ = digits
    return jm.train(
        objective, optimizer, model.params, x, y, num_steps=steps, minibatch=batches
    ).params


# end: training


# start: report
def report(model: Model, trained: Any, digits: Digits) -> dict[str, float]:
    """Errors, margins, the bound, and how far training went from the kernel regime."""
    x, y, x_test, y_test = digits

    def error(x: jax.Array, y: jax.Array) -> float:
        return float(jnp.mean(jnp.argmax(model.apply(trained, x), axis=1) != y))

    margins = jm.margin_distribution(model.apply, trained, x, y)  # of Theta / ||Theta||, ascending
    kernel = jax.jit(partial(jm.empirical_ntk, model.apply))
    before, after = kernel(model.params, x[:40]), kernel(trained, x[:40])
    return {
        "train error": error(x, y),
        "test error": error(x_test, y_test),
        "norm of the parameters": float(jm.norms.l2(trained)),
        "normalised margin": float(margins[0]),
        "its 5% quantile": float(jnp.quantile(margins, 0.05)),
        "its median": float(jnp.median(margins)),
        "bound of the test error": multiclass_bound(float(margins[0]), n=len(x), delta=0.01),
        "patterns changed": float(
            jm.pattern_change(model.layers(model.params), model.layers(trained), x)
        ),
        "distance from the start": float(jm.distance_from_start(model.params, trained).total),
        "change of the tangent kernel": float(jm.kernel_change(before, after)),
        "alignment of the kernels": float(jm.kernel_alignment(before, after)),
    }


def multiclass_bound(margin: float, *, n: int, delta: float) -> float:
    """Of the test error, with probability 1 - delta, from the bound for scalar networks.

    With k classes the margins f_y - max f_j lie below 2 C, where those of a scalar network lie
    below C, and the term of the complexity is 2 k times that of a binary problem (Mohri,
    Rostamizadeh, Talwalkar 2018, Theorem 9.2): so take half the margin, and k times that term.
    """
    radius = 65**0.5  # of the domain [0, 1]^64 x {1}
    found = bounds.margin_bound(margin / 2, n=n, depth=3, radius=radius, delta=delta)
    return float(CLASSES * found.complexity + found.uniformity + found.confidence)


# end: report


# start: main
CASES = {  # a factor of the start, and lam
    "no regularizer": (1.0, 0.0),
    "lam = 1e-4": (1.0, 1e-4),
    "4 times larger start": (4.0, 0.0),
}


def homogeneity(digits: Digits, *, steps: int) -> dict[str, jm.networks.Homogeneity]:
    """Degree and residual without biases, and with them: at the start flax's are 0."""
    key, x = jax.random.key(1), digits.x[:50]
    plain = flax_model(key, x.shape[1])
    biased = flax_model(key, x.shape[1], use_bias=True)
    trained = train(biased, digits, lam=1e-4, steps=steps, key=key)
    return {
        "no biases": jm.homogeneity_degree(plain.apply, plain.params, x),
        "biases, at the start": jm.homogeneity_degree(biased.apply, biased.params, x),
        "biases, trained": jm.homogeneity_degree(biased.apply, trained, x),
    }


def main(*, n: int = 1347, steps: int = 3000) -> Figure:
    """Print the three cases' reports; their margin distributions as a figure."""
    key_data, key_start, key_batches = jax.random.split(jax.random.key(0), 3)
    digits = load_digits(key_data, n=n)
    for name, (degree, residual) in homogeneity(digits, steps=steps).items():
        print(f"{name:22} degree {degree:.3f}, residual {residual:.1e}")
    figure, (axes,) = plots.panels(1, width=4.5)
    columns = {}
    for (name, (scale, lam)), color in zip(CASES.items(), COLORS, strict=True):
        model = flax_model(key_start, digits.x.shape[1])
        model = model._replace(params=optax.tree.scale(scale, model.params))
        trained = train(model, digits, lam=lam, steps=steps, key=key_batches)
        columns[name] = report(model, trained, digits)
        margins = jm.margin_distribution(model.apply, trained, digits.x, digits.y)
        axes.plot(margins, np.linspace(0, 1, len(margins)), label=name, color=color)
    print(f"{'':30}", *(f"{name:>22}" for name in columns))
    for row in next(iter(columns.values())):
        print(f"{row:30}", *(f"{column[row]:22.3g}" for column in columns.values()))
    axes.set_xscale("log")
    axes.set_xlabel("normalised margin")
    axes.set_ylabel("fraction of the digits below")
    axes.legend(loc="lower left", bbox_to_anchor=(-0.1, 1), ncols=3, columnspacing=1)
    return figure


# end: main


if __name__ == "__main__":
    with plots.house_style():
        main().savefig("own-model.png")
