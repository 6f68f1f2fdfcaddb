"""Curves over several trials, and the records of a run."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from jaxmargin.plots._axes import axes_of, numbers


def plot_trials(
    x: ArrayLike,
    values: ArrayLike,
    *,
    ax: Axes | None = None,
    label: str | None = None,
    **line: Any,
) -> Axes:
    """Draw the mean over trials, with a band of one standard error on each side.

    Args:
        x: (s,) positions.
        values: (t, s) one row a trial, or (s,) a single one, which has no band. NaN is left out:
            the mean and its error are those of the trials that have a number there.
        ax: where to draw; None takes the current axes.
        label: for the legend.
        **line: further options of matplotlib's `Axes.plot`, such as color and marker.

    Returns:
        The axes.

    Raises:
        ValueError: shapes that do not fit.
        TypeError: arrays that do not hold real numbers, or ax that are no axes.

    Example:
        >>> from matplotlib.figure import Figure
        >>> values = np.array([[1.0, 2.0, 4.0], [3.0, 2.0, 2.0]])
        >>> ax = plot_trials([1, 2, 3], values, ax=Figure().subplots())
        >>> ax.lines[-1].get_ydata().tolist()
        [2.0, 2.0, 3.0]

    Reference:
        The pictures of Wei, Lee, Liu, Ma (2019), section 5, show means over 20 trials.
    """
    ax = axes_of(ax)
    x, rows = numbers("x", x), numbers("values", values)
    if x.ndim != 1 or rows.ndim not in (1, 2) or 0 in rows.shape or rows.shape[-1:] != x.shape:
        raise ValueError(
            f"values must be (s,) or (t, s) for x of shape (s,), got {rows.shape} and {x.shape}"
        )
    center, error = _mean_and_error(np.atleast_2d(rows))
    (drawn,) = ax.plot(x, center, label=label, **line)
    if np.isfinite(error).any():
        color = drawn.get_color()
        ax.fill_between(x, center - error, center + error, color=color, alpha=0.25, linewidth=0)
    return ax


def _mean_and_error(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Over the rows without NaN: means, NaN where there is none; and errors, NaN below two."""
    there = ~np.isnan(rows)
    count = there.sum(axis=0)
    none, few = np.where(count > 0, 1, np.nan), np.where(count > 1, 1, np.nan)
    mean = none * np.where(there, rows, 0).sum(axis=0) / np.maximum(count, 1)
    squares = np.where(there, rows - mean, 0) ** 2
    variance = few * squares.sum(axis=0) / np.maximum(count - 1, 1)
    return mean, np.sqrt(variance / np.maximum(count, 1))


def plot_history(
    history: Any,
    name: str | None = None,
    *,
    ax: Axes | None = None,
    label: str | None = None,
    **line: Any,
) -> Axes:
    """Draw one quantity of the records of a run against the step.

    Args:
        history: the `history` of a result: of `train`, `run_flow`, `global_optimum`, `max_margin`
            and others.
        name: one of its fields, or a key of its metrics where these are a dict. None takes the
            first field after the step: the objective, the energy or the margin.
        ax: where to draw; None takes the current axes.
        label: for the legend.
        **line: further options of matplotlib's `Axes.plot`.

    Returns:
        The axes. Runs of several trials are drawn as `plot_trials` does.

    Raises:
        ValueError: nothing of that name was recorded, or it is not one number a record.
        TypeError: no history, records that do not hold real numbers, or ax that are no axes.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmargin.networks import History
        >>> history = History(jnp.arange(3), jnp.array([3.0, 2.0, 1.0]), None)
        >>> from matplotlib.figure import Figure
        >>> ax = plot_history(history, ax=Figure().subplots())
        >>> ax.get_xlabel(), ax.get_ylabel()
        ('step', 'objective')

    Reference:
        Wei, Lee, Liu, Ma (2019), Figure 2.
    """
    ax = axes_of(ax)
    fields = getattr(history, "_fields", ())
    if "step" not in fields:
        raise TypeError(
            "history must be the history of a result, which has a field step, got "
            f"{type(history).__name__}"
        )
    recorded = {field: getattr(history, field) for field in fields if field != "step"}
    metrics = recorded.get("metrics")
    if metrics is None or isinstance(metrics, dict):
        recorded.pop("metrics", None)
        recorded |= metrics or {}
    what = next(iter(recorded)) if name is None else name
    if what not in recorded:
        raise ValueError(f"name must be one of {', '.join(map(str, recorded))}, got {what!r}")
    step, values = numbers("history.step", history.step), numbers(str(what), recorded[what])
    if step.ndim != 1 or values.ndim not in (1, 2) or values.shape[-1:] != step.shape:
        raise ValueError(
            f"{what} must have one number a record, (s,) or (t, s) at {step.shape} steps, got "
            f"{values.shape}"
        )
    plot_trials(step, values, ax=ax, label=label, **line)
    ax.set(xlabel="step", ylabel=str(what).replace("_", " "))
    return ax
