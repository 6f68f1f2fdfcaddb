"""Wrong input: images."""

import sys
from collections.abc import Callable
from unittest import mock

from jaxmargin import data
from tests.fault import Fault, wrong


def without(module: str, call: Callable) -> None:
    with mock.patch.dict(sys.modules, {module: None}):
        call()


FAULTS: list[Fault] = [
    Fault("mnist", wrong(data.mnist, "/no/such"), FileNotFoundError,
          r"/no/such has no train-images.* give the folder with MNIST's four IDX files"),
    Fault("mnist", wrong(data.mnist, split="valid"), ValueError,
          'split must be "train" or "test", got \'valid\''),
    Fault("read_idx", wrong(data.read_idx, __file__), ValueError, "is not an IDX file of un"),
    Fault("digits", wrong(without, "sklearn.datasets", data.digits), ImportError,
          "the digits come with scikit-learn: pip install"),
]  # fmt: skip
