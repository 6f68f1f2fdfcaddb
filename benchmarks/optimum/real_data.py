"""The data sets that come with scikit-learn, standardised, with a constant column.

Iris and wine have three classes. The binary problem takes the second one (versicolor, the middle
cultivar) against the other two, from which no half-space separates it on iris; a second row has
all three. The targets of diabetes are standardised as well.
"""

from typing import Any, NamedTuple

import jax
import numpy as np
from sklearn import datasets

from benchmarks.optimum.traced import problem_of, shown, traced
from benchmarks.timing import print_head, print_row

LEVEL = 1e-4


class Data(NamedTuple):
    """Samples, labels, and the seconds that are aimed at."""

    name: str
    x: np.ndarray
    y: np.ndarray
    loss: str
    lams: tuple[float, ...]
    seconds: float

    @property
    def k(self) -> int | None:
        """The number of classes, where there is an output for each."""
        return int(self.y.max()) + 1 if self.loss == "cross_entropy" else None


def standardised(x: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and deviation 1."""
    return (x - x.mean(axis=0)) / x.std(axis=0)


def load() -> list[Data]:
    """All problems."""
    found, strengths = [], (30.0, 3.0, 0.3)
    for name, seconds in (("iris", 5), ("wine", 15)):
        bunch: Any = getattr(datasets, f"load_{name}")()
        x, signs = with_one(bunch.data), np.where(bunch.target == 1, 1.0, -1.0)
        found.append(Data(name, x, signs, "logistic", strengths, seconds))
        name, labels = f"{name}, 3 classes", bunch.target.astype(np.int32)
        found.append(Data(name, x, labels, "cross_entropy", strengths, seconds))
    cancer: Any = datasets.load_breast_cancer()
    signs = np.where(cancer.target == 1, 1.0, -1.0)
    found.append(Data("breast cancer", with_one(cancer.data), signs, "logistic", strengths, 60))
    diabetes: Any = datasets.load_diabetes()
    x, y = with_one(diabetes.data), standardised(diabetes.target)
    found.append(Data("diabetes", x, y, "squared", (100.0, 10.0, 1.0), 60))
    return found


def with_one(x: np.ndarray) -> np.ndarray:
    """Standardised columns and the constant one."""
    return np.c_[standardised(x), np.ones(len(x))]


def run() -> list[str]:
    """Print the table; the targets that were missed and the errors."""
    with jax.enable_x64(True):
        return optima(load())


def optima(sets: list[Data]) -> list[str]:
    """The optima at each strength."""
    faults = []
    print_head(
        "data", "n x d", "loss", "lam", "energy", "state", "gap",
        f"s to a gap of {LEVEL:.0e}", "target",
    )  # fmt: skip
    for data in sets:
        for lam in data.lams:
            problem = problem_of(data.x, data.y, data.loss, lam=lam, k=data.k)
            found = traced(problem, tol=LEVEL, time_limit=5 * data.seconds)
            name, seconds = f"{data.name}, lam {lam:g}", found.time_of_gap(LEVEL)
            faults += [f"{name}: {found.fault}"] if found.fault else []
            if not seconds <= data.seconds:
                faults.append(f"{name}: a gap of {LEVEL:.0e} took longer than {data.seconds} s")
            if found.optimum is not None:
                certificate = found.optimum.certificate
                print_row(
                    data.name, "{} x {}".format(*data.x.shape), data.loss, f"{lam:g}",
                    f"{float(certificate.energy):.6g}", certificate.state,
                    f"{found.gap[-1]:.1e}", shown(seconds), data.seconds,
                )  # fmt: skip
    return faults
