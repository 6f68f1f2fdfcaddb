"""Margins of all samples, and margins along a path of strengths of the regularizer."""

from typing import Any

from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from jaxmargin._checks import require_finite, require_positive
from jaxmargin.margins.path import MarginPath
from jaxmargin.plots._axes import axes_of, numbers


def plot_margin_distribution(
    margins: ArrayLike,
    *,
    ax: Axes | None = None,
    label: str | None = None,
    **line: Any,
) -> Axes:
    """Draw the share of the samples whose margin is at most so large.

    Args:
        margins: (n,) margins of the samples in any order, such as `margin_distribution` returns.
        ax: where to draw; None takes the current axes.
        label: for the legend.
        **line: further options of matplotlib's `Axes.ecdf`, such as color.

    Returns:
        The axes.

    Raises:
        ValueError: not of shape (n,) with n >= 1, or not finite.
        TypeError: no array of real numbers, or ax that are no axes.

    Example:
        >>> from matplotlib.figure import Figure
        >>> ax = plot_margin_distribution([0.5, -0.1, 0.2, 0.2], ax=Figure().subplots())
        >>> ax.get_ylabel()
        'share of the samples'

    Reference:
        Bartlett, Foster, Telgarsky (2017); Wei, Lee, Liu, Ma (2019), section 4.
    """
    ax, sizes = axes_of(ax), numbers("margins", margins)
    if sizes.ndim != 1 or not len(sizes):
        raise ValueError(f"margins must be (n,) with n >= 1, got shape {sizes.shape}")
    require_finite("margins", sizes)
    ax.ecdf(sizes, label=label, **line)
    ax.set(xlabel="normalized margin", ylabel="share of the samples")
    return ax


def plot_path(
    path: MarginPath,
    *,
    limit: float | None = None,
    ax: Axes | None = None,
    label: str | None = None,
    **line: Any,
) -> Axes:
    """Draw the normalised margin of the regularized optima as lambda falls.

    Hollow points are those that have not converged.

    Args:
        path: what `margin_path` returns.
        limit: the largest margin, such as `max_margin(x, y).margin`, drawn as a dashed line.
        ax: where to draw; None takes the current axes.
        label: for the legend.
        **line: further options of matplotlib's `Axes.plot`, such as color.

    Returns:
        The axes, with a logarithmic axis of lambda that falls to the right.

    Raises:
        ValueError: a path whose arrays do not fit together, or a limit that is not positive.
        TypeError: no `MarginPath`, a limit that is no number, or ax that are no axes.

    Example:
        >>> import jax
        >>> from jaxmargin import append_one, data, init_two_layer, margin_path, two_layer
        >>> x, y = append_one(data.sinusoid(4)[0]), data.sinusoid(4)[1]
        >>> start = init_two_layer(jax.random.key(0), d=2, m=8)
        >>> path = margin_path(two_layer, start, x, y, [2.0**-10, 2.0**-14], num_steps=10)
        >>> from matplotlib.figure import Figure
        >>> ax = plot_path(path, ax=Figure().subplots())
        >>> ax.get_xscale(), bool(ax.xaxis_inverted())
        ('log', True)

    Reference:
        Wei, Lee, Liu, Ma (2019), Theorem 4.1 and Figure 5.
    """
    ax = axes_of(ax)
    if not isinstance(path, MarginPath):
        raise TypeError(f"path must be a MarginPath, got {type(path).__name__}")
    if limit is not None:
        require_positive("limit", limit)
    lam, margin = numbers("path.lam", path.lam), numbers("path.margin", path.margin)
    converged = numbers("path.converged", path.converged) > 0
    if lam.ndim != 1 or not len(lam) or not lam.shape == margin.shape == converged.shape:
        raise ValueError(
            "path must have one lam, margin and converged a record, (s,) each, got "
            f"{lam.shape}, {margin.shape} and {converged.shape}"
        )
    (drawn,) = ax.plot(lam, margin, label=label, **line)
    for chosen, style in ((converged, "full"), (~converged, "none")):
        look = {"marker": "o", "fillstyle": style, "color": drawn.get_color(), "linestyle": "none"}
        ax.plot(lam[chosen], margin[chosen], **look)
    if limit is not None:
        ax.axhline(limit, color="0.25", linestyle="--", linewidth=1, label="largest margin")
    ax.set_xscale("log", base=2)
    if not ax.xaxis_inverted():
        ax.invert_xaxis()
    ax.set(xlabel=r"$\lambda$", ylabel="normalized margin")
    return ax
