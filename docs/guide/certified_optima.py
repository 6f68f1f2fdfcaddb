"""The units of a certified optimum against the data, in two dimensions, and why it is optimal.

Needs jaxmargin[experiments]; `python certified_optima.py` draws certified-optima.png.
"""

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import jaxmargin as jm
from jaxmargin.experiments.harness import plots

COLORS = {1.0: plots.BLUE, -1.0: plots.VERMILLION}
LAM = 0.2


def samples(*, n: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points in the plane whose labels change four times around the origin; x (n, 2), y (n,)."""
    rng = np.random.default_rng(seed)
    angle, length = rng.uniform(0, 2 * np.pi, n), rng.uniform(0.5, 1.5, n)
    return directions(angle) * length[:, None], np.where(np.sin(2 * angle) > 0, 1.0, -1.0)


def directions(angle: np.ndarray) -> np.ndarray:
    """Unit vectors (p, 2) of angles (p,)."""
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def draw_units(axes: Axes, x: np.ndarray, y: np.ndarray, network: jm.TwoLayer) -> None:
    """Data, the sign of the network's output behind it, and an arrow for each unit."""
    u, w = np.asarray(network.u), np.asarray(network.w)
    size = 1.7
    side = np.linspace(-size, size, 201)
    grid = np.stack(np.meshgrid(side, side), axis=-1)
    output = np.maximum(grid @ u.T, 0) @ w
    shades = [COLORS[-1.0], COLORS[1.0]]
    axes.contourf(side, side, output, levels=[-1e9, 0, 1e9], colors=shades, alpha=0.12)
    for label, color in COLORS.items():
        axes.scatter(
            *x[y == label].T, s=14, color=color, label=f"y = {label:+.0f}".replace("-", "−")
        )
    share = np.abs(w) * np.linalg.norm(u, axis=1)
    arrows = u / np.linalg.norm(u, axis=1, keepdims=True) * (1.6 * share / share.max())[:, None]
    axes.quiver(
        *np.zeros((2, len(u))), *arrows.T, color=[COLORS[s] for s in np.sign(w)],
        angles="xy", scale_units="xy", scale=1, width=0.012, edgecolor="black", linewidth=0.4,
    )  # fmt: skip
    axes.set(xlim=(-size, size), ylim=(-size, size), aspect="equal", title="data and units")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.06), ncols=2, handletextpad=0.1)
    axes.grid(visible=False)


def draw_responses(axes: Axes, x: np.ndarray, y: np.ndarray, network: jm.TwoLayer) -> None:
    """The response of every neuron, over 2 lam: no neuron exceeds 1, and the units attain it."""
    u, w = np.asarray(network.u), np.asarray(network.w)
    slope = -y / (1 + np.exp(y * (np.maximum(x @ u.T, 0) @ w)))
    angle = np.linspace(-np.pi, np.pi, 2001)

    def response(units: np.ndarray) -> np.ndarray:
        return -slope @ np.maximum(x @ units.T, 0) / (2 * LAM)

    kinks = np.concatenate([np.arctan2(x[:, 0], -x[:, 1]), np.arctan2(-x[:, 0], x[:, 1])])
    axes.vlines(kinks, -1.22, -1.12, color="0.6", linewidth=0.6)
    axes.axhline(1, color="black", linewidth=0.8, linestyle="--")
    axes.axhline(-1, color="black", linewidth=0.8, linestyle="--")
    axes.plot(angle, response(directions(angle)), color="0.3", linewidth=1.2)
    units = u / np.linalg.norm(u, axis=1, keepdims=True)
    at = np.arctan2(u[:, 1], u[:, 0])
    axes.scatter(at, response(units), s=22, color=[COLORS[s] for s in np.sign(w)], zorder=3)
    axes.set(xlim=(-np.pi, np.pi), ylim=(-1.25, 1.25), title="response of every neuron")
    axes.set_xticks([-np.pi, 0, np.pi], ["$-\\pi$", "0", "$\\pi$"])
    axes.set(xlabel="angle of u", ylabel="response / $2\\lambda$")


def main(*, n: int = 40) -> Figure:
    """Print the certificate; the figure."""
    x, y = samples(n=n)
    with jax.enable_x64(True):
        problem = jm.two_layer_problem(jnp.asarray(x), jnp.asarray(y), "logistic", lam=LAM)
        found = jm.global_optimum(problem, tol=1e-8)
        network = jm.as_network(problem, found.measure)
    heavy = np.abs(network.w) > 1e-3 * np.abs(network.w).max()
    network = jm.TwoLayer(u=network.u[heavy], w=network.w[heavy])
    print(f"{len(network.w)} units", found.certificate)
    figure, (left, right) = plots.panels(2, width=3.4, height=3.2)
    draw_units(left, x, y, network)
    draw_responses(right, x, y, network)
    return figure


if __name__ == "__main__":
    with plots.house_style():
        main().savefig("certified-optima.png")
