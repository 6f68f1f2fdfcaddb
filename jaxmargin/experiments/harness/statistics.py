"""Means over trials and their standard errors."""

from typing import NamedTuple

import numpy as np


class Estimate(NamedTuple):
    """A mean over trials and its standard error (NaN with a single trial)."""

    value: float
    error: float

    def __format__(self, spec: str) -> str:
        value = f"{self.value:{spec}}"
        return value if np.isnan(self.error) else f"{value} ± {self.error:{spec}}"


def standard_error(values: np.ndarray) -> np.ndarray:
    """Standard error of the mean over the leading axis of values (t, ...)."""
    trials = len(values)
    if trials < 2:
        return np.full(values.shape[1:], np.nan)
    return np.std(values, axis=0, ddof=1) / np.sqrt(trials)


def mean(values: np.ndarray) -> Estimate:
    """Mean of values (t,) over independent trials."""
    return Estimate(float(np.mean(values)), float(standard_error(values)))


def ratio_of_means(a: np.ndarray, b: np.ndarray) -> Estimate:
    """mean(a) / mean(b) over paired trials (t,), with the delta method's standard error."""
    ratio = np.mean(a) / np.mean(b)
    return Estimate(float(ratio), float(standard_error(a - ratio * b) / abs(np.mean(b))))


def slope(x: np.ndarray, y: np.ndarray) -> Estimate:
    """Slope of the least-squares line of y (s,) on x (s,); its error is NaN below 3 points.

    With one x, both are NaN.
    """
    centered = x - np.mean(x)
    spread = np.sum(centered**2)
    if spread == 0:
        return Estimate(np.nan, np.nan)
    rise = np.sum(centered * y) / spread
    residuals = y - np.mean(y) - rise * centered
    free = len(x) - 2
    variance = np.sum(residuals**2) / free if free > 0 else np.nan
    return Estimate(float(rise), float(np.sqrt(variance / spread)))
