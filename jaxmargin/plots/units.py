"""The units of a network of two inputs, as dots on the circle of directions."""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from numpy.typing import ArrayLike

from jaxmargin._checks import label_array, require_finite, require_positive
from jaxmargin.mean_field.measure import Measure
from jaxmargin.mean_field.two_layer import from_network
from jaxmargin.networks.models import TwoLayer
from jaxmargin.plots._axes import axes_of, numbers

_LARGEST, _SMALLEST = 220.0, 5.0  # areas of dots, in square points
_SECTORS = 120  # of the circle; units of one colour in one sector (3 degrees) are one dot
_SAMPLES = 0.85  # length of the longest sample, where the circle has 1


class _Dots(NamedTuple):
    """p dots: number of the colour, direction (p, 2), and weight, the heaviest first."""

    color: np.ndarray
    place: np.ndarray
    weight: np.ndarray


def plot_units(
    network: TwoLayer | Measure,
    x: ArrayLike | None = None,
    y: ArrayLike | None = None,
    *,
    scale: float | None = None,
    hollow: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Draw the units of a two-layer network of two inputs.

    A unit (w, u) is a dot on the circle at the direction of u. Its area is proportional to its
    weight, mass * |theta|^2, which is what it adds to the regularizer. Its colour is the sign of w,
    or the output on which it acts most where there are several. Units of one colour that are less
    than three degrees apart may be one dot with the weight of all.

    Args:
        network: `TwoLayer` with u (m, 2), or a `Measure` with particles theta = (w, u) of two
            inputs.
        x: (n, 2) inputs, whose kinks u . x_i = 0 are drawn as thin lines.
        y: (n,) labels, signs or classes. With them the inputs themselves are drawn as well, scaled
            to fit into the circle.
        scale: square points of area for a weight of 1, to compare pictures. None draws the heaviest
            dot of each picture in one size.
        hollow: draw rings with spokes in place of dots, for a second network in the same picture.
        ax: where to draw; None takes the current axes.

    Returns:
        The axes; `ax.legend()` tells the colours.

    Raises:
        ValueError: inputs that are not two, shapes that do not fit, a negative mass, NaN, y without
            x, or a scale that is not positive.
        TypeError: neither a `TwoLayer` nor a `Measure`, arrays that do not hold real numbers, or
            ax that are no axes.

    Example:
        >>> import jax.numpy as jnp
        >>> network = TwoLayer(u=jnp.eye(2), w=jnp.array([1.0, -2.0]))
        >>> from matplotlib.figure import Figure
        >>> ax = plot_units(network, [[1, 0], [0, 1]], [1, -1], ax=Figure().subplots())
        >>> ax.get_legend_handles_labels()[1]
        ['w > 0', 'w < 0']

    Reference:
        Wei, Lee, Liu, Ma (2019), section 3 and example 3.2.
    """
    ax = axes_of(ax)
    outputs, colors, u, weight = _units(network)
    if scale is not None:
        require_positive("scale", scale)
    _draw_circle(ax)
    if x is not None:
        _draw_samples(ax, x, y)
    elif y is not None:
        raise ValueError("y needs x: pass the inputs that it labels")
    dots = _merged(colors, u, weight)
    heaviest = dots.weight.max(initial=0)
    if scale is None:
        scale = _LARGEST / heaviest if heaviest > 0 else 1.0
    for color in np.unique(dots.color):
        label = ("w > 0", "w < 0")[color] if outputs == 1 else f"output {color}"
        chosen = dots.color == color
        draw = _draw_rings if hollow else _draw_dots
        draw(ax, dots.place[chosen], scale * dots.weight[chosen], f"C{color}", label)
    return ax


def _units(network: Any) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """The number of outputs, numbers of colours (m,), first-layer weights (m, 2), weights (m,)."""
    if not isinstance(network, TwoLayer | Measure):
        raise TypeError(
            f"network must be a TwoLayer or a Measure, got {type(network).__name__}: for other "
            "models pass TwoLayer(u, w) of their first two layers"
        )
    measure = from_network(network) if isinstance(network, TwoLayer) else network.checked()
    theta, mass = numbers("theta", measure.theta), numbers("mass", measure.mass)
    inputs = np.shape(network.u)[1] if isinstance(network, TwoLayer) else 2
    if inputs != 2 or theta.shape[1] < 3:
        raise ValueError(
            "network must have two inputs, u (m, 2) or theta = (w, u) of 3 columns or more, got "
            f"{inputs} inputs and {theta.shape[1]} columns"
        )
    require_finite("network", (theta, mass))
    if (mass < 0).any():
        raise ValueError(f"network must have masses >= 0, got {mass.min():g}")
    w, u = theta[:, :-2], theta[:, -2:]
    colors = np.where(w[:, 0] >= 0, 0, 1) if w.shape[1] == 1 else np.abs(w).argmax(axis=1)
    return w.shape[1], colors, u, mass * np.sum(theta**2, axis=1)


def _merged(colors: np.ndarray, u: np.ndarray, weight: np.ndarray) -> _Dots:
    """The sectors of each colour that hold units: their centres, and their weights in all."""
    there = weight > 0
    colors, u, weight = colors[there], u[there], weight[there]
    length = np.linalg.norm(u, axis=1, keepdims=True)
    u = u / np.where(length > 0, length, 1)
    if not len(u):
        return _Dots(colors, u, weight)
    sector = np.floor(_SECTORS * (np.arctan2(u[:, 1], u[:, 0]) / (2 * np.pi) + 0.5)) % _SECTORS
    _, group = np.unique(np.stack([colors, sector]), axis=1, return_inverse=True)
    members = group.reshape(-1) == np.arange(group.max() + 1)[:, None]
    total = members @ weight
    center = (members * weight) @ u / total[:, None]
    away = np.linalg.norm(center, axis=1, keepdims=True)
    center = center / np.where(away > 0, away, 1)
    order = np.argsort(-total, kind="stable")  # the light ones on top
    return _Dots(colors[members.argmax(axis=1)][order], center[order], total[order])


def _draw_circle(ax: Axes) -> None:
    ax.set(xscale="linear", yscale="linear")
    ax.set(aspect="equal", xlim=(-1.3, 1.3), ylim=(-1.3, 1.3), xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.grid(False)
    angle = np.linspace(0, 2 * np.pi, 181)
    ax.plot(np.cos(angle), np.sin(angle), color="0.6", linewidth=0.7)


def _draw_samples(ax: Axes, x: Any, y: Any) -> None:
    """The kinks, and the samples themselves where they have labels."""
    points = numbers("x", x)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"x must be (n, 2), got {points.shape}")
    require_finite("x", points)
    length = np.linalg.norm(points, axis=1, keepdims=True)
    normal = points[:, ::-1] * [-1, 1] / np.where(length > 0, length, 1)
    kinks = list(np.stack([-normal, normal], axis=1))
    ax.add_collection(LineCollection(kinks, colors="0.85", linewidths=0.5))
    if y is None:
        return
    labels = np.asarray(label_array("y", y))
    if labels.shape != points.shape[:1]:
        raise ValueError(f"y must be {points.shape[:1]}, one label a row of x, got {labels.shape}")
    require_finite("y", labels)
    placed = points * (_SAMPLES / max(length.max(initial=0), np.finfo(float).tiny))
    values = np.unique(labels)
    signs = np.isin(values, [-1, 1]).all()
    for i, value in enumerate(values):
        marker = f"${'+' if value > 0 else '-'}$" if signs else f"${value:g}$"
        color = f"C{0 if value > 0 else 1}" if signs else f"C{i}"
        ax.scatter(*placed[labels == value].T, s=30, marker=marker, color=color, alpha=0.8)


def _draw_dots(ax: Axes, place: np.ndarray, area: np.ndarray, color: str, label: str) -> None:
    area = np.maximum(area, _SMALLEST)
    look = {"color": color, "alpha": 0.55, "linewidth": 0, "zorder": 3}
    ax.scatter(*place.T, s=area, label=label, **look)


def _draw_rings(ax: Axes, place: np.ndarray, area: np.ndarray, color: str, label: str) -> None:
    place, area = place[area > _SMALLEST], area[area > _SMALLEST]
    spokes = np.stack([np.zeros_like(place), place], axis=1)
    ax.add_collection(LineCollection(list(spokes), colors=color, linewidths=0.8, alpha=0.6))
    look = {"facecolor": "none", "edgecolor": color, "linewidth": 0.8}
    ax.scatter(*place.T, s=area, label=label, **look)
