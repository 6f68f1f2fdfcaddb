"""Means over trials, and slopes of lines, with their standard errors."""

from typing import Any, NamedTuple

import numpy as np
import scipy.stats


class Estimate(NamedTuple):
    """A measured number and its standard error, which is NaN where too few values give none."""

    value: float
    error: float

    def __format__(self, spec: str) -> str:
        value = f"{self.value:{spec}}"
        return value if np.isnan(self.error) else f"{value} ± {self.error:{spec}}"


def standard_error(values: np.ndarray) -> np.ndarray:
    """Standard error of the mean over the leading axis of values (t, ...); NaN for one trial."""
    if len(values) < 2:
        return np.full(values.shape[1:], np.nan)
    return np.asarray(scipy.stats.sem(values, axis=0))


def mean(values: np.ndarray) -> Estimate:
    """Mean of values (t,) over independent trials."""
    return Estimate(float(np.mean(values)), float(standard_error(values)))


def ratio_of_means(a: np.ndarray, b: np.ndarray) -> Estimate:
    """mean(a) / mean(b) over paired trials (t,), with the delta method's standard error."""
    ratio = np.mean(a) / np.mean(b)
    return Estimate(float(ratio), float(standard_error(a - ratio * b) / abs(np.mean(b))))


def slope(x: np.ndarray, y: np.ndarray) -> Estimate:
    """Slope of the least-squares line of y (s,) on x (s,).

    Below three points its standard error is NaN. If all x are equal, there is no slope, and both
    numbers are NaN.
    """
    if np.ptp(x) == 0:
        return Estimate(np.nan, np.nan)
    line: Any = scipy.stats.linregress(x, y)
    return Estimate(float(line.slope), float(line.stderr) if len(x) > 2 else np.nan)
