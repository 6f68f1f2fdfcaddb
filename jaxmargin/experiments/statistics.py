"""Means over trials and their standard errors."""

from typing import NamedTuple

import numpy as np


class Estimate(NamedTuple):
    """A mean over trials and its standard error (NaN with a single trial)."""

    value: float
    error: float

    def __format__(self, spec: str) -> str:
        return f"{self.value:{spec}} ± {self.error:{spec}}"


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
